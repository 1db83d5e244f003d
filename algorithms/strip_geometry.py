"""A tracking geometry with both sensors of every strip module, for fits of `--strips stereo`.

ACTS' GenericDetector measures both coordinates on every module. Its Gen3 geometry is taken as a
JSON document, in which each strip module becomes two turned planes; the document is read back.
Gen3 has a volume per layer, and so other geometry ids than the files, which are translated.
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import acts
import acts.examples
import numpy as np

from trkx.algorithms.simulation.modules import ModuleTable, module_table
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors
from trkx.io.errors import GeometryIdError
from trkx.io.event import Event
from trkx.io.geometry_files import geometry_from_document, geometry_to_document

__all__ = ["StripEvents", "StripGeometry", "buildStripGeometry", "strip_geometry_document"]

MARGIN = 0.5
"""mm, added to the outlines of sensors: fits look for surfaces within these, and a track whose
measurement is at the edge may pass just outside."""

SECOND_SIDE = 10_000
"""Added to the number of a module within its layer to name its second sensor; more than it has."""


@dataclass(frozen=True)
class StripGeometry:
    """The geometry and the ids of its surfaces."""

    trackingGeometry: Any
    file_ids: np.ndarray  # uint64 (S,), ascending, as measurements of strip samples have them
    surface_ids: np.ndarray  # uint64 (S,), of the same surfaces in the geometry

    def translate(self, geometry_ids: np.ndarray) -> np.ndarray:
        """Ids in the geometry of measurements, uint64.

        Raises:
            GeometryIdError: one that the detector does not have.
        """
        at = np.minimum(np.searchsorted(self.file_ids, geometry_ids), len(self.file_ids) - 1)
        unknown = self.file_ids[at] != geometry_ids
        if unknown.any():
            raise GeometryIdError(
                f"{int(unknown.sum())} of {len(geometry_ids)} measurements are on no sensor of the "
                f"detector with strips, such as geometry id {int(geometry_ids[unknown][0])}; was "
                "the sample made with another layout?"
            )
        return self.surface_ids[at]


class StripEvents:
    """Events of a strip sample with their measurements on the surfaces of the geometry.

    Space points keep the ids of modules, which track finding knows.
    """

    def __init__(self, files: Any, geometry: StripGeometry) -> None:
        """Wrap events, an `EventSource`."""
        self._files, self._geometry = files, geometry
        self.available: tuple[int, int] = files.available
        self.has_measurements: bool = files.has_measurements
        self.has_strips = True

    def check_range(self, first: int, stop: int) -> None:
        """Raise unless these events are there."""
        self._files.check_range(first, stop)

    def read(self, number: int, truth: bool = True, columns: frozenset[str] | None = None) -> Event:
        """The event of that number."""
        event: Event = self._files.read(number, truth=truth, columns=columns)
        ids = self._geometry.translate(event.measurements["geometry_id"])
        return replace(event, measurements={**event.measurements, "geometry_id": ids})


@functools.lru_cache(maxsize=1)
def buildStripGeometry() -> StripGeometry:
    """Build the geometry, once per process; takes about five seconds."""
    document, file_ids, surface_ids = strip_geometry_document()
    order = np.argsort(file_ids)
    return StripGeometry(geometry_from_document(document), file_ids[order], surface_ids[order])


def strip_geometry_document(
    sensors: StripSensors | None = None,
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The GenericDetector with double-sided strip modules as ACTS' JSON document.

    Args:
        sensors: layout of the strip modules; default that of `trkx simulate --strips stereo`.

    Returns:
        the document, and the geometry ids of the sensitive surfaces: in files, and in it.
    """
    config = acts.examples.GenericDetector.Config()
    config.gen3 = True
    for name in ("logLevel", "volumeLogLevel", "layerLogLevel", "surfaceLogLevel"):
        setattr(config, name, acts.logging.WARNING)
    detector = acts.examples.GenericDetector(config)
    document = geometry_to_document(detector.trackingGeometry())
    modules = module_table()
    split_strip_modules(document, modules, sensors or StripSensors())
    sensitive = [surface for surface in document["surfaces"] if surface["sensitive"]]
    identifiers = [surface["geo_id"] for surface in sensitive]
    side = np.array([surface.pop("side") for surface in sensitive], np.uint64)
    rows = np.array([surface.pop("module") for surface in sensitive])
    surface_ids = [acts.GeometryIdentifier(**identifier).value for identifier in identifiers]
    return document, modules.geometry_id[rows] | side, np.array(surface_ids, np.uint64)


