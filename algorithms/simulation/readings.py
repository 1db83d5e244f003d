"""What the sensors of the detector read out in one event, noise included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.containers import Hits, Measurements
from trkx.algorithms.simulation.modules import ModuleTable, Readout
from trkx.algorithms.simulation.noise import noise_clusters


@dataclass(frozen=True)
class Readings:
    """M measurements in the order of the file, and the hits they are made of.

    Measurements are ordered by module and, within a module, by position, so that their order does
    not tell noise from particles.
    """

    module: np.ndarray  # int64 (M,), row of the module
    side: np.ndarray  # int64 (M,); 0: one sensor measures both coordinates, 1, 2: strips
    local: np.ndarray  # float64 (M, 2), mm; NaN: not measured
    size: np.ndarray  # int64 (M, 2), channels
    variance: np.ndarray  # float64 (M, 2), mm²; NaN: not measured
    position: np.ndarray  # float64 (M, 3), global, mm; of strips, their middle
    half: np.ndarray  # float64 (M, 3), from the middle of a strip to its end, mm; 0 for others
    link: np.ndarray  # int64 (L, 2), measurement and hit, ascending in the measurement
    crossing: np.ndarray  # float64 (L, 3), where each hit crosses the sensor, mm
    true_local: np.ndarray  # float64 (L, 2), the same in the frame of the sensor, mm

    def __len__(self) -> int:
        return len(self.module)

    def geometry_id(self, modules: ModuleTable) -> np.ndarray:
        """(M,) uint64: the module's, with the side of strip sensors in its 'extra' bits."""
        return modules.geometry_id[self.module] | self.side.astype(np.uint64)


def sort_link(rank: np.ndarray, link: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber measurements.

    Args:
        rank: (M,) new number of each measurement.
        link: (L, 2) measurement and hit.

    Returns:
        link with the new numbers, ascending, and the rows of `link` that it is made of.
    """
    new = np.stack([rank[link[:, 0]], link[:, 1]], axis=1)
    order = np.lexsort((new[:, 1], new[:, 0]))
    return new[order], order


def ranks(order: np.ndarray) -> np.ndarray:
    """(M,) place of each row in `order` (M,)."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def measured_modules(hits: Hits, measurements: Measurements, modules: ModuleTable) -> np.ndarray:
    """(M,) int64: the module of each digitized measurement."""
    numbers = np.arange(len(measurements.local))
    first_hit = measurements.link[np.searchsorted(measurements.link[:, 0], numbers), 1]
    return modules.index(hits.geometry_id[first_hit])


def read_out(
    hits: Hits,
    measurements: Measurements,
    modules: ModuleTable,
    readout: Readout,
    noise: float,
    rng: np.random.Generator,
) -> Readings:
    """The digitized measurements and the noise, both coordinates measured everywhere.

    Args:
        hits: simulated hits.
        measurements: digitized hits.
        modules: the detector.
        readout: pitch and resolution.
        noise: share of noise among all measurements.
        rng: random numbers of this event for the noise.
    """
    module = measured_modules(hits, measurements, modules)
    noise_module, noise_local, noise_size = noise_clusters(
        rng, noise, module, measurements.size, modules, readout
    )
    module = np.concatenate([module, noise_module])
    local = np.concatenate([measurements.local, noise_local])
    size = np.concatenate([measurements.size, noise_size])
    order = np.lexsort((local[:, 1], local[:, 0], module))
    link, _ = sort_link(ranks(order), measurements.link)
    module, local, size = module[order], local[order], size[order]
    crossing = hits.position[link[:, 1], :3]
    return Readings(
        module=module,
        side=np.zeros(len(module), np.int64),
        local=local,
        size=size,
        variance=readout.variances(modules, module, local, size),
        position=modules.to_global(module, local),
        half=np.zeros((len(module), 3)),
        link=link,
        crossing=crossing,
        true_local=modules.to_local(module[link[:, 0]], crossing),
    )
