"""Particle guns: single particles from the beam line or from displaced decay points."""

from __future__ import annotations

import numpy as np

from trkx.algorithms.simulation.hepmc import ParticleRecord
from trkx.algorithms.simulation.settings import SimulationSettings

# Masses (GeV) and whether a particle differs from its antiparticle, for the energies in the
# record; ACTS takes the masses of the simulation from its own table by PDG code.
MASSES = {11: 0.000511, 13: 0.105658, 22: 0.0, 211: 0.139570, 321: 0.493677, 2212: 0.938272}
SELF_CONJUGATE = (22, 111, 130, 310)
LONG_LIVED_PDG = 1000022
"""A neutral long-lived particle (the PDG code of the lightest neutralino) as invisible parent."""
DECAY_Z_MAX = 500.0
"""Displaced particles are produced within this |z| of the vertex (mm)."""


def gun_record(settings: SimulationSettings, rng: np.random.Generator) -> ParticleRecord:
    """Shoot the particles of one event.

    Process `displaced`: every particle comes from the decay of an invisible neutral particle at a
    radius uniform from 0 to `radius_max`, at a random angle to its flight, so that transverse
    impact parameters reach up to the radius.

    Args:
        settings: `gun` and `process` are used.
        rng: random numbers of this event.

    Returns:
        the record of one collision.
    """
    gun = settings.gun
    n = gun.multiplicity
    pdg = 13 if settings.process == "single-muon" else gun.pdg
    sign = np.ones(n, dtype=np.int32)
    if abs(pdg) not in SELF_CONJUGATE:
        sign = np.where(rng.random(n) < 0.5, 1, -1).astype(np.int32)
    momentum = draw_momenta(rng, n, gun.pt_min, gun.pt_max, gun.eta_min, gun.eta_max)
    mass = np.full(n, MASSES.get(abs(pdg), 0.0))
    momentum[:, 3] = np.sqrt((momentum[:, :3] ** 2).sum(axis=1) + mass**2)
    position = np.zeros((n, 4))
    mother = np.full(n, -1, dtype=np.int64)
    final = np.ones(n, dtype=bool)
    pdgs = (sign * pdg).astype(np.int32)
    if settings.process == "displaced":
        radius = rng.uniform(0.0, gun.radius_max, n)
        # The parent flies within a quarter turn of the particle in φ, so that the particle goes
        # outwards, and with the particle's η unless it would leave the pixels in z.
        eta = np.arcsinh(momentum[:, 2] / np.hypot(momentum[:, 0], momentum[:, 1]))
        eta_reach = np.arcsinh(DECAY_Z_MAX / np.maximum(radius, 1e-3))
        eta = np.clip(eta, -eta_reach, eta_reach)
        phi = np.arctan2(momentum[:, 1], momentum[:, 0]) + rng.uniform(-np.pi / 2, np.pi / 2, n)
        direction = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)
        position[:, :3] = radius[:, None] * direction
        position[:, 3] = np.linalg.norm(position[:, :3], axis=1)
        parent_momentum = np.concatenate(
            [100.0 * direction, 100.0 * np.cosh(eta)[:, None] + 1.0], axis=1
        )
        # Parents first: rows 0 … n-1, their decay products rows n … 2n-1.
        mother = np.concatenate([mother, np.arange(n)])
        momentum = np.concatenate([parent_momentum, momentum])
        position = np.concatenate([np.zeros((n, 4)), position])
        mass = np.concatenate([np.ones(n), mass])
        final = np.concatenate([np.zeros(n, dtype=bool), final])
        pdgs = np.concatenate([np.full(n, LONG_LIVED_PDG, dtype=np.int32), pdgs])
    return ParticleRecord(
        pdg=pdgs,
        final=final,
        mother=mother,
        momentum=momentum,
        mass=mass,
        position=position,
        offsets=np.array([0, len(pdgs)], dtype=np.int64),
    )


def draw_momenta(
    rng: np.random.Generator, n: int, pt_min: float, pt_max: float, eta_min: float, eta_max: float
) -> np.ndarray:
    """Return float64 (n, 4): px, py, pz in GeV and an energy still to be filled."""
    pt = rng.uniform(pt_min, pt_max, n)
    eta = rng.uniform(eta_min, eta_max, n)
    phi = rng.uniform(-np.pi, np.pi, n)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), np.zeros(n)], axis=1)
