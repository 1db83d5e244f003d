"""The sensitive surfaces of a tracking geometry as arrays: planes, axes, material."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import acts
import numpy as np

from trkx.io.errors import GeometryIdError

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
    """

    geometry_id: np.ndarray
    center: np.ndarray
    axis0: np.ndarray
    axis1: np.ndarray
    thickness: np.ndarray
    layer_thickness: np.ndarray
    layer_radius: np.ndarray
    layer_z: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """Unit vectors, shape (S, 3)."""
        result: np.ndarray = np.cross(self.axis0, self.axis1)
        return result

    def rows(self, geometry_ids: np.ndarray) -> np.ndarray:
        """Rows of surfaces, int64.

        Raises:
            GeometryIdError: an id that the geometry does not have.
        """
        at = np.searchsorted(self.geometry_id, geometry_ids)
        at = np.minimum(at, len(self.geometry_id) - 1)
        unknown = self.geometry_id[at] != geometry_ids
        if unknown.any():
            first = int(np.asarray(geometry_ids)[unknown][0])
            raise GeometryIdError(
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
    passive = _passive_layers(trackingGeometry, context)
    layers = (geometry_id >> _LAYER_BITS).tolist()
    nothing = (0.0, np.nan, np.nan)
    of_layer = np.array([passive.get(layer, nothing) for layer in layers]).reshape(-1, 3)
    return SurfaceTable(
        geometry_id,
        center,
        unit0 - center,
        unit1 - center,
        np.array(thickness)[order],
        *of_layer.T,
    )


def radiation_lengths(surface: Any) -> float:
    """Thickness of a surface's homogeneous material in radiation lengths; 0: none known."""
    material = surface.surfaceMaterial
    # The binding shows the numbers in the text only.
    found = _MATERIAL.search(material.toString()) if material is not None else None
    return float(found[2]) / float(found[1]) if found else 0.0


def _passive_layers(trackingGeometry: Any, context: Any) -> dict[int, tuple[float, float, float]]:
    """Layer → radiation lengths, radius and z of its surface without sensors, as of its support.

    Of several the thickest counts.
    """
    found: dict[int, tuple[float, float, float]] = {}
    for surface in trackingGeometry.extractMaterialSurfaces():
        identifier, depth = surface.geometryId, radiation_lengths(surface)
        layer = identifier.value >> int(_LAYER_BITS)
        if identifier.sensitive or not depth > found.get(layer, (0.0,))[0]:
            continue
        if surface.type == acts.SurfaceType.Cylinder:
            found[layer] = (depth, _radius(surface), np.nan)
        elif surface.type == acts.SurfaceType.Disc:
            found[layer] = (depth, np.nan, surface.center(context)[2])
        else:
            found[layer] = (depth, np.nan, np.nan)
    return found


def _radius(surface: Any) -> float:
    return float(surface.bounds[acts.CylinderBoundsValue.R])


def beam_pipe(trackingGeometry: Any) -> tuple[float, float]:
    """Radius in mm and radiation lengths of the innermost passive cylinder around the z axis.

    Both 0 where there is none inside of all sensitive surfaces.
    """
    table = surface_table(trackingGeometry)
    innermost = np.hypot(table.center[:, 0], table.center[:, 1]).min(initial=np.inf)
    found = (0.0, 0.0)
    for surface in trackingGeometry.extractMaterialSurfaces():
        if surface.geometryId.sensitive or surface.type != acts.SurfaceType.Cylinder:
            continue
        depth, radius = radiation_lengths(surface), _radius(surface)
        if depth > 0.0 and radius < innermost and (not found[0] or radius < found[0]):
            found = (radius, depth)
    return found
