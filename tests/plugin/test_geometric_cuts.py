"""Geometric cuts: adjacent layers, and pairs of hits on paper."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from trkx.plugin.errors import StageError
from trkx.plugin.geometric_cuts import GeometricCuts, GeometricCutsConfig, LayerExtents
from trkx.plugin.module_map_learning import event_triplets
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext

toy = sys.modules["trkx_toy"]


def points(r, phi, z, layer):
    r, phi, z = (np.array(a, np.float32) for a in (r, phi, z))
    gid = (np.uint64(1) << np.uint64(56)) | (np.array(layer, np.uint64) << np.uint64(36))
    return SpacePoints(r * np.cos(phi), r * np.sin(phi), z, gid)


def test_adjacent_layers():
    """Two barrels with a disc beyond their ends: the disc follows both."""
    r = np.array([30, 30, 60, 60, 20, 90], float)
    z = np.array([-100, 100, -100, 100, 150, 150.5], float)
    gid = np.array([1, 1, 2, 2, 3, 3], np.uint64) << np.uint64(36)
    layers = LayerExtents.of(gid, r, z)
    assert layers.adjacent(10.0, 3.0) == [(0, 1), (0, 2), (1, 2)]


def test_pairs_on_paper():
    r, phi = [30.0, 60.0, 60.0, 60.0, 90.0], [3.14, -3.14, -3.10, 3.14, 3.14]
    z = [100.0, 200.0, 200.0, 900.0, 300.0]
    # A barrel is longer in z than deep in r: two more hits, where nothing points to.
    event = points(
        [*r, 30, 60, 90], [*phi, 0, 1, 2], [*z, -400, -400, -400], [1, 2, 2, 2, 3, 1, 2, 3]
    )
    cuts = GeometricCuts(GeometricCutsConfig(phi_slope_max=6e-4))
    # The second hit is 0.003 rad away around the circle, the third 0.04, the fourth misses in z.
    assert cuts(event).edge_index.T.tolist() == [[0, 1], [1, 4]]


def test_true_edges_of_the_toy(toy_events):
    event = toy_events[0]
    graph = GeometricCuts()(event.space_points)
    triplet = event_triplets(event, 1.2)
    n = len(event.space_points)
    edges = graph.edge_index[0].astype(np.int64) * n + graph.edge_index[1]
    assert np.isin(triplet[0] * n + triplet[1], edges).mean() > 0.95


@pytest.mark.parametrize("n", [0, 1])
def test_events_of_few_hits(n):
    graph = GeometricCuts()(toy.toy_event(1).space_points.take(np.arange(n)))
    assert (graph.n_nodes, graph.n_edges) == (n, 0)


def test_settings():
    stage = GeometricCuts.from_settings({"z0_max": 200}, StageContext())
    assert stage.config == GeometricCutsConfig(z0_max=200.0)
    with pytest.raises(StageError, match="positive"):
        GeometricCuts.from_settings({"phi_slope_max": -1.0}, StageContext())
