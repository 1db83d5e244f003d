"""Direction and momentum of tracks from three of their measurements, the same for every finder.

Fakes have no particle and proto tracks no fitted parameters, but fake rates are wanted against eta
and pT. So all tracks, fitted or not, are binned by these estimates; they serve nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# pT in GeV of a particle of unit charge with curvature radius 1 mm in 1 T.
GEV_PER_TESLA_MM = 0.299792458e-3


@dataclass(frozen=True)
class TrackKinematics:
    """Shape (T,) each; NaN where a track has fewer than three measurements.

    pt: GeV, as if of unit charge.
    eta: pseudorapidity.
    phi: azimuth at the innermost measurement, rad.
    """

    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]


def track_kinematics(
    track_offsets: NDArray,
    track_measurements: NDArray,
    positions: NDArray[np.float64],
    field: float = 2.0,
) -> TrackKinematics:
    """Helix through the innermost, middle and outermost measurement of each track.

    Args:
        track_offsets: shape (T + 1,).
        track_measurements: indices of measurements, in any order within a track.
        positions: shape (M, 3), mm.
        field: solenoid field along z, T.
    """
    counts = np.diff(track_offsets)
    track = np.repeat(np.arange(len(counts)), counts)
    xyz = positions[track_measurements]
    ordered = xyz[np.lexsort((np.linalg.norm(xyz, axis=1), track))]

    usable = np.flatnonzero(counts >= 3)
    first = np.asarray(track_offsets)[:-1][usable]
    inner, middle, outer = (
        ordered[first],
        ordered[first + counts[usable] // 2],
        ordered[first + counts[usable] - 1],
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pt, eta, phi = _helix(inner, middle, outer, field)
    result = [np.full(len(counts), np.nan) for _ in range(3)]
    for full, values in zip(result, (pt, eta, phi), strict=True):
        full[usable] = values
    return TrackKinematics(*result)


def _helix(
    a: NDArray, b: NDArray, c: NDArray, field: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    ab, ac, bc = (b - a)[:, :2], (c - a)[:, :2], (c - b)[:, :2]
    cross = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    chord = np.hypot(*ac.T)
    # Menger curvature: four times the triangle's area over the product of its sides.
    curvature = 2.0 * cross / (np.hypot(*ab.T) * np.hypot(*bc.T) * chord)
    half_turn = np.arcsin(np.clip(curvature * chord / 2.0, -1.0, 1.0))
    arc = np.where(curvature == 0, chord, 2.0 * half_turn / curvature)
    pt = GEV_PER_TESLA_MM * field / np.abs(curvature)
    eta = np.arcsinh((c - a)[:, 2] / arc)
    phi = np.arctan2(ac[:, 1], ac[:, 0]) - half_turn
    return pt, eta, (phi + np.pi) % (2.0 * np.pi) - np.pi
