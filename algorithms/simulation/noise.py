"""Noise clusters: measurements that belong to no particle."""

from __future__ import annotations

import numpy as np

from trkx.algorithms.simulation.modules import ModuleTable, Readout


def noise_clusters(
    rng: np.random.Generator,
    share: float,
    module: np.ndarray,
    size: np.ndarray,
    modules: ModuleTable,
    readout: Readout,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the noise clusters of one event.

    - Their number is Poisson distributed; on average it makes `share` of all measurements.
    - Each belongs to the layer of a measurement drawn at random, so that the layers' shares are
      those of the real measurements, and has the cluster size of that measurement, so that the
      size alone tells nothing.
    - It lies uniformly over the sensitive area of that layer. Where a cluster is one channel wide
      it lies at the centre of a channel, as real ones do.

    Args:
        rng: random numbers of this event.
        share: noise over all measurements, in [0, 1).
        module: int64 (M,), rows of `modules` of the real measurements.
        size: int64 (M, 2), their cluster sizes.
        modules: the detector.
        readout: pitch of the channels.

    Returns:
        `(module, local, size)` of the noise: int64 (K,), float64 (K, 2) in mm, int64 (K, 2).
    """
    count = int(rng.poisson(len(module) * share / (1.0 - share))) if len(module) else 0
    like = rng.integers(0, max(len(module), 1), count)
    layers = modules.layer_key
    chosen = np.empty(count, dtype=np.int64)
    wanted = layers[module[like]]
    for layer in np.unique(wanted):
        here = np.flatnonzero(wanted == layer)
        candidates = np.flatnonzero(layers == layer)
        area = np.cumsum(modules.area[candidates])
        chosen[here] = candidates[np.searchsorted(area, rng.uniform(0, area[-1], len(here)))]
    local = _uniform_points(rng, chosen, modules)
    sizes = size[like]
    volume = modules.volume[chosen]
    pitch, edge = readout.pitch[volume], readout.edge[volume]
    single = (sizes == 1) & np.isfinite(pitch)
    centre = edge + (np.floor((local - edge) / pitch) + 0.5) * pitch
    local = np.where(single, centre, local)
    return chosen, local, sizes


def _uniform_points(
    rng: np.random.Generator, module: np.ndarray, modules: ModuleTable
) -> np.ndarray:
    """Return points (K, 2), uniform over each module's trapezoid."""
    low, high = modules.half_low[module], modules.half_high[module]
    # The density in v grows linearly from `low` to `high`; t is v from 0 to 1. Solve for t
    # ∫(low + (high - low) t) dt = x (low + high) / 2, in the form that holds for high = low too.
    x = rng.random(len(module))
    t = x * (low + high) / (low + np.sqrt(low**2 + x * (high**2 - low**2)))
    u = rng.uniform(-1.0, 1.0, len(module)) * (low + (high - low) * t)
    return np.stack([u, (2.0 * t - 1.0) * modules.half_v[module]], axis=1)
