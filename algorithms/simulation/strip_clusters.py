"""Clusters of strips from simulated hits: one coordinate per sensor, neighbours merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.modules import ModuleTable, Readout
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors

_APART = np.int64(1) << 32  # more strips than a row has


@dataclass(frozen=True)
class StripClusters:
    """Clusters of neighbouring strips; shapes (M,), and (L,) for the hits they are made of."""

    module: np.ndarray  # int64, row of the module
    side: np.ndarray  # int64, 1 or 2
    row: np.ndarray  # int64, row of strips on the sensor, from low t
    first: np.ndarray  # int64, first strip; strip i covers i * pitch to (i + 1) * pitch in s
    size: np.ndarray  # int64, strips
    link: np.ndarray  # int64 (L, 2), cluster and hit, ascending in the cluster
    crossing: np.ndarray  # float64 (L, 3), where each hit crosses the sensor, mm

    def __len__(self) -> int:
        return len(self.module)

    def centers(
        self, sensors: StripSensors, modules: ModuleTable, readout: Readout
    ) -> tuple[np.ndarray, np.ndarray]:
        """(M, 2) s and t of the middle of each cluster's strips, and (M,) half their length, mm."""
        return strip_centers(
            sensors, modules, readout, self.module, self.row, self.first, self.size
        )


def strip_centers(
    sensors: StripSensors,
    modules: ModuleTable,
    readout: Readout,
    module: np.ndarray,
    row: np.ndarray,
    first: np.ndarray,
    size: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(M, 2) s and t of the middle of `size` strips from `first` on, and (M,) half lengths, mm."""
    pitch = readout.pitch[modules.volume[module], 0]
    half = modules.half_v[module] / sensors.rows(modules, module)
    across = (first + 0.5 * size) * pitch
    return np.stack([across, (2 * row + 1) * half - modules.half_v[module]], axis=1), half


def find_row(
    sensors: StripSensors, modules: ModuleTable, module: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """(N,) int64: row of strips at the position `along` (t, mm); may be outside of the sensor."""
    half = modules.half_v[module]
    with np.errstate(invalid="ignore"):
        share = np.clip((along + half) / (2 * half), -1.0, 2.0)
    return np.floor(share * sensors.rows(modules, module)).astype(np.int64)


def make_strip_clusters(
    hit: np.ndarray,
    module: np.ndarray,
    position: np.ndarray,
    direction: np.ndarray,
    sensors: StripSensors,
    modules: ModuleTable,
    readout: Readout,
) -> StripClusters:
    """Extrapolate hits to both sensors of their modules and group the strips that fire.

    A hit that leaves the module between the two sensors is seen by one only. Strips that touch
    belong to one cluster, of several particles where they come close.

    Args:
        hit: (K,) number of each hit, to link to.
        module: (K,) rows of `modules`.
        position: (K, 3) where the particle crosses the middle of the module, mm.
        direction: (K, 3) its direction there, unit vectors.
        sensors: layout of the modules.
        modules: the detector.
        readout: pitches.
    """
    hit, module = np.tile(hit, 2), np.tile(module, 2)
    position, direction = np.tile(position, (2, 1)), np.tile(direction, (2, 1))
    side = np.repeat([1, 2], len(hit) // 2)
    frames = SensorFrames.of(sensors, modules, module, side)
    crossing, local = frames.intersect(position, direction)
    flat = modules.to_local(module, crossing)
    inside = (np.abs(flat[:, 1]) < modules.half_v[module]) & (
        np.abs(flat[:, 0]) < modules.half_u(module, flat[:, 1])
    )
    row = find_row(sensors, modules, module, local[:, 1])
    # The turned frame sticks out at the corners; there is no row of strips.
    inside &= (row >= 0) & (row < sensors.rows(modules, module))
    toward = np.abs((direction * frames.normal).sum(axis=1))
    spread = np.abs((direction * frames.across).sum(axis=1)) * sensors.thickness
    reach = (0.5 - sensors.shared) * spread[inside] / toward[inside]
    hit, module, side, row = hit[inside], module[inside], side[inside], row[inside]
    pitch = readout.pitch[modules.volume[module], 0]
    first = np.floor((local[inside, 0] - reach) / pitch).astype(np.int64)
    last = np.floor((local[inside, 0] + reach) / pitch).astype(np.int64)
    order = np.lexsort((first, row, side, module))
    hit, module, side, row = hit[order], module[order], side[order], row[order]
    first, last, crossing = first[order], last[order], crossing[inside][order]
    new = np.ones(len(hit), bool)
    for column in (module, side, row):
        new[1:] &= column[1:] == column[:-1]
    new[1:] = ~new[1:]
    # Groups are moved far apart, so that one running maximum does for all of them.
    shift = np.cumsum(new) * _APART
    end = np.maximum.accumulate(last + shift)
    new[1:] |= (first + shift)[1:] > end[:-1] + 1
    cluster = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    size = np.maximum.reduceat(last, start) - first[start] + 1 if len(start) else first
    by_hit = np.lexsort((hit, cluster))
    return StripClusters(
        module=module[start],
        side=side[start],
        row=row[start],
        first=first[start],
        size=size,
        link=np.stack([cluster, hit], axis=1)[by_hit],
        crossing=crossing[by_hit],
    )
