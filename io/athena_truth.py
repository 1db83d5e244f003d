"""Particles of an Athena dump, and which of them made each cluster.

A particle is named by the number of its sub-event and its barcode: barcodes alone repeat between
the collisions of a crossing.
"""

from __future__ import annotations

import numpy as np

from trkx.io.athena_dump import DumpColumns
from trkx.io.errors import EventContentError
from trkx.io.event_checks import check_finite
from trkx.io.root_table import Jagged

__all__ = ["FIRST_SECONDARY", "MEV", "PARTICLE_BRANCHES", "link_clusters", "make_particles"]

MEV = 1e-3
"""GeV per unit of momentum of the file."""

FIRST_SECONDARY = 200000
"""Barcodes from here on are of particles that the simulation of the detector made."""

PARTICLE_BRANCHES = (
    *("Part_event_number", "Part_barcode", "Part_pdg_id", "Part_status", "Part_passed"),
    *("Part_px", "Part_py", "Part_pz", "Part_pt", "Part_eta", "Part_charge"),
    *("Part_vx", "Part_vy", "Part_vz"),
)

_VECTORS = ("px", "py", "pz", "vx", "vy", "vz")

# Masses of the particles that reach a tracker, GeV (PDG 2024); others are given 0.
_MASS = {
    11: 0.000511, 13: 0.105658, 211: 0.139570, 321: 0.493677, 2212: 0.938272, 2112: 0.939565,
    130: 0.497611, 310: 0.497611, 3122: 1.115683, 3112: 1.197449, 3222: 1.18937, 3312: 1.32171,
    3334: 1.67245, 111: 0.134977,
}  # fmt: skip


