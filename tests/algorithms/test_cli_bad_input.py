"""Bad input at the command line: one line that says what, where and what to do; exit code 2."""

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

    def make(change):
        folder = tmp_path / "broken"
        folder.mkdir()
        for path in tiny_sample.glob("*.root"):
            (folder / path.name).write_bytes(path.read_bytes())
        change(folder / "spacepoints.root")
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


def test_truncated(refused, broken_sample):
    def cut(path):
        path.write_bytes(path.read_bytes()[:100_000])

    assert "spacepoints.root" in refused(input=broken_sample(cut))


def test_a_missing_branch(refused, broken_sample):
    def rename(columns):
        columns["sp_x"] = columns.pop("x")

    message = refused(input=broken_sample(lambda path: rewrite(path, rename)))
    assert "'x'" in message
    assert "spacepoints" in message


def test_nan_coordinates(refused, broken_sample):
    def spoil(columns):
        columns["z"][7] = np.nan

    message = refused(input=broken_sample(lambda path: rewrite(path, spoil)))
    assert "'z'" in message
    assert "event 0" in message


def test_unknown_geometry(refused, broken_sample):
    def move(columns):
        columns["geometry_id"][3] = 12345

    assert "geometry" in refused(input=broken_sample(lambda path: rewrite(path, move)))


def test_events_outside(refused):
    assert "0:3" in refused("--events", "2:9")


def test_a_range_that_is_none(refused):
    assert "A:B" in refused("--events", "5:2")


def test_an_unknown_finder_names_the_nearest(refused):
    assert "did you mean 'classical'?" in refused("--finder", "clasical")


def test_an_unknown_config_key(refused, tmp_path):
    (tmp_path / "job.toml").write_text('fiter = "kf"\n')
    assert "did you mean 'fitter'?" in refused("--config", tmp_path / "job.toml")


def test_weights_that_are_not_there(refused, tmp_path):
    message = refused("--finder", "classical", "--weights", tmp_path / "none")
    assert "none" in message


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


@pytest.mark.parametrize("finder", ["ckf-fast", "gnn", "classical", "gnn+ckf"])
def test_an_event_without_hits_is_no_error(finder, broken_sample, tmp_path, capsys):
    """Event 1 loses all its space points and measurements, and the job goes on."""
    folder = broken_sample(lambda path: None)
    for name, number in (("spacepoints", "event_id"), ("measurements", "event_nr")):
        path = folder / f"{name}.root"
        with uproot.open(path) as file:
            arrays = file[name].arrays()
        kept = arrays[arrays[number] != 1]
        with uproot.recreate(path) as file:
            file[name] = {field: kept[field] for field in kept.fields}
    out = tmp_path / "out"
    arguments = ["run", "--finder", finder, "--fitter", "kf", "--input", str(folder)]
    assert main([*arguments, "--out", str(out), "--no-report"]) == 0, capsys.readouterr().err
    with uproot.open(out / f"tracksummary_{finder_key(finder)}_kf.root") as file:
        counts = [len(event) for event in file["tracksummary"]["nMeasurements"].array()]
    assert counts[1] == 0
    assert counts[0] > 20
    assert counts[2] > 20
