"""Clusters as in the TrackML challenge along local u, for simulated events.

ACTS' digitization, as far as Python reaches it, lets charge drift along the normal and weights
channels by their charge. In the challenge the charge of the barrel drifts sideways, and strips are
read out as bits. Here the clusters of one particle in the barrel and in the strips of the endcaps
are made anew along local u: from the channels that the particle's path crosses once it is sheared
by the Lorentz angle. Pixels weight their channels by the length of the path in them, strips weight
all alike. Positions are corrected for the mean drift.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trkx.algorithms.simulation.modules import ModuleTable, Readout
from trkx.algorithms.trackml_sensors import LORENTZ_ANGLES, THICKNESS
from trkx.io.event import Event

__all__ = ["crossed_channels", "drifted_event"]

PIXEL_BARREL = 8
MADE_ANEW = (PIXEL_BARREL, 12, 13, 14, 16, 17, 18)


def crossed_channels(
    begin: np.ndarray, end: np.ndarray, weighted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Channels that paths cross, and the middle of the clusters.

    Args:
        begin: shape (N,), where the paths begin, in channels.
        end: shape (N,), where they end.
        weighted: shape (N,), bool; channels weigh as much as the path in them, or all alike.

    Returns:
        number of channels, int64, and middle of the cluster, in channels, float64; shape (N,).
    """
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    first, last = np.floor(low), np.floor(high)
    size = (last - first).astype(np.int64) + 1
    even = 0.5 * (first + last + 1)
    # Channels between the first and the last are crossed from end to end.
    inner = np.maximum(last - first - 1, 0)
    inner_sum = inner * 0.5 * (first + last + 1)
    ends = (first + 1 - low) * (first + 0.5) + (high - last) * (last + 0.5)
    length = np.maximum(high - low, 1e-12)
    weighted_mean = np.where(size == 1, first + 0.5, (ends + inner_sum) / length)
    return size, np.where(weighted, weighted_mean, even)


def drifted_event(event: Event, modules: ModuleTable, readout: Readout) -> Event:
    """The event with clusters as in the challenge.

    Clusters of several particles and noise stay as they are.

    Args:
        event: simulated with truth, without `strips` of two sensors: one space point for each
            measurement, in the same order.
        modules: the detector.
        readout: pitch and resolution.
    """
    m = dict(event.measurements)
    module = modules.index(m["geometry_id"])
    volume = modules.volume[module]
    tangent, thickness = np.zeros(256), np.zeros(256)
    for number in MADE_ANEW:
        tangent[number] = np.tan(LORENTZ_ANGLES.get(number, 0.0))
        thickness[number] = THICKNESS[number]
    single = np.diff(event.measurement_particle_offsets) == 1
    rows = np.flatnonzero(single & (thickness[volume] > 0))
    module, volume = module[rows], volume[rows]
    u, v = modules.axis_u[module], modules.axis_v[module]
    phi, theta = m["true_phi"][rows], m["true_theta"][rows]
    direction = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1
    )
    along = (direction * np.cross(u, v)).sum(axis=1)
    slope = (direction * u).sum(axis=1) / np.where(np.abs(along) > 1e-3, along, 1e-3)
    reach = 0.5 * thickness[volume] * (slope - tangent[volume])
    pitch, edge = readout.pitch[volume, 0], readout.edge[volume, 0]
    half = modules.half_high[module]
    true = m["true_loc0"][rows].astype(np.float64)
    begin, end = (
        (np.clip(true + sign * reach, -half + 1e-6, half - 1e-6) - edge) / pitch for sign in (-1, 1)
    )
    size, middle = crossed_channels(begin, end, volume == PIXEL_BARREL)
    local = m["rec_loc0"].astype(np.float64)
    shift = edge + middle * pitch - local[rows]
    local[rows] += shift
    m["rec_loc0"] = local.astype(np.float32)
    m["clus_size_loc0"] = m["clus_size_loc0"].copy()
    m["clus_size_loc0"][rows] = size
    sizes = np.stack([m["clus_size_loc0"], m["clus_size_loc1"]], axis=1)
    every = modules.index(m["geometry_id"])
    both = np.stack([local, m["rec_loc1"]], axis=1)
    variance = readout.variances(modules, every, both, sizes).astype(np.float32)
    m["var_loc0"], m["var_loc1"] = variance.T
    m["residual_loc0"] = m["rec_loc0"] - m["true_loc0"]
    points = dict(event.space_points)
    for i, axis in enumerate("xyz"):
        points[axis] = points[axis].copy()
        points[axis][rows] += (shift * u[:, i]).astype(np.float32)
    points["r"] = np.hypot(points["x"], points["y"])
    points["clus_size_loc0"] = m["clus_size_loc0"].astype(np.float32)
    return replace(event, space_points=points, measurements=m)
