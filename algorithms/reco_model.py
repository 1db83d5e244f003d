"""The model `trkx_reco`: measurements in, fitted tracks out; for Triton's python backend."""

from __future__ import annotations

from typing import Any

from trkx.algorithms.reconstruction_service import ReconstructionService
from trkx.plugin.serving.backend import answer_each, load_model_pipeline
from trkx.plugin.serving.reco_exchange import MEASUREMENT_INPUTS, read_measurements
from trkx.plugin.serving.tensors import read_tensor


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start the event loop on the pipeline that the model's configuration names."""
        self.service = ReconstructionService(load_model_pipeline(args))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Reconstruct each request's event."""
        return answer_each(requests, self._reconstruct)

    def _reconstruct(self, request: Any) -> dict[str, Any]:
        tensors = {spec.name: read_tensor(request, spec.name) for spec in MEASUREMENT_INPUTS}
        return self.service(read_measurements(tensors)).tensors()

    def finalize(self) -> None:
        """End the event loop."""
        self.service.close()
