"""The study of removed edges, and the shipped hierarchical pipeline, on tiny events."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_input import open_training_events
from trkx.plugin.particle_sample import ParticleSample

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

EXAMPLE = Path(__file__).parents[2] / "examples" / "edge_removal.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_edge_removal", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_hierarchical_survives_removed_edges_and_flat_does_not(example, tiny_sample, tmp_path):
    found = example.runEdgeRemoval(
        [tiny_sample], removed=(0.0, 0.5), sample=ParticleSample(fraction=1.0)
    )
    efficiency = {name: [f["efficiency"] for f in f.values()] for name, f in found.items()}
    assert min(efficiency["hierarchical"]) > 0.85
    assert efficiency["flat"][0] > 0.8
    assert efficiency["flat"][1] < 0.7
    assert efficiency["true edges"][1] < 0.8
    lines = example.table(found).splitlines()
    assert len(lines) == 1 + 2 * len(found)
    example.draw(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_study_as_a_script_writes_its_figures(example, tiny_sample, tmp_path, monkeypatch, capsys):
    figures = {"efficiency": 0.9, "fakes": 0.01, "targets": 10}
    monkeypatch.setattr(
        example, "runEdgeRemoval", lambda *_, **__: {"hierarchical": {0.0: figures, 0.5: figures}}
    )
    example.main([str(tiny_sample), "--out", str(tmp_path)])
    assert "90.00" in capsys.readouterr().out
    written = json.loads((tmp_path / "edge_removal.json").read_text())
    assert written["found"]["hierarchical"]["0.5"] == figures


def test_shipped_pipeline_finds_the_tracks_of_whole_events(tiny_sample):
    from trkx.plugin.pipeline_file import PipelineFile

    pipeline, counts = PipelineFile.read("hierarchical").build(), TrackCounts()
    for event in labelled_events(open_training_events([str(tiny_sample)])):
        candidates = pipeline(event.space_points)
        assert len(np.unique(candidates.hits)) == len(candidates.hits)
        counts.add(event, candidates, 1.0)
    figures = counts.summary()
    assert figures["efficiency"] > 0.9
    assert figures["fakes"] < 0.1
