"""Chains of four hits on circles that can be drawn by hand."""

import numpy as np
import pytest

from trkx.plugin.chain_selection import continued_triplets, quadruplet_table
from trkx.plugin.geometry_kernels import N_COLUMNS, X, Y

LIMITS = np.array([5.0, 8e-4], np.float32)


def hits_on(curvature, r=(30.0, 70.0, 115.0, 170.0), kink=0.0):
    """Hit table of four points of a circle through the origin; the last turned by a kink, rad."""
    s = np.array(r)
    hit = np.zeros((4, N_COLUMNS), np.float32)
    hit[:, X] = np.sin(curvature * s) / curvature
    hit[:, Y] = (1 - np.cos(curvature * s)) / curvature
    hit[3, Y] += kink * (s[3] - s[2])
    return hit


def kept(hit):
    """Whether the two triplets of the chain 0-1-2-3 stay."""
    edge = np.arange(3, dtype=np.int32)
    first, second = np.array([0, 1], np.int32), np.array([1, 2], np.int32)
    return continued_triplets(hit, edge, edge + 1, first, second, LIMITS).tolist()


@pytest.mark.parametrize("curvature", [1e-6, 3e-4, -6e-4])
def test_a_circle_agrees_with_itself(curvature):
    hit = hits_on(curvature)
    (row,) = quadruplet_table(hit, *(np.array([k]) for k in range(4)))
    assert row[0] < 0.05
    assert row[1] < abs(curvature)
    assert kept(hit) == [True, True]


def test_a_kink_and_a_soft_particle_are_refused():
    assert kept(hits_on(3e-4, kink=2e-3)) == [True, True]  # scattering does that much
    assert kept(hits_on(3e-4, kink=4e-2)) == [False, False]
    assert kept(hits_on(1.5e-3)) == [False, False]


def test_a_triplet_alone_is_dropped():
    hit = hits_on(3e-4)
    edge = np.arange(2, dtype=np.int32)
    one = continued_triplets(
        hit, edge, edge + 1, np.zeros(1, np.int32), np.ones(1, np.int32), LIMITS
    )
    assert one.tolist() == [False]
    none = np.zeros(0, np.int32)
    assert len(continued_triplets(hit, edge, edge + 1, none, none, LIMITS)) == 0
