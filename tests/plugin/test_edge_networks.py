"""Edge networks on graphs of a few hits, and what they do with bad input."""

import math

import numpy as np
import pytest
import torch

from trkx.plugin.attention_gnn import AttentionGnn, AttentionGnnConfig
from trkx.plugin.edge_features import EDGE_FEATURES, GNN4ITK_EDGE_SCALES, edge_features
from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.edge_network import (
    EdgeNetworkClassifier,
    EdgeNetworkClassifierConfig,
    extent,
    logit,
)
from trkx.plugin.errors import DetectorMismatchError, StageError, WeightsError
from trkx.plugin.filter_mlp import FilterMlp, FilterMlpConfig
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.stage_weights import StageWeights

FEATURES = ("r", "phi", "z")
CARD = {"features": FEATURES, "scales": (100.0, math.pi, 100.0), "edge_features": EDGE_FEATURES}

KINDS = {
    "filter": lambda: FilterMlp(FilterMlpConfig(3, width=8)),
    "interaction_gnn": lambda: InteractionGnn(InteractionGnnConfig(3, width=8, steps=3)),
    "not recurrent": lambda: InteractionGnn(
        InteractionGnnConfig(3, width=8, edge_width=6, steps=2, recurrent=False, hidden_layers=2)
    ),
    "attention_gnn": lambda: AttentionGnn(AttentionGnnConfig(3, width=8, steps=3)),
}


@pytest.fixture(params=KINDS)
def network(request):
    torch.manual_seed(1)
    return KINDS[request.param]().eval()


def points(r, phi, z):
    r, phi, z = (np.asarray(a, np.float32) for a in (r, phi, z))
    ids = np.arange(1, len(r) + 1, dtype=np.uint64)
    return SpacePoints(r * np.cos(phi), r * np.sin(phi), z, ids)


def five_hits():
    """Two tracks that cross, as four edges, and a hit on no edge."""
    hits = points([30, 70, 110, 30, 70], [0.0, 0.01, 0.02, 3.1, -3.1], [5, 10, 15, -5, -9])
    return edge_graph(hits, np.array([[0, 1, 3, 0], [1, 2, 4, 4]]))


def random_graph(n=60, edges=200, seed=3):
    rng = np.random.default_rng(seed)
    hits = points(rng.uniform(30, 900, n), rng.uniform(-3, 3, n), rng.normal(0, 300, n))
    return edge_graph(hits, rng.integers(0, n, (2, edges)))


def tensors(graph):
    return (
        torch.from_numpy(graph.features(CARD["features"], CARD["scales"])),
        torch.from_numpy(graph.edge_index).long(),
        torch.from_numpy(edge_features(graph)),
    )


def test_edge_features_are_as_on_paper():
    graph = edge_graph(points([30, 70], [3.1, -3.1], [5, -15]), np.array([[0], [1]]))
    found = edge_features(graph, scales=(1,) * 6, limit=100)[0]
    dphi = 2 * math.pi - 6.2
    deta = math.asinh(-15 / 70) - math.asinh(5 / 30)
    expected = [40, dphi, -20, deta, dphi / 40, dphi / 40 * 50]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    itk = edge_features(graph, scales=list(GNN4ITK_EDGE_SCALES.values()))[0]
    np.testing.assert_allclose(itk[4], (dphi / math.pi) / 0.04, rtol=1e-3)
    assert edge_features(graph, ("dz",), (10.0,)).tolist() == [[-2.0]]


def test_hits_at_one_radius_have_finite_features():
    graph = edge_graph(points([50, 50], [0.1, 0.2], [1, 2]), np.array([[0], [1]]))
    found = edge_features(graph)
    assert np.isfinite(found).all() and np.abs(found).max() <= 10
    assert found[0, 4] == found[0, 5] == 0
    assert edge_features(graph.keep_edges(np.array([False]))).shape == (0, 6)


def test_an_unknown_edge_feature_and_a_missing_scale_are_errors():
    with pytest.raises(StageError, match="no edge feature 'slope'; choose of dr, dphi"):
        edge_features(five_hits(), ("slope",))
    with pytest.raises(StageError, match="1 edge features, but 2 scales"):
        edge_features(five_hits(), ("dr",), (1.0, 2.0))


