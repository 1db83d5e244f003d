"""The models `exatrkxcpu` and `exatrkxgpu`: the published contract in one model.

FEATURES (N, 3) float32 hold r / 1000 mm, phi / pi and z / 1000 mm; LABELS (N,) int64 the track of
each hit, -1 where there is none. Names and tensors are those of the custom backends of
exatrkx-service, whose labels can be fewer than the hits; here there is one per hit, always.

References: arXiv:2402.09633.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import StageError
from trkx.plugin.exatrkx_graph import ExatrkxGraph, unscaled
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.serving.backend import answer_each, given, load_model_pipeline
from trkx.plugin.serving.metrics import ModelMetrics


def tracks_of(features: np.ndarray, pipeline: Pipeline) -> TrackCandidates:
    """Candidates on FEATURES (N, 3), by a pipeline that begins with the stage `exatrkx`.

    Raises:
        SpacePointError: FEATURES that are none.
        StageError: another graph constructor.
    """
    constructor = pipeline.graph_constructor
    if not isinstance(constructor, ExatrkxGraph):
        raise StageError("FEATURES are r, phi and z: the graph constructor must be 'exatrkx'")
    unscaled(features)  # checks them, also where there are no hits
    if len(features) == 0:
        return TrackCandidates.empty()
    return pipeline.find_in(lambda: constructor.graph(features))


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the pipeline that the model's configuration names."""
        self.metrics = ModelMetrics(args["model_name"])
        pipeline = load_model_pipeline(args)
        self.pipeline = replace(pipeline, hooks=(*pipeline.hooks, self.metrics.count_edges))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Find the tracks of each request's event."""
        return answer_each(requests, self._find)

    def _find(self, request: Any) -> dict[str, np.ndarray]:
        found = tracks_of(given(request, "FEATURES"), self.pipeline)
        self.metrics.count(found)
        return {"LABELS": found.labels}
