"""Support of edges by their continuations: triplets drawn by hand."""

import numpy as np
import pytest

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.edge_support import NOT_CONTINUED, edge_support
from trkx.plugin.space_points import SpacePoints


def graph(hits, edges):
    """Graph of hits (x, y, z) on modules of their own, with these edges."""
    x, y, z = np.array(hits, np.float32).T
    ids = (np.uint64(1) << np.uint64(36)) * np.arange(1, len(x) + 1, dtype=np.uint64)
    return edge_graph(SpacePoints(x, y, z, ids), np.array(edges).T)


STRAIGHT = [(50, 0, 10), (100, 0, 20), (150, 0, 30)]


def test_straight_line_through_the_beam_line_is_perfect():
    support = edge_support(graph(STRAIGHT, [(0, 1), (1, 2)]))
    # Outward for the first, inward for the second; nothing on their other sides.
    best = [[-3.0, NOT_CONTINUED], [NOT_CONTINUED, -3.0]]
    assert support[:, :2] == pytest.approx(np.array(best))
    assert support[:, 2:] == pytest.approx(np.log([[2, 1], [1, 2]]))


def test_a_kink_counts_in_units_of_resolution_and_scattering():
    hits = [*STRAIGHT[:2], (150, 0, 34)]
    support = edge_support(graph(hits, [(0, 1), (1, 2)]))
    # The middle hit lies 2 mm off the line; the longer leg is (50, 14) mm.
    expected = np.log10((2 / (0.5 + 0.004 * np.hypot(50, 14))) ** 2)
    assert support[0, 0] == pytest.approx(expected, abs=1e-3)


def test_a_helix_from_the_beam_line_is_perfect():
    def hit(r, radius=1500.0):
        half = np.arcsin(r / (2 * radius))
        return (r * np.cos(half), r * np.sin(half), 0.3 * 2 * radius * half)

    support = edge_support(graph([hit(r) for r in (70, 170, 360)], [(0, 1), (1, 2)]))
    assert support[0, 0] < -2.5


def test_the_best_of_several_continuations_counts():
    hits = [*STRAIGHT, (150, 20, 30)]
    support = edge_support(graph(hits, [(0, 1), (1, 2), (1, 3)]))
    assert support[0, 0] == pytest.approx(-3.0)
    assert support[0, 2] == pytest.approx(np.log(2))  # the other is far off
    assert support[2, 1] > 1.0


def test_edges_of_overlaps_support_nothing():
    hits = [*STRAIGHT[:2], (101, 0, 20.2)]
    assert (edge_support(graph(hits, [(0, 1), (1, 2)]))[:, :2] == NOT_CONTINUED).all()


def test_no_edges():
    empty = graph(STRAIGHT, [(0, 1)]).keep_edges(np.zeros(1, bool))
    assert edge_support(empty).shape == (0, 4)
