"""Bunch crossings: a signal collision and Poisson pile-up, written as HepMC3 text files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.simulation.displaced import LONG_LIVED, decay_settings, displaced_record
from trkx.algorithms.simulation.guns import gun_record
from trkx.algorithms.simulation.hepmc import (
    ParticleRecord,
    hepmc_events,
    select_final,
)
from trkx.algorithms.simulation.settings import SimulationSettings
from trkx.io.errors import MissingExtraError

PYTHIA_COMMON = (
    "Print:quiet = on",
    "Random:setSeed = on",
    "Random:seed = 1",
    # Everything that decays inside the tracker does so in Pythia, at its true vertex: Fatras has
    # no decays. What flies out of this cylinder (mm) is left undecayed.
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1100.",
    "ParticleDecays:zMax = 3200.",
)
PYTHIA_PROCESS = {
    "ttbar": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    "pileup": ("SoftQCD:nonDiffractive = on",),
}
PYTHIA_SEED_MAX = 900_000_000

# Streams of random numbers of one event; Fatras and digitization have ACTS' own.
STREAM_COUNT, STREAM_SIGNAL, STREAM_PILEUP, STREAM_NOISE = range(4)


def event_rng(seed: int, event: int, stream: int) -> np.random.Generator:
    """Return the random numbers of one stream of one event, whatever was drawn elsewhere."""
    return np.random.default_rng([seed, event, stream])


def check_generator() -> None:
    """Check that the event generator is installed.

    Raises:
        MissingExtraError: it is not.
    """
    for module in ("pythia8mc", "pyhepmc"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.of("trkx simulate", module, "sim")


def make_pythia(process: str, settings: SimulationSettings) -> Any:
    """Return an initialised `pythia8mc.Pythia` for a key of PYTHIA_PROCESS or LONG_LIVED."""
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    if process in LONG_LIVED:
        lines = decay_settings(process, settings.gun.mass)
    else:
        lines = (*PYTHIA_PROCESS[process], f"Beams:eCM = {settings.cms_energy}")
    for line in (*PYTHIA_COMMON, *lines):
        if not pythia.readString(line):
            raise ValueError(f"Pythia does not know the setting '{line}'")
    if not pythia.init():
        raise RuntimeError(f"Pythia could not be initialised for {process}")
    return pythia


def pythia_record(pythia: Any, n: int, rng: np.random.Generator) -> ParticleRecord:
    """Generate `n` collisions, from random numbers of their own.

    Args:
        pythia: an initialised generator.
        n: number of collisions.
        rng: gives the seed, so that the collisions do not depend on those made before.
    """
    import awkward as ak

    pythia.rndm.init(int(rng.integers(1, PYTHIA_SEED_MAX)))
    particles = pythia.nextBatch(n).prt
    counts = ak.to_numpy(ak.num(particles)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    flat = ak.flatten(particles)
    start = np.repeat(offsets[:-1], counts)
    mother = ak.to_numpy(flat.mother1).astype(np.int64)
    vertex = flat.vProd
    return ParticleRecord(
        pdg=ak.to_numpy(flat.id),
        final=ak.to_numpy(flat.status) > 0,
        mother=np.where(mother > 0, mother + start, -1),
        momentum=np.stack([ak.to_numpy(flat.p[c]) for c in ("px", "py", "pz", "e")], axis=1),
        mass=ak.to_numpy(flat.m),
        position=np.stack(
            [ak.to_numpy(ak.fill_none(vertex[c], 0.0)) for c in ("px", "py", "pz", "e")], axis=1
        ),
        offsets=offsets,
    )


class CrossingGenerator:
    """Writes bunch crossings; crossing i depends on (settings, i) only."""

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings
        self._signal = (
            make_pythia(settings.process, settings)
            if settings.process in (*PYTHIA_PROCESS, *LONG_LIVED)
            else None
        )
        self._pileup = make_pythia("pileup", settings) if settings.pileup > 0 else None

    @property
    def n_signal(self) -> int:
        """Number of collisions of the signal: one, or one per long-lived particle."""
        return self.settings.gun.multiplicity if self.settings.process in LONG_LIVED else 1

    def n_pileup(self, event: int) -> int:
        """Return the number of pile-up collisions of one event."""
        settings = self.settings
        return int(event_rng(settings.seed, event, STREAM_COUNT).poisson(settings.pileup))

    def collisions(self, event: int) -> list[Any]:
        """Return the HepMC3 events of one bunch crossing, the signal first."""
        settings = self.settings
        rng = event_rng(settings.seed, event, STREAM_SIGNAL)
        if settings.process in LONG_LIVED:
            records = [displaced_record(self._signal, settings, rng)]
        elif self._signal is not None:
            records = [pythia_record(self._signal, 1, rng)]
        else:
            records = [gun_record(settings, rng)]
        n_pileup = self.n_pileup(event)
        if n_pileup:
            rng = event_rng(settings.seed, event, STREAM_PILEUP)
            records.append(pythia_record(self._pileup, n_pileup, rng))
        cuts = (
            settings.pt_min,
            settings.abs_eta_max,
            settings.production_radius_max,
            settings.production_z_max,
        )
        return [
            collision
            for record in records
            for collision in hepmc_events(
                record, select_final(record, *cuts), event, settings.cms_energy / 2
            )
        ]

    def write(self, path: Path, first: int, n: int) -> int:
        """Write `n` crossings from event `first` on to a HepMC3 file.

        ACTS' reader draws a Poisson multiplicity from the random numbers of whichever thread
        happens to read, so that its result depends on the number of threads. A fixed multiplicity
        does not: crossings with fewer collisions are filled up with empty ones at their end.

        Args:
            path: file to write, Asciiv3.
            first: number of the first event.
            n: number of events.

        Returns:
            the fixed number of collisions per crossing.
        """
        import pyhepmc

        n_pileup = max(self.n_pileup(event) for event in range(first, first + n))
        multiplicity = self.n_signal + n_pileup
        empty = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
        with pyhepmc.open(str(path), "w", format="HepMC3") as output:
            for event in range(first, first + n):
                collisions = self.collisions(event)
                empty.event_number = event
                for collision in collisions + [empty] * (multiplicity - len(collisions)):
                    output.write(collision)
        return multiplicity
