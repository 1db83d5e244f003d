"""Files of the TrackML challenge: read from every place, and written back value by value."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest

from trkx.io import errors
from trkx.io.trackml_clusters import cluster_shapes
from trkx.io.trackml_event import PARTS, rows_of_ids
from trkx.io.trackml_files import TrackMLFiles, is_trackml
from trkx.io.trackml_root import TrackMLRootWriter
from trkx.io.trackml_submission import read_submission, write_submission
from trkx.io.trackml_writer import TrackMLWriter


def same(a, b):
    """Whether two events hold the very same columns, in the same order, bit for bit."""
    assert a.number == b.number and a.truth_name == b.truth_name
    assert a.parts.keys() == b.parts.keys()
    for part, columns in a.parts.items():
        assert list(columns) == list(b.parts[part])
        for name, values in columns.items():
            assert values.dtype == b.parts[part][name].dtype
            assert values.tobytes() == b.parts[part][name].tobytes(), (part, name)
    return True


def through_root(events, path):
    writer = TrackMLRootWriter(path, {"command": "test"})
    for event in events:
        writer.write(event)
    writer.close()
    return TrackMLFiles.open(path)


def test_all_places_hold_the_same_event(tmp_path, trackml_toy):
    plain = TrackMLFiles.open(trackml_toy.write_folder(tmp_path / "plain")).read(7)
    assert plain.hits["hit_id"].tolist() == [3, 5, 4, 9]
    assert plain.particle_id.tolist() == [0] + [4503668346847232] * 3
    assert plain.particles["q"].tolist() == [-1, 0]
    assert plain.has_hit_truth.all()
    zipped = trackml_toy.write_folder(tmp_path / "zipped", zipped=True)
    archive = trackml_toy.write_archive(tmp_path / "train.zip")
    root = through_root([plain], tmp_path / "trackml.root").label
    one = [str(p) for p in sorted(zipped.iterdir())]
    for place in (zipped, archive, root, one, tmp_path / "plain" / "event000000007"):
        files = TrackMLFiles.open(place)
        assert files.numbers == [7]
        assert same(files.read(7), plain)
        first = place[0] if isinstance(place, list) else place
        assert is_trackml(first)
    assert is_trackml(tmp_path) and not is_trackml(tmp_path.parent)
    only_hits = TrackMLFiles.open(archive).read(7, parts=())
    assert only_hits.parts.keys() == {"hits"}


@pytest.mark.parametrize("missing", [(), ("truth",), ("cells",), ("cells", "particles", "truth")])
def test_parts_may_be_missing(tmp_path, trackml_toy, missing):
    folder = trackml_toy.write_folder(tmp_path / "in", **dict.fromkeys(missing))
    trackml_toy.write_folder(tmp_path / "in", number=9, **dict.fromkeys(missing))
    files = TrackMLFiles.open(folder)
    assert [files.has(part, 9) for part in PARTS] == [part not in missing for part in PARTS]
    again = through_root(files, tmp_path / "out.root")
    assert again.numbers == [7, 9]
    assert all(same(files.read(n), again.read(n)) for n in (7, 9))
    event = files.read(7)
    assert event.has_hit_truth.any() == ("truth" not in missing)
    assert cluster_shapes(event.hits["hit_id"], event.cells).n_cells.sum() == (
        0 if "cells" in missing else 6
    )


def test_truth_of_some_hits(tmp_path, trackml_toy):
    partial = "hit_id,particle_id,pt\n5,4503668346847232,1.5\n"
    folder = trackml_toy.write_folder(tmp_path / "in", truth=None, pixel_truth=partial)
    event = TrackMLFiles.open(folder).read(7)
    assert event.truth_name == "pixel-truth"
    assert event.has_hit_truth.tolist() == [False, True, False, False]
    assert same(through_root([event], tmp_path / "out.root").read(7), event)
    # The truth of all hits is the one to be read where both are there.
    trackml_toy.write_folder(folder, pixel_truth=partial)
    assert TrackMLFiles.open(folder).read(7).truth_name == "truth"


def test_extra_reordered_columns_windows_line_ends_byte_order_mark(tmp_path, trackml_toy):
    lines = [line.split(",") for line in trackml_toy.HITS.splitlines()]
    changed = [[*reversed(line), extra] for line, extra in zip(lines, "abcde", strict=True)]
    changed = [
        [*reversed(line), extra, "7"]
        for line, extra in zip(lines, ("quality", "0.1", "0.2", "", "4e-300"), strict=True)
    ]
    changed[0][-1] = "event_id"
    text = "\ufeff" + "\r\n".join(",".join(line) for line in changed) + "\r\n"
    usual = TrackMLFiles.open(trackml_toy.write_folder(tmp_path / "usual")).read(7)
    event = TrackMLFiles.open(trackml_toy.write_folder(tmp_path / "odd", hits=text)).read(7)
    for name, values in usual.hits.items():
        assert np.array_equal(event.hits[name], values)
    # event_id repeats the number in the file's name; the other column is kept.
    assert list(event.hits) == [*reversed(usual.hits), "quality"]
    np.testing.assert_array_equal(event.hits["quality"], [0.1, 0.2, np.nan, 4e-300])
    assert same(through_root([event], tmp_path / "out.root").read(7), event)


@pytest.mark.parametrize("target", ["folder", "gz", "archive.zip"])
def test_written_back_as_it_was(tmp_path, trackml_toy, target):
    files = TrackMLFiles.open(trackml_toy.write_folder(tmp_path / "in"))
    out = tmp_path / target
    if target != "archive.zip":
        out.mkdir()
    writer = TrackMLWriter(out, compressed=target == "gz", archive=target == "archive.zip")
    for event in files:
        writer.write(event)
    writer.close()
    assert same(TrackMLFiles.open(out).read(7), files.read(7))
    if target == "gz":
        text = gzip.decompress((out / "event000000007-particles.csv.gz").read_bytes()).decode()
        assert text == trackml_toy.PARTICLES.replace("90e-06", "9e-05")


def test_event_without_hits(tmp_path, trackml_toy):
    header = {name: text.splitlines()[0] + "\n" for name, text in trackml_toy.FILES.items()}
    files = TrackMLFiles.open(trackml_toy.write_folder(tmp_path / "in", **header))
    event = files.read(7)
    assert event.n_hits == 0 and len(event.particles["q"]) == 0
    assert cluster_shapes(event.hits["hit_id"], event.cells).charge.shape == (0,)
    again = through_root(files, tmp_path / "out.root").read(7)
    assert again.n_hits == 0 and again.parts.keys() == event.parts.keys()


def test_shapes_of_clusters():
    cells = {
        "hit_id": np.array([7, 5, 7, 7, 5, 99]),
        "ch0": np.array([10, 3, 12, 12, 4, 0]),
        "ch1": np.array([20, 9, 20, 21, 8, 0]),
        "value": np.array([0.5, 0.75, 0.25, 0.25, 0.25, 1.0]),
    }
    shapes = cluster_shapes(np.array([5, 6, 7]), cells)
    assert shapes.n_cells.tolist() == [2, 0, 3]
    assert shapes.charge.tolist() == [1.0, 0.0, 1.0]
    assert shapes.position0.tolist()[::2] == [3.25, 11.0] and np.isnan(shapes.position0[1])
    assert shapes.position1.tolist()[::2] == [8.75, 20.25]
    # Channel 11 did not fire, but is within the cluster.
    assert shapes.size0.tolist() == [2, 0, 3] and shapes.size1.tolist() == [2, 0, 2]
    # One cell to the right and one down, on square channels; charge-weighted moments.
    np.testing.assert_allclose(shapes.covariance[:, 0], [0.1875, -0.1875, 0.1875])
    direction = shapes.direction(0.05, np.full(3, 0.05))
    np.testing.assert_allclose(direction[0], [np.sqrt(0.5), -np.sqrt(0.5)])
    assert direction[1].tolist() == [0.0, 0.0]
    # Twice as long channels along v turn the cluster towards v.
    np.testing.assert_allclose(
        shapes.direction(0.05, 0.1)[0], [np.sqrt(0.2), -np.sqrt(0.8)], atol=1e-12
    )


def test_cells_without_charge_and_cells_listed_twice():
    cells = {
        "hit_id": np.array([1, 1, 2, 2]),
        "ch0": np.array([4, 6, 8, 8]),
        "ch1": np.array([1, 1, 2, 2]),
        "value": np.array([0.0, 0.0, 0.5, 0.25]),
    }
    shapes = cluster_shapes(np.array([1, 2]), cells)
    assert shapes.position0.tolist() == [5.0, 8.0]
    assert shapes.size0.tolist() == [3, 1]
    assert shapes.charge.tolist() == [0.0, 0.75] and shapes.n_cells.tolist() == [2, 2]


def test_rows_of_ids():
    assert rows_of_ids(np.array([4, 2, 9]), np.array([9, 3, 4, 10])).tolist() == [2, -1, 0, -1]
    assert rows_of_ids(np.zeros(0, np.int64), np.array([1])).tolist() == [-1]


def test_submission(tmp_path):
    tracks = {
        12: (np.array([1, 2, 5]), np.array([0, -1, 3])),
        3: (np.array([4]), np.array([7])),
    }
    path = tmp_path / "submission.csv"
    write_submission(path, tracks)
    assert path.read_text() == "event_id,hit_id,track_id\n3,4,8\n12,1,1\n12,2,0\n12,5,4\n"
    with pytest.raises(errors.OutputError, match="cannot write"):
        write_submission(tmp_path / "nowhere" / "s.csv", tracks)
    write_submission(tmp_path / "s.csv.gz", tracks, compressed=True)
    for name in ("submission.csv", "s.csv.gz"):
        found = read_submission(tmp_path / name)
        assert found.keys() == {3, 12}
        assert [column.tolist() for column in found[12]] == [[1, 2, 5], [1, 0, 4]]
    path.write_text("event_id,hit_id,track_id\n1,5,2\n2,5,2\n1,5,3\n")
    with pytest.raises(errors.EventContentError, match="hit_id 5 of event 1 is there twice"):
        read_submission(path)


def test_real_events_survive_bit_for_bit(tmp_path, trackml_data):
    files = TrackMLFiles.open(trackml_data)
    again = through_root(files, tmp_path / "out.root")
    (tmp_path / "csv").mkdir()
    writer = TrackMLWriter(tmp_path / "csv", compressed=False)
    for event in again:
        assert same(event, files.read(event.number))
        writer.write(event)
    back = TrackMLFiles.open(tmp_path / "csv")
    assert all(same(back.read(n), files.read(n)) for n in files.numbers)
    # Files of the challenge itself come back as the same text.
    for part in ("hits", "cells", "particles"):
        name = f"event000021000-{part}.csv"
        original = gzip.decompress((trackml_data / f"{name}.gz").read_bytes())
        assert (tmp_path / "csv" / name).read_bytes() == original
    shutil.rmtree(tmp_path / "csv")


def test_real_hits_are_at_the_middle_of_their_cells(trackml_data):
    """Channels count along the module's axes, from its corner."""
    from trkx.io.csv_table import read_csv

    event = TrackMLFiles.open(trackml_data).read(1)
    modules = read_csv(trackml_data / "detectors.csv.gz", {})

    def key(columns):
        return (columns["volume_id"] * 100 + columns["layer_id"]) * 10000 + columns["module_id"]

    row = rows_of_ids(key(modules), key(event.hits))
    shapes = cluster_shapes(event.hits["hit_id"], event.cells)
    offset = np.stack([event.hits[axis] - modules[f"c{axis}"][row] for axis in "xyz"])
    for axis, position, half, drift in (
        ("u", shapes.position0, "module_maxhu", {8: 0.362, 13: -0.377, 17: -0.235}),
        ("v", shapes.position1, "module_hv", {}),
    ):
        local = sum(offset[i] * modules[f"rot_{a}{axis}"][row] for i, a in enumerate("xyz"))
        middle = (local + modules[half][row]) / modules[f"pitch_{axis}"][row] - 0.5
        shift = np.array([drift.get(int(v), 0.0) for v in event.hits["volume_id"]])
        assert np.abs(middle - position - shift).max() < 0.03