def test_relabelling_nodes_and_edges_changes_nothing(network):
    x, index, attr = tensors(random_graph())
    old = network(x, index, attr)
    rng = torch.Generator().manual_seed(2)
    nodes = torch.randperm(len(x), generator=rng)
    edges = torch.randperm(index.shape[1], generator=rng)
    place = torch.empty_like(nodes).scatter_(0, nodes, torch.arange(len(nodes)))
    new = network(x[nodes], place[index[:, edges]], attr[edges])
    torch.testing.assert_close(new, old[edges], rtol=1e-4, atol=1e-5)


def test_isolated_nodes_and_other_components_change_nothing(network):
    x, index, attr = tensors(five_hits())
    old = network(x, index, attr)
    more = torch.cat([x, x[:2] + 1])
    torch.testing.assert_close(network(more, index, attr), old)
    two = torch.cat([index, torch.tensor([[5], [6]])], dim=1)
    new = network(more, two, torch.cat([attr, attr[:1]]))
    torch.testing.assert_close(new[:-1], old)


def test_edges_given_twice_are_scored_alike_and_self_loops_are_edges(network):
    x, index, attr = tensors(five_hits())
    twice = network(x, torch.cat([index, index], 1), torch.cat([attr, attr]))
    torch.testing.assert_close(twice[:4], twice[4:])
    loop = network(x, torch.tensor([[2], [2]]), torch.zeros(1, 6))
    assert loop.shape == (1,) and loop.isfinite().all()


def test_no_edges_is_an_ordinary_graph(network):
    x, index, attr = tensors(five_hits())
    assert network(x, index[:, :0], attr[:0]).shape == (0,)
    classify = EdgeNetworkClassifier(network, CARD)
    assert classify(five_hits().keep_edges(np.zeros(4, bool))).edge_scores.shape == (0,)
    assert classify(edge_graph(points([], [], []), np.zeros((2, 0), int))).n_nodes == 0


def test_torchscript_gives_the_same_scores(network):
    inputs = tensors(random_graph())
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(*inputs), network(*inputs))


@pytest.mark.parametrize("make", [FilterMlp, InteractionGnn, AttentionGnn])
def test_networks_without_edge_features(make):
    config = {
        FilterMlp: FilterMlpConfig,
        InteractionGnn: InteractionGnnConfig,
        AttentionGnn: AttentionGnnConfig,
    }
    network = make(config[make](3, edge_features=0, width=4)).eval()
    x, index, _ = tensors(five_hits())
    assert network(x, index).shape == (4,)
    assert EdgeNetworkClassifier(network, {"features": FEATURES})(five_hits()).n_edges == 4


def test_checkpointing_gives_the_same_gradients():
    inputs = tensors(random_graph())
    gradients = []
    for above in (0, 1 << 30):
        torch.manual_seed(5)
        network = InteractionGnn(InteractionGnnConfig(3, width=8, steps=3, checkpoint_above=above))
        network.train()(*inputs).sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    assert all(g is not None for g in gradients[0])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_recurrent_networks_share_their_weights():
    shared = InteractionGnn(InteractionGnnConfig(3, width=8, steps=4))
    apart = InteractionGnn(InteractionGnnConfig(3, width=8, steps=4, recurrent=False))
    assert (len(shared.step), len(apart.step)) == (1, 4)
    for step in apart.step:
        step.load_state_dict(shared.step[0].state_dict())
    rest = {k: v for k, v in shared.state_dict().items() if not k.startswith("step")}
    apart.load_state_dict(rest, strict=False)
    inputs = tensors(five_hits())
    torch.testing.assert_close(shared(*inputs), apart(*inputs))


def test_shapes_survive_a_card_and_bad_ones_are_errors():
    shape = InteractionGnnConfig(3, width=8, steps=1, hidden=(8, 7, 6, 5, 4))
    assert shape.mlp_widths() == [(8,), (7,), (6,), (5,), (4,)]
    assert InteractionGnnConfig(**{**shape.to_dict(), "hidden": [8, 7, 6, 5, 4]}) == shape
    assert InteractionGnn(shape).score.rest[0].in_features == 4
    with pytest.raises(ValueError, match="5 MLPs of 1 hidden layers need 5"):
        InteractionGnnConfig(3, hidden=(1, 2))
    for bad in (InteractionGnnConfig, FilterMlpConfig, AttentionGnnConfig):
        with pytest.raises(ValueError, match="must be positive"):
            bad(3, width=0)


