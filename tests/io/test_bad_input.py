"""Bad files and bad events: each gives an error that says what, where and what to do."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from trkx.io import errors
from trkx.io.event_files import EventFiles
from trkx.io.root_table import RootTable


def read_all(folder, **options):
    return list(EventFiles.open(folder, **options))


def test_no_such_folder(tmp_path):
    (tmp_path / "sample").mkdir()
    with pytest.raises(errors.InputFileError, match=r"no such file or folder: .*smaple; nearest"):
        EventFiles.open(tmp_path / "smaple")
    with pytest.raises(FileNotFoundError):
        EventFiles.open(tmp_path / "smaple")
    with pytest.raises(errors.InputFileError, match=r"no file matches .*\*\.root"):
        EventFiles.open(str(tmp_path / "*.root"))
    with pytest.raises(errors.InputFileError, match=r"expected spacepoints\.root"):
        EventFiles.open(tmp_path / "sample")
    with pytest.raises(errors.InputFileError, match="no input given"):
        EventFiles.open([])


def test_not_root(sample, tmp_path):
    folder = sample.write(tmp_path)
    (folder / "spacepoints.root").write_text("event_id,x,y,z\n")
    with pytest.raises(errors.NotRootError, match=r"spacepoints\.root is not a ROOT file"):
        EventFiles.open(folder)


def test_empty_file(sample, tmp_path):
    folder = sample.write(tmp_path)
    (folder / "measurements.root").write_bytes(b"")
    with pytest.raises(errors.NotRootError, match=r"measurements\.root is empty \(0 bytes\)"):
        EventFiles.open(folder)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_root(sample, tmp_path, share):
    path = sample.write(tmp_path) / "spacepoints.root"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(errors.TruncatedFileError, match=r"spacepoints\.root is truncated: \d+ byt"):
        EventFiles.open(tmp_path)


def test_damaged_root(sample, tmp_path):
    path = sample.write(tmp_path) / "spacepoints.root"
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(900002).bytes(len(content) // 2 - 200)
    content[200 : len(content) // 2] = noise
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match=r"spacepoints\.root"):
        read_all(tmp_path)


def test_file_without_a_tree(sample, tmp_path):
    folder = sample.write(tmp_path)
    with uproot.recreate(folder / "spacepoints.root") as file:
        file.mktree("space_points", sample.spacepoints)
    with pytest.raises(errors.InputFileError, match="holds none of the trees .* holds space_point"):
        EventFiles.open(folder)
    with pytest.raises(errors.TreeError, match="'spacepoints' not in .*nearest: 'space_points'"):
        RootTable(folder / "spacepoints.root", "spacepoints")
    with uproot.recreate(folder / "spacepoints.root"):
        pass
    with pytest.raises(errors.EmptyInputError, match="nothing in it"):
        EventFiles.open(folder)


def test_no_event_at_all(sample, tmp_path):
    sample.spacepoints = {name: c[:0] for name, c in sample.spacepoints.items()}
    with pytest.raises(errors.EmptyInputError, match="all trees have zero entries"):
        EventFiles.open(sample.write(tmp_path, "spacepoints"))


def test_particles_alone(sample, tmp_path):
    with pytest.raises(errors.InputFileError, match="neither spacepoints nor measurements"):
        EventFiles.open(sample.write(tmp_path, "particles"))


@pytest.mark.parametrize(
    ("kind", "branch"),
    [("spacepoints", "y"), ("measurements", "rec_loc1"), ("particles", "generation")],
)
def test_missing_branch(sample, tmp_path, kind, branch):
    columns = sample.barcodes if kind == "particles" else getattr(sample, kind)
    del columns[branch]
    with pytest.raises(errors.BranchError, match=f"'{branch}' not in tree '{kind}' of .*{kind}"):
        EventFiles.open(sample.write(tmp_path))


def test_misnamed_branch(sample, tmp_path):
    sample.spacepoints["Geometry_Id"] = sample.spacepoints.pop("geometry_id")
    with pytest.raises(KeyError, match=r"nearest: 'Geometry_Id'\. Pass branches=") as caught:
        EventFiles.open(sample.write(tmp_path))
    assert str(caught.value).startswith("branch 'geometry_id'")


def test_missing_particle_lists(sample, tmp_path):
    with uproot.recreate(sample.write(tmp_path) / "measurements.root") as file:
        file.mktree("measurements", sample.measurements)
    with pytest.raises(errors.BranchError, match="'particles_vertex_primary' not in"):
        read_all(tmp_path)


def test_wrong_type(sample, tmp_path):
    sample.spacepoints["x"] = ak.Array([[1.0]] * 15)
    with pytest.raises(errors.BranchTypeError, match=r"'x' .* holds double\[\], expected one flo"):
        read_all(sample.write(tmp_path, "spacepoints"))
    sample.spacepoints["x"] = ak.Array(["1.0"] * 15)
    with pytest.raises(errors.BranchTypeError, match=r"holds char\*, expected one float32"):
        read_all(sample.write(tmp_path, "spacepoints"))
    sample.spacepoints["x"] = np.zeros(15, np.float32)
    sample.spacepoints["geometry_id"] = sample.spacepoints["geometry_id"].astype(np.float64)
    with pytest.raises(TypeError, match="'geometry_id' .* holds double, expected uint64"):
        read_all(sample.write(tmp_path, "spacepoints"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite(sample, tmp_path, value):
    sample.spacepoints["z"][[3, 5]] = value
    with pytest.raises(errors.NonFiniteError, match=r"2 of 14 .* 'z' .* event 0 .* row 3 "):
        read_all(sample.write(tmp_path))


def test_local_coordinates_that_are_infinite(sample, tmp_path):
    sample.measurements["rec_loc0"][4] = np.inf
    with pytest.raises(errors.NonFiniteError, match=r"1 of 14 .* 'rec_loc0' .* row 4"):
        read_all(sample.write(tmp_path))


def test_variance_of_zero(sample, tmp_path):
    sample.measurements["var_loc1"][7] = 0
    with pytest.raises(errors.EventContentError, match=r"'var_loc1' are not positive .* row 7"):
        read_all(sample.write(tmp_path))


def test_duplicate_hits(sample, tmp_path):
    sample.spacepoints["measurement_id"][6] = 2
    with pytest.raises(errors.EventContentError, match=r"duplicate hits: 1 .* rows 2 and 6"):
        read_all(sample.write(tmp_path))


def test_hits_at_the_same_place(sample, tmp_path):
    for name in ("x", "y", "z", "geometry_id"):
        sample.spacepoints[name][6] = sample.spacepoints[name][2]
    with pytest.warns(errors.TrkxWarning, match=r"1 of 14 space points in event 0"):
        events = read_all(sample.write(tmp_path))
    assert events[0].n_space_points == 14


def test_space_point_of_no_measurement(sample, tmp_path):
    sample.spacepoints["measurement_id"][13] = 99
    with pytest.raises(errors.EventContentError, match="measurement_id 99 in row 13 .* 14 measur"):
        read_all(sample.write(tmp_path))


def test_measurements_with_gaps(sample, tmp_path):
    sample.measurements["measurement_id"][5] = 17
    with pytest.raises(errors.EventContentError, match="does not count 0 to 13"):
        read_all(sample.write(tmp_path))


def test_unknown_geometry_id(sample, tmp_path):
    known = np.unique(sample.geometry_id)
    assert len(read_all(sample.write(tmp_path), geometry_ids=known)) == 3
    for columns in (sample.spacepoints, sample.measurements):
        columns["geometry_id"] = columns["geometry_id"].copy()
    sample.measurements["geometry_id"][8] = (8 << 56) | (2 << 36) | (999 << 8)
    folder = sample.write(tmp_path)
    with pytest.raises(
        errors.GeometryIdError, match=r"volume 8, layer 2, sensitive 999\) .* row 8"
    ):
        read_all(folder, geometry_ids=known)
    sample.measurements["geometry_id"][8] = 0
    with pytest.raises(KeyError, match="unknown geometry id 0"):
        read_all(sample.write(tmp_path))


def test_event_in_two_places(sample, tmp_path):
    order = [*range(7), 14, *range(7, 14)]
    sample.spacepoints = {name: c[order] for name, c in sample.spacepoints.items()}
    with pytest.raises(errors.EventContentError, match="event 0 appears twice .* 0 to 7 and 8 to "):
        EventFiles.open(sample.write(tmp_path))


def test_event_in_two_files_of_a_folder(sample, make_sample, tmp_path):
    folder = sample.write(tmp_path)
    (folder / "spacepoints.root").rename(folder / "spacepoints_a.root")
    make_sample(2).write(tmp_path / "b", "spacepoints")
    (tmp_path / "b" / "spacepoints.root").rename(folder / "spacepoints_b.root")
    with pytest.raises(errors.EventContentError, match="event 2 is in .*_a.root and in .*_b.root"):
        EventFiles.open(folder)


def test_particle_barcodes_that_are_not_unique(sample, tmp_path):
    sample.barcodes["particle"] = ak.Array([[10, 11, 11], [10], [10, 11]])
    with pytest.raises(errors.EventContentError, match=r"vp=1\|vs=0\|p=11\|g=0\|sp=0 is in rows 1"):
        read_all(sample.write(tmp_path))


def test_barcode_without_a_particle(sample, tmp_path):
    sample.barcodes["particle"] = ak.Array([[10, 11, 19], [10], [10, 11]])
    with pytest.raises(errors.EventContentError, match=r"4 contributions of 1 part.*\|p=12\|"):
        read_all(sample.write(tmp_path))


def test_no_particle_at_all(sample, tmp_path):
    for name in sample.barcodes:
        sample.barcodes[name] = ak.Array([[], [10], [10, 11]])
    for name in sample.momentum:
        sample.momentum[name] = ak.Array([[], [1.0], [1.0, 2.0]])
    with pytest.raises(errors.EventContentError, match="have no entry among the particles"):
        read_all(sample.write(tmp_path))


def test_particle_lists_of_different_lengths(sample, tmp_path):
    sample.momentum["px"] = ak.Array([[1.0], [1.0], [1.0, 2.0]])
    with pytest.raises(errors.EventContentError, match="differ in length"):
        read_all(sample.write(tmp_path))


def test_all_noise_and_one_hit_are_no_errors(sample, tmp_path):
    sample.owners = sample.owners[:, :0]
    events = read_all(sample.write(tmp_path))
    assert [e.n_space_points for e in events] == [14, 0, 1]
    assert all(len(e.measurement_particle_rows) == 0 for e in events)
    np.testing.assert_array_equal(events[0].n_particle_measurements, [0, 0, 0])
