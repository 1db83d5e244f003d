"""Columns of the `tracksummary` tree from arrays of tracks and particles; no ACTS in here.

Branch names, units and missing values are those of ACTS' RootTrackSummaryWriter: NaN for
floating-point numbers without a value, 2^32 - 1 for `nMajorityHits` and 2^31 - 1 for `t_charge`
of tracks without a particle. Operations on NaN are kept to those that raise no floating-point
exception, which ACTS' sequencer traps: comparisons do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trkx.io.event import BARCODE

__all__ = [
    "PARAMETERS",
    "TRUTH_TYPES",
    "covariance_columns",
    "fitted_columns",
    "residual_columns",
    "truth_columns",
    "truth_parameters",
    "wrap_angle",
]

PARAMETERS = ("LOC0", "LOC1", "PHI", "THETA", "QOP", "T")
"""Bound parameters in the order of ACTS: mm, mm, rad, rad, e/GeV, mm."""

NO_MAJORITY = 2**32 - 1
NO_CHARGE = 2**31 - 1

TRUTH_TYPES: dict[str, Any] = {
    "nMajorityHits": np.uint32,
    **{f"majorityParticleId_{name}": np.uint32 for name in BARCODE},
    "trackClassification": np.int32,
    "t_charge": np.int32,
    **dict.fromkeys(
        (
            *("t_time", "t_vx", "t_vy", "t_vz", "t_px", "t_py", "t_pz", "t_p", "t_pT"),
            *("t_theta", "t_phi", "t_eta", "t_d0", "t_z0", "t_prodR"),
        ),
        np.float32,
    ),
}


def wrap_angle(angle: np.ndarray) -> np.ndarray:
    """Bring angles into [-π, π)."""
    return angle - 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))


def fitted_columns(
    parameters: np.ndarray, covariance: np.ndarray, fitted: np.ndarray
) -> dict[str, np.ndarray]:
    """Branches `hasFittedParams`, `e…_fit` and `err_e…_fit`.

    Args:
        parameters: shape (T, 6).
        covariance: shape (T, 6, 6).
        fitted: shape (T,), whether the track has parameters at a reference surface.
    """
    columns: dict[str, np.ndarray] = {"hasFittedParams": fitted}
    for i, name in enumerate(PARAMETERS):
        columns[f"e{name}_fit"] = np.where(fitted, parameters[:, i], np.nan)
        columns[f"err_e{name}_fit"] = np.where(fitted, _sigma(covariance[:, i, i]), np.nan)
    return columns


def covariance_columns(covariance: np.ndarray, fitted: np.ndarray) -> dict[str, np.ndarray]:
    """The 36 branches `cov_eA_eB`.

    Args:
        covariance: shape (T, 6, 6).
        fitted: shape (T,).
    """
    return {
        f"cov_e{first}_e{second}": np.where(fitted, covariance[:, i, j], np.nan)
        for i, first in enumerate(PARAMETERS)
        for j, second in enumerate(PARAMETERS)
    }


def truth_columns(
    particles: Mapping[str, np.ndarray],
    row: np.ndarray,
    n_majority: np.ndarray,
    classification: np.ndarray,
    reference: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> dict[str, np.ndarray]:
    """Branches about the majority particle of each track.

    `t_d0` and `t_z0` are those of the straight line along the momentum, as in ACTS' writer.

    Args:
        particles: columns of the particles of the event.
        row: shape (T,), int64, row of the majority particle, -1: none.
        n_majority: shape (T,), hits of that particle on the track.
        classification: shape (T,), 0 unknown, 1 matched, 2 duplicate, 3 fake.
        reference: point of the reference surface, mm.
    """
    known = row >= 0
    safe = np.where(known, row, 0)

    def take(name: str) -> np.ndarray:
        if name not in particles or not len(particles[name]):
            return np.full(len(row), np.nan)
        return np.where(known, particles[name].astype(np.float64)[safe], np.nan)

    columns: dict[str, np.ndarray] = {
        "nMajorityHits": np.where(known, n_majority, NO_MAJORITY),
        "trackClassification": classification,
        "t_time": take("vt"),
    }
    for name in BARCODE:
        has = name in particles and len(particles[name]) > 0
        columns[f"majorityParticleId_{name}"] = (
            np.where(known, particles[name][safe], 0) if has else np.zeros(len(row))
        )
    charge = np.nan_to_num(take("q"), nan=NO_CHARGE)
    columns["t_charge"] = np.rint(charge).astype(np.int64)
    vx, vy, vz, px, py, pz = (take(n) for n in ("vx", "vy", "vz", "px", "py", "pz"))
    pt = np.hypot(px, py)
    columns |= {"t_vx": vx, "t_vy": vy, "t_vz": vz, "t_px": px, "t_py": py, "t_pz": pz}
    columns |= {"t_p": np.hypot(pt, pz), "t_pT": pt, "t_prodR": np.hypot(vx, vy)}
    columns |= {"t_theta": np.arctan2(pt, pz), "t_phi": np.arctan2(py, px)}
    # A particle along the beam line has no transverse direction to speak of.
    safe_pt = np.where(np.isnan(pt) | (pt == 0), 1e-12, pt)
    columns["t_eta"] = np.where(known, np.arcsinh(np.nan_to_num(pz) / safe_pt), np.nan)
    x, y = vx - reference[0], vy - reference[1]
    cos, sin = np.cos(columns["t_phi"]), np.sin(columns["t_phi"])
    columns["t_d0"] = y * cos - x * sin
    slope = np.nan_to_num(pz) / safe_pt
    columns["t_z0"] = vz - reference[2] - (x * cos + y * sin) * slope
    return columns


def truth_parameters(truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bound parameters of the majority particles, shape (T, 6), NaN without one."""
    momentum = truth["t_p"]
    usable = ~np.isnan(momentum) & (momentum != 0)
    charge = np.where(truth["t_charge"] == NO_CHARGE, 0, truth["t_charge"])
    qop = np.where(usable, charge / np.where(usable, momentum, 1.0), np.nan)
    return np.stack(
        [
            truth["t_d0"],
            truth["t_z0"],
            truth["t_phi"],
            truth["t_theta"],
            qop,
            truth["t_time"],
        ],
        axis=1,
    )


def residual_columns(
    values: np.ndarray, sigma: np.ndarray, truth: np.ndarray, suffix: str = "_fit"
) -> dict[str, np.ndarray]:
    """Branches `res_e…` (value − truth; φ modulo 2π) and `pull_e…` (residual / sigma).

    Args:
        values: shape (T, 6).
        sigma: shape (T, 6), NaN or 0: no pull.
        truth: shape (T, 6).
        suffix: of the branch names.
    """
    columns: dict[str, np.ndarray] = {}
    usable = ~np.isnan(sigma) & (sigma != 0)
    for i, name in enumerate(PARAMETERS):
        residual = values[:, i] - truth[:, i]
        if name == "PHI":
            residual = wrap_angle(residual)
        columns[f"res_e{name}{suffix}"] = residual
        safe = np.where(usable[:, i], sigma[:, i], 1.0)
        columns[f"pull_e{name}{suffix}"] = np.where(usable[:, i], residual / safe, np.nan)
    return columns


def _sigma(variance: np.ndarray) -> np.ndarray:
    good = np.nan_to_num(variance, nan=0.0) > 0
    return np.where(good, np.sqrt(np.where(good, variance, 0.0)), np.nan)
