"""Generated particles to HepMC3 events with their decay chains.

Only what the detector simulation needs is kept: the final-state particles that pass the
generator cuts, and those of their ancestors that flew a measurable distance before they decayed.
Everything that happened at the primary vertex (partons, resonances) is one vertex with the two
beam particles coming in, as ACTS' HepMC3InputConverter expects of a primary vertex.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

FLIGHT_MIN = 1e-3
"""A decay nearer than this to its parent's production point shares that vertex (mm)."""

NEUTRINOS = (12, 14, 16)
PI0 = 111
STATUS_FINAL, STATUS_DECAYED, STATUS_BEAM = 1, 2, 4


@dataclass(frozen=True)
class ParticleRecord:
    """Particles of several collisions, one row each.

    Shapes: all (N,) but `offsets`, (n_collisions + 1,), int64, the rows of each collision.
    """

    pdg: np.ndarray  # int32, PDG code
    final: np.ndarray  # bool, True: not decayed
    mother: np.ndarray  # int64, row of the (first) mother; -1: none
    momentum: np.ndarray  # float64 (N, 4), px, py, pz, E in GeV
    mass: np.ndarray  # float64, GeV
    position: np.ndarray  # float64 (N, 4), production x, y, z, ct in mm
    offsets: np.ndarray


def select_final(
    record: ParticleRecord, pt_min: float, abs_eta_max: float, radius_max: float, z_max: float
) -> np.ndarray:
    """Return which rows are simulated: final, visible, inside the generator cuts.

    Args:
        record: the generated particles.
        pt_min: least transverse momentum, GeV.
        abs_eta_max: largest |η|.
        radius_max: largest production radius, mm, before vertex smearing.
        z_max: largest |z| of production, mm, before vertex smearing.

    Returns:
        bool (N,).
    """
    px, py, pz, _ = record.momentum.T
    pt = np.hypot(px, py)
    # |η| < a is |pz| < pT sinh a, which needs no logarithm of a vanishing pT.
    return (
        record.final
        & (pt > pt_min)
        & (np.abs(pz) < pt * np.sinh(abs_eta_max))
        & (np.hypot(record.position[:, 0], record.position[:, 1]) < radius_max)
        & (np.abs(record.position[:, 2]) < z_max)
        & ~np.isin(np.abs(record.pdg), NEUTRINOS)
    )


def displaced_parents(record: ParticleRecord, rows: np.ndarray) -> np.ndarray:
    """Find the ancestor at whose decay point each particle was produced.

    Prompt intermediate states are skipped, and so is a π0: its flight of some nm to µm is no
    vertex of interest, but would be one for every photon pair.

    Args:
        record: the generated particles.
        rows: int64 (R,), rows to look at.

    Returns:
        int64 (R,), row of the ancestor; -1: produced at the primary vertex.
    """
    parent = np.full(len(rows), -1, dtype=np.int64)
    todo, at = np.arange(len(rows)), rows
    while len(todo):
        displaced = np.linalg.norm(record.position[at, :3], axis=1) >= FLIGHT_MIN
        todo, at = todo[displaced], at[displaced]
        above = record.mother[at]
        flight = np.linalg.norm(record.position[above, :3] - record.position[at, :3], axis=1)
        prompt = (above >= 0) & ((flight < FLIGHT_MIN) | (np.abs(record.pdg[above]) == PI0))
        parent[todo[~prompt]] = above[~prompt]
        todo, at = todo[prompt], above[prompt]
    return parent


def keep_with_ancestors(record: ParticleRecord, final: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add the displaced ancestors to the selected final-state particles.

    Args:
        record: the generated particles.
        final: bool (N,), selected final-state particles.

    Returns:
        `(rows, parents)`: int64 (R,) ascending rows to keep, and int64 (R,) positions in `rows`
        of their displaced parents, -1: produced at the primary vertex.
    """
    parent_of = np.full(len(record.pdg), -1, dtype=np.int64)
    keep = final.copy()
    rows = np.flatnonzero(final)
    while len(rows):
        parents = displaced_parents(record, rows)
        parent_of[rows] = parents
        parents = np.unique(parents[parents >= 0])
        rows = parents[~keep[parents]]
        keep[rows] = True
    rows = np.flatnonzero(keep)
    position = np.full(len(record.pdg) + 1, -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    return rows, position[parent_of[rows]]


def hepmc_events(
    record: ParticleRecord, final: np.ndarray, number: int, beam_energy: float
) -> Iterator[Any]:
    """Yield one `pyhepmc.GenEvent` per collision, vertices relative to the primary vertex.

    Args:
        record: the generated particles.
        final: bool (N,), final-state particles to keep.
        number: event number to store.
        beam_energy: energy of each beam particle, GeV.
    """
    import pyhepmc

    rows, parents = keep_with_ancestors(record, final)
    bounds = np.searchsorted(rows, record.offsets)
    beam_momentum = np.array([[0, 0, beam_energy, beam_energy], [0, 0, -beam_energy, beam_energy]])
    for begin, end in itertools.pairwise(bounds):
        these = rows[begin:end]
        momentum = np.concatenate([beam_momentum, record.momentum[these]])
        position = np.concatenate([np.zeros((2, 4)), record.position[these]])
        primary = parents[begin:end] < 0
        position[2:][primary] = 0.0
        # Rows of the record count from 1; 1 and 2 are the beams.
        row = np.where(primary, 1, parents[begin:end] - begin + 3)
        ranges = np.zeros((len(these) + 2, 2), dtype=np.int32)
        ranges[2:, 0] = row
        ranges[2:, 1] = np.where(primary, 2, row)
        event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
        event.from_hepevt(
            number,
            *np.ascontiguousarray(momentum.T),
            np.concatenate([np.zeros(2), record.mass[these]]),
            np.concatenate([[2212, 2212], record.pdg[these]]).astype(np.int32),
            np.concatenate(
                [
                    [STATUS_BEAM, STATUS_BEAM],
                    np.where(record.final[these], STATUS_FINAL, STATUS_DECAYED),
                ]
            ).astype(np.int32),
            ranges,
            None,
            *np.ascontiguousarray(position.T),
        )
        yield event
