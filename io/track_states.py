"""States of all tracks of an event as flat columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import acts
import acts.examples
import numpy as np

__all__ = ["STATE_SETS", "StateColumns", "SurfaceFrames", "collect_states"]

STATE_SETS = {"predicted": "prt", "filtered": "flt", "smoothed": "smt"}
"""Parameter sets of a state, and the suffix of their branches."""

_MEASUREMENT, _OUTLIER, _HOLE, _MATERIAL, _UNKNOWN = range(5)


@dataclass(frozen=True)
class StateColumns:
    """States of all tracks, each track's from the last one inwards, as ACTS' writers go.

    Attributes:
        counts: shape (T,), number of states of each track.
        kind: shape (S,), 0 measurement, 1 outlier, 2 hole, 3 material, 4 unknown.
        chi2: shape (S,).
        path_length: shape (S,), mm.
        geometry_id: shape (S,), uint64; 0: no surface.
        measurement: shape (S,), int64, index of the measurement; -1: none.
        parameters: by set, shape (S, 6), NaN where there are none.
        variances: by set, shape (S, 6), NaN where there are none.
    """

    counts: np.ndarray
    kind: np.ndarray
    chi2: np.ndarray
    path_length: np.ndarray
    geometry_id: np.ndarray
    measurement: np.ndarray
    parameters: Mapping[str, np.ndarray]
    variances: Mapping[str, np.ndarray]


class SurfaceFrames(dict[int, np.ndarray]):
    """Origin and two axes of plane surfaces by geometry id, shape (3, 3); NaN for others."""

    def learn(self, geometry_id: int, surface: Any, context: Any) -> None:
        """Keep the frame of a surface.

        Args:
            geometry_id: of the surface.
            surface: `acts.Surface`.
            context: `acts.GeometryContext`.
        """
        frame = np.full((3, 3), np.nan)
        if isinstance(surface, acts.PlaneSurface):
            direction = acts.Vector3(0.0, 0.0, 1.0)
            points = [
                surface.localToGlobal(context, acts.Vector2(*local), direction)
                for local in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
            ]
            frame[:] = [[point[i] for i in range(3)] for point in points]
            frame[1:] -= frame[0]
        self[geometry_id] = frame

    def to_global(self, geometry_id: np.ndarray, local: np.ndarray) -> np.ndarray:
        """Global positions, shape (S, 3), mm, of local ones of shape (S, 2)."""
        if not len(geometry_id):
            return np.zeros((0, 3))
        ids, inverse = np.unique(geometry_id, return_inverse=True)
        unknown = np.full((3, 3), np.nan)
        frames = np.stack([self.get(i, unknown) for i in ids.tolist()])[inverse]
        return frames[:, 0] + local[:, :1] * frames[:, 1] + local[:, 1:2] * frames[:, 2]


def collect_states(
    tracks: Any, context: Any, frames: SurfaceFrames, withParameters: bool = True
) -> StateColumns:
    """Read the states of all tracks.

    ACTS gives states one at a time only, so this is a loop: about 25 µs per state, 5 µs without
    parameters.

    Args:
        tracks: `acts.examples.ConstTrackContainer`.
        context: `acts.GeometryContext`.
        frames: learns the surfaces that it does not know.
        withParameters: read the parameter sets and their variances.
    """
    counts: list[int] = []
    kind: list[int] = []
    chi2: list[float] = []
    path: list[float] = []
    surfaces: list[int] = []
    measurement: list[int] = []
    index_of = acts.examples.IndexSourceLink.fromSourceLink
    sets: dict[str, tuple[list[float], bytearray]] = {
        name: ([], bytearray()) for name in (STATE_SETS if withParameters else ())
    }
    nothing = np.full(6, np.nan)
    no_variance = [np.nan] * 6
    for track in tracks:
        n = len(kind)
        for state in track.trackStatesReversed:
            kind.append(_kind(state.typeFlags))
            chi2.append(state.chi2)
            path.append(state.pathLength)
            identity = 0
            if state.hasReferenceSurface:
                surface = state.referenceSurface
                identity = surface.geometryId.value
                if withParameters and identity not in frames:
                    frames.learn(identity, surface, context)
            surfaces.append(identity)
            measurement.append(
                index_of(state.uncalibratedSourceLink).index()
                if state.hasUncalibratedSourceLink
                else -1
            )
            for name, (variances, parameters) in sets.items():
                if getattr(state, _HAS[name]):
                    parameters += memoryview(getattr(state, name))
                    matrix = getattr(state, _COVARIANCE[name])
                    variances += [matrix[i, i] for i in _DIAGONAL]
                else:
                    parameters += nothing.data
                    variances += no_variance
        counts.append(len(kind) - n)
    return StateColumns(
        counts=np.array(counts, dtype=np.int64),
        kind=np.array(kind, dtype=np.int32),
        chi2=np.array(chi2, dtype=np.float64),
        path_length=np.array(path, dtype=np.float64),
        geometry_id=np.array(surfaces, dtype=np.uint64),
        measurement=np.array(measurement, dtype=np.int64),
        parameters={n: np.frombuffer(p, np.float64).reshape(-1, 6) for n, (_, p) in sets.items()},
        variances={n: np.array(v, np.float64).reshape(-1, 6) for n, (v, _) in sets.items()},
    )


_HAS = {name: f"has{name.capitalize()}" for name in STATE_SETS}
_COVARIANCE = {name: f"{name}Covariance" for name in STATE_SETS}
_DIAGONAL = tuple(range(6))


def _kind(flags: Any) -> int:
    if flags.isOutlier:
        return _OUTLIER
    if flags.isMeasurement:
        return _MEASUREMENT
    if flags.isHole:
        return _HOLE
    return _MATERIAL if flags.hasMaterial else _UNKNOWN
