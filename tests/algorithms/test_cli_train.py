"""`trkx train`: a small model from scratch, gone on with after a stop, scored and used."""

import json
import shutil

import pytest

from trkx.algorithms.cli.main import main

SMALL = ("--target", "pt1", "--events", "2", "--map-events", "3", "--epochs", "2", "--width", "4")
OPTIONS = (*SMALL, "--steps", "1", "--threads", "1", "--quiet")


def train(stage, sample, folder, *arguments):
    """Exit code of `trkx train`."""
    options = ["--input", str(sample), "--out", str(folder), *map(str, arguments)]
    return main(["train", stage, *options])


@pytest.fixture(scope="module")
def stopped(tiny_sample, tmp_path_factory):
    """A folder whose training was interrupted after the last step, before the model was
    written."""
    from trkx.plugin import network_training

    folder = tmp_path_factory.mktemp("models") / "stopped"
    real = network_training.train_network

    def stop(*arguments, **options):
        real(*arguments, **options)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_training, "train_network", stop)
        assert train("all", tiny_sample, folder, *OPTIONS) == 130
    return folder


@pytest.fixture(scope="module")
def model(stopped, tiny_sample, tmp_path_factory):
    """A finished model, by the same command again."""
    folder = tmp_path_factory.mktemp("models") / "finished"
    shutil.copytree(stopped, folder)
    assert train("all", tiny_sample, folder, *OPTIONS) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """The one line with which `trkx train` refuses."""

    def call(*arguments):
        capsys.readouterr()
        try:
            code = main(["train", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        err = capsys.readouterr().err
        assert code == 2
        assert err.startswith("trkx train: error: ")
        assert len(err.splitlines()) == 1, err
        return err

    return call


def test_a_stopped_training_is_no_model_yet(stopped):
    assert sorted(path.name for path in stopped.iterdir()) == [
        "card.json",
        "checkpoints",
        "map.npz",
    ]
    assert "network" not in json.loads((stopped / "card.json").read_text())


def test_the_same_command_goes_on(stopped, tiny_sample, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(stopped, folder)
    before = (folder / "map.npz").read_bytes()
    capsys.readouterr()
    assert train("all", tiny_sample, folder, *OPTIONS) == 0
    out = capsys.readouterr().out
    assert "goes on with the layer map" in out
    assert "goes on from" in out
    assert (folder / "map.npz").read_bytes() == before


def test_other_settings_do_not_go_on(stopped, tiny_sample, refused):
    message = refused("all", "--input", tiny_sample, "--out", stopped, *OPTIONS, "--epochs", "3")
    assert "training_config was {'epochs': 2}, now {'epochs': 3}" in message
    assert "--force" in message
    message = refused(
        "all", "--input", tiny_sample, "--out", stopped, *OPTIONS, "--map-events", "2"
    )
    assert "map_events was 3, now 2" in message


def test_a_checkpoint_that_cannot_be_read(stopped, tiny_sample, tmp_path, refused):
    folder = tmp_path / "model"
    shutil.copytree(stopped, folder)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"nothing")
    message = refused("all", "--input", tiny_sample, "--out", folder, *OPTIONS)
    assert "last.ckpt" in message
    assert "Remove" in message


def test_the_card_says_where_the_model_comes_from(model):
    card = json.loads((model / "card.json").read_text())
    assert card["target"] == "pt1"
    assert card["training_events"] == 2
    assert card["map_events"] == 3
    assert card["training_config"]["epochs"] == 2
    assert card["training_input"][0]["settings"]["pileup"] == 5
    assert set(card["sha256"]) == {"map.npz", "network.safetensors"}
    assert not (model / "checkpoints").exists()


def test_a_finished_model_is_kept(model, tiny_sample, refused):
    before = (model / "card.json").read_bytes()
    for stage in ("all", "gnn", "graph"):
        message = refused(stage, "--input", tiny_sample, "--out", model, *OPTIONS)
        assert "finished" in message
        assert "--force" in message
    assert (model / "card.json").read_bytes() == before


def test_force_trains_the_network_anew(model, tiny_sample, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    options = [*OPTIONS, "--epochs", "1", "--force"]
    assert train("gnn", tiny_sample, folder, *options) == 0
    card = json.loads((folder / "card.json").read_text())
    assert card["training_config"]["epochs"] == 1
    assert card["map_events"] == 3


def test_scores_and_tracks(model, tiny_sample, tmp_path):
    """The map of three small events is good enough that the scores cannot be nonsense."""
    assert train("score", tiny_sample, model) == 0
    scores = json.loads((model / "card.json").read_text())["scores"]
    assert scores["events"] == 3
    assert scores["classical"]["targets"] > 100
    assert scores["classical"]["efficiency"] > 0.8
    out = tmp_path / "out"
    arguments = ["run", "--input", str(tiny_sample), "--finder", "classical", "--fitter", "none"]
    assert main([*arguments, "--weights", str(model), "--out", str(out), "--no-report"]) == 0
    figures = json.loads((out / "performance.json").read_text())
    found = figures["finders"]["classical"]["targets"]["pt1"]["efficiency"]
    assert found == pytest.approx(scores["classical"]["efficiency"], abs=0.01)


def test_weights_for_another_target(model, tiny_sample, tmp_path, capsys):
    arguments = ["run", "--input", str(tiny_sample), "--target", "pt05"]
    assert main([*arguments, "--weights", str(model), "--out", str(tmp_path / "out")]) == 2
    assert "Pass --target pt1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stage", ["graph", "score"])
def test_no_truth(stage, model, tiny_sample, tmp_path, refused):
    sample = tmp_path / "sample"
    sample.mkdir()
    for name in ("spacepoints.root", "measurements.root"):
        shutil.copy(tiny_sample / name, sample)
    folder = model if stage == "score" else tmp_path / "model"
    message = refused(stage, "--input", sample, "--out", folder)
    assert "need truth" in message
    assert str(sample) in message
    assert "particles.root" in message
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("stage", ["gnn", "score"])
@pytest.mark.parametrize("more", [(), ("--target", "pt1")])
def test_no_model_to_go_on_with(stage, more, tiny_sample, tmp_path, refused):
    message = refused(stage, "--input", tiny_sample, "--out", tmp_path / "model", *more)
    assert "no card.json" in message
    assert not (tmp_path / "model").exists()


def test_a_map_for_another_target(model, tiny_sample, refused):
    message = refused("gnn", "--input", tiny_sample, "--out", model, "--force", "--target", "pt05")
    assert "learned for target 'pt1', not 'pt05'" in message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--events", "0", "--events is 0; give at least 1"),
        ("--map-events", "-2", "--map-events is -2"),
        ("--epochs", "0", "--epochs is 0"),
        ("--width", "0", "--width is 0"),
        ("--steps", "0", "--steps is 0"),
        ("--threads", "0", "--threads is 0"),
        ("--pileup", "nan", "--pileup is nan"),
        ("--input", "/nowhere/at/all", "no such file or folder: /nowhere/at/all"),
    ],
)
def test_values_out_of_range(option, value, message, tiny_sample, tmp_path, refused):
    arguments = ["--input", tiny_sample, "--out", tmp_path / "model", "--target", "pt1"]
    assert message in refused("graph", *arguments, option, value)
    assert not (tmp_path / "model").exists()


