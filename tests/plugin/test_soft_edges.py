"""Chains far below the threshold are dropped before the network."""

import numpy as np

from trkx.plugin.geometry_kernels import CX, CY, N_COLUMNS, R, X, Y
from trkx.plugin.layer_map import N_LEVERS
from trkx.plugin.soft_edges import chain_ends, hard_edges

RADII = np.array([50.0, 100.0, 150.0, 200.0, 250.0])


def circle(pt, phi=0.0):
    """Hits of a particle from the beam line in 2 T, at RADII."""
    radius = pt / 0.3e-3 / 2.0
    azimuth = phi + np.arcsin(RADII / 2 / radius)
    hit = np.zeros((len(RADII), N_COLUMNS), np.float32)
    hit[:, X], hit[:, Y] = RADII * np.cos(azimuth), RADII * np.sin(azimuth)
    hit[:, R] = RADII
    hit[:, CX], hit[:, CY] = hit[:, X] / RADII**2, hit[:, Y] / RADII**2
    return hit


def chain(n):
    """Edges and triplets of a path through n hits."""
    edges = np.stack([np.arange(n - 1), np.arange(1, n)]).astype(np.int32)
    triplets = np.stack([np.arange(n - 2), np.arange(1, n - 1)]).astype(np.int32)
    return edges, triplets


def test_every_edge_of_a_path_knows_its_ends():
    edges, triplets = chain(5)
    first, middle, last = chain_ends(*edges, *triplets, np.zeros(3, np.float32))
    assert first.tolist() == [0] * 4
    assert last.tolist() == [4] * 4
    assert middle.tolist() == [1, 1, 2, 3]


def test_an_edge_alone_is_its_own_chain():
    edges, triplets = chain(2)
    assert chain_ends(*edges, *triplets, np.zeros(0, np.float32)).T.tolist() == [[0, 1, 1]]


def test_of_two_ways_the_one_of_least_cost_is_taken():
    edges = np.array([[0, 1, 2], [2, 2, 3]], np.int32)  # 0 and 1 both lead to 2
    triplets = np.array([[0, 1], [2, 2]], np.int32)
    assert chain_ends(*edges, *triplets, np.float32([0.5, 0.1]))[0].tolist() == [0, 1, 1]
    assert chain_ends(*edges, *triplets, np.float32([0.1, 0.5]))[0].tolist() == [0, 1, 0]


def test_edges_of_soft_particles_go_and_those_near_the_threshold_stay():
    n = len(RADII)
    limit = np.full(N_LEVERS, 0.3e-3 * 2.0 / 1.0, np.float32)  # 1 GeV in 2 T
    kept = {}
    for pt in (5.0, 1.0, 0.8, 0.5):
        edges, triplets = chain(n)
        kept[pt] = hard_edges(circle(pt), edges, triplets, np.zeros(n - 2, np.float32), limit, 1.5)
    assert {pt: mask.all() for pt, mask in kept.items()} == {5.0: 1, 1.0: 1, 0.8: 1, 0.5: 0}
    assert not kept[0.5].any()


def test_a_soft_chain_does_not_take_a_hard_one_with_it():
    hit = np.concatenate([circle(3.0), circle(0.4, 0.3)])
    edges, triplets = chain(5)
    edges, triplets = np.hstack([edges, edges + 5]), np.hstack([triplets, triplets + 4])
    limit = np.full(N_LEVERS, 0.6e-3, np.float32)
    kept = hard_edges(hit, edges, triplets, np.zeros(6, np.float32), limit, 1.5)
    assert kept.tolist() == [True] * 4 + [False] * 4
