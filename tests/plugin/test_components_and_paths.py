"""Components, junctions, paths and attached hits on graphs that fit on paper, then in general."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trkx.plugin.component_kernels import connected_labels, group_nodes, sort_outward
from trkx.plugin.components_and_walkthrough import (
    ComponentsAndWalkthrough,
    ComponentsAndWalkthroughConfig,
)
from trkx.plugin.connected_components import ConnectedComponents, ConnectedComponentsConfig
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.junction_removal import remove_junctions
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.track_output import curvature_limit
from trkx.plugin.walk_kernels import longest_roads, walk_edge_mask
from trkx.plugin.walkthrough import Walkthrough, WalkthroughConfig

BUILDERS = (ConnectedComponents, Walkthrough, ComponentsAndWalkthrough)


def draw(n_nodes, edges, logits, module=None):
    """Nodes on a straight line at r = 10, 20, … mm with the given edges in topological order."""
    r = 10.0 * (1 + np.arange(n_nodes))
    return Graph(
        n_space_points=n_nodes,
        space_point=np.arange(n_nodes),
        module=np.arange(n_nodes, dtype=np.int32) if module is None else np.int32(module),
        node_features=np.stack([r, 0 * r, 0 * r], axis=1).astype(np.float32),
        edge_index=np.array(edges, np.int32).reshape(-1, 2).T,
        edge_pair=np.zeros(len(edges), np.int64),
        edge_features=np.zeros((len(edges), 0), np.float32),
        edge_scores=np.array(logits, np.float32),
    )


def tracks(candidates):
    return sorted(h.tolist() for h in np.split(candidates.hits, candidates.offsets[1:-1]))


def logit(p):
    return np.log(np.asarray(p) / (1 - np.asarray(p)))


def random_graph(seed, n_nodes=60, n_edges=150):
    """Edges from lower to higher nodes, by source: any such order is topological."""
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.integers(0, n_nodes, (n_edges, 2)), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    return draw(n_nodes, pairs, rng.normal(0, 3, len(pairs)))


# Two chains 0-2-4-6 and 1-3-5-7 and a false edge 2-5.
CROSS = [(0, 2), (1, 3), (2, 4), (2, 5), (3, 5), (4, 6), (5, 7)]


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_scipy(seed):
    graph = random_graph(seed, 200, 130)
    mask = graph.edge_scores > 0
    a, b = graph.edge_index
    label, n = connected_labels(a, b, mask, 200)
    matrix = coo_array((np.ones(mask.sum()), (a[mask], b[mask])), shape=(200, 200))
    expected = connected_components(matrix, directed=False)
    assert n == expected[0]
    assert np.array_equal(label, expected[1])


def test_groups_and_their_order():
    starts, nodes = group_nodes(np.array([0, 1, 0, 2, 1]), np.array([True, False, True]))
    assert (starts.tolist(), nodes.tolist()) == ([0, 2, 3], [0, 2, 3])
    rng = np.random.default_rng(0)
    starts, nodes = np.array([0, 3, 3, 120]), rng.permutation(120)
    distance = rng.integers(0, 20, 120).astype(np.float32)
    expected = nodes[np.lexsort((distance[nodes], np.repeat([0, 2], [3, 117])))]
    sort_outward(starts, nodes, distance)
    assert np.array_equal(nodes, expected)


def test_junction_removal_keeps_the_best_edge_on_both_sides():
    graph = draw(8, CROSS, [4, 4, 4, 2, 4, 4, 4])
    keep = remove_junctions(graph.edge_index, graph.edge_scores, 8)
    assert keep.tolist() == [True, True, True, False, True, True, True]
    build = ConnectedComponents(
        ConnectedComponentsConfig(score_cut=0.5, min_hits=3, junction_removal=True)
    )
    assert tracks(build(graph)) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    build = ConnectedComponents(ConnectedComponentsConfig(score_cut=0.5, min_hits=3))
    assert tracks(build(graph)) == [list(range(8))]


def test_an_edge_that_only_one_end_keeps_goes():
    keep = remove_junctions(np.array([[0, 0, 1], [1, 2, 2]]), np.array([1.0, 2.0, 3.0]), 3)
    assert keep.tolist() == [False, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_without_junctions_components_are_chains(seed):
    graph = random_graph(seed)
    keep = remove_junctions(graph.edge_index, graph.edge_scores, graph.n_nodes)
    for end in graph.edge_index[:, keep]:
        assert np.bincount(end, minlength=1).max() == 1


def test_thresholds_of_the_walk():
    """From 2 the path may take all edges above `add_cut`, else only the best one."""
    edges = [(0, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5), (4, 6), (6, 7)]
    config = WalkthroughConfig(min_path=3, min_hits=3, attach_cut=1.0, add_cut=0.6)
    both = draw(8, edges, logit([0.9, 0.9, 0.8, 0.7, 0.9, 0.9, 0.9, 0.9]))
    assert tracks(Walkthrough(config)(both))[0] == [0, 1, 2, 4, 6, 7]
    best = draw(8, edges, logit([0.9, 0.9, 0.5, 0.4, 0.9, 0.9, 0.9, 0.9]))
    assert tracks(Walkthrough(config)(best))[0] == [0, 1, 2, 3, 5]
    none = draw(8, edges, logit([0.9, 0.9, 0.05, 0.05, 0.9, 0.9, 0.9, 0.9]))
    assert tracks(Walkthrough(config)(none))[0] == [0, 1, 2]


def test_longest_paths_are_those_published():
    """The longest path takes the detour by 1; the best path takes it only if it scores more."""
    edges = [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (2, 5)]
    graph = draw(6, edges, logit([0.61, 0.99, 0.61, 0.9, 0.9, 0.61]))
    for paths in ("longest", "best"):
        config = WalkthroughConfig(min_path=3, min_hits=3, attach_cut=1.0, paths=paths)
        assert tracks(Walkthrough(config)(graph)) == [[0, 1, 2, 3, 4]]
    graph = draw(6, edges, logit([0.15, 0.99, 0.61, 0.9, 0.9, 0.61]))
    config = WalkthroughConfig(min_path=3, min_hits=3, attach_cut=1.0, add_cut=0.1)
    assert tracks(Walkthrough(config)(graph)) == [[0, 2, 3, 4]]


def roads_by_force(graph, probability, walk_cut, add_cut, min_path):
    """The published walkthrough as it is written down: all roads from each hit, in order."""
    source, target = graph.edge_index
    used = np.zeros(graph.n_nodes, bool)
    found = []
    for start in range(graph.n_nodes):
        if used[start]:
            continue
        roads, done = [(1, 0.0, [start])], []
        while roads:
            n, total, road = roads.pop()
            out = [e for e in np.nonzero(source == road[-1])[0] if probability[e] > walk_cut]
            above = [e for e in out if probability[e] > add_cut]
            out = above or sorted(out, key=lambda e: -probability[e])[:1]
            out = [e for e in out if not used[target[e]]]
            roads += [(n + 1, total + probability[e], [*road, target[e]]) for e in out]
            done += [] if out else [(n, total, road)]
        used[start] = True
        n, _, longest = max(done)
        if n >= min_path:
            found.append([int(i) for i in longest])
            used[longest] = True
    return found


@pytest.mark.parametrize("seed", range(8))
def test_longest_paths_against_brute_force(seed):
    graph = random_graph(seed, 30, 50)
    probability = 1 / (1 + np.exp(-graph.edge_scores - 1))
    source, target = graph.edge_index
    walk = walk_edge_mask(source, target, np.ones(len(source), bool), probability, 0.1, 0.6, 30)
    starts, nodes, _ = longest_roads(
        source[walk], target[walk], probability[walk].astype(np.float32), np.zeros(30, bool), 3
    )
    found = [n.tolist() for n in np.split(nodes, starts[1:-1])]
    assert found == roads_by_force(graph, probability, 0.1, 0.6, 3)


@pytest.mark.parametrize("seed", range(4))
def test_best_paths_are_the_best(seed):
    """No path has a larger summed score than the first one found."""
    graph = random_graph(seed, 25, 60)
    probability = 1 / (1 + np.exp(-graph.edge_scores.astype(float)))
    best = np.zeros(25)
    for e in range(graph.n_edges):
        a, b = graph.edge_index[:, e]
        best[b] = max(best[b], best[a] + probability[e])
    config = WalkthroughConfig(0.0, 0.0, 0.0, attach_cut=1.0, min_path=2, min_hits=2)
    candidates = Walkthrough(config)(graph)
    totals = candidates.scores * (np.diff(candidates.offsets) - 1)
    assert totals.max() == pytest.approx(best.max(), rel=1e-5)


def test_hits_beside_the_path_join_by_score():
    """Hit 2 lies beside hit 1: both are tied to 0 and 3."""
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 5)]
    scores = [4, 3, 4, 3, 4, 4]
    build = Walkthrough()
    assert tracks(build(draw(6, edges, scores))) == [[0, 1, 2, 3, 4, 5]]
    same_module = draw(6, edges, scores, module=[0, 1, 1, 3, 4, 5])
    assert tracks(build(same_module)) == [[0, 1, 3, 4, 5]]
    assert tracks(Walkthrough(WalkthroughConfig(attach_cut=1.0))(draw(6, edges, scores))) == [
        [0, 1, 3, 4, 5]
    ]


def test_a_hit_joins_the_track_it_is_tied_to_most():
    """Hit 8 is tied once to 0-2-4-6 and twice to 1-3-5-7."""
    edges = [(0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (2, 8), (3, 8), (5, 8)]
    config = WalkthroughConfig(min_hits=4)
    graph = draw(9, edges, [4, 4, 4, 4, 4, 4, 0.1, 0, 0])
    assert tracks(Walkthrough(config)(graph)) == [[0, 2, 4, 6], [1, 3, 5, 7, 8]]


def test_union_takes_simple_chains_of_good_edges_first():
    """The chain 0-2-4-6 is simple but for a poor edge, over which a longer path would go."""
    edges = [*CROSS[:1], (1, 3), (2, 4), (2, 5), (3, 5), (4, 6), (5, 7), (7, 8), (8, 9), (9, 10)]
    graph = draw(11, edges, logit([0.7, 0.2, 0.7, 0.45, 0.2, 0.7, 0.95, 0.95, 0.95, 0.95]))
    union = ComponentsAndWalkthrough(
        ComponentsAndWalkthroughConfig(min_hits=4, attach_cut=1.0, add_cut=0.1)
    )
    alone = Walkthrough(WalkthroughConfig(min_hits=4, attach_cut=1.0, add_cut=0.1))
    assert [0, 2, 4, 6] in tracks(union(graph))
    assert [0, 2, 5, 7, 8, 9, 10] in tracks(alone(graph))


@pytest.mark.parametrize("kind", BUILDERS)
def test_numbering_of_the_nodes_changes_nothing(kind):
    graph = random_graph(3, 80, 110)
    rng = np.random.default_rng(1)
    new = rng.permutation(80)
    back = np.argsort(new)
    turned = dataclasses.replace(
        graph,
        edge_index=new[graph.edge_index].astype(np.int32),
        space_point=graph.space_point[back],
        module=graph.module[back],
        node_features=graph.node_features[back],
    )
    assert tracks(kind()(graph)) == tracks(kind()(turned))


@pytest.mark.parametrize("kind", BUILDERS)
def test_soft_tracks_are_dropped_without_a_map(kind):
    """Two circles through the beam line, of 0.5 and 2 GeV in 2 T."""
    graph = draw(12, [(i, i + 2) for i in range(10)], [4] * 10)
    r = np.repeat([100.0, 200.0, 300.0, 400.0, 500.0, 600.0], 2)
    radius = np.tile([0.5, 2.0], 6) / (0.3e-3 * 2.0)
    features = np.stack([r, np.arcsin(r / (2 * radius)), 0 * r], axis=1).astype(np.float32)
    graph = dataclasses.replace(graph, node_features=features)
    config = type(kind().config)
    assert len(kind(config())(graph)) == 2
    assert tracks(kind(config(min_pt=1.0))(graph)) == [[1, 3, 5, 7, 9, 11]]
    assert curvature_limit(1.0, np.array([500.0])) == pytest.approx(6e-4 * 1.108, rel=1e-3)


@pytest.mark.parametrize("kind", BUILDERS)
def test_graphs_without_nodes_or_edges(kind):
    for n in (0, 3):
        assert len(kind()(draw(n, [], []))) == 0


@pytest.mark.parametrize("kind", BUILDERS)
def test_settings(kind):
    name = kind.__module__.rpartition(".")[2]
    build = kind.from_settings({"min_hits": 6, "min_pt": 1}, StageContext())
    assert (build.config.min_hits, build.config.min_pt) == (6, 1.0)
    with pytest.raises(StageError, match=f"stage '{name}': no setting 'min_hit'"):
        kind.from_settings({"min_hit": 6}, StageContext())
    with pytest.raises(StageError, match="expected a probability from 0 to 1"):
        cut = "walk_cut" if kind is Walkthrough else "score_cut"
        kind.from_settings({cut: 1.5}, StageContext())


def test_unknown_paths():
    with pytest.raises(StageError, match="choose one of best, longest"):
        Walkthrough.from_settings({"paths": "shortest"}, StageContext())
