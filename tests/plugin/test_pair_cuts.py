"""Geometric cuts on pairs of hits: drawn by hand, where the answer is arithmetic."""

import numpy as np
import pytest

from trkx.plugin.pair_cuts import PairCuts, PairSelection
from trkx.plugin.space_points import SpacePoints

INF = float("inf")


def gid(layer, sensitive=1):
    """Identifier of a module in volume 1."""
    return (1 << 56) | (layer << 36) | (sensitive << 8)


def points(hits):
    """Space points from (x, y, z, module)."""
    x, y, z = np.array([h[:3] for h in hits], np.float32).T
    return SpacePoints(x, y, z, np.array([h[3] for h in hits], np.uint64))


def passes(a, b, beam_spot=(0.0, 0.0), **cuts):
    """Whether the pair is kept, the same in both orders."""
    selection = PairSelection(points([a, b]), PairCuts(**cuts), beam_spot)
    forward, backward = selection(np.array([0, 1]), np.array([1, 0]))
    assert forward == backward
    return bool(forward)


def test_line_must_point_at_the_beam_spot_region():
    # From (r 30, z 20) to (r 70, z 60): slope 1, so that z at the beam line is -10.
    a, b = (30, 0, 20, gid(1)), (70, 0, 60, gid(2))
    assert passes(a, b)
    assert passes(a, b, z0_max=10.1)
    assert not passes(a, b, z0_max=9.9)


def test_curvature_of_the_circle_through_the_beam_line():
    # A circle of radius 1000 mm through the origin: chord r = 2 R sin(phi).
    def hit(r, layer):
        phi = np.arcsin(r / 2000)
        return (r * np.cos(phi), r * np.sin(phi), 0, gid(layer))

    a, b = hit(100, 1), hit(500, 2)
    assert passes(a, b, curvature_max=1.001e-3)
    assert not passes(a, b, curvature_max=0.999e-3)


def test_curvature_is_measured_from_the_beam_spot():
    a, b = (30, 0, 0, gid(1)), (70, 0, 0, gid(2))
    assert passes(a, b, curvature_max=1e-6)
    assert not passes(a, b, curvature_max=1e-6, beam_spot=(0.0, 5.0))


def test_same_module_never_same_layer_by_distance():
    a, near, far = (30, 0, 0, gid(1, 1)), (30, 3, 4, gid(1, 2)), (30, 30, 40, gid(1, 3))
    assert not passes(a, (30, 3, 4, gid(1, 1)))
    assert passes(a, near, overlap_max=5.1)
    assert not passes(a, near, overlap_max=4.9)
    assert not passes(a, far, overlap_max=30)


def test_pair_must_go_outward_in_radius_as_in_distance():
    # Farther from the origin, but at a smaller radius: no track from the beam line does that.
    assert not passes((70, 0, 10, gid(1)), (60, 0, 200, gid(2)))


def test_hits_at_one_radius_are_kept_only_without_a_cut_on_z0():
    a, b = (50, 0, 100, gid(1)), (50, 0, 200, gid(2))
    assert not passes(a, b, z0_max=200)


@pytest.mark.parametrize(
    ("name", "value"), [("z0_max", 0.0), ("curvature_max", 0.0), ("overlap_max", -1.0)]
)
def test_limits_must_be_positive(name, value):
    with pytest.raises(ValueError, match=name):
        PairCuts(**{name: value})


def test_no_pairs_within_a_layer():
    assert not passes((30, 0, 0, gid(1, 1)), (30, 0, 1, gid(1, 2)), overlap_max=0.0)
