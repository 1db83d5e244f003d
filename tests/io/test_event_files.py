"""EventFiles gives back what is in the files."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import uproot

from trkx.io.errors import BranchError, ConfigError, EventRangeError, InputFileError
from trkx.io.event_files import EventFiles


def test_reads_what_was_written(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path))
    assert files.numbers == [0, 1, 2]
    assert len(files) == 3
    assert files.has_truth and files.has_measurements and not files.has_hits
    event = files.read(0)
    assert event.number == 0
    for name, column in sample.spacepoints.items():
        np.testing.assert_array_equal(event.space_points[name], column[:14])
        assert event.space_points[name].dtype == column.dtype
    for name, column in sample.measurements.items():
        np.testing.assert_array_equal(event.measurements[name], column[:14])
    assert event.space_points["clus_size_loc0"].dtype == np.float32
    np.testing.assert_array_equal(event.space_points["clus_size_loc0"], np.arange(1, 15))
    np.testing.assert_array_equal(event.particles["px"], [1.0, 1.25, 1.5])


def test_truth_links_measurements_to_particles(sample, tmp_path):
    event = EventFiles.open(sample.write(tmp_path)).read(0)
    offsets, rows = event.measurement_particle_offsets, event.measurement_particle_rows
    assert offsets.dtype == rows.dtype == np.int64
    np.testing.assert_array_equal(offsets, [*range(13), 14, 14])
    np.testing.assert_array_equal(rows, [i % 3 for i in range(12)] + [0, 1])
    np.testing.assert_array_equal(event.n_particle_measurements, [5, 5, 4])


def test_event_without_hits_is_empty(sample, tmp_path):
    event = EventFiles.open(sample.write(tmp_path)).read(1)
    assert event.n_space_points == event.n_measurements == 0
    assert event.n_particles == 1
    assert set(event.space_points) == {*sample.spacepoints, "clus_size_loc0", "clus_size_loc1"}
    np.testing.assert_array_equal(event.measurement_particle_offsets, [0])
    np.testing.assert_array_equal(event.n_particle_measurements, [0])


def test_event_number_that_no_file_mentions_is_empty(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path, "spacepoints measurements"))
    assert files.numbers == [0, 2]
    assert files.read(1).n_space_points == 0


def test_truth_is_optional(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path, "spacepoints measurements"))
    assert not files.read(0).has_truth
    with pytest.raises(InputFileError, match=r"particles\.root"):
        files.read(0, truth=True)
    event = EventFiles.open(sample.write(tmp_path)).read(0, truth=False)
    assert not event.has_truth and event.n_measurements == 14


def test_only_the_columns_asked_for(sample, tmp_path):
    event = EventFiles.open(sample.write(tmp_path)).read(0, columns=("r", "clus_size_loc0"))
    assert set(event.space_points) == {
        *("x", "y", "z", "r", "geometry_id", "geometry_id_2", "measurement_id"),
        *("measurement_id_2", "clus_size_loc0"),
    }
    assert "rec_gx" not in event.measurements
    assert "px" not in event.particles


def test_space_points_from_measurements_alone(sample, tmp_path):
    event = EventFiles.open(sample.write(tmp_path, "measurements")).read(0)
    np.testing.assert_array_equal(event.space_points["x"], sample.spacepoints["x"][:14])
    np.testing.assert_array_equal(event.space_points["geometry_id"], sample.geometry_id[:14])
    assert event.space_points["r"].shape == (14,)


def test_geometry_id_from_its_parts(sample, tmp_path):
    for name in ("geometry_id", "measurement_id"):
        del sample.measurements[name]
    event = EventFiles.open(sample.write(tmp_path)).read(0)
    np.testing.assert_array_equal(event.measurements["geometry_id"], sample.geometry_id[:14])
    np.testing.assert_array_equal(event.measurements["measurement_id"], np.arange(14))


def test_folders_with_other_numbers_keep_them(make_sample, tmp_path):
    folders = [make_sample(first).write(tmp_path / str(first)) for first in (7, 0)]
    files = EventFiles.open(folders)
    assert files.numbers == [0, 1, 2, 7, 8, 9]
    assert files.read(7).n_space_points == 14
    assert files.read(2).n_space_points == 1


def test_folders_with_the_same_numbers_follow_each_other(sample, make_sample, tmp_path):
    first = sample.write(tmp_path / "a")
    other = make_sample(0)
    other.spacepoints["x"] = other.spacepoints["x"] + 1
    files = EventFiles.open([first, other.write(tmp_path / "b")])
    assert files.numbers == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(
        files.read(3).space_points["x"], files.read(0).space_points["x"] + 1, rtol=1e-5
    )
    np.testing.assert_array_equal(files.read(3).particles["px"], [1.0, 1.25, 1.5])


def test_glob_of_folders_and_numbered_files(make_sample, tmp_path):
    for first in (0, 3):
        make_sample(first).write(tmp_path / f"run{first}")
    assert EventFiles.open(str(tmp_path / "run*")).numbers == [0, 1, 2, 3, 4, 5]
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, first in enumerate((0, 0)):
        folder = make_sample(first).write(tmp_path / f"job{i}")
        for path in folder.iterdir():
            path.rename(flat / f"{path.stem}_{i}.root")
    assert EventFiles.open(flat).numbers == [0, 1, 2, 3, 4, 5]
    assert EventFiles.open(sorted(flat.iterdir())).read(3).n_particles == 3


def test_tree_names_in_upper_and_lower_case(sample, tmp_path):
    folder = sample.write(tmp_path, "measurements particles")
    with uproot.recreate(folder / "acts.root") as file:
        file.mktree("spacePoints", sample.spacepoints)
    assert EventFiles.open(sorted(folder.iterdir())).read(0).n_space_points == 14


def test_rntuple_reads_like_a_tree(sample, tmp_path):
    folder = sample.write(tmp_path)
    expected = EventFiles.open(folder).read(0)
    with uproot.open(folder / "particles.root") as file:
        jagged = file["particles"].arrays()
    with uproot.recreate(folder / "particles.root") as file:
        file.mkrntuple("particles", {n: jagged[n] for n in jagged.fields if n[:1] != "n"})
    with uproot.recreate(folder / "spacepoints.root") as file:
        file.mkrntuple("spacepoints", sample.spacepoints)
    event = EventFiles.open(folder).read(0)
    for name, column in expected.space_points.items():
        np.testing.assert_array_equal(event.space_points[name], column)
    np.testing.assert_array_equal(event.particles["px"], expected.particles["px"])
    np.testing.assert_array_equal(
        event.measurement_particle_rows, expected.measurement_particle_rows
    )


def test_events_in_any_order(sample, tmp_path):
    order = np.concatenate([[14], np.arange(14)])
    sample.spacepoints = {name: c[order] for name, c in sample.spacepoints.items()}
    files = EventFiles.open(sample.write(tmp_path))
    np.testing.assert_array_equal(files.read(0).space_points["measurement_id"], np.arange(14))


def test_renamed_branches(sample, tmp_path):
    sample.spacepoints["sp_x"] = sample.spacepoints.pop("x")
    folder = sample.write(tmp_path)
    with pytest.raises(BranchError, match=r"'x' not in .*nearest: 'sp_x'.*branches=\{'x': 'sp_x'"):
        EventFiles.open(folder)
    for name in ("x", "spacepoints.x"):
        event = EventFiles.open(folder, branches={name: "sp_x"}).read(0)
        np.testing.assert_array_equal(event.space_points["x"], sample.spacepoints["sp_x"][:14])
    with pytest.raises(BranchError, match=r"no tree of .* nearest: 'sp_x'"):
        EventFiles.open(folder, branches={"x": "spx"})
    with pytest.raises(ConfigError, match=r"nearest: 'spacepoints\.x'"):
        EventFiles.open(folder, branches={"spacepoint.x": "sp_x"})


def test_event_range(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path))
    files.check_range(0, 3)
    with pytest.raises(EventRangeError, match=r"events 1:9 asked for, .* has events 0:3"):
        files.check_range(1, 9)
    with pytest.raises(EventRangeError, match=r"event 3 asked for, .* has events 0 to 2"):
        files.read(3)


def test_several_threads(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path))
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.append(files.read(0).n_space_points)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [14] * 8


def test_iteration_and_context(sample, tmp_path):
    with EventFiles.open(sample.write(tmp_path)) as files:
        assert [event.number for event in files] == [0, 1, 2]
