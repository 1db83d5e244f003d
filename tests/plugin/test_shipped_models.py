"""The models that come with trkx load, match their checksums, and find tracks."""

import json

import numpy as np
import pytest

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.io.event_files import EventFiles
from trkx.plugin import load_pipeline
from trkx.plugin.errors import DetectorMismatchError, StageError
from trkx.plugin.load import BUILDERS
from trkx.plugin.weights import SHIPPED, Model, shipped_models


@pytest.mark.parametrize("name", ["generic_pt1", "generic_pt05"])
def test_card_says_what_the_model_is(name):
    assert name in shipped_models()
    card = Model.open(SHIPPED / name).card
    for key in ("versions", "training_input", "training_config", "map_config", "scores", "sha256"):
        assert card[key], key
    assert card["training_input"][0]["seed"] < 500000
    assert 500000 <= card["scores"]["input"][0]["seed"] < 900000
    assert "/" not in json.dumps(card["training_config"])
    size = sum(f.stat().st_size for f in (SHIPPED / name).iterdir())
    assert size < 2_000_000


@pytest.mark.parametrize("builder", BUILDERS)
def test_gnn_finds_the_tracks_of_small_events(tiny_sample, builder):
    pipeline, counts = load_pipeline("gnn", "pt1", threads=1, builder=builder), TrackCounts()
    for event in labelled_events(EventFiles.open(tiny_sample)):
        counts.add(event, pipeline(event.space_points), pt_min=1.0)
    assert counts.targets > 50
    assert counts.summary()["efficiency"] > 0.95
    assert counts.summary()["fakes"] < 0.05


@pytest.mark.parametrize("finder", ["gnn", "classical"])
def test_softer_tracks_have_their_own_model(tiny_sample, finder):
    pipeline, counts = load_pipeline(finder, "pt05", threads=1), TrackCounts()
    for event in labelled_events(EventFiles.open(tiny_sample)):
        counts.add(event, pipeline(event.space_points), pt_min=0.5)
    assert counts.summary()["efficiency"] > 0.95


def test_another_detector_is_refused(tiny_sample):
    event = next(iter(labelled_events(EventFiles.open(tiny_sample))))
    points = event.space_points
    object.__setattr__(points, "geometry_id", points.geometry_id + np.uint64(1 << 56))
    with pytest.raises(DetectorMismatchError, match="another detector"):
        load_pipeline("classical")(points)


def test_unknown_builder():
    with pytest.raises(StageError, match="no track builder 'magic'"):
        load_pipeline("gnn", builder="magic")
