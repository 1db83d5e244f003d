"""The model `trkx`: a whole pipeline in one model of Triton's python backend.

One process holds one instance, which builds the pipeline once and then answers requests of one
event each.
"""

from __future__ import annotations

import json
import traceback
from typing import Any

import numpy as np

from trkx.plugin.errors import TrackFindingError
from trkx.plugin.serving.tensors import make_tensor, read_tensor
from trkx.plugin.space_points import SpacePoints

STAGES = ("graph_construction", "edge_classification", "track_building", "total")


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the pipeline that the model's configuration names."""
        from trkx.plugin.load import load_pipeline

        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        device = "cuda" if args["model_instance_kind"] == "GPU" else "cpu"
        self.identity = np.frombuffer(parameters["identity"].encode(), np.uint8).copy()
        self.pipeline = load_pipeline(
            parameters.get("finder", "gnn"), parameters["target"], device=device, threads=1
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Find the tracks of each request's event; an event that is wrong gets an error."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        import triton_python_backend_utils as pb

        try:
            return pb.InferenceResponse([make_tensor(*item) for item in self._find(request)])
        except (TrackFindingError, ValueError) as error:
            wrong = pb.TritonError(str(error), pb.TritonError.INVALID_ARG)
            return pb.InferenceResponse(error=wrong)
        except Exception as error:  # the server must outlive any event
            pb.Logger.log_error(traceback.format_exc())
            wrong = pb.TritonError(f"{type(error).__name__}: {error}", pb.TritonError.INTERNAL)
            return pb.InferenceResponse(error=wrong)

    def _find(self, request: Any) -> list[tuple[str, np.ndarray]]:
        columns = {name: read_tensor(request, name) for name in ("X", "Y", "Z", "GEOMETRY_ID")}
        points = SpacePoints(
            columns["X"],
            columns["Y"],
            columns["Z"],
            columns["GEOMETRY_ID"],
            read_tensor(request, "SIZE0"),
            read_tensor(request, "SIZE1"),
        )
        spot = read_tensor(request, "BEAM_SPOT")
        found = self.pipeline(points, (0.0, 0.0) if spot is None else (spot[0], spot[1]))
        return [
            ("LABELS", found.labels),
            ("OFFSETS", found.offsets),
            ("HITS", found.hits),
            ("SCORES", found.scores),
            ("IDENTITY", self.identity),
        ]
