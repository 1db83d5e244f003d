"""The heterogeneous GNN: types are told apart, and nothing else depends on the order of nodes."""

import numpy as np
import pytest
import torch

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.edge_network import EdgeNetworkClassifier, make_network
from trkx.plugin.errors import StageError
from trkx.plugin.heterogeneous_gnn import HeterogeneousGnn, HeterogeneousGnnConfig
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
from trkx.plugin.node_features import GNN4ITK_FEATURES, GNN4ITK_SCALES
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.substepping import Substepped

NODES, EDGES = 40, 150


def network(padded=0, edge_features=6):
    torch.manual_seed(3)
    config = HeterogeneousGnnConfig(13, edge_features, width=8, steps=2, padded=padded)
    return HeterogeneousGnn(config).eval()


@pytest.fixture(scope="module")
def graph():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(NODES, 13, generator=generator)
    x[:, -1] = (torch.arange(NODES) % 3 == 0).float()
    edge_index = torch.randint(0, NODES, (2, EDGES), generator=generator)
    return x, edge_index, torch.randn(EDGES, 6, generator=generator)


@torch.no_grad()
def test_order_of_nodes_and_edges_changes_nothing(graph):
    x, edge_index, attr = graph
    net = network()
    scores = net(x, edge_index, attr)
    assert scores.shape == (EDGES,)
    generator = torch.Generator().manual_seed(2)
    nodes = torch.randperm(NODES, generator=generator)
    edges = torch.randperm(EDGES, generator=generator)
    other = net(x[nodes], torch.argsort(nodes)[edge_index][:, edges], attr[edges])
    torch.testing.assert_close(other, scores[edges], atol=1e-5, rtol=1e-4)


def homogeneous(net, kind):
    """The homogeneous network with the weights that `net` has for one type of nodes."""
    same = InteractionGnn(InteractionGnnConfig(12, 6, width=8, steps=2, recurrent=False))
    weights = net.state_dict()
    same.load_state_dict({name: weights[place(name, kind)] for name in same.state_dict()})
    return same


def place(name, kind):
    """Where the heterogeneous network has the weight `name` of the homogeneous one."""
    part, _, rest = name.partition(".")
    if part == "encode_node":
        return f"encode_node.{kind}.{rest}"
    if part in ("encode_edge", "score"):
        return f"{part}.pair.{3 * kind}.{rest}"
    k, what, rest = rest.split(".", 2)  # of step: edge, edge_norm, node, node_norm
    own = {"edge": f"pair.{3 * kind}", "edge_norm": f"{3 * kind}"}.get(what, f"{kind}")
    return f"step.{k}.{what}.{own}.{rest}"


@torch.no_grad()
@pytest.mark.parametrize("kind", [0, 1])
def test_one_type_only_uses_the_weights_of_that_type(graph, kind):
    x, edge_index, attr = graph
    x = torch.cat([x[:, :-1], torch.full((NODES, 1), float(kind))], dim=1)
    net = network()
    for weight in net.parameters():  # types are alike before they learn
        weight += 0.1 * torch.randn_like(weight)
    scores = net(x, edge_index, attr)
    torch.testing.assert_close(
        homogeneous(net, kind)(x[:, :-1], edge_index, attr), scores, atol=1e-5, rtol=1e-4
    )


def test_types_learn_as_one_at_first(graph):
    x, edge_index, attr = graph
    net = network().train()
    same = homogeneous(net, 0)
    for n in (net, same):
        n(x if n is net else x[:, :-1], edge_index, attr).sigmoid().sum().backward()
    own = [w.grad.clone() for w in net.parameters()]
    net.share_gradients(0.8)
    for weight, grad in zip(net.parameters(), own, strict=True):
        assert torch.equal(weight.grad, grad)  # that part is over
    net.share_gradients(0.6)
    mine = dict(net.named_parameters())
    for name, weight in same.named_parameters():
        for kind in (0, 1):
            torch.testing.assert_close(
                mine[place(name, kind)].grad, weight.grad, atol=1e-5, rtol=1e-3
            )


