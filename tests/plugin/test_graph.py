"""Graphs and their node features, on hits that can be followed on paper."""

import math

import numpy as np
import pytest

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError
from trkx.plugin.node_features import GNN4ITK_FEATURES, GNN4ITK_SCALES
from trkx.plugin.space_points import SpacePoints


def line_of_hits(n=4, **columns):
    """Hits at r = 0, 10, 20, … mm along x, with z = r."""
    r = 10 * np.arange(n, dtype=np.float32)
    return SpacePoints(r, 0 * r, r, np.arange(n, dtype=np.uint64) + np.uint64(1), **columns)


def test_edges_point_outward_and_come_in_order():
    graph = edge_graph(line_of_hits(), np.array([[3, 1, 2], [2, 0, 1]]))
    assert graph.edge_index.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert graph.n_space_points == 4 and graph.n_triplets == 0


def test_self_loops_and_repeated_edges_are_dropped():
    graph = edge_graph(line_of_hits(), np.array([[1, 0, 1, 0], [1, 1, 0, 1]]))
    assert graph.edge_index.tolist() == [[0], [1]]


@pytest.mark.parametrize("bad", [[[0], [4]], [[-1], [0]]])
def test_an_index_out_of_range_is_an_error(bad):
    with pytest.raises(StageError, match="4 space points"):
        edge_graph(line_of_hits(), np.array(bad))


def test_edges_of_a_wrong_shape_are_an_error():
    with pytest.raises(StageError, match=r"expected \(2, E\)"):
        edge_graph(line_of_hits(), np.zeros((3, 2), int))


@pytest.mark.parametrize("n", [0, 1])
def test_no_edges_is_an_ordinary_graph(n):
    graph = edge_graph(line_of_hits(n), np.zeros((2, 0), np.int64))
    assert graph.n_edges == 0 and graph.n_nodes == n
    assert graph.without_isolated_nodes().n_nodes == 0


def test_keep_nodes_renumbers_edges_and_keeps_the_rows_of_the_event():
    graph = edge_graph(line_of_hits(), np.array([[0, 1, 2, 0], [1, 2, 3, 3]]))
    kept = graph.with_scores(np.arange(4, dtype=np.float32)).keep_nodes(
        np.array([True, False, True, True])
    )
    assert kept.space_point.tolist() == [0, 2, 3]
    assert kept.edge_index.tolist() == [[0, 1], [2, 2]]
    assert kept.n_space_points == 4
    was = {tuple(e): s for e, s in zip(graph.edge_index.T.tolist(), range(4), strict=True)}
    assert kept.edge_scores.tolist() == [was[0, 3], was[2, 3]]


def test_isolated_nodes_go():
    graph = edge_graph(line_of_hits(), np.array([[1], [2]])).without_isolated_nodes()
    assert graph.space_point.tolist() == [1, 2]
    assert graph.without_isolated_nodes() is graph


def test_features_follow_from_coordinates():
    graph = edge_graph(line_of_hits(), np.zeros((2, 0), int), beam_spot=(10.0, 0.0))
    found = graph.features(["x", "r", "phi", "eta"], [2.0, 1.0, math.pi, 1.0])
    np.testing.assert_allclose(found[:, 0], [-5, 0, 5, 10], atol=1e-5)
    np.testing.assert_allclose(found[:, 1], [10, 0, 10, 20])
    np.testing.assert_allclose(found[[0, 3], 2], [1, 0], atol=1e-6)
    assert found[3, 3] == pytest.approx(math.asinh(1.5))


def test_a_feature_that_is_not_there_names_those_that_are():
    graph = edge_graph(line_of_hits(), np.zeros((2, 0), int))
    with pytest.raises(StageError, match="'cluster1_x'.*r, phi, z"):
        graph.features(["cluster1_r"])
    with pytest.raises(StageError, match="2 node features, but 1 scales"):
        graph.features(["r", "z"], [1.0])


def test_the_second_cluster_of_a_pixel_is_its_first():
    clusters = np.full((2, 2, 3), np.nan, np.float32)
    clusters[0, 0] = [3, 4, 5]
    clusters[1] = [[3, 4, 5], [6, 8, 5]]
    points = line_of_hits(2, strip=np.array([False, True]), clusters=clusters)
    graph = edge_graph(points, np.zeros((2, 0), int))
    found = graph.features(GNN4ITK_FEATURES, GNN4ITK_SCALES)
    np.testing.assert_allclose(found[:, 4], [0.005, 0.005])
    np.testing.assert_allclose(found[:, 8], [0.005, 0.010])
    assert graph.features(["is_strip"]).ravel().tolist() == [0, 1]


def test_columns_with_clusters_become_space_points_with_clusters():
    row = np.ones(3, np.float32)
    columns = dict.fromkeys(("x", "y", "z", "is_strip"), row)
    columns |= {f"cluster{i}_{a}": row * i for i in (1, 2) for a in "xyz"}
    points = SpacePoints.from_columns(columns | {"geometry_id": np.ones(3, np.uint64)})
    assert points.clusters.shape == (3, 2, 3) and points.strip.all()
    assert (points.clusters[:, 1] == 2).all()
