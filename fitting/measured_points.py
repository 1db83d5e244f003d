"""Points of tracks for the helix fit: from measurements on surfaces, or from space points alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trkx.fitting.helix_points import TrackPoints, cylinder_covariance, plane_covariance
from trkx.fitting.surface_table import SurfaceTable

__all__ = ["SpacePointErrors", "points_on_surfaces", "points_without_surfaces"]

MAXIMUM_SCALE = 1.5
"""Material further beyond a point than this is not that of its layer."""


@dataclass(frozen=True)
class SpacePointErrors:
    """What a fit without a tracking geometry takes the space points and layers to be."""

    sigma_rphi: float = 0.02  # mm, where the space points do not say
    sigma_z: float = 0.1  # mm, along the layer: z on barrels, r on discs; as above
    thickness: float = 0.025  # radiation lengths of a layer at normal incidence


def points_on_surfaces(
    offsets: np.ndarray,
    measurements: np.ndarray,
    columns: Mapping[str, np.ndarray],
    table: SurfaceTable,
) -> TrackPoints:
    """Points of tracks whose measurements lie on the surfaces of a tracking geometry.

    Args:
        offsets: shape (T + 1,), int64.
        measurements: shape (M,), int64, of each track, ordered outward.
        columns: of all measurements: `geometry_id`, `rec_loc0`, `rec_loc1`, `var_loc0`,
            `var_loc1`; NaN: a coordinate that is not measured, as of strips.
        table: the surfaces.

    Raises:
        UnknownSurfaceError: a measurement is on no surface.
    """
    ids = columns["geometry_id"][measurements]
    rows = table.rows(ids)
    axes = (table.axis0[rows], table.axis1[rows])
    variances = [columns[f"var_loc{i}"][measurements].astype(np.float64) for i in (0, 1)]
    values = [columns[f"rec_loc{i}"][measurements].astype(np.float64) for i in (0, 1)]
    measured = [
        np.isfinite(value) & (np.nan_to_num(variance) > 0)
        for value, variance in zip(values, variances, strict=True)
    ]
    position = table.center[rows].copy()
    free = np.zeros_like(position)
    for axis, value, has in zip(axes, values, measured, strict=True):
        position += np.where(has, value, 0.0)[:, None] * axis
        free += np.where(has, 0.0, 1.0)[:, None] * axis
    dimension = measured[0].astype(np.int64) + measured[1]
    single = dimension == 1
    beyond = _beyond(position, table.layer_radius[rows], table.layer_z[rows])
    first, last = _edges_of_layers(offsets, ids)
    carrier = np.where(table.material_inside[rows], first, last)  # of the passive material
    return TrackPoints.make(
        offsets,
        position,
        plane_covariance(
            *axes, *(np.where(has, v, np.nan) for has, v in zip(measured, variances, strict=True))
        ),
        dimension,
        table.thickness[rows] + table.layer_thickness[rows] * carrier,
        table.normal[rows],
        position * beyond[:, None],
        np.where(single[:, None], free, 0.0) if single.any() else None,
    )


def points_without_surfaces(
    offsets: np.ndarray,
    rows: np.ndarray,
    columns: Mapping[str, np.ndarray],
    errors: SpacePointErrors,
) -> TrackPoints:
    """Points of tracks made of space points of which nothing but their place is known.

    A layer is taken to be a cylinder where the variance along r is smaller than that along z, and a
    disc otherwise.

    Args:
        offsets: shape (T + 1,), int64.
        rows: shape (M,), int64, space points of each track, ordered outward.
        columns: of all space points: `x`, `y`, `z`, and, if there, `var_r`, `var_z`, `var_rphi`.
        errors: what holds where there are no such columns.
    """
    position = np.stack([columns[axis][rows].astype(np.float64) for axis in "xyz"], axis=1)
    along = errors.sigma_z**2
    if "var_r" in columns and "var_z" in columns:
        var_r, var_z = (columns[f"var_{axis}"][rows].astype(np.float64) for axis in "rz")
        unknown = ~((var_r > 0) | (var_z > 0))
        var_r, var_z = np.where(unknown, 0.0, var_r), np.where(unknown, along, var_z)
    else:
        var_r, var_z = np.zeros(len(rows)), np.full(len(rows), along)
    var_rphi = np.full(len(rows), errors.sigma_rphi**2)
    if "var_rphi" in columns:
        given = columns["var_rphi"][rows].astype(np.float64)
        var_rphi = np.where(given > 0, given, var_rphi)
    disc = var_r > var_z
    normal = np.where(disc[:, None], [0.0, 0.0, 1.0], position * [1.0, 1.0, 0.0])
    covariance = cylinder_covariance(position, var_rphi, var_r, var_z)
    return TrackPoints.make(offsets, position, covariance, 2, errors.thickness, normal)


def _edges_of_layers(
    offsets: np.ndarray, geometry_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which points are the first, and the last, of their layer on their track, (M,) bool each."""
    layer = geometry_ids >> np.uint64(36)
    filled = np.diff(offsets) > 0
    first, last = np.ones(len(layer), bool), np.ones(len(layer), bool)
    first[1:] = last[:-1] = layer[1:] != layer[:-1]
    first[offsets[:-1][filled]] = last[offsets[1:][filled] - 1] = True
    return first, last


def _beyond(position: np.ndarray, radius: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How many times further out than each point the material of its layer is, shape (M,).

    Straight from the origin, which is good for some millimetres. 1 where it is not further out.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(
            np.isfinite(radius),
            radius / np.hypot(position[:, 0], position[:, 1]),
            z / position[:, 2],
        )
    return np.where((scale > 1.0) & (scale < MAXIMUM_SCALE), scale, 1.0)
