"""The model `trkx`: a whole pipeline in one model of Triton's python backend.

One process holds one instance, which builds the pipeline once and then answers requests of one
event each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trkx.plugin.serving.backend import answer_each, load_model_pipeline, model_parameters
from trkx.plugin.serving.exchange import EVENT_INPUTS, candidate_outputs, read_event
from trkx.plugin.serving.metrics import ModelMetrics
from trkx.plugin.serving.tensors import read_tensor


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the pipeline that the model's configuration names."""
        self.metrics = ModelMetrics(args["model_name"])
        self.identity = model_parameters(args)["identity"]
        pipeline = load_model_pipeline(args)
        self.pipeline = replace(pipeline, hooks=(*pipeline.hooks, self.metrics.count_edges))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Find the tracks of each request's event; an event that is wrong gets an error."""
        return answer_each(requests, self._find)

    def _find(self, request: Any) -> dict[str, Any]:
        points, beam_spot = read_event({t.name: read_tensor(request, t.name) for t in EVENT_INPUTS})
        found = self.pipeline(points, beam_spot)
        self.metrics.count(found)
        return candidate_outputs(found, self.identity)