def link_clusters(
    event_index: Jagged, barcode: Jagged, columns: DumpColumns, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the particles behind each cluster.

    A barcode of 0 stands for no particle; a particle that is linked twice counts once. Links to
    particles that the file does not list are kept: such particles are added.

    ACTS' RootAthenaDumpWriter has written 0 for the sub-event of all links; where no particle is of
    sub-event 0 and barcodes are unique, the barcode alone is the key.

    Args:
        event_index, barcode: keys, a list for each of M clusters.
        columns: has `Part_event_number` and `Part_barcode` of the P particles.
        where: file and entry, for messages.

    Returns:
        offsets (M + 1,) and rows, int64, and the (D, 2) keys of the particles that are not listed,
        int64, which have the rows from P on.

    Raises:
        EventContentError: two particles have the same key, or keys are incomplete.
    """
    if not np.array_equal(event_index.offsets, barcode.offsets):
        raise EventContentError(
            "branches 'CLparticleLink_eventIndex' and 'CLparticleLink_barcode' hold lists of "
            f"different lengths in {where}; the file contradicts itself: write it again"
        )
    number = np.asarray(columns["Part_event_number"], np.int64)
    code = np.asarray(columns["Part_barcode"], np.int64)
    linked = event_index.content.astype(np.int64)
    if len(linked) and not linked.any() and number.all() and len(np.unique(code)) == len(code):
        number = np.zeros_like(number)
    known = _key(number, code)
    order = np.argsort(known, kind="stable")
    _check_unique(known[order], order, columns, where)
    given = barcode.content != 0
    cluster = np.repeat(np.arange(len(barcode.offsets) - 1), barcode.counts)[given]
    key = _key(linked[given], barcode.content[given].astype(np.int64))
    unlisted = np.setdiff1d(key, known)
    every = np.concatenate([known[order], unlisted])
    row_of = np.concatenate([order, len(known) + np.arange(len(unlisted))])
    by_key = np.argsort(every)
    rows = row_of[by_key][np.searchsorted(every[by_key], key)]
    pair = np.unique(cluster * max(len(every), 1) + rows)
    cluster, rows = np.divmod(pair, max(len(every), 1))
    counts = np.bincount(cluster, minlength=len(barcode.offsets) - 1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    keys = np.stack([unlisted >> 32, unlisted & 0xFFFFFFFF], axis=1)
    return offsets, rows.astype(np.int64), keys


def _key(number: np.ndarray, code: np.ndarray) -> np.ndarray:
    return (number << 32) | (code & 0xFFFFFFFF)


def _check_unique(ordered: np.ndarray, order: np.ndarray, columns: DumpColumns, where: str) -> None:
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        first, second = sorted(order[repeated[0] : repeated[0] + 2].tolist())
        raise EventContentError(
            f"{len(repeated)} particles have the key of another one in {where}: (event "
            f"{columns['Part_event_number'][first]}, barcode {columns['Part_barcode'][first]}) is "  # type: ignore[index]
            f"in rows {first} and {second}. Were several events merged into one entry?"
        )


def make_particles(columns: DumpColumns, unlisted: np.ndarray, where: str) -> dict[str, np.ndarray]:
    """Columns of the `particles` tree, in GeV.

    Where the file has no charges, those of the particle types are taken; where it has pT and η
    only, as ACTS' writer does, momenta are given the azimuth 0. Particles that are not listed have
    no momentum and no charge.

    Args:
        columns: branches of `PARTICLE_BRANCHES`, (P,) each.
        unlisted: (D, 2) keys of particles to add.
        where: file and entry, for messages.

    Raises:
        NonFiniteError: a momentum or vertex is not finite.
        EventContentError: there are no momenta.
    """
    c = {name: np.asarray(column) for name, column in columns.items()}
    if "Part_px" not in c:
        c |= _momenta(c, where)
    check_finite(c, (*(f"Part_{a}" for a in (*_VECTORS, "charge")),), where)
    n = len(unlisted)

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros(n, values.dtype)])

    px, py, pz = (padded(c[f"Part_{a}"].astype(np.float64) * MEV) for a in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    pdg = padded(c["Part_pdg_id"])
    charge = c["Part_charge"] if "Part_charge" in c else charge_of(c["Part_pdg_id"])
    kinds, kind = np.unique(np.abs(pdg), return_inverse=True)
    code = np.concatenate([c["Part_barcode"], unlisted[:, 1]]).astype(np.uint32)
    zero = np.zeros(len(code), np.uint32)
    found = {
        "vertex_primary": np.concatenate([c["Part_event_number"], unlisted[:, 0]]),
        "vertex_secondary": (code >= FIRST_SECONDARY).astype(np.uint32),
        "particle": code,
        "generation": zero,
        "sub_particle": zero,
        "particle_type": pdg.astype(np.int32),
        "q": padded(charge),
        "m": np.array([_MASS.get(int(k), 0.0) for k in kinds])[kind],
        **{a: padded(c[f"Part_{a}"]) for a in ("vx", "vy", "vz")},
        "px": px,
        "py": py,
        "pz": pz,
        "p": np.hypot(pt, pz),
        "pt": pt,
        "eta": np.arcsinh(pz / np.maximum(pt, 1e-9)),
        "phi": np.arctan2(py, px),
    }
    for name in ("status", "passed"):
        if f"Part_{name}" in c:
            found[name] = padded(c[f"Part_{name}"]).astype(np.int32)
    found["vertex_primary"] = found["vertex_primary"].astype(np.uint32)
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in found.items()}


def _momenta(c: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    if "Part_pt" not in c or "Part_eta" not in c:
        raise EventContentError(
            f"no momenta of particles in {where}: neither Part_px, Part_py, Part_pz nor Part_pt "
            "and Part_eta; read without truth, or write the file with them"
        )
    pt, eta = c["Part_pt"].astype(np.float64), c["Part_eta"].astype(np.float64)
    return {"Part_px": pt, "Part_py": np.zeros_like(pt), "Part_pz": pt * np.sinh(eta)}


def charge_of(pdg: np.ndarray) -> np.ndarray:
    """(N,) float32: electric charges (e) of particle types, from the quarks in their PDG codes.

    References: PDG, Monte Carlo particle numbering scheme, Phys. Rev. D 110, 030001 (2024).
    """
    kinds, kind = np.unique(pdg, return_inverse=True)
    return np.array([_charge(int(k)) for k in kinds], np.float32)[kind]


def _charge(pdg: int) -> float:
    code, sign = abs(pdg), 1 if pdg > 0 else -1
    if code >= 1_000_000_000:  # nuclei: 10LZZZAAAI
        return sign * float(code // 10_000 % 1000)
    if code < 100:
        return sign * {11: -1.0, 13: -1.0, 15: -1.0, 24: 1.0, 37: 1.0}.get(code, 0.0)
    thirds = [-1 if q % 2 else 2 for q in (code // 1000 % 10, code // 100 % 10, code // 10 % 10)]
    if code // 1000 % 10:  # baryons
        return sign * sum(thirds) / 3.0
    heavy, light = thirds[1], thirds[2]
    # The heavier of a meson's quarks is the antiquark if it is of the down type.
    return sign * (heavy - light) / 3.0 * (1 if heavy == 2 else -1)
