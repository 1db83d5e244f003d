"""Double-sided strip modules: two sensors back to back, their strips turned by a stereo angle.

The GenericDetector measures both coordinates on every module. Here its strip modules are equipped
as those of the ATLAS SCT and ITk: each sensor measures across its strips only, and the second
coordinate comes from crossing the strips of the two sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trkx.algorithms.simulation.modules import N_VOLUMES, ModuleTable

STRIP_VOLUMES = (12, 13, 14, 16, 17, 18)
"""Volumes of the GenericDetector with short strips (12 to 14) and long strips (16 to 18)."""

_LENGTHS = {12: 26.0, 13: 26.0, 14: 26.0, 16: 54.0, 17: 54.0, 18: 54.0}


@dataclass(frozen=True)
class StripSensors:
    """Layout of the two sensors of a strip module; side 1 faces the beam line, side 2 does not.

    Lengths are those of ITk's short and long strips as far as the modules divide into rows of
    them; stereo angle and gap are about those of the SCT's barrel modules.

    References: Abdesselam et al., Nucl. Instrum. Meth. A 568, 642 (2006); ATLAS ITk Strip
    Detector, CERN-LHCC-2017-005.
    """

    length: Mapping[int, float] = field(default_factory=lambda: dict(_LENGTHS))
    """volume → length of a strip, mm; a module is divided into equal rows of about this length"""
    stereo: float = 0.020
    """strips are turned by plus this about the normal on side 1 and by minus this on side 2, rad"""
    gap: float = 1.2
    """distance of the middle planes of the two sensors, mm"""
    thickness: float = 0.3
    """of a sensor, mm"""
    shared: float = 0.2
    """a strip fires if at least this share of the path in the sensor is under it"""
    tolerance: float = 0.2
    """strips may cross this share of their half length beyond their ends: the particle need not
    come straight from the beam line, as space-point formation assumes"""

    def has(self, volume: np.ndarray) -> np.ndarray:
        """(N,) bool: whether a module of this volume is one of strips."""
        return np.isin(volume, list(self.length))

    def rows(self, modules: ModuleTable, module: np.ndarray) -> np.ndarray:
        """(N,) int64: rows of strips on each module."""
        length = np.full(N_VOLUMES, np.inf)
        length[list(self.length)] = list(self.length.values())
        exact = 2.0 * modules.half_v[module] / length[modules.volume[module]]
        return np.maximum(np.rint(exact), 1).astype(np.int64)

    def as_dict(self) -> dict[str, Any]:
        """The layout as plain values, for the provenance record."""
        lengths = {str(volume): length for volume, length in self.length.items()}
        rest = ("stereo", "gap", "thickness", "shared", "tolerance")
        return {"length": lengths, **{name: getattr(self, name) for name in rest}}


@dataclass(frozen=True)
class SensorFrames:
    """Planes of N sensors: a point is `origin + s * across + t * along`, strips run along t."""

    origin: np.ndarray  # float64 (N, 3), mm
    across: np.ndarray  # float64 (N, 3), unit vectors
    along: np.ndarray  # float64 (N, 3), unit vectors
    normal: np.ndarray  # float64 (N, 3), unit vectors

    @classmethod
    def of(
        cls, sensors: StripSensors, modules: ModuleTable, module: np.ndarray, side: np.ndarray
    ) -> SensorFrames:
        """The sensors on `side` (N,), 1 or 2, of `module` (N,) rows."""
        u, v, center = modules.axis_u[module], modules.axis_v[module], modules.center[module]
        normal = np.cross(u, v)
        outward = np.where((normal * center).sum(axis=1) < 0, -1.0, 1.0)
        sign = np.where(side == 1, 1.0, -1.0)
        c, s = np.cos(sensors.stereo), (sign * np.sin(sensors.stereo))[:, None]
        return cls(
            origin=center - (sign * outward * 0.5 * sensors.gap)[:, None] * normal,
            across=c * u + s * v,
            along=c * v - s * u,
            normal=normal,
        )

    def intersect(
        self, position: np.ndarray, direction: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Extrapolate straight lines to the planes.

        Args:
            position: (N, 3) a point on each line, mm.
            direction: (N, 3) unit vectors.

        Returns:
            (N, 3) the points, mm, infinitely far for a line along its plane, and (N, 2) their s, t.
        """
        toward = (direction * self.normal).sum(axis=1)
        away = ((self.origin - position) * self.normal).sum(axis=1)
        path = np.divide(away, toward, out=np.full(len(away), 1e9), where=np.abs(toward) > 1e-6)
        point = position + path[:, None] * direction
        return point, self.local(point)

    def local(self, position: np.ndarray) -> np.ndarray:
        """(N, 2) s and t of points (N, 3)."""
        offset = position - self.origin
        return np.stack(
            [(offset * self.across).sum(axis=1), (offset * self.along).sum(axis=1)], axis=1
        )

    def to_global(self, local: np.ndarray) -> np.ndarray:
        """(N, 3) points with local s and t (N, 2)."""
        return self.origin + local[:, :1] * self.across + local[:, 1:] * self.along
