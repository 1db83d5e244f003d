"""The pipeline `large_radius` on heavy neutral leptons; how it is trained and measured."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.matching import match_tracks
from trkx.algorithms.simulation import simulate
from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings
from trkx.io.event_files import EventFiles
from trkx.plugin import load_pipeline
from trkx.plugin.pipeline_file import SHIPPED_PIPELINES
from trkx.plugin.weights import Model

pytest.importorskip("pythia8mc")

ROOT = Path(__file__).parents[2]
GUN = GunSettings(pt_min=5, pt_max=50, eta_min=-3, eta_max=3, multiplicity=60)
SETTINGS = SimulationSettings(process="hnl", pileup=0, seed=600201, gun=GUN)


def load(path):
    """Import a script by its path."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hnl")
    simulate(SETTINGS, folder, 1)
    return folder


def found(pipeline, event):
    """Which of the displaced targets have a track, and how many tracks match nothing."""
    candidates = pipeline(event.space_points)
    matching = match_tracks(
        candidates.offsets, candidates.hits, event.offsets, event.particle, len(event.pt)
    )
    displaced = event.targets(1.0) & (np.hypot(*event.vertex[:, :2].T) > 10)
    fakes = (np.diff(candidates.offsets) >= 7) & (matching.particle < 0)
    return matching.found(len(event.pt))[displaced], int(fakes.sum())


def test_it_finds_what_fast_does_not(sample):
    (event,) = labelled_events(EventFiles.open([str(sample)]))
    alone, _ = found(load_pipeline("fast"), event)
    together, fakes = found(load_pipeline("large_radius"), event)
    assert len(alone) > 50
    assert together.mean() > 0.93
    assert together.mean() > alone.mean() + 0.05
    assert fakes <= 3


def test_the_shipped_model_is_small_and_learned_from_training_seeds():
    model = Model.open(SHIPPED_PIPELINES / "large_radius")
    assert sum(path.stat().st_size for path in model.folder.iterdir()) < 1_000_000
    inputs = model.card["map_input"] + model.card["training_input"]
    assert {made["settings"]["process"] for made in inputs} == {"hnl", "v0"}
    assert max(made["seed"] for made in inputs) < 500_000
    assert len(model.layer_map().free) == len(model.layer_map().pair_inner)


def test_impact_parameters():
    bench = load(ROOT / "bench" / "large_radius.py")
    # Produced 40 mm out on the x axis with 0.6 GeV: along y, along x, neutral, from the beam line.
    particles = {
        "px": np.array([0.0, 0.6, 0.0, 0.6]),
        "py": np.array([0.6, 0.0, 0.6, 0.0]),
        "vx": np.array([40.0, 40.0, 40.0, 0.0]),
        "vy": np.zeros(4),
        "q": np.array([1.0, -1.0, 0.0, 1.0]),
    }
    bend = 0.6 / (0.299792458e-3 * 2.0)
    expected = [40.0, np.hypot(40.0, bend) - bend, 40.0, 0.0]
    np.testing.assert_allclose(bench.impact_parameters(particles), expected, atol=1e-6)
    # A positive particle curls clockwise: produced at -x along y, its circle lies around the axis.
    inside = {**particles, "vx": np.array([-40.0, 0.0, 0.0, 0.0])}
    assert bench.impact_parameters(inside)[0] == pytest.approx(40.0)
    histogram = bench.histogram(np.array([5.0, 15.0]), np.array([False, True]), (0.0, 10.0, 20.0))
    assert histogram == {"edges": [0.0, 10.0, 20.0], "particles": [1, 1], "found": [0, 1]}


def test_the_training_from_events_to_tracks(tmp_path, sample, monkeypatch, capsys):
    example = load(ROOT / "examples" / "large_radius_training.py")
    hard = replace(example.HARD, gun=replace(example.HARD.gun, eta_min=-2, eta_max=2))
    monkeypatch.setattr(example, "FOR_MAP", {"map": (hard, 301, 2, 400)})
    monkeypatch.setattr(example, "FOR_NETWORK", {"network": (hard, 302, 1, 150)})
    example.runTraining(tmp_path / "work", tmp_path / "model", pileup=0.0, epochs=2)
    assert "network of" in capsys.readouterr().out
    text = (SHIPPED_PIPELINES / "large_radius.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace('"large_radius"', '"mine"', 1).replace("large_radius", "model"))
    (event,) = labelled_events(EventFiles.open([str(sample)]))
    together, _ = found(load_pipeline(pipeline=mine), event)
    assert together.mean() > 0.6
