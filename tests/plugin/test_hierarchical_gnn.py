"""Hierarchical GNN: the mixture's cut, pooling, lines, assignment, matching and the builder."""

import importlib.util
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq, linear_sum_assignment
from scipy.stats import norm

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError, WeightsError
from trkx.plugin.particle_sample import ParticleSample, sample_particles
from trkx.plugin.space_points import SpacePoints

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import torch

from trkx.plugin.hierarchical_builder import (
    HierarchicalBuilder,
    HierarchicalBuilderConfig,
    HierarchicalInputs,
    assign_hits,
)
from trkx.plugin.hierarchical_gnn import (
    HierarchicalGnn,
    HierarchicalGnnConfig,
    HierarchicalOutput,
)
from trkx.plugin.hierarchical_pooling import (
    TwoGaussians,
    centroids,
    edge_similarity,
    fit_two_gaussians,
    nearest,
    pool,
    similarity_cut,
)
from trkx.plugin.track_lines import fit_lines, residuals
from trkx.plugin.training.hierarchical_matching import best_matching, pair_labels

CARD = {
    "features": ["r", "cos_phi", "sin_phi", "z"],
    "scales": [500.0, 1.0, 1.0, 1000.0],
    "edge_features": ["dr", "dphi", "dz"],
}


@pytest.fixture
def network():
    torch.manual_seed(3)
    shape = HierarchicalGnnConfig(4, 3, width=32, flat_steps=2, hierarchical_steps=2, candidates=3)
    return HierarchicalGnn(shape).eval()


@pytest.fixture
def graph(toy_events):
    """A toy event whose edges join consecutive hits of particles, and some pairs at random."""
    event = toy_events[0]
    rng = np.random.default_rng(0)
    hit = np.repeat(np.arange(len(event.space_points)), np.diff(event.offsets))
    order = np.lexsort((np.hypot(event.space_points.x, event.space_points.y)[hit], event.particle))
    hit, particle = hit[order], event.particle[order]
    same = particle[1:] == particle[:-1]
    true = np.stack([hit[:-1][same], hit[1:][same]])
    false = rng.integers(0, len(event.space_points), (2, 200))
    return edge_graph(event.space_points, np.concatenate([true, false], axis=1))


# --- the mixture and its cut


def test_crossing_of_equal_gaussians_is_half_way():
    assert TwoGaussians((0.5, 0.5), (1.0, 3.0), (0.5, 0.5)).crossing() == pytest.approx(2.0)


@pytest.mark.parametrize("log_odds", [0.0, 2.0, -1.0])
def test_crossing_is_where_scipy_finds_it(log_odds):
    w, m, s = (0.3, 0.7), (0.5, 3.0), (0.6, 0.9)

    def ratio(x):
        return (
            math.log(w[1] / w[0])
            + norm.logpdf(x, m[1], s[1])
            - norm.logpdf(x, m[0], s[0])
            - log_odds
        )

    expected = brentq(ratio, m[0], m[1])
    assert TwoGaussians(w, m, s).crossing(log_odds) == pytest.approx(expected)


def test_no_crossing_between_the_means():
    assert TwoGaussians((0.001, 0.999), (0.0, 0.1), (1.0, 1.0)).crossing() is None


def test_fit_finds_the_mixture_it_is_given():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.5, 0.4, 30000), rng.normal(3.0, 0.8, 70000)])
    found = fit_two_gaussians(values)
    assert found.weight == pytest.approx((0.3, 0.7), abs=0.01)
    assert found.mean == pytest.approx((0.5, 3.0), abs=0.02)
    assert found.sigma == pytest.approx((0.4, 0.8), abs=0.02)
    exact = TwoGaussians((0.3, 0.7), (0.5, 3.0), (0.4, 0.8)).crossing()
    assert similarity_cut(values, 0.0, otherwise=-9.0) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(1000), np.array([0.0, 5.0])])
def test_too_little_to_fit_gives_the_other_cut(values):
    assert fit_two_gaussians(values) is None
    assert similarity_cut(values, 0.0, otherwise=1.25) == 1.25


# --- pooling


