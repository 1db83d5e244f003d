"""Cheap geometric cuts on pairs of hits, for constructors that propose far more than they keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.space_points import SpacePoints


@dataclass(frozen=True)
class PairCuts:
    """Which pairs may be an edge; an infinite limit cuts nothing."""

    z0_max: float = float("inf")  # |z| of the pair's line at the beam line, mm
    curvature_max: float = float("inf")  # of the circle through beam line and pair, 1/mm;
    #   0.0006 / pT (GeV) in a field of 2 T
    overlap_max: float = float("inf")  # distance of two hits in one layer, mm; 0: no such pairs

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value > 0 or (name == "overlap_max" and value == 0)):
                raise ValueError(f"setting '{name}' is {value}; expected a positive number")


@njit(**JIT)
def _plausible(x, y, z, layer, module, source, target, z0_max, curvature_max, overlap_max):
    keep = np.zeros(len(source), np.bool_)
    for e in range(len(source)):
        i, j = source[e], target[e]
        if module[i] == module[j]:
            continue
        dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
        chord = dx * dx + dy * dy
        if layer[i] == layer[j]:
            # Too short for a direction: only the distance tells.
            keep[e] = chord + dz * dz < overlap_max * overlap_max
            continue
        ri = np.sqrt(x[i] * x[i] + y[i] * y[i])
        rj = np.sqrt(x[j] * x[j] + y[j] * y[j])
        dr = rj - ri
        if dr * (rj * rj + z[j] * z[j] - ri * ri - z[i] * z[i]) < 0:
            continue  # outward in one direction and inward in the other
        if abs(z[i] * dr - ri * dz) > z0_max * abs(dr):
            continue
        area = abs(x[i] * y[j] - x[j] * y[i])
        keep[e] = 2.0 * area < curvature_max * np.sqrt(chord) * ri * rj
    return keep


class PairSelection:
    """The cuts for one event, whose columns are prepared once."""

    def __init__(
        self, points: SpacePoints, cuts: PairCuts, beam_spot: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Take the space points of the event, and x and y of the beam line, mm."""
        self.cuts = cuts
        volume, layer, _ = split_geometry_id(points.geometry_id)
        self.columns = (
            points.x.astype(np.float32) - np.float32(beam_spot[0]),
            points.y.astype(np.float32) - np.float32(beam_spot[1]),
            points.z.astype(np.float32),
            (volume << 12) | layer,
            points.geometry_id.astype(np.int64),
        )

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(E,) bool: on different modules, and within the cuts; the order of a pair is free."""
        c = self.cuts
        return _plausible(
            *self.columns,
            np.ascontiguousarray(source, np.int64),
            np.ascontiguousarray(target, np.int64),
            np.float32(c.z0_max),
            np.float32(c.curvature_max),
            np.float32(c.overlap_max),
        )
