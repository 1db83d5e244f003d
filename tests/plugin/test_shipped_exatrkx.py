"""The pipeline exatrkx that comes with trkx: its cards, and tracks in small events."""

import json

import pytest

pytest.importorskip("torch")

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.io.event_files import EventFiles
from trkx.plugin.pipeline_file import SHIPPED_PIPELINES, PipelineFile
from trkx.plugin.stage_weights import StageWeights

FOLDER = SHIPPED_PIPELINES / "exatrkx"


@pytest.mark.parametrize("stage", ["embedding", "filter", "interaction_gnn"])
def test_card_says_how_it_was_trained_and_how_good_it_is(stage):
    weights = StageWeights.open(FOLDER / stage)
    card = weights.card
    assert all(source["seed"] < 500000 for source in card["training_input"])
    assert all(500000 <= s["seed"] < 900000 for s in card["scores"]["input"])
    assert card["training"]["finished"]
    assert "/" not in json.dumps(card["training"]["configuration"])
    # Nothing that FEATURES do not tell.
    assert set(card["features"]) <= {"r", "z", "eta", "cos_phi", "sin_phi"}
    assert weights.path.stat().st_size < 1_000_000


def test_finds_most_tracks_of_small_events(tiny_sample):
    pipeline, counts = PipelineFile.read("exatrkx").build(), TrackCounts()
    for event in labelled_events(EventFiles.open(tiny_sample)):
        counts.add(event, pipeline(event.space_points), pt_min=1.0)
    assert counts.targets > 50
    assert counts.summary()["efficiency"] > 0.85
    assert counts.summary()["fakes"] < 0.05
