"""The model `trkx`: a whole pipeline in one model of Triton's python backend.

One process holds one instance, which builds the pipeline once and then answers requests of one
event each.
"""

from __future__ import annotations

import json
from typing import Any

from trkx.plugin.serving.backend import answer_each
from trkx.plugin.serving.exchange import EVENT_INPUTS, candidate_outputs, read_event
from trkx.plugin.serving.tensors import read_tensor


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the pipeline that the model's configuration names."""
        from trkx.plugin.load import load_pipeline

        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        device = "cuda" if args["model_instance_kind"] == "GPU" else "cpu"
        self.identity = parameters["identity"]
        self.pipeline = load_pipeline(
            pipeline=parameters["pipeline"],
            target=parameters["target"],
            weights=parameters["weights"] or None,
            device=device,
            threads=1,
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Find the tracks of each request's event; an event that is wrong gets an error."""
        return answer_each(requests, self._find)

    def _find(self, request: Any) -> dict[str, Any]:
        points, beam_spot = read_event({t.name: read_tensor(request, t.name) for t in EVENT_INPUTS})
        return candidate_outputs(self.pipeline(points, beam_spot), self.identity)
