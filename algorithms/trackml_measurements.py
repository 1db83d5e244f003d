"""Hits of the TrackML challenge as measurements on the modules of ACTS' GenericDetector.

Both are the same detector: volumes and layers have the same ids, modules of the barrel too, and
local axes agree to 1e-6. Modules of the endcaps are numbered otherwise, so that they are found by
position: hits lie on their module's plane and within its outline (the same that
`trackml_modules` finds from `detectors.csv`). Charge that drifts sideways shifts hits in the barrel
by some micrometres, which is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.modules import (
    ModuleTable,
    config_path,
    module_table,
    read_readout,
)
from trkx.algorithms.trackml_sensors import drift_shift
from trkx.io.errors import GeometryIdError
from trkx.io.trackml_clusters import ClusterShapes
from trkx.io.trackml_event import TrackMLEvent

__all__ = ["HitMeasurements", "hit_measurements"]

_BARREL = (8, 13, 17)
_OFF_PLANE = 0.02  # mm; hits of the challenge are within 0.005 mm of their plane
_OFF_EDGE = 0.2  # mm beyond the outline, where the drift of charge is corrected


@dataclass(frozen=True)
class HitMeasurements:
    """Measurements of N hits, in their order."""

    module: np.ndarray  # int64 (N,), row of `module_table()`
    local: np.ndarray  # float64 (N, 2), mm
    variance: np.ndarray  # float64 (N, 2), mm²


def hit_measurements(event: TrackMLEvent, shapes: ClusterShapes) -> HitMeasurements:
    """Put hits on the detector's modules.

    Raises:
        GeometryIdError: a hit is on a module that the detector does not have, or off its module.
    """
    modules = module_table()
    position = np.stack([event.hits[axis] for axis in "xyz"], axis=1)
    module = _modules_of(event, position, modules)
    local = modules.to_local(module, position)
    local[:, 0] -= drift_shift(modules.volume[module])
    size = np.stack([shapes.size0, shapes.size1], axis=1)
    readout = read_readout(config_path("generic-digi-trackml"))
    return HitMeasurements(module, local, readout.variances(modules, module, local, size))


def _modules_of(event: TrackMLEvent, position: np.ndarray, modules: ModuleTable) -> np.ndarray:
    volume, layer, number = (
        event.hits[name].astype(np.uint64) for name in ("volume_id", "layer_id", "module_id")
    )
    layer_key = volume << np.uint64(20) | layer
    found = np.full(event.n_hits, -1, dtype=np.int64)
    for key in np.unique(layer_key):
        hits = np.flatnonzero(layer_key == key)
        rows = np.flatnonzero(modules.layer_key == key)
        if not len(rows):
            continue
        if int(key >> np.uint64(20)) in _BARREL:
            ids = (modules.geometry_id[rows] >> np.uint64(8)) & np.uint64(0xFFFFF)
            place = np.minimum(np.searchsorted(ids, number[hits]), len(rows) - 1)
            found[hits] = np.where(ids[place] == number[hits], rows[place], -1)
        else:
            found[hits] = _on_plane(position[hits], rows, modules)
    bad = np.flatnonzero(found < 0)
    if len(bad):
        names = ", ".join(f"{n} {event.hits[n][bad[0]]}" for n in ("volume_id", "layer_id"))
        raise GeometryIdError(
            f"{len(bad)} of {event.n_hits} hits of event {event.number} are on no module of the "
            f"TrackML detector; the first is hit_id {event.hits['hit_id'][bad[0]]}, {names}, "
            f"module_id {event.hits['module_id'][bad[0]]}"
        )
    return found


def _on_plane(position: np.ndarray, rows: np.ndarray, modules: ModuleTable) -> np.ndarray:
    """Row of the module that each position lies on, −1: on none of `rows`."""
    offset = position[:, None, :] - modules.center[rows][None, :, :]
    u = np.einsum("nmi,mi->nm", offset, modules.axis_u[rows])
    v = np.einsum("nmi,mi->nm", offset, modules.axis_v[rows])
    normal = np.cross(modules.axis_u[rows], modules.axis_v[rows])
    w = np.einsum("nmi,mi->nm", offset, normal)
    half = modules.half_u(rows[None, :], v)
    beyond = np.maximum(np.abs(u) - half, np.abs(v) - modules.half_v[rows])
    beyond[np.abs(w) > _OFF_PLANE] = np.inf
    best = beyond.argmin(axis=1)
    inside = beyond[np.arange(len(best)), best] <= _OFF_EDGE
    return np.where(inside, rows[best], -1)