def test_the_cut_drops_edges_and_the_nodes_they_leave(network):
    graph = random_graph()
    scores = EdgeNetworkClassifier(network, CARD)(graph).edge_scores
    cut = float(1 / (1 + np.exp(-np.sort(scores)[-3])))
    for shrink in (True, False):
        config = EdgeNetworkClassifierConfig(cut=cut - 1e-7, shrink_nodes=shrink)
        kept = EdgeNetworkClassifier(network, CARD, config)(graph)
        assert kept.n_edges == 3 and (kept.edge_scores >= logit(cut) - 1e-4).all()
        assert kept.n_nodes == (len(np.unique(kept.edge_index)) if shrink else graph.n_nodes)


def test_stage_from_a_pipeline_file(tmp_path):
    torch.manual_seed(1)
    network = KINDS["interaction_gnn"]().eval()
    StageWeights.write(tmp_path / "gnn", "interaction_gnn", network, network.config.to_dict(), CARD)
    context = StageContext(folder=tmp_path)
    stage = EdgeNetworkClassifier.from_settings({"weights": "gnn.safetensors"}, context)
    expected = network(*tensors(five_hits())).detach().numpy()
    np.testing.assert_allclose(stage(five_hits()).edge_scores, expected, atol=1e-6)
    for bad, message in (
        ({}, "'weights' is missing"),
        ({"weights": "gnn", "cut": 1.5}, "expected a probability"),
        ({"weights": "gnn", "precision": "int4"}, "choose of float32"),
        ({"weights": "gnn", "memory_buget": "1 GB"}, "did you mean 'memory_budget'"),
    ):
        with pytest.raises(StageError, match=message):
            EdgeNetworkClassifier.from_settings(bad, context)
    with pytest.raises(WeightsError, match="no file"):
        EdgeNetworkClassifier.from_settings({"weights": "other"}, context)
    StageWeights.write(tmp_path / "odd", "odd", network, {}, CARD)
    with pytest.raises(StageError, match="no edge network 'odd'"):
        EdgeNetworkClassifier.from_settings({"weights": "odd"}, context)
    StageWeights.write(tmp_path / "bad", "interaction_gnn", network, {"depth": 3}, CARD)
    with pytest.raises(StageError, match="interaction_gnn"):
        EdgeNetworkClassifier.from_settings({"weights": "bad"}, context)


def test_features_that_do_not_fit_the_network_are_errors(network):
    with pytest.raises(WeightsError, match=r"names 2 node features \(r, z\).* reads 3"):
        EdgeNetworkClassifier(network, {"features": ("r", "z")})
    with pytest.raises(WeightsError, match="names 1 edge features"):
        EdgeNetworkClassifier(network, {**CARD, "edge_features": ("dr",)})
    card = {"features": ("r", "phi", "cluster1_x"), "edge_features": EDGE_FEATURES}
    with pytest.raises(StageError, match="cluster1_x"):
        EdgeNetworkClassifier(network, card)(five_hits())


def test_nan_features_and_indices_out_of_range_are_errors(network):
    classify = EdgeNetworkClassifier(network, CARD)
    graph = five_hits()
    graph.node_features[2, 1] = np.nan
    with pytest.raises(StageError, match="1 of 5 nodes .* first 'phi' of node 2"):
        classify(graph)
    graph = five_hits()
    graph.edge_index[1, 0] = 9
    with pytest.raises(StageError, match="nodes 1 to 9|nodes 0 to 9"):
        classify(graph)


def test_hits_of_a_larger_detector_are_an_error(network):
    small = extent(five_hits())
    assert small["r"] == pytest.approx(110) and small["z"] == pytest.approx(15)
    classify = EdgeNetworkClassifier(network, {**CARD, "extent": small})
    assert classify(five_hits()).n_edges == 4
    with pytest.raises(DetectorMismatchError, match="r < 110 mm"):
        classify(random_graph())
