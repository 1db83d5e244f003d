"""Training of the embedding: a few seconds on toys make a graph that holds their tracks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from trkx_toy import toy_event  # noqa: E402

from trkx.plugin.embedding import Embedding, EmbeddingConfig  # noqa: E402
from trkx.plugin.metric_learning import MetricLearning  # noqa: E402
from trkx.plugin.stage_settings import StageContext  # noqa: E402
from trkx.plugin.training.embedding_scores import graph_sizes  # noqa: E402
from trkx.plugin.training.embedding_training import (  # noqa: E402
    EmbeddingDataConfig,
    EmbeddingExample,
    EmbeddingTraining,
    as_stage,
    build,
    embedding_example,
    finish,
    target_pairs,
)
from trkx.plugin.training.fit import fit  # noqa: E402
from trkx.plugin.training.settings import FitSettings  # noqa: E402
from trkx.plugin.training.stages import TrainingRequest  # noqa: E402

DATA = {"sector_hits": 400, "queries": 200, "random_negatives": 50}


class Events:
    """Toy events as trainers take them."""

    n_chunks, keep = 1, True

    def __init__(self, seeds):
        self.seeds = seeds

    def __len__(self):
        return len(self.seeds)

    def __iter__(self):
        return (toy_event(seed) for seed in self.seeds)

    def chunk(self, number):
        return iter(self)


def training(**data):
    config = EmbeddingDataConfig(**data)
    return EmbeddingTraining(Embedding(EmbeddingConfig(width=8, depth=1)), FitSettings(), config)


def test_example_is_in_the_order_of_azimuth():
    event = toy_event(1)
    example = embedding_example(event, EmbeddingDataConfig(), 0.9)
    x, y, _ = example.position.T
    assert (torch.diff(torch.atan2(y, x)) >= 0).all()
    a, b = example.particle[example.pair]
    assert torch.equal(a[:, 0], b[:, 0])
    assert (a[:, 0] >= 0).all()
    assert example.pair.shape == target_pairs(event, 0.9).shape
    assert example.pair.shape[1] == 60 * 7  # pairs of eight layers


def hand_drawn():
    """Hits of particle 0 on layers 1 and 2, of particle 1 on layer 2, and noise on layer 1."""
    particle = torch.full((4, 3), -1)
    particle[:3, 0] = torch.tensor([0, 0, 1])
    radius = torch.tensor([30.0, 70.0, 70.0, 30.0])
    angle = torch.tensor([0.0, 0.001, 0.002, 2.0])
    position = torch.stack([radius * angle.cos(), radius * angle.sin(), 0 * radius], dim=1)
    layer = torch.tensor([1, 2, 2, 1])
    return EmbeddingExample(
        x=torch.zeros(4, 7),
        position=position,
        geometry_id=(1 << 56) | (layer << 36) | (torch.tensor([1, 1, 2, 3]) << 8),
        particle=particle,
        pair=torch.tensor([[0], [1]]),
    )


def test_negatives_are_near_and_of_no_common_particle():
    hits = torch.arange(4)
    z = torch.tensor([[0.0], [0.5], [1.0], [2.0]])
    pair, weight = training(margin=0.3, random_negatives=0)._negatives(z, hand_drawn(), hits, hits)
    found = dict(zip(map(tuple, pair.T.tolist()), weight.tolist(), strict=True))
    # 0 and 1 share a particle; 3 lies on the far side, where the cut on curvature rejects it.
    easy = pytest.approx(EmbeddingDataConfig().easy_weight)
    assert found == {(0, 2): 1.0, (2, 0): 1.0, (1, 2): 1.0, (2, 1): 1.0, (2, 3): easy, (3, 2): easy}


def test_sector_wraps_around_and_keeps_its_pairs_only():
    event = toy_event(2)
    example = embedding_example(event, EmbeddingDataConfig(), 0.9)
    step = training(sector_hits=200)
    for seed in range(5):
        torch.manual_seed(seed)
        x, hits, pair = step._sector(example)
        assert x.shape == (200, 7)
        assert torch.equal(torch.diff(hits) % len(example.x), torch.ones(199, dtype=torch.long))
        true = set(map(tuple, example.pair.T.tolist()))
        inside = set(hits.tolist())
        wanted = {(a, b) for a, b in true if a in inside and b in inside}
        assert {(int(hits[a]), int(hits[b])) for a, b in pair.T} == wanted


def test_an_event_of_noise_gives_a_finite_loss():
    event = toy_event(3, n_particles=0, n_noise=5)
    example = embedding_example(event, EmbeddingDataConfig(), 0.9)
    assert torch.isfinite(training().training_step(example, 0))


@pytest.mark.parametrize(
    "bad", [{"margin": 1.0}, {"sector_hits": 0}, {"scales": (1.0,)}, {"z0_max": 0.0}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError):
        EmbeddingDataConfig(**bad)


def test_seconds_of_training_shrink_the_graph(tmp_path):
    request = TrainingRequest(
        stage="metric_learning",
        out=tmp_path / "embedding.safetensors",
        work=tmp_path / "work",
        network={"width": 32, "depth": 2},
        data=DATA,
        fit=FitSettings(epochs=25, learning_rate=1e-2, clip=5.0, logger="none"),
    )
    module, data = build(request, Events(range(6)))
    validation = [toy_event(100), toy_event(101)]

    def edges(stage):
        (size,) = graph_sizes(stage, validation, efficiencies=(0.95,), queries=300)
        return size.edges

    before = edges(as_stage(module.network, request))
    trained = fit(module, data, request.fit, request.work, progress=False)
    weights = finish(trained, request)
    assert weights.card["features"][0] == "cos_phi"
    stage = MetricLearning.from_settings({"weights": "embedding"}, StageContext(tmp_path))
    assert edges(stage) < 0.6 * before  # of which nearly half are true
    # Figures of merit are those of the graph that the stage makes at that radius.
    (size,) = graph_sizes(stage, validation, efficiencies=(0.95,), queries=1000)
    settings = {"weights": "embedding", "radius": size.radius * 1.0001}
    at_radius = MetricLearning.from_settings(settings, StageContext(tmp_path))
    found, true, n_edges = 0, 0, 0
    for event in validation:
        graph = at_radius(event.space_points)
        have = set(map(tuple, graph.edge_index.T.tolist()))
        pair = target_pairs(event, 1.0)
        found += sum((a, b) in have or (b, a) in have for a, b in pair.T.tolist())
        true += pair.shape[1]
        n_edges += graph.n_edges
    assert found / true == pytest.approx(0.95, abs=0.005)
    assert n_edges / 2 == pytest.approx(size.edges, rel=0.05)
    assert np.isfinite(size.neighbours)
