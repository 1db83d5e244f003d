"""Builders on hand-drawn graphs whose tracks can be read off."""

import numpy as np
import pytest

from trkx.plugin.connected_components import ConnectedComponents, ConnectedComponentsConfig
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.viterbi import ViterbiConfig, ViterbiTrackBuilder
from trkx.plugin.walkthrough import Walkthrough, WalkthroughConfig


def draw(n_nodes, edges, logits, triplets=None):
    """A graph of nodes at r = 10, 20, … with the given edges, in topological order."""
    edge_index = np.array(edges, np.int32).reshape(-1, 2).T
    if triplets is None:
        triplets = [
            (a, b)
            for b in range(len(edges))
            for a in range(len(edges))
            if edges[a][1] == edges[b][0]
        ]
    triplet_index = np.array(triplets, np.int32).reshape(-1, 2).T
    r = 10.0 * (1 + np.arange(n_nodes))
    return Graph(
        n_space_points=n_nodes,
        space_point=np.arange(n_nodes),
        module=np.arange(n_nodes, dtype=np.int32),
        node_features=np.stack([r, 0 * r, 0 * r], axis=1).astype(np.float32),
        edge_index=edge_index,
        edge_pair=np.zeros(len(edges), np.int64),
        edge_features=np.zeros((len(edges), 1), np.float32),
        triplet_index=triplet_index,
        triplet_features=np.full((triplet_index.shape[1], 4), -1, np.float32),
        edge_scores=None if logits is None else np.array(logits, np.float32),
    )


def tracks(candidates):
    return sorted(h.tolist() for h in np.split(candidates.hits, candidates.offsets[1:-1]))


# Two chains 0-1-2-3 and 4-5-6-7, and a false edge 1-6 between them.
FORK = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (1, 6), (6, 7)]


def test_components_split_at_low_scores_and_merge_at_high_ones():
    cc = ConnectedComponents(ConnectedComponentsConfig(min_hits=3))
    assert tracks(cc(draw(8, FORK, [4, 4, 4, 4, 4, -4, 4]))) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert tracks(cc(draw(8, FORK, [4] * 7))) == [list(range(8))]


def test_walkthrough_resolves_the_fork_by_score():
    walk = Walkthrough(WalkthroughConfig(min_hits=3))
    candidates = walk(draw(8, FORK, [4, 4, 4, 4, 4, 0.5, 4]))
    assert tracks(candidates) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (candidates.scores > 0.9).all()


def test_walkthrough_keeps_simple_chains_as_they_are():
    walk = Walkthrough(WalkthroughConfig(min_hits=3))
    assert tracks(walk(draw(4, [(0, 1), (1, 2), (2, 3)], [4, -1, 4]))) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("logits", [None, [4, 4, 4, 4, 4, 0.5, 4]])
def test_viterbi_follows_triplets_only(logits):
    """Without the triplet 0-1-6 the false edge joins nothing."""
    build = ViterbiTrackBuilder(ViterbiConfig(min_layers=3, min_hits=3))
    graph = draw(8, FORK, logits, triplets=[(0, 1), (1, 2), (3, 4), (4, 6), (5, 6)])
    assert [0, 1, 2, 3] in tracks(build(graph))
    assert [4, 5, 6, 7] in tracks(build(graph))


def test_an_empty_graph_has_no_tracks():
    empty = draw(3, [], [])
    for build in (ConnectedComponents(), Walkthrough(), ViterbiTrackBuilder()):
        assert len(build(empty)) == 0


def test_builders_that_need_scores_say_so():
    for build in (ConnectedComponents(), Walkthrough()):
        with pytest.raises(StageError, match="no edge scores"):
            build(draw(8, FORK, None))


def test_keep_edges_keeps_triplets_consistent():
    graph = draw(8, FORK, [1.0] * 7)
    kept = graph.keep_edges(np.array([True, True, False, True, True, False, True]))
    assert kept.n_edges == 5
    a, b = kept.triplet_index
    assert (kept.edge_index[1, a] == kept.edge_index[0, b]).all()
    assert kept.n_triplets == 3


def test_overlapping_hits_join_their_track(toy_map):
    """A second hit on the neighbouring module, as close as overlaps are, goes to the track."""
    import dataclasses

    import numpy as np
    from trkx_toy import toy_event

    from trkx.plugin.layer_map_graph import LayerMapGraph
    from trkx.plugin.space_points import SpacePoints

    event = toy_event(5, n_particles=1, n_noise=0)
    points = event.space_points
    # The toy detector has no overlaps to learn from: windows of 1 mm, hits up to 5 mm apart.
    windows = np.broadcast_to(np.float32([1.0, 3.0, 5.0]), toy_map.overlaps.shape)
    layer_map = dataclasses.replace(toy_map, overlaps=np.ascontiguousarray(windows))
    twin = np.argsort(np.hypot(points.x, points.y))[3]
    next_module = points.geometry_id[twin] + np.uint64(1 << 8)
    doubled = SpacePoints(
        x=np.append(points.x, points.x[twin] * np.float32(1.002)),
        y=np.append(points.y, points.y[twin] * np.float32(1.002)),
        z=np.append(points.z, points.z[twin]),
        geometry_id=np.append(points.geometry_id, next_module),
    )
    graph = LayerMapGraph(layer_map)(doubled)
    for build in (ViterbiTrackBuilder(layer_map=layer_map), ViterbiTrackBuilder()):
        candidates = build(graph)
        assert len(candidates) == 1
        assert (len(doubled) - 1 in candidates.hits) == (build.layer_map is not None)
