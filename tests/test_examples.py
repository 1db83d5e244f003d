"""The examples, small: as a user would run them, and from Python."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    """Import an example by its path."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_tells_its_question_and_its_command(path):
    text = path.read_text()
    assert text.split('"""')[1].splitlines()[0].endswith("?")
    assert f"python examples/{path.name}" in text
    assert "\ndef run" in text


def test_sequencer_job(tiny_sample, tmp_path):
    s, performance = load("sequencer_job").runSequencerJob(tiny_sample, tmp_path)
    s.run()
    figures = performance.finders["gnn"]
    assert figures.n_events == 3
    assert figures.targets["pt1"].efficiency["all"].rate.value > 0.9
    assert (tmp_path / "tracksummary_gnn_kf.root").exists()


def test_sequencer_job_as_a_script(tiny_sample, tmp_path):
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "sequencer_job.py"), str(tiny_sample), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1].startswith("gnn efficiency 0.9")


def test_ckf_versus_gnn(tiny_sample):
    s, collector, timer = load("ckf_versus_gnn").runCkfVersusGnn(tiny_sample, events=2)
    s.run()
    assert set(collector.finders) == {"gnn", "ckf"}
    for finder in ("gnn", "ckf"):
        assert collector.finders[finder].targets["pt1"].efficiency["all"].rate.value > 0.9
        assert timer.result()[finder].seconds > 0


def production(out, *samples, more=()):
    """Arguments for the production example."""
    return [
        *map(str, samples),
        "--out",
        str(out),
        "--finder",
        "ckf-fast",
        "--fitter",
        "none",
        *more,
    ]


def test_a_production_that_is_fine_and_is_resumed(tiny_sample, tmp_path, capsys):
    module = load("production_test")
    arguments = production(tmp_path, tiny_sample, tiny_sample, more=["--chunk", "2"])
    assert module.main([*arguments, "--min-efficiency", "0.9"]) == 0
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ["part0_0_2", "part0_2_3", "part1_0_2", "part1_2_3"]
    assert "ok  efficiency" in capsys.readouterr().out
    # One range is lost; only that one is made again.
    kept = tmp_path / "part0_0_2" / "job.json"
    stamp = kept.stat().st_mtime_ns
    (tmp_path / "part1_0_2" / "job.json").unlink()
    assert module.main([*arguments, "--min-efficiency", "0.9"]) == 0
    assert kept.stat().st_mtime_ns == stamp
    assert json.loads((tmp_path / "part1_0_2" / "job.json").read_text())["events"]["n"] == 2


def test_a_production_outside_its_limits(tiny_sample, tmp_path, capsys):
    module = load("production_test")
    arguments = production(tmp_path, tiny_sample, more=["--min-efficiency", "1.01"])
    assert module.main(arguments) == 1
    assert "BAD efficiency" in capsys.readouterr().out


def test_a_production_with_a_broken_file(tiny_sample, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tiny_sample.glob("*.root"):
        (broken / path.name).write_bytes(path.read_bytes())
    data = bytearray((broken / "measurements.root").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    (broken / "measurements.root").write_bytes(data)
    module = load("production_test")
    assert module.main(production(tmp_path / "out", broken)) == 2
    assert "incomplete: part0_0_3" in capsys.readouterr().err
