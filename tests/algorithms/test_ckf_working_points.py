"""The CKF's settings: what each working point asks of ACTS."""

import acts.examples
import pytest

from trkx.algorithms.ckf_working_points import (
    MIDDLE_RADII,
    PIXELS,
    SHORT_STRIPS,
    Z_EDGES,
    ckfWorkingPoint,
    z_neighbours,
)
from trkx.io.errors import ConfigError

ALL = [(name, target) for name in ("best", "balanced", "fast") for target in ("pt1", "pt05")]


@pytest.mark.parametrize(("name", "target"), ALL)
def test_acts_takes_the_settings(name, target):
    point = ckfWorkingPoint(name, target)
    assert (point.name, point.target) == (name, target)
    for settings in point.passes:
        config = acts.examples.GridTripletSeedingAlgorithm.Config()
        for key, value in settings.seeding.keywords().items():
            setattr(config, key, value)
        assert config.minPt == pytest.approx(0.9 if target == "pt1" else 0.45)
        assert settings.cuts.minMeasurements == 7


def test_second_pass_is_for_displaced_tracks():
    for name, target in ALL:
        first, second = ckfWorkingPoint(name, target).passes
        assert second.seeding.layers == SHORT_STRIPS
        assert second.seeding.impactMax > 10 * first.seeding.impactMax
        assert second.cuts.maxHoles < first.cuts.maxHoles
    assert ckfWorkingPoint("best").passes[1].seeding.impactMax == 60
    assert ckfWorkingPoint("fast").passes[1].seeding.impactMax == 20


def test_working_points_differ_as_their_names_say():
    best, balanced, fast = (
        ckfWorkingPoint(name).passes[0].seeding for name in ("best", "balanced", "fast")
    )
    assert (13, 2) in best.layers and (13, 2) in balanced.layers
    assert fast.layers == PIXELS
    assert best.impactMax > balanced.impactMax > fast.impactMax
    assert (best.maxSeedsPerSpM, balanced.maxSeedsPerSpM, fast.maxSeedsPerSpM) == (2, 0, 0)


def test_z_bins_are_symmetric():
    assert list(Z_EDGES) == [-edge for edge in reversed(Z_EDGES)]
    n_bins = len(Z_EDGES) - 1
    assert len(MIDDLE_RADII) == n_bins == 19
    for bins in z_neighbours(4, 6):
        assert len(bins) == n_bins
        assert bins == tuple((-high, -low) for low, high in reversed(bins))
        for i, (low, high) in enumerate(bins):
            assert low <= 0 <= high
            assert i + low >= 0 and i + high < n_bins


def test_unknown_names_are_named():
    with pytest.raises(ConfigError, match=r"'bset'.*did you mean 'best'"):
        ckfWorkingPoint("bset")
    with pytest.raises(ConfigError, match="target"):
        ckfWorkingPoint("best", "pt2")
