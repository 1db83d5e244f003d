"""Whole jobs on three tiny events: what they find, what they write, and how they refuse."""

import functools
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import uproot

from trkx.algorithms.cli.main import main
from trkx.algorithms.job import run_sequencer, runJob, runReconstruction
from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.performance import load_performance
from trkx.io.errors import (
    ConfigError,
    EventRangeError,
    InputError,
    InputFileError,
    OutputExistsError,
    TrkxError,
)
from trkx.io.event_files import EventFiles
from trkx.plugin.errors import DeviceError


@pytest.fixture(scope="module")
def comparison(tiny_sample, tmp_path_factory):
    """Results of a comparison of truth and ckf-fast with both fits."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    arguments = ["compare", "--input", str(tiny_sample), "--finders", "truth,ckf-fast"]
    assert main([*arguments, "--fitters", "kf,gx2f", "--out", str(out)]) == 0
    return out


def test_a_comparison_writes_what_it_says(comparison):
    names = sorted(path.name for path in comparison.iterdir())
    assert names == [
        "event_display.npz",
        "job.json",
        "performance.json",
        "performance_ckf_fast.root",
        "performance_truth.root",
        "report.html",
        "timing.csv",
        "tracksummary_ckf_fast_ckf.root",
        "tracksummary_ckf_fast_gx2f.root",
        "tracksummary_ckf_fast_kf.root",
        "tracksummary_truth_gx2f.root",
        "tracksummary_truth_kf.root",
    ]
    assert json.loads((comparison / "job.json").read_text())["files"] == names


def test_the_chain_finds_and_fits_nearly_everything(comparison):
    finders = load_performance(comparison / "performance.json")["finders"]
    truth, ckf = (finders[name] for name in ("truth", "ckf-fast"))
    assert truth["targets"]["pt1"]["n_particles"] > 100
    assert truth["targets"]["pt1"]["efficiency"] > 0.99
    assert ckf["targets"]["pt1"]["efficiency"] > 0.95
    assert ckf["targets"]["pt1"]["fake_rate"] < 0.02
    assert set(ckf["fits"]) == {"ckf", "kf", "gx2f"}
    assert all(fit["fit_fraction"] > 0.9 for f in (truth, ckf) for fit in f["fits"].values())


def test_info_counts_the_tracks_of_each_event(comparison, capsys):
    path = next(comparison.glob("tracksummary_*_kf.root"))
    with uproot.open(path) as file:
        counts = [len(event) for event in file["tracksummary"]["nMeasurements"].array()]
    assert min(counts) > 20
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"min {min(counts)}, mean {np.mean(counts):.1f}, max {max(counts)}" in out
    columns = [line.split() for line in out.splitlines()]
    assert ["err_eQOP_fit", "float[]", "e/GeV"] in columns
    assert ["pull_eLOC0_fit", "float[]"] in columns
    assert ["t_vx", "float[]", "mm"] in columns
    assert ["nMeasurements", "uint32_t[]"] in columns


def test_every_finder_is_timed(comparison):
    finders = load_performance(comparison / "performance.json")["finders"]
    for name in ("truth", "ckf-fast"):
        seconds = finders[name]["seconds_per_event"]
        assert seconds["clock"] == "cpu"
        assert 0 < seconds["total"] < 10
    assert finders["ckf-fast"]["seconds_per_event"]["fitting"] == 0
    assert finders["truth"]["seconds_per_event"]["fitting"] > 0


def test_track_files_and_figures_agree(comparison):
    finders = load_performance(comparison / "performance.json")["finders"]
    with uproot.open(comparison / "tracksummary_ckf_fast_ckf.root") as file:
        tree = file["tracksummary"]
        assert tree["event_nr"].array().tolist() == [0, 1, 2]
        classes = np.concatenate([np.asarray(e) for e in tree["trackClassification"].array()])
    assert len(classes) == finders["ckf-fast"]["n_tracks"]
    assert (classes == 1).sum() > 100


def test_the_histograms_hold_what_the_figures_sum_up(comparison):
    target = load_performance(comparison / "performance.json")["finders"]["truth"]["targets"]["pt1"]
    with uproot.open(comparison / "performance_truth.root") as file:
        total = file["pt1/trackeff_vs_eta_total"].values()
        passed = file["pt1/trackeff_vs_eta_passed"].values()
        assert total.sum() == target["n_particles"]
        assert passed.sum() == target["n_found"]
        assert file["kf/res_d0"].values().sum() > 0


def test_job_json_says_where_the_results_come_from(comparison, tiny_sample):
    record = json.loads((comparison / "job.json").read_text())
    assert record["command"] == "compare"
    assert record["settings"]["finders"] == ["truth", "ckf-fast"]
    assert record["events"] == {"first": 0, "stop": 3, "n": 3}
    assert record["versions"]["pyacts"]
    assert {file["provenance"]["seed"] for file in record["input"]} == {600001}
    assert record["peak_memory_bytes"] > 50e6


def test_labels_are_one_integer_per_measurement(tiny_sample, tmp_path):
    labels = tmp_path / "labels"
    config = JobConfig(
        input=(tiny_sample,),
        out=tmp_path / "out",
        finders="ckf-fast",
        fitters="none",
        events="1:3",
        threads=2,
        labels=labels,
        report=False,
    )
    result = runJob(config)
    assert result.events == (1, 3)
    assert len(list(labels.iterdir())) == 2
    files = EventFiles.open(tiny_sample)
    for number in (1, 2):
        found = np.load(labels / f"event{number:09d}-labels.npy")
        assert found.shape == (files.read(number).n_measurements,)
        assert found.min() == -1
        assert found.max() > 20
    files.close()
    times = load_performance(tmp_path / "out" / "performance.json")["finders"]["ckf-fast"]
    assert times["seconds_per_event"]["clock"] == "wall"
    assert (tmp_path / "out" / "tracksummary_ckf_fast_ckf.root").exists()


def test_track_states_on_request(tiny_sample, tmp_path):
    config = JobConfig(
        input=(tiny_sample,),
        out=tmp_path,
        finders="truth",
        events="0",
        track_states=True,
        report=False,
    )
    runJob(config)
    with uproot.open(tmp_path / "trackstates_truth_kf.root") as file:
        assert file["trackstates"].num_entries > 20


def settings(tiny_sample, tmp_path, **more):
    return JobConfig(
        **{"input": (tiny_sample,), "out": tmp_path / "out", "finders": "ckf-fast", **more}
    )


@pytest.mark.parametrize("events", ["2:4", "7", "3:"])
def test_events_outside_the_input(tiny_sample, tmp_path, events):
    with pytest.raises(EventRangeError, match="0:3"):
        runJob(settings(tiny_sample, tmp_path, events=events))
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there(tiny_sample, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="'cuda' is not there.*--device cpu"):
        runJob(settings(tiny_sample, tmp_path, device="cuda"))


def test_the_truth_finder_needs_truth(tiny_sample, tmp_path):
    for name in ("spacepoints.root", "measurements.root"):
        (tmp_path / "sample").mkdir(exist_ok=True)
        (tmp_path / "sample" / name).symlink_to(tiny_sample / name)
    with pytest.raises(InputError, match="'truth' needs a particles tree"):
        runJob(settings(tmp_path / "sample", tmp_path, finders="truth"))


def test_input_without_truth_gives_tracks_and_times(tiny_sample, tmp_path):
    for name in ("spacepoints.root", "measurements.root"):
        (tmp_path / "sample").mkdir(exist_ok=True)
        (tmp_path / "sample" / name).symlink_to(tiny_sample / name)
    result = runJob(settings(tmp_path / "sample", tmp_path, events="0"))
    assert result.collector is None
    figures = load_performance(tmp_path / "out" / "performance.json")["finders"]["ckf-fast"]
    assert figures["targets"]["pt1"]["efficiency"] is None
    assert figures["seconds_per_event"]["finding"] > 0
    with uproot.open(tmp_path / "out" / "tracksummary_ckf_fast_ckf.root") as file:
        assert len(file["tracksummary"]["nMeasurements"].array()[0]) > 20


def test_labels_of_several_finders_are_refused(tiny_sample, tmp_path):
    config = settings(tiny_sample, tmp_path, finders="truth,ckf-fast", labels=tmp_path / "labels")
    with pytest.raises(ConfigError, match="labels: only with one finder"):
        runJob(config)
    assert list(tmp_path.iterdir()) == []


def test_a_sequencer_to_go_on_with(tiny_sample, tmp_path):
    built = runReconstruction(settings(tiny_sample, tmp_path, events="0"), tmp_path)
    seen = []
    built.progress.append(lambda: seen.append(1))
    built.sequencer.run()
    assert seen == [1]
    assert built.collector.finders["ckf-fast"].n_tracks > 20


def test_no_such_input(tmp_path):
    with pytest.raises(InputFileError, match="nowhere"):
        runJob(settings(tmp_path / "nowhere", tmp_path))


def test_results_that_are_there_are_kept(comparison, tiny_sample):
    before = (comparison / "performance.json").read_bytes()
    with pytest.raises(OutputExistsError, match="--force"):
        runJob(settings(tiny_sample, comparison, out=comparison))
    assert (comparison / "performance.json").read_bytes() == before


def test_what_acts_stops_at_comes_with_advice():
    class Sequencer:
        def __init__(self, error):
            self.error = error

        def run(self):
            raise self.error

    with pytest.raises(TrkxError, match="Failed to process.*--verbose"):
        run_sequencer(Sequencer(RuntimeError("Failed to process event data")))
    with pytest.raises(DeviceError, match="lost"):
        run_sequencer(Sequencer(DeviceError("lost")))


def test_an_interrupted_job_leaves_nothing(tiny_sample, tmp_path):
    command = [sys.executable, "-m", "trkx.algorithms.cli.main", "compare", "--verbose"]
    command += ["--finders", "ckf-best,ckf-balanced,ckf-fast", "--fitters", "kf,gx2f"]
    command += ["--input", str(tiny_sample), "--out", str(tmp_path / "out")]
    # Shells let what they start in the background ignore interrupts, and children inherit that.
    handled = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=handled
    )
    for line in process.stdout:
        if "Starting event loop" in line:
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith("trkx compare: interrupted\n")
    assert list(tmp_path.iterdir()) == []
