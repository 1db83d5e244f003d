"""Simulated events in the format of Athena's GNN4ITk dump, to read with anything that reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.athena_modules import SIDES, ClusterFrames
from trkx.algorithms.training_input import input_provenance
from trkx.io.athena_dump import HARDWARE, DumpColumns
from trkx.io.athena_schema import FLAT, LISTS
from trkx.io.athena_truth import FIRST_SECONDARY, MEV
from trkx.io.athena_writer import AthenaWriter
from trkx.io.errors import GeometryIdError, InputError
from trkx.io.event import Event
from trkx.io.event_sources import EventInput
from trkx.io.provenance import make_provenance
from trkx.io.root_table import Jagged
from trkx.io.schema import STRIP_COLUMNS

__all__ = ["athena_provenance", "dump_columns", "write_athena"]

_STATUS = (1, 20001)  # of a generated particle, and of one that the simulation made
_PASSED = {"eta": 4.0, "pt": 1.0, "radius": 260.0}  # GeV, mm; what Part_passed says


def athena_provenance(inputs: Sequence[str], command: str) -> dict[str, Any]:
    """Where a dump comes from: the record of the files it is made of, with its own command.

    The seed is the highest of all, so that events for tests are told from others.
    """
    made = [record for record in input_provenance(inputs) if record]
    if len(made) == 1:
        return {**made[0], "command": command}
    seed = max((record.get("seed", -1) for record in made), default=-1)
    return make_provenance(command, {"input": made}, seed)


def write_athena(
    files: EventInput,
    numbers: Sequence[int],
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    force: bool = False,
    on_event: Callable[[], object] = lambda: None,
) -> Path:
    """Write events to one file, one after the other.

    Args:
        files: events with measurements and truth.
        numbers: which of them.
        path: the file.
        provenance: stored in the file; its seed becomes the run number.
        force: replace a file that is there.
        on_event: called after each event.

    Raises:
        InputError: there is no truth, or an event is damaged.
        OutputError: the file cannot be written.
    """
    if not (files.has_truth and files.has_measurements):
        raise InputError(
            "an Athena dump holds clusters and truth, which the input does not have; add "
            "measurements.root and particles.root of the same events"
        )
    # Samples of different seeds number their events alike.
    run = max(int(provenance.get("seed", 0)), 0) % (1 << 32)
    with AthenaWriter(path, provenance, force) as writer:
        for number in numbers:
            writer.write(dump_columns(files.read(number, truth=True), run))
            on_event()
    return Path(path)


def dump_columns(event: Event, run: int = 0) -> DumpColumns:
    """Branches of one event: clusters are the measurements, pixels first, then strips.

    What only the geometry tells (normals, strip vectors, numbers of modules) is 0, or an empty
    list, for modules that are not of the GenericDetector.
    """
    strip = ~np.isfinite(event.measurements["rec_loc0"] + event.measurements["rec_loc1"])
    order = np.argsort(strip, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    columns: DumpColumns = _defaults(event.n_measurements, event.n_particles, event.n_space_points)
    columns |= {"run_number": np.array(run), "event_number": np.array(event.number)}
    number, barcode = _keys(event)
    columns |= _particles(event, number, barcode)
    columns["SEID"] = np.unique(number)
    columns |= _clusters(event, order, strip[order])
    links = _links(event, order)
    columns["CLparticleLink_eventIndex"] = Jagged(links.offsets, number[links.content])
    columns["CLparticleLink_barcode"] = Jagged(links.offsets, barcode[links.content])
    columns["CLbarcodesLinked"] = Jagged(links.offsets, np.ones(len(links.content), bool))
    share = np.repeat(1.0 / np.maximum(links.counts, 1), links.counts)
    columns["CLparticle_charge"] = Jagged(links.offsets, share)
    columns |= _space_points(event, rank)
    return columns


def _defaults(n_clusters: int, n_particles: int, n_points: int) -> DumpColumns:
    """All branches, with zeros and empty lists."""
    sizes = {"": 1, "nSE": 0, "nCL": n_clusters, "nPartEVT": n_particles, "nSP": n_points}
    columns: DumpColumns = {}
    for counter, names in FLAT.items():
        columns |= {name: np.zeros(sizes[counter], kind) for name, kind in names.items()}
    for counter, names in LISTS.items():
        empty = np.zeros(sizes[counter] + 1, np.int64)
        columns |= {name: Jagged(empty, np.zeros(0, kind)) for name, kind in names.items()}
    return columns


def _keys(event: Event) -> tuple[np.ndarray, np.ndarray]:
    """Sub-event and barcode of the particles.

    Within a sub-event, generated particles are numbered from 1, others from 200001.
    """
    number = event.particles["vertex_primary"].astype(np.int64)
    made = (event.particles["generation"] > 0).astype(np.int64)
    order = np.lexsort((np.arange(len(number)), made, number))
    group = number[order] * 2 + made[order]
    start = np.flatnonzero(np.diff(group, prepend=-1) != 0)
    within = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
    barcode = np.empty(len(order), np.int64)
    barcode[order] = within + 1 + made[order] * FIRST_SECONDARY
    return number, barcode


def _particles(event: Event, number: np.ndarray, barcode: np.ndarray) -> DumpColumns:
    p = event.particles
    pt = np.hypot(p["px"], p["py"])
    eta = np.arcsinh(p["pz"] / np.maximum(pt, 1e-9))
    radius = np.hypot(p["vx"], p["vy"])
    primary = barcode < FIRST_SECONDARY
    passed = (np.abs(eta) < _PASSED["eta"]) & (pt > _PASSED["pt"]) & primary
    passed &= (p["q"] != 0) & (radius < _PASSED["radius"])
    return {
        "Part_event_number": number,
        "Part_barcode": barcode,
        **{f"Part_{axis}": p[axis] / MEV for axis in ("px", "py", "pz")},
        "Part_pt": pt / MEV,
        "Part_eta": eta,
        **{f"Part_{axis}": p[axis] for axis in ("vx", "vy", "vz")},
        "Part_radius": radius,
        "Part_status": np.where(primary, *_STATUS),
        "Part_charge": p["q"],
        "Part_pdg_id": p["particle_type"],
        "Part_passed": passed,
    }


def _clusters(event: Event, order: np.ndarray, strip: np.ndarray) -> DumpColumns:
    """Branches of the clusters, in the order of the dump, but for links to particles."""
    m = {name: column[order] for name, column in event.measurements.items()}
    n = len(order)
    position = np.stack([m[f"rec_g{axis}"] for axis in "xyz"], axis=1).astype(np.float64)
    ones = np.ones(n, np.int64)
    size = np.stack([m.get(f"clus_size_loc{i}", ones) for i in (0, 1)], axis=1).astype(np.int64)
    local = np.stack([m["rec_loc0"], m["rec_loc1"]], axis=1)
    variance = np.stack([m["var_loc0"], m["var_loc1"]], axis=1)
    geometry_id = m["geometry_id"].astype(np.uint64)
    columns: DumpColumns = {
        HARDWARE: strip,
        "CLindex": np.arange(n),
        **{f"CL{axis}": position[:, i] for i, axis in enumerate("xyz")},
        "CLmoduleID": geometry_id,
        "CLside": np.where(strip, (geometry_id & SIDES).astype(np.int64) - 1, 0),
    }
    endcap = np.zeros(n, np.int64)
    first = np.zeros((n, 2), np.int64)  # channel
    try:
        frames = ClusterFrames.of(geometry_id, strip)
    except GeometryIdError:
        pass
    else:
        endcap = frames.endcap
        first = np.floor(np.nan_to_num(local) / frames.pitch - 0.5 * size + 0.5).astype(np.int64)
        # Athena counts channels from an edge of the sensor.
        first += np.int64(1) << 12
        columns |= {
            "CLbarrel_endcap": endcap,
            "CLlayer_disk": frames.layer,
            "CLeta_module": frames.eta,
            "CLphi_module": frames.phi,
            **{f"CLnorm_{axis}": frames.normal[:, i] for i, axis in enumerate("xyz")},
            **{
                f"CLJan_loc_direction{i + 1}": 2 * frames.half * frames.along[:, i]
                for i in range(3)
            },
            **frames.shapes(size, position),
        }
    return columns | _coordinates(local, variance, strip, endcap) | _cells(size, first, strip)


def _coordinates(
    local: np.ndarray, variance: np.ndarray, strip: np.ndarray, endcap: np.ndarray
) -> DumpColumns:
    """Local positions and covariances; strips of the endcaps measure the second coordinate."""
    measured = np.where(np.isfinite(local), local, 0.0)
    known = np.where(np.isfinite(variance), variance, 0.0)
    second = strip & (endcap != 0)
    along = np.where(np.isfinite(local[:, 0]), 0, 1)  # where a strip has its coordinate
    rows = np.arange(len(strip))
    value, spread = measured[rows, along], known[rows, along]
    zero = np.zeros(len(strip))
    counts = np.where(strip, np.where(second, 2, 1), 4)
    matrix = np.where(
        strip[:, None],
        np.stack([np.where(second, 0.0, spread), spread, zero, zero], axis=1),
        np.stack([known[:, 0], zero, zero, known[:, 1]], axis=1),
    )
    kept = np.arange(4) < counts[:, None]
    return {
        "CLloc_direction1": np.where(second, 0.0, np.where(strip, value, measured[:, 0])),
        "CLloc_direction2": np.where(second, value, np.where(strip, 0.0, measured[:, 1])),
        "CLlocal_cov": Jagged(np.concatenate([[0], np.cumsum(counts)]), matrix[kept]),
    }


def _cells(size: np.ndarray, first: np.ndarray, strip: np.ndarray) -> DumpColumns:
    """Channels of clusters of which the extents are known: those along their diagonal.

    A straight line through a box of a by b channels crosses a + b - 1 of them.
    """
    a, b = np.maximum(size[:, 0], 1), np.maximum(size[:, 1], 1)
    counts = np.where(strip, a, a + b - 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    wide, high = np.repeat(a, counts), np.repeat(b, counts)
    # Bresenham's line: `step` cells along, of which a share (a - 1) / (a + b - 2) is in phi.
    total = np.maximum(wide + high - 2, 1)
    in_phi = (step * (wide - 1) + total // 2) // total
    of_strip = np.repeat(strip, counts)
    phi = np.repeat(first[:, 0], counts) + np.where(of_strip, step, in_phi)
    eta = np.repeat(first[:, 1], counts) + step - in_phi
    return {
        "CLphis": Jagged(offsets, np.where(of_strip, -1, phi)),
        "CLetas": Jagged(offsets, np.where(of_strip, phi, eta)),
        "CLtots": Jagged(offsets, np.where(of_strip, 0, 1)),
        "CLpixel_count": counts,
        "CLcharge_count": np.where(strip, 0, counts),
    }


def _links(event: Event, order: np.ndarray) -> Jagged:
    """Particle rows of the clusters in the order of the dump."""
    offsets = event.measurement_particle_offsets
    counts = np.diff(offsets)[order]
    new = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.arange(new[-1]) - np.repeat(new[:-1] - offsets[order], counts)
    return Jagged(new, event.measurement_particle_rows[index])


def _space_points(event: Event, rank: np.ndarray) -> DumpColumns:
    """Branches of the space points: pixels first, then strips."""
    s = event.space_points
    double = np.asarray(s.get("geometry_id_2", np.zeros(event.n_space_points))) != 0
    order = np.argsort(double, kind="stable")
    s, double = {name: column[order] for name, column in s.items()}, double[order]
    first = rank[s["measurement_id"].astype(np.int64)]
    second = np.full(len(first), -1)
    second[double] = rank[s["measurement_id_2"][double].astype(np.int64)]
    position = [s[axis].astype(np.float64) for axis in "xyz"]
    columns: DumpColumns = {
        "SPindex": np.arange(len(first)),
        **{f"SP{axis}": column for axis, column in zip("xyz", position, strict=True)},
        "SPCL1_index": first,
        "SPCL2_index": second,
        "SPisOverlap": s.get("is_overlap", np.where(double, 0, -1)),
        "SPradius": np.hypot(position[0], position[1]),
        **{f"SPcov{axis}": s.get(f"var_{axis}", np.zeros(len(first))) for axis in "rz"},
    }
    try:
        return columns | _strip_vectors(s, double)
    except GeometryIdError:
        return columns


def _strip_vectors(s: Mapping[str, np.ndarray], double: np.ndarray) -> DumpColumns:
    """Strips of the space points that have two; the first cluster's is the top one."""
    every = np.ones(int(double.sum()), bool)
    top, bottom = (
        ClusterFrames.of(s[name][double].astype(np.uint64), every)
        for name in ("geometry_id", "geometry_id_2")
    )
    clusters = np.stack([s[name][double] for name in STRIP_COLUMNS[1:]], axis=1).reshape(-1, 2, 3)
    offsets = np.concatenate([[0], np.cumsum(3 * double)])
    half = np.zeros((2, len(double)))
    half[:, double] = top.half, bottom.half
    return {
        "SPhl_topstrip": half[0],
        "SPhl_botstrip": half[1],
        "SPtopStripDirection": Jagged(offsets, top.along.ravel()),
        "SPbottomStripDirection": Jagged(offsets, bottom.along.ravel()),
        "SPstripCenterDistance": Jagged(offsets, (clusters[:, 0] - clusters[:, 1]).ravel()),
        "SPtopStripCenterPosition": Jagged(offsets, clusters[:, 0].ravel()),
    }
