"""The model `gnn_tracks`: Athena's contract, rows of features in, lists of rows out.

FEATURES (N, F) holds the columns that the model's parameter `columns` names. A geometry identifier
has 64 bits, which no FP32 holds: it comes as volume, layer and sensitive number, each exact. The
answer is one list of rows of FEATURES; -1 ends a track.

References: Athena's InDet::GNNTrackFinderTritonTool.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import SpacePointError
from trkx.plugin.serving.backend import (
    answer_each,
    given,
    load_model_pipeline,
    model_parameters,
)
from trkx.plugin.serving.exchange import check_finite, check_number
from trkx.plugin.serving.metrics import ModelMetrics
from trkx.plugin.space_points import SpacePoints

COLUMNS = ("x", "y", "z", "volume_id", "layer_id", "sensitive_id", "size0", "size1")


def points_of_features(features: np.ndarray, columns: tuple[str, ...]) -> SpacePoints:
    """Space points from rows of features.

    Args:
        features: (N, F) float32.
        columns: names of the F columns; of `COLUMNS`, others are passed over.

    Raises:
        SpacePointError: another number of columns, or one missing.
    """
    if features.ndim != 2 or features.shape[1] != len(columns):
        raise SpacePointError(
            f"FEATURES has shape {features.shape}; expected (N, {len(columns)}): "
            f"{', '.join(columns)}"
        )
    missing = [name for name in COLUMNS[:6] if name not in columns]
    if missing:
        raise SpacePointError(f"FEATURES has no column {', '.join(missing)}")
    check_number(len(features))
    for i, name in enumerate(columns):
        check_finite(f"FEATURES: {name}", features[:, i])

    def column(name: str) -> np.ndarray:
        return np.ascontiguousarray(features[:, columns.index(name)])

    volume, layer, sensitive = (column(f"{n}_id") for n in ("volume", "layer", "sensitive"))
    ids = (("volume", volume, 8), ("layer", layer, 12), ("sensitive", sensitive, 20))
    for name, values, bits in ids:
        if len(values) and not (values.min() >= 0 and values.max() < 1 << bits):
            raise SpacePointError(f"FEATURES: {name}_id is not between 0 and {(1 << bits) - 1}")
        if (values != np.floor(values)).any():
            raise SpacePointError(f"FEATURES: {name}_id has values that are no whole numbers")
    v, m, s = (a.astype(np.uint64) for a in (volume, layer, sensitive))
    both = "size0" in columns and "size1" in columns
    return SpacePoints(
        column("x"),
        column("y"),
        column("z"),
        (v << np.uint64(56)) | (m << np.uint64(36)) | (s << np.uint64(8)),
        size0=column("size0") if both else None,
        size1=column("size1") if both else None,
    )


def features_of_points(points: SpacePoints) -> np.ndarray:
    """(N, 8) float32: the columns `COLUMNS`; the inverse of `points_of_features`."""
    g = points.geometry_id
    parts = [
        (g >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
        for shift, bits in ((56, 8), (36, 12), (8, 20))
    ]
    none = np.zeros(len(points), np.float32)
    sizes = [none if a is None else a for a in (points.size0, points.size1)]
    return np.stack([points.x, points.y, points.z, *parts, *sizes], axis=1).astype(np.float32)


def track_list(found: TrackCandidates) -> np.ndarray:
    """Rows of all tracks one after the other, -1 after each, int64."""
    n = np.diff(found.offsets)
    out = np.full(len(found.hits) + len(found), -1, np.int64)
    out[np.arange(len(found.hits)) + np.repeat(np.arange(len(found)), n)] = found.hits
    return out


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the pipeline that the model's configuration names."""
        self.metrics = ModelMetrics(args["model_name"])
        self.columns = tuple(model_parameters(args)["columns"].split(","))
        self.pipeline = load_model_pipeline(args)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Find the tracks of each request's event."""
        return answer_each(requests, self._find)

    def _find(self, request: Any) -> dict[str, np.ndarray]:
        features = given(request, "FEATURES")
        found = self.pipeline(points_of_features(features, self.columns))
        self.metrics.count(found)
        return {"LABELS": track_list(found)}
