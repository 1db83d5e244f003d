"""What is read out where strip modules have two sensors: pixels as digitized, strips by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.containers import Hits, Measurements
from trkx.algorithms.simulation.modules import ModuleTable, Readout
from trkx.algorithms.simulation.noise import noise_clusters
from trkx.algorithms.simulation.readings import Readings, measured_modules, ranks, sort_link
from trkx.algorithms.simulation.strip_clusters import (
    find_row,
    make_strip_clusters,
    strip_centers,
)
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors


@dataclass(frozen=True)
class _Clusters:
    """Clusters of pixels (side 0) and strips in any order."""

    module: np.ndarray  # int64 (M,)
    side: np.ndarray  # int64 (M,)
    row: np.ndarray  # int64 (M,), of strips; 0 for pixels
    first: np.ndarray  # int64 (M,), strip; 0 for pixels
    local: np.ndarray  # float64 (M, 2), mm, of pixels; ignored for strips
    size: np.ndarray  # int64 (M, 2), channels

    def __len__(self) -> int:
        return len(self.module)

    def __add__(self, other: _Clusters) -> _Clusters:
        names = self.__dataclass_fields__
        return _Clusters(*(np.concatenate([getattr(c, n) for c in (self, other)]) for n in names))

    def __getitem__(self, rows: np.ndarray) -> _Clusters:
        return _Clusters(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def read_out_strips(
    hits: Hits,
    measurements: Measurements,
    modules: ModuleTable,
    readout: Readout,
    sensors: StripSensors,
    noise: float,
    rng: np.random.Generator,
) -> Readings:
    """The digitized measurements of the pixels, clusters of both sides of strip modules, noise.

    Strips are read out as yes or no: a cluster's coordinate is its middle, its variance that of a
    uniform distribution over one strip; a particle that fires several passed near their middle.
    Noise is `noise` of all measurements, pixels and strips
    alike; on strip modules each noise cluster is on one side.

    Args:
        hits: simulated hits.
        measurements: digitized hits; those on strip modules are not used.
        modules: the detector.
        readout: pitch and resolution.
        sensors: layout of the strip modules.
        noise: share of noise among all measurements.
        rng: random numbers of this event for the noise.
    """
    pixels, pixel_link = _pixels(hits, measurements, modules, sensors)
    strips, strip_link, strip_crossing = _strips(hits, modules, readout, sensors)
    clusters = pixels + strips
    clusters += _noise(clusters, modules, readout, sensors, noise, rng)
    pitch = readout.pitch[modules.volume[clusters.module], 0]
    across = np.where(clusters.side == 0, clusters.local[:, 0], clusters.first * pitch)
    order = np.lexsort((clusters.local[:, 1], across, clusters.row, clusters.side, clusters.module))
    link, rows = sort_link(
        ranks(order), np.concatenate([pixel_link, strip_link + np.array([len(pixels), 0])])
    )
    crossing = np.concatenate([hits.position[pixel_link[:, 1], :3], strip_crossing])[rows]
    return _readings(clusters[order], link, crossing, modules, readout, sensors)


def _pixels(
    hits: Hits, measurements: Measurements, modules: ModuleTable, sensors: StripSensors
) -> tuple[_Clusters, np.ndarray]:
    """Digitized measurements that are not on strip modules, and their hits (L, 2)."""
    module = measured_modules(hits, measurements, modules)
    kept = ~sensors.has(modules.volume[module])
    new = np.where(kept, np.cumsum(kept) - 1, -1)
    link = np.stack([new[measurements.link[:, 0]], measurements.link[:, 1]], axis=1)
    zero = np.zeros(int(kept.sum()), np.int64)
    local, size = measurements.local[kept], measurements.size[kept]
    return _Clusters(module[kept], zero, zero, zero, local, size), link[link[:, 0] >= 0]


def _strips(
    hits: Hits, modules: ModuleTable, readout: Readout, sensors: StripSensors
) -> tuple[_Clusters, np.ndarray, np.ndarray]:
    """Clusters of strips, their hits (L, 2), and where these cross the sensors (L, 3)."""
    hit = np.flatnonzero(sensors.has((hits.geometry_id >> np.uint64(56)).astype(np.int64)))
    momentum = hits.before[hit, :3]
    found = make_strip_clusters(
        hit,
        modules.index(hits.geometry_id[hit]),
        hits.position[hit, :3],
        momentum / np.linalg.norm(momentum, axis=1)[:, None],
        sensors,
        modules,
        readout,
    )
    size = np.stack([found.size, np.ones_like(found.size)], axis=1)
    local = np.zeros((len(found), 2))
    clusters = _Clusters(found.module, found.side, found.row, found.first, local, size)
    return clusters, found.link, found.crossing


def _noise(
    like: _Clusters,
    modules: ModuleTable,
    readout: Readout,
    sensors: StripSensors,
    share: float,
    rng: np.random.Generator,
) -> _Clusters:
    """Noise clusters with the layers and sizes of real ones."""
    module, local, size = noise_clusters(rng, share, like.module, like.size, modules, readout)
    strip = sensors.has(modules.volume[module])
    side = np.where(strip, rng.integers(1, 3, len(module)), 0)
    frames = SensorFrames.of(sensors, modules, module, side)
    turned = frames.local(modules.to_global(module, local))
    row = np.clip(
        find_row(sensors, modules, module, turned[:, 1]), 0, sensors.rows(modules, module) - 1
    )
    pitch = readout.pitch[modules.volume[module], 0]
    first = np.rint(turned[:, 0] / pitch - 0.5 * size[:, 0]).astype(np.int64)
    size[strip, 1] = 1
    return _Clusters(module, side, np.where(strip, row, 0), np.where(strip, first, 0), local, size)


def _readings(
    clusters: _Clusters,
    link: np.ndarray,
    crossing: np.ndarray,
    modules: ModuleTable,
    readout: Readout,
    sensors: StripSensors,
) -> Readings:
    """Positions and variances of clusters that are in the order of the file."""
    c, strip = clusters, clusters.side > 0
    local, variance = c.local.copy(), np.full((len(c), 2), np.nan)
    variance[~strip] = readout.variances(modules, c.module[~strip], local[~strip], c.size[~strip])
    position, half = modules.to_global(c.module, local), np.zeros((len(c), 3))
    frames = SensorFrames.of(sensors, modules, c.module[strip], c.side[strip])
    middle, half_length = strip_centers(
        sensors, modules, readout, c.module[strip], c.row[strip], c.first[strip], c.size[strip, 0]
    )
    position[strip] = frames.to_global(middle)
    half[strip] = half_length[:, None] * frames.along
    pitch = readout.pitch[modules.volume[c.module[strip]], 0]
    variance[strip, 0] = pitch**2 / 12.0
    local[strip] = np.stack([middle[:, 0], np.full(len(middle), np.nan)], axis=1)
    true_local = modules.to_local(c.module[link[:, 0]], crossing)
    of_strip = strip[link[:, 0]]
    at = link[of_strip, 0]
    true_local[of_strip] = SensorFrames.of(sensors, modules, c.module[at], c.side[at]).local(
        crossing[of_strip]
    )
    return Readings(
        c.module, c.side, local, c.size, variance, position, half, link, crossing, true_local
    )