@torch.no_grad()
def test_padding_hides_the_second_cluster_of_pixels_only(graph):
    x, edge_index, attr = graph
    changed = x.clone()
    changed[x[:, -1] == 0, 8:12] += 1.0
    padded, repeated = network(padded=4), network()
    torch.testing.assert_close(padded(changed, edge_index, attr), padded(x, edge_index, attr))
    assert not torch.allclose(repeated(changed, edge_index, attr), repeated(x, edge_index, attr))
    strips = x.clone()
    strips[x[:, -1] == 1, 8:12] += 1.0
    assert not torch.allclose(padded(strips, edge_index, attr), padded(x, edge_index, attr))


@torch.no_grad()
@pytest.mark.parametrize("offload", [False, True])
def test_blocks_give_the_same_scores(graph, offload):
    net = network(padded=4)
    assert isinstance(net, Substepped)
    in_blocks = net.scores_in_blocks(*graph, rows=16, offload=offload)
    torch.testing.assert_close(in_blocks, net(*graph), atol=1e-5, rtol=1e-5)
    x, edge_index, _ = graph
    plain = network(edge_features=0)
    in_blocks = plain.scores_in_blocks(x, edge_index, None, rows=16)
    torch.testing.assert_close(in_blocks, plain(x, edge_index), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("nodes, edges", [(0, 0), (5, 0), (1, 3)])
def test_small_graphs(graph, nodes, edges):
    x, _, attr = graph
    scores = network()(x[:nodes], torch.zeros(2, edges, dtype=torch.int64), attr[:edges])
    assert scores.shape == (edges,) and torch.isfinite(scores).all()


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # what ACTS reads
@torch.no_grad()
def test_torchscript_and_no_edge_features(graph):
    x, edge_index, attr = graph
    for net, arguments in (
        (network(padded=4), (x, edge_index, attr)),
        (network(edge_features=0), (x, edge_index)),
    ):
        script = torch.jit.script(net)
        torch.testing.assert_close(script(*arguments), net(*arguments))


def test_every_weight_learns(graph):
    x, edge_index, attr = graph
    net = network().train()
    net(x, edge_index, attr).square().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="13 node features with is_strip, 12 of them padded"):
        HeterogeneousGnnConfig(13, padded=12)
    with pytest.raises(ValueError, match="must be positive"):
        HeterogeneousGnnConfig(13, steps=0)


def space_points(strip=None, clusters=None):
    rng = np.random.default_rng(5)
    x, y, z = rng.uniform(30, 500, (3, 12)).astype(np.float32)
    volume = np.array([8, 13] * 6, np.uint64)
    return SpacePoints(x, y, z, volume << np.uint64(56), strip=strip, clusters=clusters)


def test_types_from_volumes_and_clusters_from_space_points():
    points = space_points()
    typed = points.with_types((12, 13), single_clusters=True)
    assert typed.strip.tolist() == [False, True] * 6
    np.testing.assert_array_equal(typed.clusters[:, 0, 2], points.z)
    assert np.isnan(typed.clusters[:, 1]).all()
    known = space_points(strip=np.ones(12, bool), clusters=np.ones((12, 2, 3), np.float32))
    kept = known.with_types((12, 13), single_clusters=True)
    assert kept.strip.all() and (kept.clusters == 1).all()
    assert points.with_types().strip is None


def test_as_classifier_on_the_features_of_gnn4itk():
    edges = np.array([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
    shape = {"node_features": 13, "width": 8, "steps": 1}
    card = {"features": [*GNN4ITK_FEATURES, "is_strip"], "scales": [*GNN4ITK_SCALES, 1.0]}
    classify = EdgeNetworkClassifier(make_network("heterogeneous_gnn", shape), card)
    points = space_points().with_types((13,), single_clusters=True)
    graph = classify(edge_graph(points, edges))
    assert np.isfinite(graph.edge_scores).all()
    with pytest.raises(StageError, match="need space points with clusters"):
        classify(edge_graph(space_points(), edges))
