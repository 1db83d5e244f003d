"""The model `trkx_reco` as tensors: the measurements of an event in, fitted tracks out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trkx.plugin.errors import SpacePointError
from trkx.plugin.serving.exchange import check_finite, check_number
from trkx.plugin.serving.model_config import TensorSpec

# One row per measurement: global position, module, local position with variances, cluster size.
MEASUREMENT_INPUTS = (
    *(TensorSpec(name, "FP32") for name in ("X", "Y", "Z")),
    TensorSpec("GEOMETRY_ID", "UINT64"),
    *(TensorSpec(name, "FP32") for name in ("LOC0", "LOC1", "VAR0", "VAR1", "SIZE0", "SIZE1")),
)
TRACK_OUTPUTS = (
    TensorSpec("PARAMETERS", "FP64", (-1, 6)),  # d0, z0 (mm), φ, θ, q/p (e/GeV), t (mm)
    TensorSpec("COVARIANCES", "FP64", (-1, 6, 6)),
    TensorSpec("CHI2", "FP32"),
    TensorSpec("NDF", "INT32"),
    TensorSpec("OFFSETS", "INT64"),  # of each track in HITS, and the end
    TensorSpec("HITS", "INT64"),  # rows of the measurements, ordered outward
)
# Column of the space points or measurements tables → input.
COLUMNS = {
    "x": "X",
    "y": "Y",
    "z": "Z",
    "geometry_id": "GEOMETRY_ID",
    "rec_loc0": "LOC0",
    "rec_loc1": "LOC1",
    "var_loc0": "VAR0",
    "var_loc1": "VAR1",
    "clus_size_loc0": "SIZE0",
    "clus_size_loc1": "SIZE1",
}


@dataclass(frozen=True)
class FittedTracks:
    """T fitted tracks of one event; the perigee is on the beam line."""

    parameters: np.ndarray  # (T, 6) float64: d0, z0, phi, theta, q/p, t; mm, rad, e/GeV
    covariances: np.ndarray  # (T, 6, 6) float64
    chi2: np.ndarray  # (T,) float32
    ndf: np.ndarray  # (T,) int32
    offsets: np.ndarray  # (T + 1,) int64 into `hits`
    hits: np.ndarray  # (offsets[-1],) int64, rows of the measurements

    def __len__(self) -> int:
        return len(self.chi2)

    def tensors(self) -> dict[str, np.ndarray]:
        """Output tensors."""
        return {
            "PARAMETERS": self.parameters,
            "COVARIANCES": self.covariances,
            "CHI2": self.chi2.astype(np.float32),
            "NDF": self.ndf.astype(np.int32),
            "OFFSETS": self.offsets,
            "HITS": self.hits,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> FittedTracks:
        """Tracks of output tensors."""
        return cls(*(tensors[spec.name] for spec in TRACK_OUTPUTS))


def measurement_tensors(
    space_points: Mapping[str, np.ndarray], measurements: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Input tensors from the columns of an event, one space point per measurement in order."""
    types = {"FP32": np.float32, "UINT64": np.uint64}
    kinds = {spec.name: types[spec.data_type] for spec in MEASUREMENT_INPUTS}
    columns = {**measurements, **space_points}
    return {
        tensor: np.ascontiguousarray(columns[name], kinds[tensor])
        for name, tensor in COLUMNS.items()
    }


def read_measurements(tensors: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    """Columns by name from input tensors.

    Raises:
        SpacePointError: one is missing, of another length, not finite, or a variance not positive.
    """
    columns: dict[str, np.ndarray] = {}
    for name, tensor in COLUMNS.items():
        values = tensors.get(tensor)
        if values is None:
            raise SpacePointError(f"input '{tensor}' is missing")
        columns[name] = values
    n = len(columns["x"])
    check_number(n)
    for name, values in columns.items():
        if values.ndim != 1 or len(values) != n:
            raise SpacePointError(
                f"input '{COLUMNS[name]}' has shape {values.shape}; 'X' has ({n},)"
            )
        if values.dtype != np.uint64:
            check_finite(COLUMNS[name], values)
        if name.startswith("var_") and (values <= 0).any():
            raise SpacePointError(f"input '{COLUMNS[name]}' has variances that are not positive")
    return columns
