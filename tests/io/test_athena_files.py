"""Athena dumps of GNN4ITk: what is in them, and the traps of producer and readers."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from trkx.io.athena_event import AthenaOptions
from trkx.io.athena_files import AthenaFiles, is_athena
from trkx.io.athena_truth import charge_of
from trkx.io.errors import EventContentError
from trkx.io.event_files import EventFiles
from trkx.io.event_sources import open_events

FIRST_MODULE = 3 << 60


@pytest.fixture
def event(athena_toy, write_athena):
    return AthenaFiles.open(write_athena(athena_toy())).read(0)


def test_space_points_have_one_or_two_clusters(event, athena_toy):
    points, toy = event.space_points, athena_toy().columns
    np.testing.assert_array_equal(points["is_strip"], [False] * 6 + [True] * 3)
    np.testing.assert_array_equal(points["measurement_id"], toy["SPCL1_index"])
    np.testing.assert_array_equal(points["measurement_id_2"], [0] * 6 + [7, 9, 7])
    assert [int(i) - FIRST_MODULE for i in points["geometry_id"]] == [9, 3, 3, 8, 1, 2, 41, 12, 12]
    assert [int(i) for i in points["geometry_id_2"][:6]] == [0] * 6
    assert [int(i) - FIRST_MODULE for i in points["geometry_id_2"][6:]] == [42, 11, 42]
    for axis in "xyz":
        np.testing.assert_allclose(points[axis], toy[f"SP{axis}"], rtol=1e-6)
        np.testing.assert_allclose(
            points[f"cluster1_{axis}"], toy[f"CL{axis}"][toy["SPCL1_index"]], rtol=1e-6
        )
        np.testing.assert_allclose(
            points[f"cluster2_{axis}"][6:], toy[f"CL{axis}"][[7, 9, 7]], rtol=1e-6
        )
        assert np.isnan(points[f"cluster2_{axis}"][:6]).all()
    np.testing.assert_allclose(points["var_r"], 0.01, rtol=1e-6)


def test_measurements_are_clusters(event):
    m = event.measurements
    assert event.n_measurements == 10
    np.testing.assert_allclose(m["rec_loc0"][:8], np.arange(8) + 0.5)
    assert np.isnan(m["rec_loc0"][8:]).all() and np.isnan(m["rec_loc1"][6:8]).all()
    np.testing.assert_allclose(m["rec_loc1"][[0, 1, 8, 9]], [-0.5, 0.5, 7.5, 8.5])
    np.testing.assert_allclose(m["var_loc0"][:8], [0.01] * 6 + [0.25] * 2)
    np.testing.assert_allclose(m["var_loc1"][[0, 8]], [0.04, 0.36])
    # Pixel 0 has cells (5, 3) and (6, 9); a strip has three numbers.
    assert [(m["clus_size_loc0"][i], m["clus_size_loc1"][i]) for i in (0, 1, 6)] == [
        (2, 7),
        (1, 1),
        (3, 1),
    ]


def test_truth_is_keyed_by_sub_event_and_barcode(event):
    rows = [
        event.measurement_particle_rows[a:b].tolist()
        for a, b in zip(
            event.measurement_particle_offsets[:-1],
            event.measurement_particle_offsets[1:],
            strict=True,
        )
    ]
    # Cluster 3 names its particle twice; that of cluster 5 is not listed, and is added as row 4.
    assert rows == [[0], [0, 2], [], [2], [1], [4], [0], [0], [1], [0]]
    p = event.particles
    np.testing.assert_array_equal(p["vertex_primary"], [0, 0, 5, 0, 5])
    np.testing.assert_array_equal(p["particle"], [1, 2, 1, 200001, 77])
    np.testing.assert_array_equal(p["vertex_secondary"], [0, 0, 0, 1, 0])
    np.testing.assert_allclose(p["px"], [1.5, 0, 0.3, 0.01, 0], atol=1e-7)  # GeV
    np.testing.assert_allclose(p["pt"][:3], [1.5, 2.0, 0.5], rtol=1e-6)
    assert p["q"][4] == 0 and p["m"][0] == pytest.approx(0.13957)


def test_events_one_by_one(athena_toy, write_athena):
    path = write_athena(*(athena_toy(n) for n in range(3)))
    other = write_athena(athena_toy(5), name="more.root")
    with open_events([path, other]) as files:
        assert isinstance(files, AthenaFiles)
        assert files.numbers == [0, 1, 2, 3] and files.available == (0, 4)
        assert files.identity(2) == (7, 1034) and files.identity(3) == (7, 1085)
        x = [event.space_points["x"][0] for event in files]
        np.testing.assert_allclose(
            x, [athena_toy(n).columns["SPx"][0] for n in (0, 1, 2, 5)], rtol=1e-6
        )
        assert files.has_truth and files.has_strips and not files.has_hits
        assert files.paths == [path, other]
        assert not files.acts_modules


def test_folders_and_patterns(athena_toy, write_athena, sample, tmp_path):
    path = write_athena(athena_toy(), name="Dump_GNN4Itk.root")
    assert is_athena(path) and is_athena(path.parent) and is_athena(tmp_path / "*.root")
    folder = sample.write(tmp_path / "sample")
    assert not is_athena(folder) and not is_athena(tmp_path / "nothing")
    assert isinstance(open_events(folder), EventFiles)
    assert len(open_events(path.parent)) == 1


def test_overlaps_can_be_left_out(athena_toy, write_athena):
    path = write_athena(athena_toy())
    count = {}
    for eta in (False, True):
        for phi in (False, True):
            options = AthenaOptions(skip_overlap_eta=eta, skip_overlap_phi=phi)
            count[eta, phi] = AthenaFiles.open(path, options=options).read(0).n_space_points
    assert count == {
        (False, False): 9,
        (True, False): 8,
        (False, True): 8,
        (True, True): 7,
    }


def test_old_dumps_count_clusters_from_one(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["CLindex"] += 1
    toy.columns["SPCL1_index"] += 1
    toy.columns["SPCL2_index"][6:] += 1
    toy.drop("SPisOverlap")
    old = AthenaFiles.open(write_athena(toy)).read(0).space_points
    new = AthenaFiles.open(write_athena(athena_toy(), name="new.root")).read(0).space_points
    for name in ("measurement_id", "measurement_id_2", "geometry_id", "geometry_id_2"):
        np.testing.assert_array_equal(old[name], new[name])
    np.testing.assert_array_equal(old["is_overlap"], [-1] * 6 + [0] * 3)


def test_trap_1_strip_vectors_of_strips_only(athena_toy, write_athena):
    """DumpObjects fills them for strips only; they are put to the rows of strips, or refused."""
    toy = athena_toy()
    wanted = [[]] * 6 + [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    for lists in (wanted, wanted[6:]):
        toy.lists["SPtopStripDirection"] = (np.float32, lists)
        files = AthenaFiles.open(write_athena(toy))
        found = files.read_dump(0, ["SPtopStripDirection"])["SPtopStripDirection"]
        np.testing.assert_array_equal(found.counts, [0] * 6 + [3] * 3)
        np.testing.assert_array_equal(found.content.reshape(3, 3), np.eye(3))
    toy.lists["SPtopStripDirection"] = (np.float32, wanted[6:] * 2)  # those of an event before, too
    files = AthenaFiles.open(write_athena(toy))
    with pytest.raises(EventContentError, match=r"has 6 vectors, but there are 9 space points, 3"):
        files.read_dump(0, ["SPtopStripDirection"])
    assert files.read(0).n_space_points == 9  # which do not need them


def test_trap_2_cells_have_their_own_phi(athena_toy, write_athena):
    files = AthenaFiles.open(write_athena(athena_toy()))
    cells = files.read_dump(0, ["CLphis", "CLetas"])
    assert cells["CLphis"].content[:2].tolist() == [5, 6]
    assert cells["CLetas"].content[:2].tolist() == [3, 9]
    assert files.read(0).space_points["clus_size_loc0"][0] == 2


def test_trap_3_strips_keep_their_clusters(event):
    """Details of strips are not lost where pixels and strips come together."""
    strips = event.space_points["is_strip"]
    assert np.isfinite(event.space_points["cluster2_x"][strips]).all()
    assert np.isfinite(event.space_points["cluster1_x"][strips]).all()
    assert (event.space_points["clus_size_loc0"][strips] == 3).all()


def test_trap_4_no_space_point_without_its_second_cluster(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["SPCL2_index"][6] = 40
    with pytest.raises(EventContentError, match=r"SPCL2_index is 40 for space point 6 .* 10 clus"):
        AthenaFiles.open(write_athena(toy)).read(0)
    toy.columns["SPCL2_index"][6] = -1
    with pytest.raises(EventContentError, match=r"space point 6 .* 6 \(STRIP\) and -1"):
        AthenaFiles.open(write_athena(toy)).read(0)


def test_trap_5_variances_may_be_missing(athena_toy, write_athena):
    found = AthenaFiles.open(write_athena(athena_toy().drop("SPcovr", "SPcovz"))).read(0)
    assert "var_r" not in found.space_points and found.n_space_points == 9


def test_trap_6_charges_are_those_of_the_file(athena_toy, write_athena):
    toy = athena_toy()
    toy.columns["Part_charge"][:] = [-1, 1, 1, 0]
    np.testing.assert_array_equal(
        AthenaFiles.open(write_athena(toy)).read(0).particles["q"], [-1, 1, 1, 0, 0]
    )
    toy.drop("Part_charge")  # then of the particle types
    np.testing.assert_array_equal(
        AthenaFiles.open(write_athena(toy)).read(0).particles["q"], [1, 1, 1, 0, 0]
    )


def test_charges_of_particle_types():
    kinds = [211, -321, 130, 310, 411, 521, 2212, -2112, 3112, 3312, 3122, 11, -15, 22, 1000020040]
    charges = [1, -1, 0, 0, 1, 1, 1, 0, -1, -1, 0, -1, 1, 0, 2]
    np.testing.assert_array_equal(charge_of(np.array(kinds)), charges)


def test_trap_7_modules_stay_with_their_space_points(athena_toy, write_athena):
    """Whatever the order of the space points, each has the module of its own cluster."""
    toy = athena_toy()
    order = np.random.default_rng(1).permutation(9)
    for name in [n for n in toy.columns if n.startswith("SP")]:
        toy.columns[name] = toy.columns[name][order]
    shuffled = AthenaFiles.open(write_athena(toy)).read(0).space_points
    plain = AthenaFiles.open(write_athena(athena_toy(), name="b.root")).read(0).space_points
    for name in ("x", "geometry_id", "geometry_id_2", "measurement_id", "cluster2_z"):
        np.testing.assert_array_equal(shuffled[name], plain[name][order])


def test_trap_8_files_of_acts_writer(athena_toy, write_athena):
    """It writes a subset: sub-event 0 in all links, no local positions, no momentum vectors."""
    toy = athena_toy().drop(
        *("CLloc_direction1", "CLloc_direction2", "CLphis", "CLetas", "SPcovr", "SPcovz"),
        *("Part_px", "Part_py", "Part_pz", "Part_charge", "SPtopStripDirection"),
    )
    toy.columns["CLbarrel_endcap"][:] = np.iinfo(np.int32).max
    toy.columns["SPisOverlap"][:] = 0
    toy.columns["Part_event_number"][:] = [1, 1, 2, 1]
    toy.columns["Part_barcode"][:] = [1, 2, 3, 200001]
    toy.lists["CLlocal_cov"] = (np.float64, [[0.01, 0.0, 0.0, 0.04]] * 6 + [[0.0, 0.25]] * 4)
    toy.lists["CLparticleLink_eventIndex"] = (np.int32, [[0]] * 10)
    toy.lists["CLparticleLink_barcode"] = (
        np.int32,
        [[1], [3], [0], [3], [2], [3], [1], [1], [2], [1]],
    )
    files = AthenaFiles.open(write_athena(toy))
    found = files.read(0)
    assert not files.acts_modules
    np.testing.assert_array_equal(np.diff(found.measurement_particle_offsets), [1, 1, 0] + [1] * 7)
    np.testing.assert_array_equal(found.measurement_particle_rows, [0, 2, 2, 1, 2, 0, 0, 1, 0])
    np.testing.assert_allclose(found.particles["pt"], [1.5, 2.0, 0.5, 0.01], rtol=1e-6)
    np.testing.assert_allclose(found.particles["pz"][0], 1.0, rtol=1e-5)
    np.testing.assert_array_equal(found.particles["q"], [1, 1, 1, 0])
    assert found.space_points["is_strip"].sum() == 3
    np.testing.assert_allclose(found.measurements["var_loc1"][6:], 0.25)


def test_trap_9_only_what_is_needed_is_read(athena_toy, write_athena):
    """A branch that cannot be read does no harm unless it is asked for."""
    toy = athena_toy()
    toy.lists["CLphis"] = (np.int32, [[1]])  # not one list per cluster
    files = AthenaFiles.open(write_athena(toy))
    assert files.read(0, columns=("r",)).n_space_points == 9
    with pytest.raises(EventContentError, match="CLphis"):
        files.read(0)


def test_no_truth(athena_toy, write_athena):
    toy = athena_toy()
    toy.drop(*[n for n in toy.columns if n.startswith("Part_")])
    toy.drop("CLparticleLink_eventIndex", "CLparticleLink_barcode")
    files = AthenaFiles.open(write_athena(toy))
    assert not files.has_truth and not files.read(0).has_truth
    assert files.read(0).n_space_points == 9


def test_an_event_without_hits(athena_toy, write_athena):
    toy = athena_toy()
    empty = athena_toy(1)
    empty.counters.update(nCL=0, nSP=0, nPartEVT=0)
    empty.columns = {name: column[:0] for name, column in empty.columns.items()}
    empty.lists = {name: (kind, []) for name, (kind, _) in empty.lists.items()}
    found = AthenaFiles.open(write_athena(toy, empty)).read(1)
    assert found.n_space_points == found.n_measurements == found.n_particles == 0
    assert found.measurement_particle_offsets.tolist() == [0]


def test_files_with_other_tree_names(athena_toy, write_athena):
    path = write_athena(athena_toy(), tree="Other")
    assert AthenaFiles.open(path, options=AthenaOptions(tree="Other")).read(0).n_space_points == 9
    with uproot.open(path) as file:
        assert "GNN4ITk" not in file
