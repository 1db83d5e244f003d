"""Measurements that a real detector does not make: dead channels, lost data, low charge."""

from __future__ import annotations

import numpy as np

from trkx.algorithms.simulation.containers import Measurements

__all__ = ["lose_measurements", "lose_modules"]


def lose_measurements(
    measurements: Measurements, share: float, rng: np.random.Generator
) -> Measurements:
    """Drop measurements at random.

    Args:
        measurements: M measurements.
        share: probability of each measurement to be lost; with 0, nothing is drawn.
        rng: random numbers of this event.
    """
    if share == 0:
        return measurements
    return _kept(measurements, rng.random(len(measurements.local)) >= share)


def lose_modules(
    measurements: Measurements, geometry_id: np.ndarray, share: float, seed: int
) -> Measurements:
    """Drop the measurements on a share of the modules, which are the same in all events.

    Args:
        measurements: M measurements.
        geometry_id: (H,) uint64, module of each simulated hit.
        share: of the modules.
        seed: of the draw.
    """
    if share == 0:
        return measurements
    module = np.zeros(len(measurements.local), np.uint64)
    module[measurements.link[:, 0]] = geometry_id[measurements.link[:, 1]]
    # A number per module that depends on nothing else, by the mixing of SplitMix64.
    z = module + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return _kept(measurements, z >= np.uint64(share * 2.0**64))


def _kept(measurements: Measurements, kept: np.ndarray) -> Measurements:
    """The measurements where `kept` (M,) is True."""
    row = np.cumsum(kept) - 1
    link = measurements.link[kept[measurements.link[:, 0]]]
    return Measurements(
        local=measurements.local[kept],
        size=measurements.size[kept],
        link=np.column_stack([row[link[:, 0]], link[:, 1]]),
    )
