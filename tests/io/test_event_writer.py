"""Writing events: order, atomicity, refusals, empty events."""

import os
import subprocess

import numpy as np
import pytest
import uproot

from trkx.io.errors import OutputError, OutputExistsError
from trkx.io.event_writer import EventColumns, EventWriter
from trkx.io.provenance import make_provenance, read_provenance
from trkx.io.schema import TREES, units_of


def event(rows, particles, start=0):
    """Columns with `rows` measurements and hits; each measurement has row % 3 particles."""
    tables = {}
    for name, schema in TREES.items():
        n = 1 if name == "particles" else rows
        counts = None
        if name == "particles":
            counts = np.array([particles])
        elif schema.jagged:
            counts = np.arange(rows) % 3
        flat = {b.name: np.arange(start, start + n) for b in schema.branches[1:]}
        total = 0 if counts is None else int(counts.sum())
        jagged = {b.name: np.arange(start, start + total) for b in schema.jagged_branches}
        tables[name] = EventColumns(flat, jagged, counts)
    return tables


def test_round_trip_in_order_whatever_the_order(tmp_path):
    with EventWriter(tmp_path / "out", {"seed": 3}, first=5) as writer:
        writer.write(6, event(4, 2, start=100))
        assert writer.n_written == 5
        writer.write(5, event(7, 3))
        writer.write(7, event(0, 0))
        assert writer.n_written == 8
    points = uproot.open(tmp_path / "out" / "spacepoints.root")["spacepoints"].arrays()
    assert points.event_id.to_list() == [5] * 7 + [6] * 4
    assert points.x.to_list() == [*range(7), 100, 101, 102, 103]
    measurements = uproot.open(tmp_path / "out" / "measurements.root")["measurements"].arrays()
    assert measurements.n_measurement_particles.to_list() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 0]
    assert measurements.particles_generation.to_list()[1:3] == [[0], [1, 2]]
    particles = uproot.open(tmp_path / "out" / "particles.root")["particles"].arrays()
    assert particles.event_id.to_list() == [5, 6, 7]
    assert particles.px.to_list() == [[0.0, 1.0, 2.0], [100.0, 101.0], []]
    for schema in TREES.values():
        record = read_provenance(tmp_path / "out" / schema.file_name)
        assert record["seed"] == 3
        assert record["units"].items() <= units_of(schema.tree).items()


def test_types_are_those_of_acts(tmp_path):
    with EventWriter(tmp_path, {}) as writer:
        writer.write(0, event(2, 2))
    tree = uproot.open(tmp_path / "spacepoints.root")["spacepoints"]
    assert tree["geometry_id"].typename == "uint64_t"
    assert tree["x"].typename == "float"
    tree = uproot.open(tmp_path / "particles.root")["particles"]
    assert tree["vertex_primary"].typename == "uint32_t[]"
    assert tree["particle_type"].typename == "int32_t[]"


def test_nothing_under_the_final_name_until_the_end(tmp_path):
    writer = EventWriter(tmp_path, {})
    writer.write(0, event(3, 1))
    assert not list(tmp_path.glob("*.root"))
    paths = writer.close()
    assert sorted(p.name for p in paths) == sorted(s.file_name for s in TREES.values())
    assert sorted(os.listdir(tmp_path)) == sorted(p.name for p in paths)


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="broken"), EventWriter(tmp_path, {}) as writer:
        writer.write(0, event(3, 1))
        raise RuntimeError("broken")
    assert not os.listdir(tmp_path)


def test_leftovers_of_killed_jobs_are_removed(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".hits.root.{ended.pid}.part").write_text("half a file")
    (tmp_path / f".hits.root.{os.getppid()}.part").write_text("of a running job")
    with EventWriter(tmp_path, {}) as writer:
        writer.write(0, event(1, 1))
    assert [p.name for p in tmp_path.glob(".*")] == [f".hits.root.{os.getppid()}.part"]


def test_a_gap_is_an_error(tmp_path):
    writer = EventWriter(tmp_path, {})
    writer.write(1, event(1, 1))
    with pytest.raises(OutputError, match="event 0 was never handed in"):
        writer.close()
    assert not os.listdir(tmp_path)


def test_results_are_not_overwritten_without_force(tmp_path):
    with EventWriter(tmp_path, {"seed": 1}) as writer:
        writer.write(0, event(1, 1))
    with pytest.raises(OutputExistsError, match="--force"):
        EventWriter(tmp_path, {"seed": 2})
    assert read_provenance(tmp_path / "hits.root")["seed"] == 1
    with EventWriter(tmp_path, {"seed": 2}, force=True) as writer:
        writer.write(0, event(1, 1))
    assert read_provenance(tmp_path / "hits.root")["seed"] == 2


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the output folder"):
        EventWriter(tmp_path / "file", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_is_not_writable(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="not writable"):
        EventWriter(tmp_path, {})


def test_provenance_is_reproducible():
    one = make_provenance("trkx simulate", {"pileup": 3.0}, seed=4, events=2)
    assert one == make_provenance("trkx simulate", {"pileup": 3.0}, seed=4, events=2)
    assert one["events"] == 2
    assert "numpy" in one["versions"]


def test_files_of_others_have_no_provenance(tmp_path):
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("t", {"x": np.dtype("f4")})
    assert read_provenance(tmp_path / "other.root") is None
