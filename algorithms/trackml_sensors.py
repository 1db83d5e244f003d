"""Sensors of the TrackML challenge: charge drifts sideways in the field of the barrel.

Thickness and Lorentz angle are those that ACTS' GenericDetector had when the challenge was made
(`BuildGenericDetector.hpp` of ACTS 0.5: thickness 0.15, 0.25 and 0.35 mm, angles 0.12, 0.12 and
0.08; none in the endcaps). The hits of the challenge confirm them: they lie beside the
charge-weighted middle of their cells by thickness · tan(angle), 0.362, 0.377 and 0.234 channels.
That corrects for charge that drifts through all of the sensor; on average it drifts through half.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trkx.plugin.layers import Layers

__all__ = ["LORENTZ_ANGLES", "THICKNESS", "drift_shift", "turned_layers"]

LORENTZ_ANGLES = {8: 0.12, 13: 0.12, 17: 0.08}
"""Angle of the drift in the plane of local u and the normal by volume, radian."""

THICKNESS = {
    **dict.fromkeys((7, 9), 0.3),
    **dict.fromkeys((12, 14), 0.5),
    **dict.fromkeys((16, 18), 0.7),
    8: 0.15,
    13: 0.25,
    17: 0.35,
}
"""Of the sensors by volume, mm. The clusters of the challenge are as long as these make them: what
`detectors.csv` calls `module_t` is the thickness in the barrels, and half of it in the endcaps."""

_READ_OUT_SIDE = {8: 1.0, 13: -1.0, 17: -1.0}  # pixels are read out on the other side


def drift_shift(volume: np.ndarray) -> np.ndarray:
    """How far the challenge's hits lie from their particles along local u, mm, on average.

    Args:
        volume: shape (N,), volume of the module of each hit.
    """
    shift = np.zeros(256)
    for number, angle in LORENTZ_ANGLES.items():
        shift[number] = 0.5 * _READ_OUT_SIDE[number] * THICKNESS[number] * np.tan(angle)
    return shift[volume]


def turned_layers(layers: Layers) -> Layers:
    """Layers with the axes of the barrel's modules turned by the Lorentz angle.

    A cluster is as long along u as the track moves away from the drifting charge: its length tells
    the angle between both, not that to the normal. Layers learned from simulated events without
    drift become those of a detector that has it.
    """
    row = np.searchsorted(layers.module_offset, np.arange(len(layers.frames)), side="right") - 1
    tangent = np.zeros(256)
    for volume, angle in LORENTZ_ANGLES.items():
        tangent[volume] = np.tan(angle)
    u, v = layers.frames[:, :3].astype(np.float64), layers.frames[:, 3:].astype(np.float64)
    turned = u - tangent[layers.volume[row]][:, None] * np.cross(u, v)
    turned /= np.maximum(np.linalg.norm(turned, axis=1), 1e-9)[:, None]
    return replace(layers, frames=np.concatenate([turned, v], axis=1).astype(np.float32))
