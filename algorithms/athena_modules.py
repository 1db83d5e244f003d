"""What an Athena dump says of modules and cluster shapes, for modules of the GenericDetector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.modules import (
    ModuleTable,
    config_path,
    module_table,
    read_readout,
)
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors

__all__ = ["ClusterFrames"]

SIDES = np.uint64(0xFF)  # bits of geometry ids that tell the two sensors of a strip module apart
_THICKNESS = 0.3  # of a sensor, mm
_RESOLUTION = 2.0  # modules of one ring agree so well in r and z, mm


@dataclass(frozen=True)
class ClusterFrames:
    """Placement of the sensors that N clusters are on; shapes (N,) and (N, 3)."""

    endcap: np.ndarray  # int64; -2, 0, 2
    layer: np.ndarray  # int64, layer or disk, of pixels and strips apart
    eta: np.ndarray  # int64, module along z (barrel) or r (endcaps)
    phi: np.ndarray  # int64, module along the azimuth, within its ring
    across: np.ndarray  # float64, unit vectors of local 0
    along: np.ndarray  # float64, unit vectors of local 1, along the strips
    normal: np.ndarray  # float64, unit vectors
    half: np.ndarray  # float64, half lengths of the strips, mm; 0 for pixels
    pitch: np.ndarray  # float64 (N, 2), mm
    center: np.ndarray  # float64, middle of the sensor, mm

    @classmethod
    def of(cls, geometry_id: np.ndarray, strip: np.ndarray) -> ClusterFrames:
        """Of clusters on modules (N,), where `strip` (N,) says which are of strips.

        Raises:
            GeometryIdError: a module is not one of the GenericDetector.
        """
        modules, sensors = module_table(), StripSensors()
        module = modules.index(geometry_id & ~SIDES)
        side = np.where(strip, geometry_id & SIDES, 0).astype(np.int64)
        plain = (side == 0)[:, None]
        frames = SensorFrames.of(sensors, modules, module, np.maximum(side, 1))
        volume = modules.volume[module]
        pitch = read_readout(config_path("generic-digi-geometric")).pitch[volume]
        disk = np.abs(np.cross(modules.axis_u, modules.axis_v)[:, 2]) > 0.5
        endcap = np.where(disk, np.where(modules.center[:, 2] > 0, 2, -2), 0)
        layer, eta, phi = _numbers(modules, sensors.has(modules.volume), endcap)
        return cls(
            endcap=endcap[module],
            layer=layer[module],
            eta=eta[module],
            phi=phi[module],
            across=np.where(plain, modules.axis_u[module], frames.across),
            along=np.where(plain, modules.axis_v[module], frames.along),
            normal=frames.normal,
            half=np.where(strip, modules.half_v[module] / sensors.rows(modules, module), 0.0),
            pitch=pitch,
            center=np.where(plain, modules.center[module], frames.origin),
        )

    def shapes(self, size: np.ndarray, position: np.ndarray) -> dict[str, np.ndarray]:
        """Shape angles of clusters of `size` (N, 2) channels at `position` (N, 3), mm.

        Pseudorapidities are log(tan(theta / 2)), without the usual minus, as in Athena.
        """
        extent = np.column_stack([size * self.pitch, np.full(len(size), _THICKNESS)])
        axes = np.stack([self.across, self.along, self.normal], axis=1)
        turned = np.einsum("ni,nij->nj", extent, axes)
        away = position / np.linalg.norm(position, axis=1)[:, None]
        straight = np.einsum("nij,nj->ni", axes, away)
        return {
            "CLloc_eta": _pseudorapidity(extent),
            "CLloc_phi": np.arctan2(extent[:, 1], extent[:, 0]),
            "CLglob_eta": _pseudorapidity(turned),
            "CLglob_phi": np.arctan2(turned[:, 1], turned[:, 0]),
            "CLeta_angle": np.arctan2(straight[:, 1], straight[:, 2]),
            "CLphi_angle": np.arctan2(straight[:, 0], straight[:, 2]),
        }


def _pseudorapidity(direction: np.ndarray) -> np.ndarray:
    return -np.arcsinh(direction[:, 2] / np.hypot(direction[:, 0], direction[:, 1]))


def _rank(*keys: np.ndarray) -> np.ndarray:
    """Number of distinct values of the last key below that of a row, among equal other keys."""
    order = np.lexsort(keys[::-1])
    group, step = np.zeros(len(order), bool), np.zeros(len(order), bool)
    step[1:] = keys[-1][order][1:] != keys[-1][order][:-1]
    for key in keys[:-1]:
        group[1:] |= key[order][1:] != key[order][:-1]
    count = np.cumsum(step | group)
    start = np.maximum.accumulate(np.where(group, np.arange(len(order)), 0))
    found = np.empty(len(order), np.int64)
    found[order] = count - count[start]
    return found


def _numbers(
    modules: ModuleTable, strips: np.ndarray, endcap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Athena's numbers of the M modules: layer or disk, and modules along z or r and in azimuth.

    Layers and disks count outward from 0, of pixels and strips apart; modules along z are numbered
    from the middle, with a sign, and there is a 0 if there is one in the middle; those along r from
    the innermost.
    """
    center = modules.center
    r, z = np.hypot(center[:, 0], center[:, 1]), center[:, 2]
    key, of_layer = np.unique(modules.layer_key, return_inverse=True)
    count = np.bincount(of_layer)
    mean_r, mean_z = np.bincount(of_layer, r) / count, np.bincount(of_layer, np.abs(z)) / count
    # Disks of two volumes may lie in one plane.
    far = np.where(endcap != 0, np.round(mean_z[of_layer]) * 1e4, 0.0) + mean_r[of_layer]
    layer = _rank(strips, endcap, np.round(far))
    along = np.round(np.where(endcap != 0, r, z) / _RESOLUTION)
    eta = _rank(modules.layer_key, along)
    last = np.zeros(len(key), np.int64)
    np.maximum.at(last, of_layer, eta)
    doubled = 2 * eta - last[of_layer]
    signed = np.sign(doubled) * ((np.abs(doubled) + 1) // 2)
    azimuth = np.arctan2(center[:, 1], center[:, 0])
    return (
        layer,
        np.where(endcap != 0, eta, signed),
        _rank(modules.layer_key, along, azimuth),
    )
