"""Metric learning: the embedding, its training on toys, and the graphs it makes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trkx_toy import toy_event  # noqa: E402

from trkx.plugin.embedding import (  # noqa: E402
    EMBEDDING_FEATURES,
    EMBEDDING_SCALES,
    Embedding,
    EmbeddingConfig,
)
from trkx.plugin.errors import StageError, WeightsError  # noqa: E402
from trkx.plugin.metric_learning import MetricLearning, MetricLearningConfig  # noqa: E402
from trkx.plugin.space_points import SpacePoints  # noqa: E402
from trkx.plugin.stage_settings import StageContext  # noqa: E402
from trkx.plugin.stage_weights import StageWeights  # noqa: E402

WIDE = {"z0_max": float("inf"), "curvature_max": float("inf"), "overlap_max": float("inf")}


class Position(torch.nn.Module):
    """An embedding that is the transverse position itself."""

    def forward(self, x):
        return x


def gid(layer):
    return np.uint64((1 << 56) | (layer << 36) | (1 << 8))


def points(xy, layers):
    x, y = np.array(xy, np.float32).T
    ids = np.array([gid(layer) for layer in layers], np.uint64)
    return SpacePoints(x, y, np.zeros(len(x), np.float32), ids)


def by_position(**settings):
    config = MetricLearningConfig(**{**WIDE, **settings})
    return MetricLearning(Position(), ("x", "y"), (1.0, 1.0), config)


def pairs(graph):
    return {tuple(edge) for edge in graph.edge_index.T.tolist()}


def test_edges_join_neighbours_outward():
    # Two tracks of three hits each, far apart.
    p = points([(10, 0), (12, 0), (14, 0), (-10, 0), (-12, 0), (-14, 0)], [1, 2, 3, 1, 2, 3])
    assert pairs(by_position(radius=2.1)(p)) == {(0, 1), (1, 2), (3, 4), (4, 5)}
    assert pairs(by_position(radius=4.1)(p)) == {(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)}


def test_only_the_nearest_k_of_each_hit():
    p = points([(10, 0), (11, 0), (13, 0)], [1, 2, 3])
    # The nearest of hit 2 is hit 1; those of 0 and 1 are each other.
    assert pairs(by_position(radius=9.0, k=1)(p)) == {(0, 1), (1, 2)}


def test_no_edge_within_a_module():
    p = points([(10, 0), (11, 0)], [1, 1])
    assert by_position(radius=9.0)(p).n_edges == 0


@pytest.mark.parametrize("n", [0, 1])
def test_events_without_neighbours_give_graphs_without_edges(n):
    p = points(np.zeros((n, 2)) + 10, [1] * n) if n else points(np.zeros((0, 2)), [])
    graph = by_position()(p)
    assert (graph.n_nodes, graph.n_edges) == (n, 0)


def test_azimuth_turns_the_embedding_but_no_distance():
    torch.manual_seed(0)
    network = Embedding(EmbeddingConfig(width=16, depth=2)).eval()
    event = toy_event(1).space_points
    graph = MetricLearning(network, EMBEDDING_FEATURES, EMBEDDING_SCALES)
    c, s = np.float32(np.cos(0.7)), np.float32(np.sin(0.7))
    turned = SpacePoints(c * event.x - s * event.y, s * event.x + c * event.y, event.z,
                         event.geometry_id)  # fmt: skip
    a, b = (torch.from_numpy(graph.embed(p)) for p in (event, turned))
    assert not torch.allclose(a, b, atol=1e-2)
    assert torch.allclose(torch.cdist(a, a), torch.cdist(b, b), atol=1e-3)


def test_plain_network_reads_all_features():
    network = Embedding(EmbeddingConfig(features=3, width=8, depth=1, dimensions=5, rotations=0))
    x = torch.ones(2, 3)
    x[1, 0] = 2.0
    out = network(x)
    assert out.shape == (2, 5)
    assert not torch.equal(out[0], out[1])


def test_relabelling_the_hits_changes_nothing():
    event = toy_event(2).space_points
    torch.manual_seed(0)
    network = Embedding(EmbeddingConfig(width=16, depth=2))
    stage = MetricLearning(
        network, EMBEDDING_FEATURES, EMBEDDING_SCALES, MetricLearningConfig(radius=0.2)
    )
    order = np.random.default_rng(1).permutation(len(event))
    shuffled = SpacePoints(*(getattr(event, n)[order] for n in ("x", "y", "z", "geometry_id")))
    graph = stage(event)
    assert graph.n_edges > 0
    back = {(order[a], order[b]) for a, b in stage(shuffled).edge_index.T.tolist()}
    assert back == pairs(graph)


def test_settings_are_checked():
    with pytest.raises(StageError, match="weights"):
        MetricLearning.from_settings({}, StageContext())
    with pytest.raises(StageError, match="did you mean 'radius'"):
        MetricLearning.from_settings({"radus": 1.0}, StageContext())
    for bad in ({"radius": 0.0}, {"k": 0}, {"search": "guess"}, {"z0_max": -1.0}):
        with pytest.raises(StageError):
            MetricLearning.from_settings(bad, StageContext())
    with pytest.raises(WeightsError, match="7"):
        MetricLearning(Embedding(EmbeddingConfig()), ("r",), (1.0,))


def test_features_that_are_not_finite_are_named():
    p = points([(10, 0), (11, 0)], [1, 2])
    stage = MetricLearning(Position(), ("size0", "y"), (1.0, 1.0))
    bad = SpacePoints(p.x, p.y, p.z, p.geometry_id, np.float32([1, np.nan]), np.float32([1, 1]))
    with pytest.raises(StageError, match="size0"):
        stage(bad)


def test_reduced_precision_gives_about_the_same_place():
    torch.manual_seed(0)
    network = Embedding(EmbeddingConfig(width=16, depth=2))
    event = toy_event(3).space_points
    full, half = (
        MetricLearning(
            network, EMBEDDING_FEATURES, EMBEDDING_SCALES, MetricLearningConfig(precision=p)
        ).embed(event)
        for p in ("float32", "bfloat16")
    )
    assert np.abs(full - half).max() < 0.1
    assert not np.array_equal(full, half)


def test_weights_round_trip(tmp_path):
    config = EmbeddingConfig(width=8, depth=1)
    network = Embedding(config).eval()
    StageWeights.write(
        tmp_path / "embedding",
        "metric_learning",
        network,
        config.to_dict(),
        {"features": EMBEDDING_FEATURES, "scales": EMBEDDING_SCALES},
    )
    stage = MetricLearning.from_settings({"weights": "embedding"}, StageContext(tmp_path))
    event = toy_event(4).space_points
    direct = MetricLearning(network, EMBEDDING_FEATURES, EMBEDDING_SCALES)
    assert np.array_equal(stage.embed(event), direct.embed(event))
