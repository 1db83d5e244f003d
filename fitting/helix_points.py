"""The points of many tracks, with their covariances and material, for the helix fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.fitting.helix_model import PaddedPoints

UNMEASURED = 1e4
"""Variance, mm², of a coordinate that is not measured: no information beside any detector's."""


@dataclass(frozen=True)
class TrackPoints:
    """Points of T tracks, one after the other, each track's ordered outward.

    The order matters for scattering alone: what lies further in comes first.

    Attributes:
        offsets: shape (T + 1,), int64; track t has points `offsets[t]` to `offsets[t + 1] - 1`.
        position: shape (M, 3), mm.
        covariance: shape (M, 6), xx, xy, yy, xz, yz, zz, mm²; singular ones are welcome: a module
            does not measure along its normal. See `plane_covariance`, `cylinder_covariance`.
        dimension: shape (M,), coordinates measured: 2, or 1 for strips; counted in ndf. 0: the
            point is material only.
        thickness: shape (M,), radiation lengths of the layer at normal incidence.
        normal: shape (M, 3), of the layer, any length.
        scatterer: shape (M, 3), mm, where the layer's material is, at the point or between it and
            the next one; None: at the points.
        free: shape (M, 3), unit vectors along strips, 0 for points that measure two coordinates;
            the fit moves points along them. None: there are no strips.
    """

    offsets: np.ndarray
    position: np.ndarray
    covariance: np.ndarray
    dimension: np.ndarray
    thickness: np.ndarray
    normal: np.ndarray
    scatterer: np.ndarray | None = None
    free: np.ndarray | None = None

    @classmethod
    def make(
        cls,
        offsets: np.ndarray,
        position: np.ndarray,
        covariance: np.ndarray,
        dimension: np.ndarray | int = 2,
        thickness: np.ndarray | float = 0.0,
        normal: np.ndarray | None = None,
        scatterer: np.ndarray | None = None,
        free: np.ndarray | None = None,
    ) -> TrackPoints:
        """Check shapes and fill in what is not given.

        Args:
            offsets, position, covariance, dimension, thickness, normal, scatterer, free: see the
                class; normals default to radial ones. Dimension and thickness may be one number
                for all points.

        Raises:
            ValueError: shapes do not match, or offsets do not rise from 0 to the number of points.
        """
        offsets = np.asarray(offsets, np.int64)
        position = np.asarray(position, np.float64).reshape(-1, 3)
        n = len(position)
        covariance = np.asarray(covariance, np.float64)
        if normal is None:
            normal = position * [1.0, 1.0, 0.0]
        normal = np.asarray(normal, np.float64)
        if covariance.shape != (n, 6) or normal.shape != (n, 3):
            raise ValueError(
                f"{n} points with covariances of shape {covariance.shape} and normals of shape "
                f"{normal.shape}, expected ({n}, 6) and ({n}, 3)"
            )
        ends = (offsets[0], offsets[-1]) if len(offsets) else (None, None)
        if ends != (0, n) or (np.diff(offsets) < 0).any():
            raise ValueError(f"offsets must rise from 0 to {n}, the number of points; found {ends}")
        return cls(
            offsets,
            position,
            covariance,
            np.broadcast_to(np.asarray(dimension, np.int64), (n,)),
            np.broadcast_to(np.asarray(thickness, np.float64), (n,)),
            normal,
            scatterer,
            free,
        )

    def planes(self) -> PointPlanes:
        """The columns laid out for `PointPlanes.pad`."""
        return PointPlanes(
            self.offsets,
            self.dimension > 0,
            self.thickness,
            {
                name: np.ascontiguousarray(column.T)
                for name in ("position", "covariance", "normal", "scatterer", "free")
                if (column := getattr(self, name)) is not None
            },
        )


@dataclass(frozen=True)
class PointPlanes:
    """Points with one row of memory per coordinate: shapes (3, M), (6, M) and (M,)."""

    offsets: np.ndarray
    measuring: np.ndarray
    thickness: np.ndarray
    planes: dict[str, np.ndarray]

    def pad(self, tracks: np.ndarray) -> PaddedPoints:
        """Lay the points of some tracks side by side, in as many slots as the longest has."""
        lengths = self.offsets[tracks + 1] - self.offsets[tracks]
        slots = np.arange(max(int(lengths.max(initial=0)), 1))[:, None]
        there = slots < lengths
        rows = np.where(there, self.offsets[tracks] + slots, 0)
        return PaddedPoints(
            thickness=np.where(there, self.thickness[rows], 0.0),
            used=there & self.measuring[rows],
            **{name: np.take(plane, rows, axis=1) for name, plane in self.planes.items()},
        )


def plane_covariance(
    axis0: np.ndarray, axis1: np.ndarray, variance0: np.ndarray, variance1: np.ndarray
) -> np.ndarray:
    """Covariances of points on planes.

    Args:
        axis0, axis1: shape (M, 3), unit vectors of the local coordinates in the global frame.
        variance0, variance1: shape (M,), mm²; NaN: not measured.

    Returns:
        shape (M, 6), as in `TrackPoints`.
    """
    v0, v1 = (np.nan_to_num(v, nan=UNMEASURED)[:, None] for v in (variance0, variance1))
    return v0 * _square(axis0) + v1 * _square(axis1)


def cylinder_covariance(
    position: np.ndarray,
    variance_rphi: np.ndarray | float,
    variance_r: np.ndarray | float,
    variance_z: np.ndarray | float,
) -> np.ndarray:
    """Covariances of points without correlation of r-φ, r and z.

    Args:
        position: shape (M, 3), mm.
        variance_rphi, variance_r, variance_z: shape (M,) or one number, mm².

    Returns:
        shape (M, 6), as in `TrackPoints`.
    """
    r = np.maximum(np.hypot(position[:, 0], position[:, 1]), 1e-9)
    c, s = position[:, 0] / r, position[:, 1] / r
    zero = np.zeros_like(c)
    axes = np.stack(
        [np.stack(v, axis=1) for v in ((-s, c, zero), (c, s, zero), (zero, zero, zero + 1))]
    )
    variances = [
        np.broadcast_to(v, c.shape)[:, None] for v in (variance_rphi, variance_r, variance_z)
    ]
    result: np.ndarray = sum(v * _square(axis) for v, axis in zip(variances, axes, strict=True))
    return result


def _square(axis: np.ndarray) -> np.ndarray:
    x, y, z = np.asarray(axis, np.float64).T
    return np.stack([x * x, x * y, y * y, x * z, y * z, z * z], axis=1)
