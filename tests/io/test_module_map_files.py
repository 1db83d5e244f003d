"""Module maps in ROOT files: the branches of ModuleMapGraph, and what was written is read."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import uproot

from trkx.io.errors import ConfigError, EventContentError, OutputExistsError, TreeError
from trkx.io.module_map_files import (
    ModuleMapTables,
    module_map_paths,
    read_module_map,
    write_module_map,
)


@pytest.fixture
def tables():
    """Six modules in three rings, and two triplets that share a doublet."""
    rng = np.random.default_rng(5)
    low = rng.normal(size=(2, 10)).astype(np.float32)
    width = rng.uniform(1, 2, (2, 10)).astype(np.float32)
    return ModuleMapTables(
        geometry_id=np.arange(6, dtype=np.uint64) + np.uint64(2**60),
        cell=np.array([0, 1, 1, 2, 2, 0], np.int32),
        mirror=np.array([2, 1, 0], np.int32),
        triplet=np.array([[0, 1], [1, 2], [2, 0]]),
        count=np.array([3, 2**31]),
        low=low,
        high=low + width,
        mean=(low + width / 2).astype(np.float64),
        rms=(width / 4).astype(np.float64),
        about={"frame": "hit", "meta": {"events": 7}},
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_round_trip(tables, tmp_path, precision):
    paths = write_module_map(tables, tmp_path / "map", precision=precision)
    assert paths == (tmp_path / "map.doublets.root", tmp_path / "map.triplets.root")
    found = read_module_map(paths[1])
    for f in fields(ModuleMapTables):
        if f.name != "about":
            a, b = getattr(found, f.name), getattr(tables, f.name)
            assert a.dtype == b.dtype, f.name
            np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=f.name)
    assert found.about == tables.about


def test_branches(tables, tmp_path):
    doublets, triplets = write_module_map(tables, tmp_path / "map")
    with uproot.open(triplets) as file:
        tree = file["TreeModuleTriplet"]
        assert tree["Module1"].typename == "uint64_t"
        assert tree["Occurence"].typename == "uint32_t"
        assert tree["z0min_12"].typename == "float"
        assert tree["Module3"].array().tolist() == [2**60 + 3, 2**60]
        wanted = {"detasumSq_23", "phiSlope_12_rms", "diff_dydx_mean", "diff_dzdr_sumSq"}
        assert wanted <= set(tree.keys()) and len(tree.keys()) == 64
        np.testing.assert_array_equal(tree["diff_dzdr_max"].array(), tables.high[:, 9])
    with uproot.open(doublets) as file:
        tree = file["TreeModuleDoublet"].arrays(library="np")
    # The second doublet is the outer one of the first triplet and the inner one of the second.
    first = [tables.geometry_id[[0, 1, 3]].tolist(), tables.geometry_id[[1, 3, 0]].tolist()]
    assert [tree["Module1"].tolist(), tree["Module2"].tolist()] == first
    assert tree["Occurence"].tolist() == [3, 2**31 + 3, 2**31]
    low = np.minimum(tables.low[0, 4], tables.low[1, 0])
    assert tree["z0min_12"][1] == low and len(tree) == 27


def test_files_of_others(tables, tmp_path):
    """Without groups every module is its own."""
    doublets, _ = write_module_map(tables, tmp_path / "map")
    with uproot.open(doublets) as file:
        columns = file["TreeModuleDoublet"].arrays(library="np")
    with uproot.recreate(doublets) as file:
        file.mktree("TreeModuleDoublet", {k: v.dtype for k, v in columns.items()})
        file["TreeModuleDoublet"].extend(columns)
    found = read_module_map(tmp_path / "map")
    assert found.geometry_id.tolist() == [2**60, 2**60 + 1, 2**60 + 3]
    assert found.triplet.tolist() == [[0, 1], [1, 2], [2, 0]] and found.about == {}


def test_bad_files(tables, tmp_path):
    write_module_map(tables, tmp_path / "map")
    with pytest.raises(OutputExistsError):
        write_module_map(tables, tmp_path / "map")
    write_module_map(tables, tmp_path / "map", force=True)
    with pytest.raises(ConfigError, match="float16"):
        write_module_map(tables, tmp_path / "half", precision="float16")
    other = replace(tables, geometry_id=tables.geometry_id + np.uint64(100))
    write_module_map(other, tmp_path / "other")
    doublets, _ = module_map_paths(tmp_path / "other")
    doublets.replace(tmp_path / "map.doublets.root")
    with pytest.raises(EventContentError, match="are they of one map"):
        read_module_map(tmp_path / "map")
    with uproot.recreate(tmp_path / "map.triplets.root") as file:
        file["TreeModuleTriplets"] = {"Module1": np.zeros(1)}
    with pytest.raises(TreeError, match="nearest: 'TreeModuleTriplets'"):
        read_module_map(tmp_path / "map")


def test_an_empty_map(tables, tmp_path):
    columns = {f.name: getattr(tables, f.name)[:0] for f in fields(ModuleMapTables)[4:9]}
    empty = replace(tables, triplet=tables.triplet[:, :0], **columns)
    write_module_map(empty, tmp_path / "map")
    found = read_module_map(tmp_path / "map")
    assert found.triplet.shape == (3, 0) and found.low.shape == (0, 10)
    assert found.geometry_id.tolist() == tables.geometry_id.tolist()