def split_strip_modules(
    document: dict[str, Any], modules: ModuleTable, sensors: StripSensors
) -> None:
    """Replace strip modules by their two sensors.

    Args:
        document: of the GenericDetector's Gen3 geometry; changed. Sensitive surfaces get the keys
            `module`, the row of their module, and `side`, 0 for pixels.
        modules: the same modules.
        sensors: layout of the strip modules.
    """
    surfaces = document["surfaces"]
    sensitive = [surface for surface in surfaces if surface["sensitive"]]
    rows = match_modules(sensitive, modules)
    strip = sensors.has(modules.volume[rows])
    next_id = 1 + max(surface["surface_id"] for surface in surfaces)
    twins: dict[int, int] = {}  # surface of side 1 → that of side 2
    for surface, row, is_strip in zip(sensitive, rows.tolist(), strip.tolist(), strict=True):
        surface["module"], surface["side"] = row, 0
        if not is_strip:
            continue
        twin = copy.deepcopy(surface)
        twin["surface_id"] = twins[surface["surface_id"]] = next_id
        next_id += 1
        for side, plane in ((1, surface), (2, twin)):
            place_sensor(plane, modules, sensors, row, side)
            plane["side"] = side
        # The navigator finds the volume of a surface by its id, and no volume has an extra part.
        twin["geo_id"]["sensitive"] += SECOND_SIDE
        surfaces.append(twin)
    row_of = dict(zip((surface["surface_id"] for surface in sensitive), rows.tolist(), strict=True))
    for volume in document["volumes"]:
        split = [i for i in volume["surface_id"] if i in twins]
        if split:
            volume["surface_id"] += [twins[i] for i in split]
            look_up_sensors(volume["navigation_policy"], modules.center[[row_of[i] for i in split]])


def look_up_sensors(policy: dict[str, Any], centers: np.ndarray) -> None:
    """Let a layer look up its sensors in bins of one module each, or all of them on discs.

    The bins that ACTS chooses by itself are too fine where two surfaces share a place, and on
    discs of the long strips no bins hold all of the turned planes.

    Args:
        policy: navigation policy of the layer's volume; changed.
        centers: shape (M, 3), of its modules, mm.
    """
    for child in policy.get("children", ()):
        inner = child["navigation_policy"]
        look_up_sensors(inner, centers)
        if inner["kind"] != "SurfaceArray":
            continue
        if inner["layerType"] == "Disc":
            child["navigation_policy"] = {
                "kind": "TryAll",
                "passives": True,
                "portals": False,
                "sensitives": True,
            }
        else:
            inner["bins1"] = len(np.unique(np.rint(centers[:, 2])))
            inner["bins0"] = len(centers) // inner["bins1"]


def match_modules(surfaces: list[dict[str, Any]], modules: ModuleTable) -> np.ndarray:
    """Rows of the modules that surfaces of the document are, by their centres."""
    row_of = {tuple(center): row for row, center in enumerate(_micrometres(modules.center))}
    centers = np.array([surface["transform"]["translation"] for surface in surfaces])
    return np.array([row_of[tuple(center)] for center in _micrometres(centers)], np.int64)


def place_sensor(
    surface: dict[str, Any], modules: ModuleTable, sensors: StripSensors, row: int, side: int
) -> None:
    """Turn and move a module's plane to one of its sensors, with half of its material."""
    frame = SensorFrames.of(sensors, modules, np.array([row]), np.array([side]))
    axes = np.stack([frame.across[0], frame.along[0], frame.normal[0]], axis=1)
    surface["transform"] = {
        "rotation": axes.ravel().tolist(),
        "translation": frame.origin[0].tolist(),
    }
    # A turned outline must hold all of the module's.
    turned = math.sin(sensors.stereo)
    half_u = max(modules.half_low[row], modules.half_high[row])
    half_v = modules.half_v[row]
    grow_u, grow_v = half_v * turned + MARGIN, half_u * turned + MARGIN
    surface["bounds"] = {
        "type": "TrapezoidBounds",
        "values": [
            modules.half_low[row] + grow_u,
            modules.half_high[row] + grow_u,
            half_v + grow_v,
            0.0,
        ],
    }
    for layers in surface["material"]["data"]:
        for slab in layers:
            slab["thickness"] *= 0.5


def _micrometres(points: np.ndarray) -> list[list[int]]:
    result: list[list[int]] = np.rint(points * 1e3).astype(np.int64).tolist()
    return result
