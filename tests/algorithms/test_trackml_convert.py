"""TrackML events converted to ROOT and back, and read by jobs as they are."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.event_inputs import open_inputs
from trkx.algorithms.simulation.modules import module_table
from trkx.algorithms.trackml_tables import barcodes_of
from trkx.io.csv_table import read_csv
from trkx.io.errors import EventRangeError, GeometryIdError, InputFileError, TrkxWarning
from trkx.io.event_files import EventFiles
from trkx.io.trackml_event import TrackMLEvent
from trkx.io.trackml_files import TrackMLFiles
from trkx.io.trackml_writer import TrackMLWriter

N_HITS = 80
PARTICLES = np.array([4503668346847232, 4503805785800704], dtype=np.uint64)


def make_event(number, seed=0):
    """Hits on random modules of the detector, with cells, and truth of two particles."""
    rng = np.random.default_rng(seed)
    modules = module_table()
    row = np.sort(rng.choice(len(modules.geometry_id), N_HITS, replace=False))
    row = rng.permutation(row)
    local = rng.uniform(-4, 4, (N_HITS, 2))
    position = np.round(modules.to_global(row, local), 6)
    geometry_id = modules.geometry_id[row]
    hit_id = rng.permutation(N_HITS) + 1
    particle_id = np.where(hit_id % 4 < 2, PARTICLES[hit_id % 2], np.uint64(0))
    cells = np.repeat(np.arange(N_HITS), 2)
    return TrackMLEvent(
        number,
        {
            "hit_id": hit_id,
            **{axis: position[:, i] for i, axis in enumerate("xyz")},
            "volume_id": (geometry_id >> np.uint64(56)).astype(np.int64),
            "layer_id": ((geometry_id >> np.uint64(36)) & np.uint64(0xFFF)).astype(np.int64),
            "module_id": ((geometry_id >> np.uint64(8)) & np.uint64(0xFFFFF)).astype(np.int64),
        },
        {
            "hit_id": hit_id[cells],
            "ch0": 100 + np.arange(2 * N_HITS) % 2,
            "ch1": np.full(2 * N_HITS, 5),
            "value": rng.uniform(0.1, 1, 2 * N_HITS),
        },
        {
            "particle_id": PARTICLES,
            "particle_type": np.array([-211, 13]),
            **{name: rng.normal(size=2) for name in ("vx", "vy", "vz", "px", "py", "pz")},
            "q": np.array([-1.0, -1.0]),
            "nhits": np.array([20, 20]),
        },
        {
            "hit_id": hit_id,
            "particle_id": particle_id,
            **{f"t{axis}": position[:, i] + 0.01 for i, axis in enumerate("xyz")},
            **{f"tp{axis}": rng.normal(size=N_HITS) for axis in "xyz"},
            "weight": np.where(particle_id > 0, 0.025, 0.0),
        },
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("trackml") / "train.zip"
    writer = TrackMLWriter(path, archive=True)
    for number in (5, 6, 9):
        writer.write(make_event(number, number))
    writer.close()
    return path


@pytest.fixture(scope="module")
def converted(archive):
    out = archive.parent / "converted"
    assert main(["convert", str(archive), str(out)]) == 0
    return out


def assert_same(a, b):
    for part, columns in a.parts.items():
        assert list(columns) == list(b.parts[part])
        for name, values in columns.items():
            assert values.tobytes() == b.parts[part][name].tobytes()


def test_there_and_back(archive, converted, tmp_path, capsys):
    files = TrackMLFiles.open(archive)
    for out, options in ((tmp_path / "back.zip", ()), (tmp_path / "back", ("--gzip",))):
        assert main(["convert", str(converted), str(out), *options]) == 0
        back = TrackMLFiles.open(out)
        assert back.numbers == files.numbers == [5, 6, 9]
        for number in files.numbers:
            assert_same(files.read(number), back.read(number))
    assert len(list((tmp_path / "back").glob("*.csv.gz"))) == 12
    capsys.readouterr()
    assert main(["convert", str(converted), str(tmp_path / "back")]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["convert", str(archive), str(tmp_path / "one"), "--events", "6"]) == 0
    assert EventFiles.open(tmp_path / "one").numbers == [6]
    assert main(["convert", str(archive), str(tmp_path / "no"), "--events", "7:9"]) == 2
    assert "events 7:9 asked for" in capsys.readouterr().err
    assert main(["convert", str(archive), str(tmp_path / "x.zip"), "--to", "root"]) == 2


def test_converted_events(archive, converted):
    stored, files = EventFiles.open(converted), TrackMLFiles.open(archive)
    assert stored.numbers == [5, 6, 9] and stored.has_truth
    event, source = stored.read(6), files.read(6)
    measurements = event.measurements
    hits = source.rows_of_hits(measurements["hit_id"])
    assert sorted(hits.tolist()) == list(range(N_HITS))
    # Made on modules of ACTS' own numbers, and found again by position.
    ids = [source.hits[name][hits] for name in ("volume_id", "layer_id", "module_id")]
    for name, wanted in zip(("volume_id", "layer_id", "surface_id"), ids, strict=True):
        assert np.array_equal(measurements[name], wanted)
    assert np.all(np.diff(measurements["geometry_id"].astype(np.int64)) >= 0)
    for axis in "xyz":
        np.testing.assert_allclose(event.space_points[axis], source.hits[axis][hits], rtol=1e-6)
    assert set(measurements["clus_size_loc0"]) == {2} and set(measurements["clus_size"]) == {2}
    # The particle of each measurement, by its barcode and by its hash.
    counts = np.diff(event.measurement_particle_offsets)
    assert np.array_equal(counts > 0, source.particle_id[hits] > 0)
    owners = event.particles["particle_hash"][event.measurement_particle_rows]
    assert np.array_equal(owners, source.particle_id[hits][counts > 0])
    assert np.isnan(measurements["true_x"]).tolist() == (counts == 0).tolist()
    assert np.allclose(event.particles["m"], [0.13957, 0.105658])


def test_jobs_read_what_is_converted(archive, converted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrkxWarning)
        direct = open_inputs(archive, (5, 7))
    stored = EventFiles.open(converted)
    assert direct.numbers == [5, 6] and direct.available == (5, 7)
    for number in (5, 6):
        a, b = direct.read(number), stored.read(number)
        for kind in ("space_points", "measurements", "particles"):
            there = getattr(b, kind)
            for name, values in getattr(a, kind).items():
                assert np.array_equal(values, there[name], equal_nan=True), name
        assert np.array_equal(a.measurement_particle_rows, b.measurement_particle_rows)


def test_numbers_with_gaps_are_counted(archive):
    with pytest.warns(TrkxWarning, match="event numbers 5, 6, 9 of .* leave gaps"):
        files = open_inputs([archive])
    assert files.numbers == [0, 1, 2] and files.stored == [5, 6, 9]
    assert np.array_equal(
        files.read(2).measurements["hit_id"],
        open_inputs(archive, (9, None)).read(9).measurements["hit_id"],
    )
    with pytest.raises(EventRangeError, match="events 3:4 asked for"):
        files.read(3)
    with pytest.raises(EventRangeError, match="events 10:12 asked for"):
        open_inputs(archive, (10, 12))


def test_formats_are_not_mixed(archive, converted):
    with pytest.raises(InputFileError, match="one format at a time"):
        open_inputs([archive, converted])


def test_run_writes_a_submission(archive, tmp_path, capsys):
    submission, labels = tmp_path / "tracks.csv.gz", tmp_path / "labels"
    command = ["run", "--input", str(archive), "--events", "5:7", "--fitter", "none"]
    command += ["--finder", "classical", "--no-report", "--out", str(tmp_path / "out")]
    command += ["--submission", str(submission)]
    assert main([*command, "--labels", str(labels)]) == 0
    rows = read_csv(submission, {})
    assert rows["event_id"].tolist() == [5] * N_HITS + [6] * N_HITS
    assert sorted(rows["hit_id"][:N_HITS]) == list(range(1, N_HITS + 1))
    capsys.readouterr()
    for tracks in (submission, labels):
        assert main(["score", str(tracks), "--truth", str(archive)]) == 0
        assert "mean score of 2 events: 0.0" in capsys.readouterr().out
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err


def test_hits_off_the_detector(archive):
    event = make_event(1)
    folder = archive.parent
    for name, value in (("volume_id", 99), ("layer_id", 3), ("module_id", 99999)):
        hits = dict(event.hits)
        rows = np.flatnonzero(event.hits["volume_id"] == 13)
        hits[name] = hits[name].copy()
        hits[name][rows[0]] = value
        target = folder / name
        target.mkdir()
        writer = TrackMLWriter(target)
        writer.write(TrackMLEvent(1, hits))
        message = f"1 of {N_HITS} hits of event 1 are on no module .*{name} {value}"
        with pytest.raises(GeometryIdError, match=message):
            open_inputs(target).read(1)
    with pytest.raises(InputFileError, match=r"no truth of event 1 .*add event000000001-truth"):
        open_inputs(target).read(1, truth=True)


def test_truth_of_some_hits_is_said(tmp_path):
    event = make_event(1)
    truth = {name: values[:30] for name, values in event.truth.items()}
    partial = TrackMLEvent(1, event.hits, event.cells, event.particles, truth, "pixel-truth")
    TrackMLWriter(tmp_path).write(partial)
    with pytest.warns(TrkxWarning, match=f"truth covers 30 of {N_HITS} hits of event 1"):
        found = open_inputs(tmp_path).read(1)
    assert np.count_nonzero(np.diff(found.measurement_particle_offsets)) < 30


def test_barcodes():
    found = barcodes_of(np.array([0x123_4567_089_ABC_DEF], dtype=np.uint64))
    assert [int(column[0]) for column in found.values()] == [0x123, 0xDEF, 0x4567, 0x089, 0xABC]


def test_simulated_events_become_trackml(tiny_sample, tmp_path, capsys):
    out = tmp_path / "sample.zip"
    assert main(["convert", str(tiny_sample), str(out), "--events", "1:3"]) == 0
    files, stored = TrackMLFiles.open(out), EventFiles.open(tiny_sample)
    assert files.numbers == [1, 2]
    event, source = files.read(2), stored.read(2)
    assert event.n_hits == source.n_measurements and event.cells is None
    assert event.truth["weight"].sum() == pytest.approx(1.0)
    again = open_inputs(out).read(2)
    # The same modules and particles; measurements are in the order of the modules already.
    for name in ("geometry_id", "rec_gx", "true_x"):
        expected = source.measurements[name]
        assert np.array_equal(again.measurements[name], expected, equal_nan=True), name
    counts = np.diff(source.measurement_particle_offsets)
    assert np.array_equal(np.diff(again.measurement_particle_offsets), np.minimum(counts, 1))
    for name in ("vertex_primary", "particle", "px", "q"):
        assert np.array_equal(again.particles[name], source.particles[name])
    capsys.readouterr()
    assert main(["convert", str(tiny_sample), str(tmp_path / "x")]) == 0
    assert main(["convert", str(tiny_sample), str(tmp_path / "y"), "--to", "root"]) == 2
    assert "holds ROOT files already" in capsys.readouterr().err
