"""Masses of the particles that reach a detector."""

from __future__ import annotations

import numpy as np

__all__ = ["particle_masses"]

_MASSES = {
    11: 0.000511,
    13: 0.105658,
    111: 0.134977,
    130: 0.497611,
    211: 0.139570,
    310: 0.497611,
    321: 0.493677,
    2112: 0.939565,
    2212: 0.938272,
    3112: 1.197449,
    3122: 1.115683,
    3222: 1.189370,
    3312: 1.321710,
    3322: 1.314860,
    3334: 1.672450,
}
"""GeV, by the absolute value of the number of the Particle Data Group."""


def particle_masses(pdg: np.ndarray) -> np.ndarray:
    """Masses in GeV by particle type, shape (P,), float64; 0 for those not known."""
    kinds, kind = np.unique(np.abs(pdg), return_inverse=True)
    return np.array([_MASSES.get(int(k), 0.0) for k in kinds], dtype=np.float64)[kind]