def test_two_obvious_clusters_become_two_super_nodes():
    # 0-1-2 point one way, 3-4 the other; the edge 2-3 joins them; 5 is alone.
    directions = [[1, 0], [1, 0.1], [1, -0.1], [-1, 0], [-1, 0.1], [0, 1]]
    embedding = torch.nn.functional.normalize(torch.tensor(directions, dtype=torch.float32), dim=1)
    index = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    similarity = edge_similarity(embedding, index).numpy()
    assert similarity[2] < 0 < similarity[[0, 1, 3]].min()
    super_node = pool(index.numpy(), similarity, 0.0, 6, min_size=2)
    assert super_node.tolist() == [0, 0, 0, 1, 1, -1]
    means = centroids(embedding, torch.from_numpy(super_node), 2)
    assert means[:, 0].sign().tolist() == [1, -1]
    assert nearest(embedding, means, 1)[1].tolist()[:5] == [0, 0, 0, 1, 1]


def test_small_components_make_no_super_node():
    index = np.array([[0, 1, 3], [1, 2, 4]])
    assert pool(index, np.ones(3), 0.0, 6, min_size=3).tolist() == [0, 0, 0, -1, -1, -1]
    assert pool(np.zeros((2, 0), int), np.zeros(0), 0.0, 0, 2).tolist() == []


def test_large_components_are_split_and_left_overs_pooled_at_a_lower_cut():
    # Two chains of three, joined by their least similar edge 2-3, and 6-7 below the cut.
    index = np.array([[0, 1, 2, 3, 4, 6], [1, 2, 3, 4, 5, 7]])
    similarity = np.array([3.0, 3.0, 2.0, 3.0, 3.0, 1.0])
    assert pool(index, similarity, 1.5, 8, 2).tolist() == [0] * 6 + [-1, -1]
    split = pool(index, similarity, 1.5, 8, 2, max_size=4, lower_cuts=[0.5])
    assert split.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_nearest_are_those_of_brute_force_with_the_own_one_first():
    rng = np.random.default_rng(2)
    query, target = (
        torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(n, 4))), dim=1)
        for n in (50, 20)
    )
    expected = np.argsort(-(query @ target.T).numpy(), axis=1)[:, :5]
    left, right = nearest(query, target, 5)
    assert left.tolist() == np.repeat(np.arange(50), 5).tolist()
    assert right.view(50, 5).tolist() == expected.tolist()
    own = torch.full((50,), -1)
    own[7] = 13
    found = nearest(query, target, 5, first=own)[1].view(50, 5)
    assert found[7, 0] == 13
    assert len(set(found[7].tolist())) == 5
    assert found[8].tolist() == expected[8].tolist()


# --- lines


def test_hits_on_a_line_have_no_residual():
    r = torch.tensor([100.0, 200.0, 400.0, 800.0])
    position = torch.stack([r, 3.1 + 1e-4 * r, 20 + 0.5 * r], dim=1)  # crosses φ = π
    position[:, 1] = torch.remainder(position[:, 1] + math.pi, 2 * math.pi) - math.pi
    lines = fit_lines(position, torch.zeros(4, dtype=torch.int64), 1)
    metres = position * torch.tensor([1e-3, 1.0, 1e-3])
    own = residuals(lines, metres, torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0]]))
    assert own[:, :4].abs().max() < 0.1
    away = metres[:1] + torch.tensor([[0.0, 0.3, 0.1]])
    far = residuals(lines, away, torch.tensor([[0], [0]]))
    assert (far[0, :4] > 1).all()


# --- the network


def permuted(graph, order):
    """The same graph with its nodes in another order."""
    place = np.argsort(order)
    return replace(
        graph,
        space_point=graph.space_point[order],
        module=graph.module[order],
        node_features=graph.node_features[order],
        edge_index=place[graph.edge_index].astype(np.int32),
    )


def groups(network, graph):
    """Hits of each super-node, in doubles: sums in another order tip no hit between equals."""
    inputs = HierarchicalInputs.of_card(CARD).tensors(graph)
    with torch.inference_mode():
        output = network.double()(*(t.double() if t.is_floating_point() else t for t in inputs))
    super_node, score = assign_hits(output, 0.0)
    rows = [graph.space_point[super_node == s] for s in np.unique(super_node[super_node >= 0])]
    return {tuple(sorted(r.tolist())) for r in rows}, score


def test_relabelling_hits_changes_nothing(network, graph):
    expected, score = groups(network, graph)
    assert len(expected) > 10
    order = np.random.default_rng(4).permutation(graph.n_nodes)
    found, again = groups(network, permuted(graph, order))
    assert found == expected
    assert again == pytest.approx(score[order], abs=1e-6)


