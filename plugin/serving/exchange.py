"""One event as tensors, and its candidates back; both sides use the same few functions.

Whatever is on the way may be damaged, so the reply carries a checksum and is checked before use.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import ServiceError, SpacePointError
from trkx.plugin.serving.model_config import TensorSpec
from trkx.plugin.space_points import SpacePoints

EVENT_INPUTS = (
    TensorSpec("X", "FP32"),
    TensorSpec("Y", "FP32"),
    TensorSpec("Z", "FP32"),
    TensorSpec("GEOMETRY_ID", "UINT64"),
    TensorSpec("SIZE0", "FP32", optional=True),
    TensorSpec("SIZE1", "FP32", optional=True),
    TensorSpec("BEAM_SPOT", "FP32", (2,), optional=True),
    TensorSpec("CHECKSUM", "UINT32", (1,), optional=True),  # of the inputs before it
)
CANDIDATE_OUTPUTS = (
    TensorSpec("LABELS", "INT64"),  # candidate of each space point, -1: unassigned
    TensorSpec("OFFSETS", "INT64"),  # of each candidate in HITS, and the end
    TensorSpec("HITS", "INT64"),  # rows of the space points, ordered outward
    TensorSpec("SCORES", "FP32"),  # of each candidate, 0 to 1
    TensorSpec("REPORT", "UINT8"),  # JSON: identity, timing by stage (s), checksum of HITS …
)
# What our client asks for: labels follow from offsets and hits.
CLIENT_OUTPUTS = ("OFFSETS", "HITS", "SCORES", "REPORT")
# More than any event has; what a request costs in memory and time is bounded by it.
MOST_SPACE_POINTS = 2_000_000
_TYPES = {"X": np.float32, "Y": np.float32, "Z": np.float32, "GEOMETRY_ID": np.uint64}
_TYPES |= {"SIZE0": np.float32, "SIZE1": np.float32, "BEAM_SPOT": np.float32}


def checksum(arrays: Iterable[np.ndarray]) -> int:
    """CRC-32 over the bytes of arrays."""
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, value)
    return value


def event_inputs(points: SpacePoints, beam_spot: tuple[float, float]) -> dict[str, np.ndarray]:
    """Input tensors of an event, checksum included."""
    columns: dict[str, np.ndarray | None] = {
        "X": points.x,
        "Y": points.y,
        "Z": points.z,
        "GEOMETRY_ID": points.geometry_id,
        "SIZE0": points.size0,
        "SIZE1": points.size1,
        "BEAM_SPOT": np.asarray(beam_spot, np.float32),
    }
    tensors = {
        name: np.ascontiguousarray(array, _TYPES[name])
        for name, array in columns.items()
        if array is not None
    }
    return tensors | {"CHECKSUM": np.array([checksum(tensors.values())], np.uint32)}


def check_number(n: int) -> None:
    """Raise where a request has more space points than an event can have.

    Raises:
        SpacePointError: it has.
    """
    if n > MOST_SPACE_POINTS:
        raise SpacePointError(
            f"{n} space points; a request may have {MOST_SPACE_POINTS}. Send one event per request"
        )


def check_finite(column: str, values: np.ndarray) -> None:
    """Raise where a column has values that are no numbers.

    Raises:
        SpacePointError: it has; the message names the column.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        raise SpacePointError(
            f"input '{column}': {int(bad.sum())} of {len(values)} values are NaN or infinite, "
            f"first in row {int(np.argmax(bad))}; remove these rows first"
        )


def read_event(
    tensors: Mapping[str, np.ndarray | None],
) -> tuple[SpacePoints, tuple[float, float]]:
    """The event of input tensors.

    Raises:
        SpacePointError: columns that are missing, of different lengths, or not finite.
        ServiceError: the checksum does not fit: the request was damaged on its way.
    """
    given = {name: tensors.get(name) for name in _TYPES}
    for name in ("X", "Y", "Z", "GEOMETRY_ID"):
        if given[name] is None:
            raise SpacePointError(f"input '{name}' is missing")
    columns = {name: array for name, array in given.items() if array is not None}
    check_number(max(map(len, columns.values())))
    expected = tensors.get("CHECKSUM")
    if expected is not None and checksum(columns.values()) != int(expected[0]):
        raise ServiceError("the request was damaged on its way: wrong checksum", transient=True)
    for name, array in columns.items():
        if array.dtype.kind == "f":
            check_finite(name, array)
    spot = given["BEAM_SPOT"]
    points = SpacePoints(*(given[name] for name in list(_TYPES)[:6]))  # type: ignore[arg-type]
    return points, (0.0, 0.0) if spot is None else (float(spot[0]), float(spot[1]))


def candidate_outputs(candidates: TrackCandidates, identity: str) -> dict[str, np.ndarray]:
    """Output tensors of an event's candidates."""
    arrays = (candidates.offsets, candidates.hits, candidates.scores)
    report = {
        "identity": identity,
        "timing": candidates.timing,
        "checksum": checksum(arrays),
        "space_points": candidates.n_space_points,
    }
    return {
        "LABELS": candidates.labels,
        "OFFSETS": candidates.offsets,
        "HITS": candidates.hits,
        "SCORES": candidates.scores,
        "REPORT": np.frombuffer(json.dumps(report).encode(), np.uint8).copy(),
    }


def read_candidates(
    outputs: Mapping[str, np.ndarray | None], n_space_points: int
) -> tuple[TrackCandidates, str]:
    """The candidates of output tensors, and the identity of the model that found them.

    Raises:
        ServiceError: the reply is damaged, or of another event; transient.
    """
    try:
        report: dict[str, Any] = json.loads(bytes(outputs["REPORT"]))  # type: ignore[arg-type]
        offsets, hits, scores = (outputs[name] for name in CLIENT_OUTPUTS[:3])
        wrong = _what_is_wrong(offsets, hits, scores, report, n_space_points)
        timing = {str(k): float(v) for k, v in report["timing"].items()}
        identity = str(report["identity"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        raise ServiceError(f"damaged reply: {wrong}", transient=True, status="DAMAGED_REPLY")
    assert offsets is not None and hits is not None and scores is not None
    return TrackCandidates(n_space_points, offsets, hits, scores, timing), identity


def _what_is_wrong(
    offsets: Any, hits: Any, scores: Any, report: Mapping[str, Any], n_space_points: int
) -> str:
    """Why these cannot be the candidates of an event of that size; empty: they can."""
    if report["space_points"] != n_space_points:
        return f"of an event of {report['space_points']} space points, not {n_space_points}"
    if report["checksum"] != checksum((offsets, hits, scores)):
        return "wrong checksum"
    if offsets[0] != 0 or offsets[-1] != len(hits) or (np.diff(offsets) < 0).any():
        return "offsets that do not fit the hits"
    if len(scores) != len(offsets) - 1:
        return f"{len(scores)} scores of {len(offsets) - 1} candidates"
    if len(hits) and not (hits.min() >= 0 and hits.max() < n_space_points):
        return "hits that are no rows of the event"
    return ""
