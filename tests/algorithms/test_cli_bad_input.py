"""Bad input at the command line: one line that says what, where and what to do; exit code 2."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import uproot

from trkx.algorithms.cli.main import main
from trkx.algorithms.job_config import finder_key


@pytest.fixture
def refused(capsys, tiny_sample, tmp_path):
    """Run `trkx run` with changes; return the one line of its error."""

    def run(*arguments, input=None, out=None):
        capsys.readouterr()
        options = ["--input", str(input or tiny_sample), "--out", str(out or tmp_path / "out")]
        code = main(["run", "--finder", "ckf-fast", *options, *map(str, arguments)])
        captured = capsys.readouterr()
        assert code == 2
        assert "Traceback" not in captured.err
        assert captured.err.startswith("trkx run: error: ")
        assert len(captured.err.splitlines()) == 1, captured.err
        assert not list(tmp_path.glob("out/*")), "a refused job leaves files"
        return captured.err

    return run


@pytest.fixture
def broken_sample(tiny_sample, tmp_path):
    """A copy of the sample in which one file has been tampered with."""

    def make(change, file="spacepoints"):
        folder = tmp_path / "broken"
        folder.mkdir()
        for path in tiny_sample.glob("*.root"):
            (folder / path.name).write_bytes(path.read_bytes())
        change(folder / f"{file}.root")
        return folder

    return make


def rewrite(path, change):
    """Write the space points again after `change(columns)`."""
    with uproot.open(path) as file:
        columns = file["spacepoints"].arrays(library="np")
    change(columns)
    with uproot.recreate(path) as file:
        file.mktree("spacepoints", {name: values.dtype for name, values in columns.items()})
        file["spacepoints"].extend(columns)


def test_no_such_folder(refused, tmp_path):
    assert "nowhere" in refused(input=tmp_path / "nowhere")


def test_not_root(refused, broken_sample):
    message = refused(input=broken_sample(lambda path: path.write_text("hello")))
    assert "spacepoints.root" in message


@pytest.mark.parametrize("file", ["spacepoints", "measurements", "particles"])
def test_truncated(file, refused, broken_sample):
    def cut(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    message = refused(input=broken_sample(cut, file))
    assert f"{file}.root is truncated" in message
    assert "copy or write it again" in message


def test_an_empty_file(refused, broken_sample):
    message = refused(input=broken_sample(lambda path: path.write_bytes(b"")))
    assert "spacepoints.root is empty (0 bytes)" in message


def test_a_folder_without_events(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "expected spacepoints.root" in refused(input=tmp_path / "empty")


def test_a_damaged_file(refused, broken_sample):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[200:-200] = bytes(len(content) - 400)
        path.write_bytes(content)

    message = refused(input=broken_sample(damage))
    assert "spacepoints.root" in message
    assert "again" in message


def test_a_file_that_may_not_be_read(refused, broken_sample, monkeypatch):
    from trkx.io import root_table

    folder = broken_sample(lambda path: None)
    real = root_table.Path.open

    def deny(path, *arguments, **options):
        if path.name == "spacepoints.root":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(root_table.Path, "open", deny)
    message = refused(input=folder)
    assert "spacepoints.root: Permission denied. Check its permissions" in message


def test_a_missing_branch(refused, broken_sample):
    def rename(columns):
        columns["sp_x"] = columns.pop("x")

    message = refused(input=broken_sample(lambda path: rewrite(path, rename)))
    assert "'x'" in message
    assert "spacepoints" in message
    assert "sp_x" in message


def test_a_branch_of_the_wrong_type(refused, broken_sample):
    def retype(columns):
        columns["geometry_id"] = columns["geometry_id"].astype(np.float64)

    message = refused(input=broken_sample(lambda path: rewrite(path, retype)))
    assert "'geometry_id'" in message
    assert "holds double, expected uint64" in message


def test_duplicate_hits(refused, broken_sample):
    def repeat(columns):
        columns["measurement_id"][6] = columns["measurement_id"][5]

    message = refused(input=broken_sample(lambda path: rewrite(path, repeat)))
    assert "duplicate hits" in message
    assert "rows 5 and 6" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite(value, refused, broken_sample):
    def spoil(columns):
        columns["z"][7] = value

    message = refused(input=broken_sample(lambda path: rewrite(path, spoil)))
    assert "'z'" in message
    assert "event 0" in message
    assert "row 7" in message


def test_unknown_geometry(refused, broken_sample):
    def move(columns):
        columns["geometry_id"][3] = 12345

    assert "geometry" in refused(input=broken_sample(lambda path: rewrite(path, move)))


def test_space_points_alone(refused, tiny_sample):
    message = refused(input=tiny_sample / "spacepoints.root")
    assert "no measurements tree" in message
    assert "name the whole folder" in message


def test_events_outside(refused):
    assert "0:3" in refused("--events", "2:9")


@pytest.mark.parametrize("text", ["5:2", "-1:2", "two"])
def test_a_range_that_is_none(text, refused):
    assert "A:B" in refused("--events", text)


@pytest.mark.parametrize("text", ["1", "0,0,0", "-1,x", "40,0"])
def test_a_beam_spot_that_is_none(text, refused):
    assert "Write X,Y in mm" in refused("--beam-spot", text)


@pytest.mark.parametrize("finder", ["gnn", "classical", "gnn+ckf"])
def test_a_device_that_is_not_there(finder, refused, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused("--finder", finder, "--device", "cuda")
    assert "device 'cuda' is not there" in message
    assert "--device cpu" in message


def test_an_unknown_finder_names_the_nearest(refused):
    assert "did you mean 'classical'?" in refused("--finder", "clasical")


def test_an_unknown_config_key(refused, tmp_path):
    (tmp_path / "job.toml").write_text('fiter = "kf"\n')
    assert "did you mean 'fitter'?" in refused("--config", tmp_path / "job.toml")


def test_weights_that_are_not_there(refused, tmp_path):
    message = refused("--finder", "classical", "--weights", tmp_path / "none")
    assert "none" in message


@pytest.fixture
def own_weights(tmp_path):
    """A copy of the shipped weights."""
    from trkx.plugin.weights import SHIPPED

    return shutil.copytree(SHIPPED / "generic_pt1", tmp_path / "weights")


@pytest.mark.parametrize("name", ["network.safetensors", "map.npz"])
def test_corrupt_weights(name, refused, own_weights):
    content = bytearray((own_weights / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_weights / name).write_bytes(content)
    message = refused("--finder", "gnn", "--weights", own_weights)
    assert f"'{name}' is corrupt" in message
    (own_weights / name).unlink()
    assert f"'{name}' is missing" in refused("--finder", "gnn", "--weights", own_weights)


def test_weights_of_another_detector(refused, own_weights):
    from trkx.plugin.weights import sha256

    with np.load(own_weights / "map.npz") as file:
        arrays = dict(file)
    arrays["layers.volume"] = arrays["layers.volume"] + 40
    np.savez(own_weights / "map.npz", **arrays)
    card = json.loads((own_weights / "card.json").read_text())
    card["sha256"]["map.npz"] = sha256(own_weights / "map.npz")
    (own_weights / "card.json").write_text(json.dumps(card))
    message = refused("--finder", "gnn", "--weights", own_weights)
    assert "modules that the map does not know" in message
    assert "trkx train" in message


def test_output_that_is_there(capsys, tiny_sample, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "performance.json").write_text("{}")
    arguments = ["run", "--finder", "ckf-fast", "--input", str(tiny_sample)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "out" / "performance.json").read_text() == "{}"


def test_output_that_is_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(out=tmp_path / "file")


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("run", ["--finder", "classical"]),
        ("compare", ["--finders", "classical"]),
        ("simulate", ["--events", "1"]),
        ("train", ["graph"]),
    ],
)
def test_a_folder_that_may_not_be_written(command, more, tiny_sample, tmp_path):
    """In a process of its own, which root runs without the right to write everywhere."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    argv = [sys.executable, "-m", "trkx.algorithms.cli.main", command, *more]
    if command != "simulate":
        argv += ["--input", str(tiny_sample)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv is not there to change that")
        rights = "-dac_override,-dac_read_search"
        argv = ["setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}", *argv]
    done = subprocess.run([*argv, "--out", str(folder)], capture_output=True, text=True)
    if done.stderr.startswith("setpriv:"):
        pytest.skip(done.stderr)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(folder) in done.stderr
    assert not list(folder.iterdir())


def kept_rows(folder, keep):
    """Write space points and measurements again, those of event 1 as `keep(rows)` says."""
    for name, number in (("spacepoints", "event_id"), ("measurements", "event_nr")):
        path = folder / f"{name}.root"
        with uproot.open(path) as file:
            arrays = file[name].arrays()
        chosen = np.asarray(arrays[number]) != 1
        chosen[keep(np.flatnonzero(~chosen))] = True
        kept = arrays[chosen]
        with uproot.recreate(path) as file:
            file[name] = {field: kept[field] for field in kept.fields}


@pytest.mark.parametrize("finder", ["ckf-fast", "gnn", "classical", "gnn+ckf"])
def test_an_event_with_one_hit_is_no_error(finder, broken_sample, tmp_path, capsys):
    folder = broken_sample(lambda path: None)
    kept_rows(folder, lambda rows: rows[:1])
    out = tmp_path / "out"
    arguments = ["run", "--finder", finder, "--fitter", "kf", "--input", str(folder)]
    assert main([*arguments, "--out", str(out), "--no-report"]) == 0, capsys.readouterr().err
    with uproot.open(out / f"tracksummary_{finder_key(finder)}_kf.root") as file:
        counts = [len(event) for event in file["tracksummary"]["nMeasurements"].array()]
    assert counts[1] == 0
    assert counts[2] > 20


@pytest.mark.parametrize("finder", ["gnn", "classical", "gnn+ckf"])
def test_an_event_of_noise_alone_is_no_error(finder, tiny_sample, tmp_path, capsys):
    """Only measurements without a particle are left, in all events."""
    folder = tmp_path / "noise"
    folder.mkdir()
    with uproot.open(tiny_sample / "measurements.root") as file:
        arrays = file["measurements"].arrays()
    noise = np.asarray([len(p) == 0 for p in arrays["particles_particle"]])
    with uproot.open(tiny_sample / "spacepoints.root") as file:
        points = file["spacepoints"].arrays()[noise]
    arrays = arrays[noise]
    number = np.asarray(arrays["event_nr"])
    index = np.concatenate([np.arange(n) for n in np.unique(number, return_counts=True)[1]])
    columns = {name: np.asarray(points[name]) for name in points.fields}
    columns["measurement_id"] = index.astype(columns["measurement_id"].dtype)
    with uproot.recreate(folder / "spacepoints.root") as file:
        file["spacepoints"] = columns
    flat = {n: arrays[n] for n in arrays.fields if not n.startswith(("particles_", "nparticles"))}
    flat["measurement_id"] = index.astype(np.uint32)
    with uproot.recreate(folder / "measurements.root") as file:
        file["measurements"] = flat
    out = tmp_path / "out"
    arguments = ["run", "--finder", finder, "--fitter", "kf", "--input", str(folder)]
    assert main([*arguments, "--out", str(out), "--no-report"]) == 0, capsys.readouterr().err
    with uproot.open(out / f"tracksummary_{finder_key(finder)}_kf.root") as file:
        counts = [len(event) for event in file["tracksummary"]["nMeasurements"].array()]
    assert len(counts) == 3
    assert sum(counts) < 10


def test_the_beam_spot_reaches_the_finder(tiny_sample, tmp_path):
    """With the beam line put 8 mm away from where it is, every sixth track is lost."""
    found = {}
    for place in ("0,0", "-8,0"):
        out = tmp_path / place
        arguments = ["run", "--finder", "classical", "--fitter", "none", "--no-report"]
        places = ["--input", str(tiny_sample), "--out", str(out), "--beam-spot", place]
        assert main([*arguments, *places]) == 0
        document = json.loads((out / "performance.json").read_text())
        found[place] = document["finders"]["classical"]["targets"]["pt1"]["efficiency"]
        assert document["settings"]["beam_spot"] == [float(x) for x in place.split(",")]
    assert found["0,0"] > 0.98
    assert found["-8,0"] < 0.95


@pytest.mark.parametrize("finder", ["ckf-fast", "gnn", "classical", "gnn+ckf"])
def test_an_event_without_hits_is_no_error(finder, broken_sample, tmp_path, capsys):
    """Event 1 loses all its space points and measurements, and the job goes on."""
    folder = broken_sample(lambda path: None)
    kept_rows(folder, lambda rows: rows[:0])
    out = tmp_path / "out"
    arguments = ["run", "--finder", finder, "--fitter", "kf", "--input", str(folder)]
    assert main([*arguments, "--out", str(out), "--no-report"]) == 0, capsys.readouterr().err
    with uproot.open(out / f"tracksummary_{finder_key(finder)}_kf.root") as file:
        counts = [len(event) for event in file["tracksummary"]["nMeasurements"].array()]
    assert counts[1] == 0
    assert counts[0] > 20
    assert counts[2] > 20
