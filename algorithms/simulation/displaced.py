"""Decays of long-lived neutral particles, by Pythia, at radii and lifetimes that are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from trkx.algorithms.simulation.guns import draw_momenta
from trkx.algorithms.simulation.hepmc import ParticleRecord
from trkx.algorithms.simulation.settings import SimulationSettings

HNL_PDG = 9900015
"""A heavy neutral lepton, by the code that SHiP uses; Pythia computes widths of its own for the
right-handed neutrinos 9900012, 9900014 and 9900016."""
LONG_LIVED = {"hnl": (HNL_PDG,), "v0": (310, 3122, -3122)}
"""process → PDG codes it draws from: a heavy neutral lepton; K0S, Λ and its antiparticle"""
HNL_CHANNELS = (
    (0.25, (13, 211)),
    (0.15, (11, 211)),
    (0.20, (13, -11, 12)),
    (0.20, (13, -13, 14)),
    (0.20, (13, 211, 211, -211)),
)
"""Fraction and products of its decays; the charge conjugates take half of each. Two or four charged
particles, with and without a neutrino."""
DECAY_Z_MAX = 1000.0
"""Where decay radii are uniform, decays further out along the beam line than this are brought
nearer, lest forward particles miss the detector (mm)."""


def decay_settings(process: str, mass: float) -> tuple[str, ...]:
    """Lines for Pythia that make it decay what it is given, and know the heavy neutral lepton.

    Args:
        process: a key of `LONG_LIVED`.
        mass: of the heavy neutral lepton (GeV).
    """
    lines = ["ProcessLevel:all = off"]
    if process == "hnl":
        particle = f"{HNL_PDG}"
        # Spin 2 J + 1, charge and colour; no width and no lifetime of its own.
        lines.append(f"{particle}:new = HNL void 2 0 0 {mass} 0 0 0 0")
        lines.append(f"{particle}:mayDecay = on")
        verb = "oneChannel"
        for fraction, products in HNL_CHANNELS:
            for sign in (1, -1):
                codes = " ".join(str(sign * code) for code in products)
                lines.append(f"{particle}:{verb} = 1 {fraction / 2} 0 {codes}")
                verb = "addChannel"
    return tuple(lines)


def displaced_record(
    pythia: Any, settings: SimulationSettings, rng: np.random.Generator
) -> ParticleRecord:
    """Shoot long-lived neutral particles and let Pythia decay them.

    Each is a collision of its own, so that they come from different primary vertices, as pile-up
    does. pT, η and φ of the long-lived particles are uniform. With `gun.lifetime` their proper
    decay lengths are exponential; without, their decay radii are uniform from 0 to
    `gun.radius_max`, within `DECAY_Z_MAX`.

    Args:
        pythia: initialised with `decay_settings`.
        settings: `process` and `gun` are used.
        rng: random numbers of this event.

    Returns:
        `gun.multiplicity` collisions.
    """
    gun = settings.gun
    pythia.rndm.init(int(rng.integers(1, 900_000_000)))
    codes = rng.choice(LONG_LIVED[settings.process], gun.multiplicity)
    momenta = draw_momenta(rng, gun.multiplicity, gun.pt_min, gun.pt_max, gun.eta_min, gun.eta_max)
    rows: list[tuple[float, ...]] = []
    offsets = [0]
    for code, (px, py, pz, _) in zip(codes, momenta, strict=True):
        mass = pythia.particleData.m0(int(code))
        pt = np.hypot(px, py)
        if gun.lifetime > 0:
            decay_length = rng.exponential(gun.lifetime)
        else:
            reach = min(gun.radius_max, DECAY_Z_MAX * pt / max(abs(pz), 1e-9))
            decay_length = rng.uniform(0.0, reach) * mass / pt
        event = pythia.event
        event.reset()
        energy = float(np.sqrt(pt**2 + pz**2 + mass**2))
        number = event.append(int(code), 1, 0, 0, px, py, pz, energy, mass)
        event[number].tau(decay_length)
        pythia.moreDecays()
        for i in range(1, event.size()):  # entry 0 stands for the event as a whole
            p = event[i]
            mother = offsets[-1] + p.mother1() - 1 if p.mother1() > 0 else -1
            # Nothing to simulate where it leaves the detector: ACTS does not know its mass.
            final = p.isFinal() and i != number
            rows.append(
                (p.id(), final, mother, p.px(), p.py(), p.pz(), p.e(), p.m(), p.xProd(),
                 p.yProd(), p.zProd(), p.tProd())
            )  # fmt: skip
        offsets.append(len(rows))
    table = np.array(rows, dtype=np.float64)
    return ParticleRecord(
        pdg=table[:, 0].astype(np.int32),
        final=table[:, 1] > 0,
        mother=table[:, 2].astype(np.int64),
        momentum=table[:, 3:7],
        mass=table[:, 7],
        position=table[:, 8:12],
        offsets=np.array(offsets, dtype=np.int64),
    )
