"""Training: going on after a kill, several processes, scores, logs and refusals."""

import csv
import importlib.util
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trkx.plugin.errors import DeviceError, StageError
from trkx.plugin.training.checkpoints import Progress
from trkx.plugin.training.fit import fit
from trkx.plugin.training.settings import FitSettings

SCRIPT = Path(__file__).parent / "training_toy.py"
_spec = importlib.util.spec_from_file_location("trkx_training_toy", SCRIPT)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)
SETTINGS = FitSettings(log_steps=1, **toy.STEPS)


def run(folder, settings=SETTINGS, training=None, **options):
    training = training or toy.toy_training(settings)
    return fit(training, toy.toy_examples(), settings, folder, progress=False, **options)


def log(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def assert_same(found, expected, **tolerance):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **tolerance)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, run(folder).state_dict()


def test_it_learns_and_says_so(undisturbed):
    folder, _ = undisturbed
    progress = Progress.read(folder)
    assert progress.finished
    assert progress.epochs == 8
    rows = log(folder)
    assert [int(row["step"]) for row in rows] == list(range(1, progress.total_steps + 1))
    losses = [float(row["loss"]) for row in rows]
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_a_killed_training_ends_with_the_same_weights(undisturbed, tmp_path):
    """SIGKILL at any moment, at work or while it writes: nothing is lost but a few steps."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), "1", "0.01"]
    process = subprocess.Popen(command)
    while not (tmp_path / "fit.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    step = Progress.read(tmp_path).step
    assert 0 < step < Progress.read(undisturbed[0]).total_steps
    assert not list(tmp_path.glob("weights.pt"))
    assert_same(run(tmp_path).state_dict(), undisturbed[1], rtol=0, atol=0)
    assert [row["loss"] for row in log(tmp_path)] == [row["loss"] for row in log(undisturbed[0])]


@pytest.mark.parametrize("at", [1, 4, 6, 11])
def test_an_error_at_any_step_loses_nothing(at, undisturbed, tmp_path):
    class Failing(toy.SlowTraining):
        def training_step(self, batch, batch_idx):
            if self.step == at:
                raise RuntimeError("the power failed")
            return super().training_step(batch, batch_idx)

    training = toy.toy_training(SETTINGS)
    training.__class__ = Failing
    with pytest.raises(RuntimeError, match="the power failed"):
        run(tmp_path, training=training)
    assert Progress.read(tmp_path).step == max(at // 4 * 4, at // 3 * 3)
    assert_same(run(tmp_path).state_dict(), undisturbed[1], rtol=0, atol=0)


def test_two_processes_do_what_one_does_with_double_batches(tmp_path):
    """The same batches in each step, on two processes or joined: the same losses and weights."""
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, training=toy.toy_training(SETTINGS, dropout=0.0))
    subprocess.run([sys.executable, str(SCRIPT), str(two), "2", "0"], check=True, timeout=120)
    losses = [[float(row["loss"]) for row in log(folder)] for folder in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 24
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-4, atol=1e-5)
    states = [torch.load(f / "last.ckpt", weights_only=True)["module"] for f in (one, two)]
    assert_same(states[1], states[0], rtol=1e-3, atol=1e-5)


def test_scores_choose_the_weights_and_stop(tmp_path):
    """Efficiency falls after the second epoch: its weights are those that come back."""
    seen = []

    def score(network):
        assert not network.training
        seen.append(network.layers[0].weight.clone())
        return {"efficiency": [0.5, 0.9, 0.8, 0.7][len(seen) - 1], "fakes": 0.1}

    settings = replace(SETTINGS, patience=2)
    training = run(tmp_path, settings, score=score)
    progress = Progress.read(tmp_path)
    assert len(seen) == 4
    assert (progress.best_epoch, progress.best_score) == (2, 0.9)
    assert progress.finished
    assert progress.stopped_early
    assert progress.scores[0] == {"epoch": 1, "efficiency": 0.5, "fakes": 0.1}
    torch.testing.assert_close(training.network.layers[0].weight, seen[1])
    assert "efficiency" in log(tmp_path)[-1]
    again = run(tmp_path, settings, score=score)  # finished: nothing more to do
    assert len(seen) == 4
    torch.testing.assert_close(again.network.layers[0].weight, seen[1])


def test_scores_change_nothing_but_the_choice(undisturbed, tmp_path):
    def score(network):
        torch.rand(3)
        network.requires_grad_(False)
        return {"efficiency": float(len(list(tmp_path.glob("*"))))}

    run(tmp_path, score=score)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["module"]
    assert_same(state, undisturbed[1], rtol=0, atol=0)


def test_out_of_time_it_stops_and_goes_on(undisturbed, tmp_path):
    settings = replace(SETTINGS, max_minutes=1e-9)
    steps = []
    for _ in range(3):
        run(tmp_path, settings)
        steps.append(Progress.read(tmp_path).step)
    assert steps == [1, 2, 3]
    assert not Progress.read(tmp_path).finished
    assert_same(run(tmp_path).state_dict(), undisturbed[1], rtol=0, atol=0)


def test_other_settings_do_not_go_on(tmp_path):
    run(tmp_path, replace(SETTINGS, max_minutes=1e-9))
    with pytest.raises(StageError, match=r"last.ckpt.*learning_rate = 0.01, not 0.1"):
        run(tmp_path, replace(SETTINGS, learning_rate=0.1))
    (tmp_path / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(StageError, match=r"cannot go on from .*last.ckpt.*Remove it"):
        run(tmp_path)


def test_a_loss_that_is_no_number(tmp_path):
    training = toy.toy_training(SETTINGS)
    training.network.layers[0].weight.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="loss became nan at step 0"):
        run(tmp_path, training=training)


def test_tensorboard_and_other_schedules(tmp_path):
    run(tmp_path, replace(SETTINGS, epochs=1, logger="tensorboard", schedule="cosine"))
    assert list((tmp_path / "tensorboard").glob("events.*"))
    settings = replace(SETTINGS, epochs=1, logger="none", schedule="constant", clip=0.0)
    run(tmp_path / "none", settings)
    assert not list((tmp_path / "none").glob("*.csv"))
    assert json.loads((tmp_path / "none" / "fit.json").read_text())["finished"]


def test_mixed_precision(tmp_path):
    training = run(tmp_path, replace(SETTINGS, epochs=1, precision="bf16-mixed"))
    assert next(training.parameters()).dtype == torch.float32


def test_a_device_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device"):
        run(tmp_path, replace(SETTINGS, device="cuda"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0; give at least 1"),
        ({"precision": "64"}, "precision is '64'; choose one of 32, bf16-mixed"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"patience": -1}, "patience is -1"),
        ({"precision": "16-mixed"}, "16-mixed' needs device = 'cuda'"),
        ({"processes": 2, "batches_per_step": 3}, "multiple of the 2 processes"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(ValueError, match=message):
        FitSettings(**values)
