"""Measurements that a real detector does not make: dead channels, lost data, low charge."""

from __future__ import annotations

import numpy as np

from trkx.algorithms.simulation.containers import Measurements

__all__ = ["lose_measurements"]


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
    kept = rng.random(len(measurements.local)) >= share
    row = np.cumsum(kept) - 1
    link = measurements.link[kept[measurements.link[:, 0]]]
    return Measurements(
        local=measurements.local[kept],
        size=measurements.size[kept],
        link=np.column_stack([row[link[:, 0]], link[:, 1]]),
    )
