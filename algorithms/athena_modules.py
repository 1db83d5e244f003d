"""What an Athena dump says of modules and cluster shapes, for modules of the GenericDetector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.modules import config_path, module_table, read_readout
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors

__all__ = ["ClusterFrames"]

SIDES = np.uint64(0xFF)  # bits of geometry ids that tell the two sensors of a strip module apart
_THICKNESS = 0.3  # of a sensor, mm
_RESOLUTION = 2.0  # modules of one ring agree so well in r and z, mm


@dataclass(frozen=True)
class ClusterFrames:
    """Placement of the sensors that N clusters are on; shapes (N,) and (N, 3)."""

    endcap: np.ndarray  # int64; -2, 0, 2
    layer: np.ndarray  # int64, layer or disk within its volume
    eta: np.ndarray  # int64, module along z (barrel) or r (endcaps), from the lowest
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
        eta, phi = _numbers(modules.layer_key, disk, modules.center)
        return cls(
            endcap=endcap[module],
            layer=((geometry_id >> np.uint64(36)) & np.uint64(0xFFF)).astype(np.int64),
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


def _numbers(
    layer: np.ndarray, disk: np.ndarray, center: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of M modules along z or r within their layers, and around the beam line."""
    r = np.hypot(center[:, 0], center[:, 1])
    place = np.round(np.where(disk, r, center[:, 2]) / _RESOLUTION)
    azimuth = np.arctan2(center[:, 1], center[:, 0])

    def rank(*keys: np.ndarray) -> np.ndarray:
        """Number of distinct values of the last key below that of a row, for equal other keys."""
        order = np.lexsort(keys[::-1])
        group = np.zeros(len(order), bool)
        step = np.zeros(len(order), bool)
        step[1:] = keys[-1][order][1:] != keys[-1][order][:-1]
        for key in keys[:-1]:
            group[1:] |= key[order][1:] != key[order][:-1]
        count = np.cumsum(step | group)
        start = np.maximum.accumulate(np.where(group, np.arange(len(order)), 0))
        found = np.empty(len(order), np.int64)
        found[order] = count - count[start]
        return found

    return rank(layer, place), rank(layer, place, azimuth)
