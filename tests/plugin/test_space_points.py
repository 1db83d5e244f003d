"""Bad space points are named, with what to do."""

import numpy as np
import pytest

from trkx.plugin import SpacePoints
from trkx.plugin.errors import SpacePointError


def columns(n=4):
    return {c: np.ones(n, np.float32) for c in "xyz"} | {"geometry_id": np.ones(n, np.uint64)}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(value):
    bad = columns()
    bad["y"][2] = value
    with pytest.raises(SpacePointError, match="'y' are NaN or infinite, first at row 2"):
        SpacePoints.from_columns(bad)


def test_lengths_differ():
    bad = columns()
    bad["z"] = bad["z"][:-1]
    with pytest.raises(SpacePointError, match="column 'z' has 3 rows, 'x' has 4"):
        SpacePoints.from_columns(bad)


@pytest.mark.parametrize("name", ["x", "geometry_id"])
def test_missing_column(name):
    bad = columns()
    del bad[name]
    with pytest.raises(SpacePointError, match=f"no column '{name}'; found"):
        SpacePoints.from_columns(bad)


def test_cluster_sizes_are_optional():
    assert SpacePoints.from_columns(columns()).size0 is None
    sizes = {"clus_size_loc0": np.full(4, 2), "clus_size_loc1": np.full(4, 3)}
    points = SpacePoints.from_columns(columns() | sizes)
    assert points.size0 is not None
    assert points.size0.dtype == np.float32
