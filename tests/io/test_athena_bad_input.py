"""Athena dumps that cannot be used: what is wrong, where, and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from trkx.io.athena_files import AthenaFiles
from trkx.io.errors import (
    BranchError,
    ConfigError,
    EmptyInputError,
    EventContentError,
    EventRangeError,
    GeometryIdError,
    InputError,
    InputFileError,
    NonFiniteError,
    TreeError,
    TruncatedFileError,
)
from trkx.io.event_sources import open_events


@pytest.mark.parametrize("name", ["SPx", "SPCL2_index", "CLmoduleID", "CLhardware"])
def test_missing_branch(athena_toy, write_athena, name):
    path = write_athena(athena_toy().drop(name))
    with pytest.raises(BranchError, match=f"'{name}', which space points need, .*dump.root"):
        AthenaFiles.open(path)


def test_missing_part_of_the_truth(athena_toy, write_athena):
    path = write_athena(athena_toy().drop("CLparticleLink_eventIndex"))
    with pytest.raises(BranchError, match="CLparticleLink_eventIndex.*truth needs"):
        AthenaFiles.open(path)


def test_truth_that_is_not_there(athena_toy, write_athena):
    toy = athena_toy()
    toy.drop(*[n for n in toy.columns if n.startswith("Part_")])
    toy.drop("CLparticleLink_eventIndex", "CLparticleLink_barcode")
    with pytest.raises(InputError, match="no truth in .*dump.root.*read without truth"):
        AthenaFiles.open(write_athena(toy)).read(0, truth=True)


@pytest.mark.parametrize(("counter", "branch"), [("nCL", "CLindex"), ("nSP", "SPx")])
def test_counters_that_disagree_with_lengths(athena_toy, write_athena, counter, branch):
    toy = athena_toy()
    toy.counters[counter] += 1
    with pytest.raises(EventContentError, match=f"'{branch}' has .* counter '{counter}' says"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_an_array_that_is_too_short(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["SPz"] = toy.columns["SPz"][:-1]
    with pytest.raises(EventContentError, match=r"'SPz' has 8 items.* 9 space points in entry 0"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_lists_that_do_not_add_up(athena_toy, write_athena):
    toy = athena_toy()
    toy.lists["CLparticleLink_barcode"][1][0] = [1, 1]
    with pytest.raises(EventContentError, match="hold lists of different lengths"):
        AthenaFiles.open(write_athena(toy)).read(0)


@pytest.mark.parametrize(("name", "value"), [("SPCL1_index", 10), ("SPCL1_index", -1),
                                             ("SPCL2_index", 10), ("SPCL2_index", -7)])  # fmt: skip
def test_cluster_index_out_of_range(athena_toy, write_athena, name, value):
    toy = athena_toy()
    toy.columns[name][7] = value
    with pytest.raises(EventContentError, match=rf"{name} is {value} for space point 7 in entry 0"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_clusters_that_are_not_counted(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["CLindex"][4] = 17
    with pytest.raises(EventContentError, match=r"CLindex does not count .* 17 in row 4"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_a_pixel_joined_with_a_strip(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["SPCL1_index"][6] = 3
    with pytest.raises(EventContentError, match=r"clusters 3 \(PIXEL\) and 7"):
        AthenaFiles.open(write_athena(toy)).read(0)


@pytest.mark.parametrize("name", ["SPy", "CLz", "CLloc_direction1", "SPcovr", "Part_px", "Part_vz"])
def test_not_a_number(athena_toy, write_athena, name):
    toy = athena_toy()
    toy.columns[name][1] = np.nan
    with pytest.raises(NonFiniteError, match=rf"'{name}' are not finite in entry 0 of tree"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_covariances_of_the_wrong_length(athena_toy, write_athena):
    toy = athena_toy()
    toy.lists["CLlocal_cov"][1][2] = [0.1]
    with pytest.raises(EventContentError, match=r"CLlocal_cov.* 1 numbers for cluster 2 .* pixel"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_events_that_were_mixed(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["Part_event_number"][2] = 0
    with pytest.raises(EventContentError, match=r"event 0, barcode 1\) is in rows 0 and 2"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_an_event_twice(athena_toy, write_athena):
    path = write_athena(athena_toy(), athena_toy())
    with pytest.raises(EventContentError, match="event 1000 of run 7 is there twice: entry 0 .*1"):
        AthenaFiles.open(path)
    good = write_athena(athena_toy(), name="good.root")
    with pytest.raises(EventContentError, match="name each file once"):
        AthenaFiles.open([good, good])


def test_formats_that_are_mixed(athena_toy, write_athena, sample, tmp_path):
    path, folder = write_athena(athena_toy()), sample.write(tmp_path / "sample")
    with pytest.raises(InputFileError, match="is an Athena dump, .* is not"):
        open_events([folder, path])


def test_wrong_tree(athena_toy, write_athena):
    path = write_athena(athena_toy(), tree="GNN4ITkX")
    with pytest.raises(TreeError, match="'GNN4ITk' not in .*nearest: 'GNN4ITkX'"):
        AthenaFiles.open(path)
    with pytest.raises(InputFileError, match="nor GNN4ITk of Athena; it holds GNN4ITkX"):
        open_events(path)


def test_truncated(athena_toy, write_athena):
    path = write_athena(athena_toy())
    path.write_bytes(path.read_bytes()[:-2000])
    for open_it in (AthenaFiles.open, open_events):
        with pytest.raises(TruncatedFileError, match="truncated: .* bytes of"):
            open_it(path)


def test_nothing_in_it(athena_toy, write_athena, tmp_path):
    toy = athena_toy()
    path = write_athena(toy)
    import uproot

    with uproot.open(path) as file, uproot.recreate(tmp_path / "empty.root") as other:
        tree = file["GNN4ITk"]
        other.mktree("GNN4ITk", {n: tree[n].array(entry_stop=0) for n in tree.keys()})
    with pytest.raises(EmptyInputError, match="zero entries"):
        AthenaFiles.open(tmp_path / "empty.root")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputFileError, match="no ROOT file with a tree 'GNN4ITk'"):
        AthenaFiles.open(tmp_path / "folder")


def test_events_that_are_not_there(athena_toy, write_athena):
    files = AthenaFiles.open(write_athena(athena_toy()))
    with pytest.raises(EventRangeError, match="events 0 to 0"):
        files.read(1)
    with pytest.raises(EventRangeError, match="0:5 asked for"):
        files.check_range(0, 5)
    with pytest.raises(InputFileError, match="no simulated hits"):
        files.read_hits(0)
    with pytest.raises(ConfigError, match="fixed names"):
        AthenaFiles.open(files.paths[0], branches={"x": "y"})


def test_modules_of_another_detector(athena_toy, write_athena):
    known = np.array([(8 << 56) | (2 << 36) | (1 << 8)], np.uint64)
    with pytest.raises(GeometryIdError, match="'CLmoduleID', row 0 of entry 0 .*another detector"):
        AthenaFiles.open(write_athena(athena_toy()), geometry_ids=known).read(0)
    toy = athena_toy()
    toy.columns["CLmoduleID"][3] = 0
    with pytest.raises(EventContentError, match="CLmoduleID is 0 in row 3"):
        AthenaFiles.open(write_athena(toy)).read(0)