def test_a_device_that_is_not_there(tiny_sample, tmp_path, refused, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ["--input", tiny_sample, "--out", tmp_path / "model"]
    assert "device 'cuda' is not there" in refused("all", *arguments, "--device", "cuda")


def test_output_that_is_a_file(tiny_sample, tmp_path, refused):
    (tmp_path / "file").write_text("")
    arguments = ["--input", tiny_sample, "--target", "pt1"]
    assert "in, a file" in refused("graph", *arguments, "--out", tmp_path / "file")


def test_output_that_may_not_be_written(tiny_sample, tmp_path, refused, monkeypatch):
    from trkx.algorithms import training_folder

    monkeypatch.setattr(training_folder.os, "access", lambda path, mode: False)
    arguments = ["--input", tiny_sample, "--target", "pt1"]
    assert "Permission denied" in refused("graph", *arguments, "--out", tmp_path / "model")


def test_events_reserved_for_tests_are_refused(tmp_path, capsys):
    sample = tmp_path / "sample"
    arguments = ["simulate", "--events", "1", "--pileup", "0", "--noise", "0"]
    assert main([*arguments, "--seed", "900001", "--out", str(sample)]) == 0
    code = main(["train", "graph", "--input", str(sample), "--out", str(tmp_path / "model")])
    assert code == 2
    assert "seeds from 900000 on are for tests only" in capsys.readouterr().err
