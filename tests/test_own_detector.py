"""A detector that is not the GenericDetector, from its geometry to fitted tracks."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.module_frames import framesOf
from trkx.io.errors import GeometryIdError
from trkx.plugin.space_points import SpacePoints

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_detector.py"

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ("lightning", "pyhepmc", "pythia8mc")),
    reason="needs the extras 'train' and 'sim'",
)


@pytest.fixture(scope="module")
def barrel(tmp_path_factory):
    """Folder with the files of the example's detector."""
    spec = importlib.util.spec_from_file_location("own_detector", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    folder = tmp_path_factory.mktemp("own") / "barrel"
    example.runOwnDetector(folder)
    return folder


def simulate(barrel, out, *options):
    command = ["simulate", "--process", "gun", "--gun", "13", "--pt", "0.8:10", "--eta=-0.7:0.7"]
    command += ["--events", "8", "--multiplicity", "40", "--noise", "0.1", "--seed", "7"]
    return main([*command, "--threads", "1", "--out", str(out), *options])


@pytest.fixture(scope="module")
def sample(barrel):
    """Muons in the barrel."""
    out = barrel.parent / "sample"
    files = ["--geometry", str(barrel / "geometry.json")]
    files += ["--digitization", str(barrel / "digitization.json")]
    assert simulate(barrel, out, *files) == 0
    return out


def test_from_the_geometry_to_fitted_tracks(barrel, sample, tmp_path):
    geometry = ["--geometry", str(barrel / "geometry.json")]
    train = ["train", "--input", str(sample), "--target", "pt1", "--events", "6", "--quiet"]
    train += ["--map-events", "6", "--epochs", "2", "--width", "8", "--steps", "1"]
    assert main([*train, *geometry, "--out", str(tmp_path / "model")]) == 0
    run = ["run", "--input", str(sample), "--events", "6:8", "--fitter", "kf", *geometry]
    run += ["--finder", "gnn", "--weights", str(tmp_path / "model")]
    assert main([*run, "--out", str(tmp_path / "tracks")]) == 0
    found = json.loads((tmp_path / "tracks" / "performance.json").read_text())["finders"]["gnn"]
    assert found["targets"]["pt1"]["n_particles"] > 50
    assert found["targets"]["pt1"]["efficiency"] > 0.9
    assert found["fits"]["kf"]["fit_fraction"] > 0.9


def test_a_geometry_needs_its_digitization(barrel, tmp_path, capsys):
    assert simulate(barrel, tmp_path, "--geometry", str(barrel / "geometry.json")) == 2
    assert "a detector of your own needs a file of each" in capsys.readouterr().err


def test_files_that_are_none_are_named(barrel, tmp_path, capsys):
    geometry, digitization = str(barrel / "geometry.json"), str(barrel / "digitization.json")
    swapped = ["--geometry", digitization, "--digitization", geometry]
    assert simulate(barrel, tmp_path / "a", *swapped) == 2
    assert "holds no tracking geometry" in capsys.readouterr().err
    wrong = ["--geometry", geometry, "--digitization", geometry]
    assert simulate(barrel, tmp_path / "b", *wrong) == 2
    assert "give a file with the key 'entries'" in capsys.readouterr().err


def test_frames_are_those_of_the_detector_of_the_events(barrel):
    class Event:
        def __init__(self, geometry_id):
            position = np.ones(1, np.float32)
            ids = np.array([geometry_id], np.uint64)
            self.space_points = SpacePoints(position, position, position, ids)

    elsewhere = Event(99 << 56 | 1 << 8)
    assert framesOf([elsewhere]) is None
    with pytest.raises(GeometryIdError, match=r"1 of 1 modules.*geometry\.json"):
        framesOf([elsewhere], barrel / "geometry.json")
    assert len(framesOf([Event(2 << 56 | 1 << 8)], barrel / "geometry.json").geometry_id) == 5424
