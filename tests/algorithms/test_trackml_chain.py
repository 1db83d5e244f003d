"""The whole chain on a real event of the TrackML challenge, with the shipped pipelines."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.field_estimate import field_scale
from trkx.algorithms.magnetic_field import namedField
from trkx.algorithms.trackml_chain import find_tracks, fit_tracks
from trkx.algorithms.trackml_evaluation import count_tracks
from trkx.algorithms.trackml_input import TrackMLInput
from trkx.io.trackml_files import TrackMLFiles
from trkx.plugin import load_pipeline


@pytest.fixture(scope="module")
def folder() -> Path:
    found = os.environ.get("TRKX_TRACKML_DIR")
    if not found:
        pytest.skip("TRKX_TRACKML_DIR does not name a folder with events of the challenge")
    return Path(found)


@pytest.mark.parametrize(("pipeline", "pt_min"), [("trackml", 1.0), ("trackml_pt05", 0.5)])
def test_tracks_are_found_and_fitted(
    folder: Path, tmp_path: Path, pipeline: str, pt_min: float
) -> None:
    event = TrackMLFiles.open(folder).read(1)
    with TrackMLInput.open(folder, (1, 2)) as events:
        found = find_tracks(events, 1, event.hits["hit_id"], load_pipeline(pipeline=pipeline))
    assert set(found.seconds) == {"graph_construction", "edge_classification", "track_building"}
    for rule in ("pixel", "all"):
        counts = count_tracks(event, found.offsets, found.hits, pt_min, rule)
        assert counts.efficiency[0] > 0.95
        assert counts.fake_rate[0] < 0.03
    fit = fit_tracks(folder, 1, found, namedField("solenoid"), tmp_path)
    assert fit.counts.found == len(found.offsets) - 1
    assert fit.counts.fraction_fitted > 0.98
    assert 0.7 < np.median(fit.chi2 / fit.ndf) < 1.4


def test_the_field_is_that_of_the_coil_within_a_percent(folder: Path) -> None:
    scale = field_scale(
        TrackMLFiles.open(folder).read(1, ("particles", "truth")), namedField("solenoid")
    )
    assert scale.scale == pytest.approx(1, abs=0.01)
    assert scale.error < 0.002
