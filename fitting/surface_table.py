"""The sensitive surfaces of a tracking geometry as arrays: planes, axes, material."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import acts
import numpy as np

from trkx.fitting.errors import UnknownSurfaceError

__all__ = ["SurfaceTable", "surface_table"]

_MATERIAL = re.compile(r"x0=([-+.\deE]+|inf).*\|t=([-+.\deE]+)")
_LAYER_BITS = np.uint64(36)  # a geometry id without module and sensor is that of the layer


@dataclass(frozen=True)
class SurfaceTable:
    """Sensitive surfaces in ascending order of their geometry ids, shapes (S,) and (S, 3).

    A local point (u, v) lies at `center + u * axis0 + v * axis1`; planes only.

    Attributes:
        geometry_id: uint64.
        center: mm.
        axis0, axis1: unit vectors.
        thickness: radiation lengths of the surface itself.
        layer_thickness: radiation lengths of passive material of its layer, which a track crosses
            once however many surfaces of the layer it crosses.
        layer_radius, layer_z: mm, of the cylinder, or of the disc, that this material is on; NaN:
            it is not on one.
        material_inside: bool, whether it is further in than the layer's surfaces.
    """

    geometry_id: np.ndarray
    center: np.ndarray
    axis0: np.ndarray
    axis1: np.ndarray
    thickness: np.ndarray
    layer_thickness: np.ndarray
    layer_radius: np.ndarray
    layer_z: np.ndarray
    material_inside: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """Unit vectors, shape (S, 3)."""
        result: np.ndarray = np.cross(self.axis0, self.axis1)
        return result

    def rows(self, geometry_ids: np.ndarray) -> np.ndarray:
        """Rows of surfaces, int64.

        Raises:
            UnknownSurfaceError: an id that the geometry does not have.
        """
        at = np.searchsorted(self.geometry_id, geometry_ids)
        at = np.minimum(at, len(self.geometry_id) - 1)
        unknown = self.geometry_id[at] != geometry_ids
        if unknown.any():
            first = int(np.asarray(geometry_ids)[unknown][0])
            raise UnknownSurfaceError(
                f"the tracking geometry has no sensitive surface with geometry id {first}, one of "
                f"{int(unknown.sum())} measurements; use the geometry that the input was made with"
            )
        return at


@lru_cache(maxsize=4)
def surface_table(trackingGeometry: Any) -> SurfaceTable:
    """Read the surfaces of a tracking geometry, once per geometry.

    Material is known of homogeneous surfaces; that of others counts as none.
    """
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    towards = acts.Vector3(0.0, 0.0, 1.0)  # only curved surfaces look at the direction
    corners = [acts.Vector2(0.0, 0.0), acts.Vector2(1.0, 0.0), acts.Vector2(0.0, 1.0)]
    ids, points, thickness = [], [], []
    for geometry_id, surface in trackingGeometry.geoIdSurfaceMap().items():
        if geometry_id.sensitive == 0:
            continue
        ids.append(geometry_id.value)
        points.append([tuple(surface.localToGlobal(context, c, towards)) for c in corners])
        thickness.append(radiation_lengths(surface))
    order = np.argsort(np.array(ids, np.uint64))
    geometry_id = np.array(ids, np.uint64)[order]
    center, unit0, unit1 = np.moveaxis(np.array(points).reshape(-1, 3, 3)[order], 1, 0)
    table = SurfaceTable(
        geometry_id,
        center,
        unit0 - center,
        unit1 - center,
        np.array(thickness)[order],
        *(np.full(len(ids), value) for value in (0.0, np.nan, np.nan, False)),
    )
    passives = passive_surfaces(trackingGeometry)
    pipe = _pipe(passives, table)
    for passive in passives:
        if passive is not pipe:
            _assign(passive, table)
    return table


def radiation_lengths(surface: Any) -> float:
    """Thickness of a surface's homogeneous material in radiation lengths; 0: none known."""
    material = surface.surfaceMaterial
    # The binding shows the numbers in the text only.
    found = _MATERIAL.search(material.toString()) if material is not None else None
    return float(found[2]) / float(found[1]) if found else 0.0


@dataclass(frozen=True)
class PassiveSurface:
    """A cylinder or disc around the z axis with material."""

    geometry_id: Any
    depth: float  # radiation lengths
    is_cylinder: bool
    place: float  # mm: radius of a cylinder, z of a disc
    extent: tuple[float, float]  # mm: z of a cylinder, radii of a disc


def passive_surfaces(trackingGeometry: Any) -> list[PassiveSurface]:
    """Cylinders and discs with homogeneous material and without sensors, the thickest first."""
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    found = []
    for surface in trackingGeometry.extractMaterialSurfaces():
        depth, kind = radiation_lengths(surface), surface.type
        if surface.geometryId.sensitive or depth <= 0.0:
            continue
        z, bounds = surface.center(context)[2], list(surface.bounds.values())
        if kind == acts.SurfaceType.Cylinder:
            radius, half = bounds[:2]
            found.append(
                PassiveSurface(surface.geometryId, depth, True, radius, (z - half, z + half))
            )
        elif kind == acts.SurfaceType.Disc:
            found.append(
                PassiveSurface(surface.geometryId, depth, False, z, (bounds[0], bounds[1]))
            )
    return sorted(found, key=lambda passive: -passive.depth)


def beam_pipe(trackingGeometry: Any) -> tuple[float, float]:
    """Radius in mm and radiation lengths of the innermost passive cylinder around the z axis.

    Both 0 where there is none inside of all sensitive surfaces.
    """
    pipe = _pipe(passive_surfaces(trackingGeometry), surface_table(trackingGeometry))
    return (pipe.place, pipe.depth) if pipe else (0.0, 0.0)


def _pipe(passives: list[PassiveSurface], table: SurfaceTable) -> PassiveSurface | None:
    innermost = np.hypot(table.center[:, 0], table.center[:, 1]).min(initial=np.inf)
    inside = [p for p in passives if p.is_cylinder and p.place < innermost]
    return min(inside, key=lambda passive: passive.place, default=None)


def _assign(passive: PassiveSurface, table: SurfaceTable) -> None:
    """Add a passive surface to the layer it belongs to.

    That is the layer of its own geometry id, or, for the boundary of a volume, the nearest one
    that it covers. The place of the thickest counts.
    """
    layer = table.geometry_id >> _LAYER_BITS
    r, z = np.hypot(table.center[:, 0], table.center[:, 1]), table.center[:, 2]
    if not passive.geometry_id.boundary:
        rows = layer == passive.geometry_id.value >> int(_LAYER_BITS)
    else:
        flat = np.abs(table.normal[:, 2]) > np.sqrt(0.5)
        across, along = (r, z) if passive.is_cylinder else (z, r)
        low, high = passive.extent
        covered = (flat != passive.is_cylinder) & (along > low) & (along < high)
        if not covered.any():
            return
        nearest = np.argmin(np.where(covered, np.abs(across - passive.place), np.inf))
        rows = layer == layer[nearest]
    table.layer_thickness[rows] += passive.depth
    if not rows.any() or not np.isnan([table.layer_radius[rows], table.layer_z[rows]]).all():
        return
    place, sensors = (table.layer_radius, r) if passive.is_cylinder else (table.layer_z, np.abs(z))
    place[rows] = passive.place
    table.material_inside[rows] = abs(passive.place) < sensors[rows].mean() - 1.0
