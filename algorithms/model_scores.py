"""How well a model finds the tracks of validation events, for its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_input import input_provenance, open_training_events
from trkx.plugin import load_pipeline
from trkx.plugin.weights import Model

__all__ = ["score_model"]


def score_model(model: Model, inputs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Find the tracks of all events, and write efficiencies and fakes into the card.

    Returns:
        the scores by finder: `gnn`, if the model has a network, and `classical`.
    """
    files = open_training_events(inputs)
    scores: dict[str, dict[str, float]] = {}
    for finder in ("gnn", "classical") if "network" in model.card else ("classical",):
        pipeline, counts = load_pipeline(finder, weights=model.folder), TrackCounts()
        for event in labelled_events(files):
            counts.add(event, pipeline(event.space_points), model.card["pt_min"])
        scores[finder] = {k: round(v, 5) for k, v in counts.summary().items()}
        scores[finder]["targets"] = counts.targets
    about: dict[str, Any] = {
        "rule": "double majority; charged, |eta| < 4, at least 7 measurements, above pt_min",
        "events": len(files),
        "input": input_provenance(inputs),
    }
    model.update_card(scores={**about, **scores})
    return scores