def test_no_hits_and_no_edges_make_no_tracks(network, graph):
    builder = HierarchicalBuilder(network, CARD)
    assert len(builder(graph.keep_edges(np.zeros(graph.n_edges, bool)))) == 0
    nothing = graph.keep_nodes(np.zeros(graph.n_nodes, bool))
    candidates = builder(nothing)
    assert len(candidates) == 0
    assert candidates.n_space_points == graph.n_space_points


def test_gradients_reach_every_weight(network, graph):
    output = network.train()(*HierarchicalInputs.of_card(CARD).tensors(graph))
    (output.logits.sum() + output.embedding[:, 0].sum()).backward()
    missing = {name for name, p in network.named_parameters() if p.grad is None}
    # The last step's super-nodes and edges end there: pairs and hits are what is scored.
    assert not {name for name in missing if not name.startswith("steps.1.")}


def test_hits_go_to_their_best_super_node_above_the_cut():
    output = HierarchicalOutput(
        embedding=torch.zeros(3, 2),
        super_node=torch.tensor([0, 1, -1]),
        pairs=torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 0, 1]]),
        logits=torch.tensor([2.0, -1.0, -3.0, 1.0, -2.0, -1.0]),
    )
    super_node, score = assign_hits(output, 0.5)
    assert super_node.tolist() == [0, 0, -1]
    assert score[0] == pytest.approx(1 / (1 + math.exp(-2.0)))


def test_bad_inputs_are_named(network, graph):
    with pytest.raises(WeightsError, match="4 node and 2 edge features"):
        HierarchicalBuilder(network, {**CARD, "edge_features": ["dr", "dz"]})
    features = graph.node_features.copy()
    features[5, 0] = np.nan
    with pytest.raises(StageError, match="first node 5"):
        HierarchicalBuilder(network, CARD)(replace(graph, node_features=features))
    scored = HierarchicalBuilder(network, CARD, HierarchicalBuilderConfig(edge_cut=0.1))
    with pytest.raises(StageError, match="put an edge classifier before"):
        scored(graph)


# --- training


def test_matching_is_the_optimal_one():
    rng = np.random.default_rng(5)
    weight = rng.uniform(0.1, 1.0, (6, 9))
    row, column = np.indices(weight.shape).reshape(2, -1)
    matched = best_matching(row, column, weight.ravel(), 6, 9)
    assert matched.tolist() == linear_sum_assignment(-weight)[1].tolist()
    assert best_matching(row[:0], column[:0], weight.ravel()[:0], 2, 3).tolist() == [-1, -1]


def test_a_particle_in_two_fragments_is_labelled_on_the_larger():
    # Hits 0-4 are of particle 0: 0, 1, 2 pooled into super-node 0, 3, 4 into 1; hit 5 is noise.
    super_node = np.array([0, 0, 0, 1, 1, -1])
    pairs = np.stack([np.repeat(np.arange(6), 2), np.tile([0, 1], 6)])
    labels, matched = pair_labels(
        pairs,
        np.full(12, 0.5),
        super_node,
        offsets=np.array([0, 1, 2, 3, 4, 5, 5]),
        particle=np.zeros(5, int),
        wanted=np.array([True]),
    )
    assert matched.tolist() == [0]
    assert labels.tolist() == [1, 0] * 5 + [0, 0]


def test_sample_of_particles(toy_events):
    event = toy_events[0]
    sample = sample_particles(event, 7, ParticleSample(0.5, pt_min=2.0, noise=0.2))
    again = sample_particles(event, 7, ParticleSample(0.5, pt_min=2.0, noise=0.2))
    assert np.array_equal(sample.space_points.x, again.space_points.x)
    drawn = np.unique(sample.particle)
    assert 0 < len(drawn) < (event.pt > 2).sum()
    assert (sample.pt[drawn] > 2).all()
    assert np.array_equal(sample.n_hits[drawn], event.n_hits[drawn])
    width = np.diff(sample.offsets)
    assert (width == 0).mean() == pytest.approx(0.2, abs=0.02)
    assert isinstance(sample.space_points, SpacePoints)
    with pytest.raises(StageError, match="fraction of particles is 2"):
        ParticleSample(2)
