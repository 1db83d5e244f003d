"""Events of the TrackML challenge as the trees of trkx, and as the event that jobs read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from trkx.algorithms.simulation.containers import Hits
from trkx.algorithms.simulation.event_tables import tables_of_readings
from trkx.algorithms.simulation.modules import module_table
from trkx.algorithms.simulation.readings import Readings
from trkx.algorithms.trackml_measurements import hit_measurements
from trkx.io.errors import EventContentError
from trkx.io.event import BARCODE, Event
from trkx.io.event_writer import EventColumns
from trkx.io.particle_masses import particle_masses
from trkx.io.schema import HITS, MEASUREMENTS, TREES, Branch, TreeSchema
from trkx.io.trackml_clusters import cluster_shapes
from trkx.io.trackml_event import TrackMLEvent, rows_of_ids

__all__ = [
    "HIT_ID",
    "TRACKML_TREES",
    "barcodes_of",
    "event_of_tables",
    "particle_ids_of",
    "trackml_tables",
]

HIT_ID = "hit_id"
"""Column of the measurements with the number that the challenge gives a hit."""

TRACKML_TREES = {name: schema for name, schema in TREES.items() if schema is not HITS} | {
    MEASUREMENTS.tree: dataclasses.replace(
        MEASUREMENTS, branches=(*MEASUREMENTS.branches, Branch(HIT_ID, "i8"))
    )
}
"""Schemas of converted events. There is no tree of simulated hits: those of the challenge are one
per measurement, and the measurements have their true states."""

# Bits of the challenge's particle_id, in the order of BARCODE: its vertex, process, primary,
# generation and secondary number (https://github.com/LAL/trackml-library, decode_particle_id).
_PARTICLE_ID = ((52, 0xFFF), (0, 0xFFF), (36, 0xFFFF), (24, 0xFFF), (12, 0xFFF))


def barcodes_of(particle_id: np.ndarray) -> dict[str, np.ndarray]:
    """The five numbers that name a particle, from its `particle_id`, shape (P,), uint32 each."""
    return {
        name: ((particle_id >> np.uint64(shift)) & np.uint64(mask)).astype(np.uint32)
        for name, (shift, mask) in zip(BARCODE, _PARTICLE_ID, strict=True)
    }


def particle_ids_of(barcodes: Sequence[np.ndarray], number: int) -> np.ndarray:
    """The `particle_id` of particles named by their five numbers, shape (P,), uint64.

    Raises:
        EventContentError: a number has more bits than its place in `particle_id`.
    """
    packed = np.zeros(len(barcodes[0]), dtype=np.uint64)
    for name, column, (shift, mask) in zip(BARCODE, barcodes, _PARTICLE_ID, strict=True):
        if len(column) and int(column.max()) > mask:
            raise EventContentError(
                f"{name} {int(column.max())} of a particle of event {number} does not fit into a "
                f"particle_id of the TrackML challenge, which has room for {mask}"
            )
        packed |= column.astype(np.uint64) << np.uint64(shift)
    return packed


def trackml_tables(event: TrackMLEvent) -> dict[str, EventColumns]:
    """Make the trees of an event.

    Measurements are in the order of the modules, as everywhere in trkx, and on one module in that
    of the hits; their column `hit_id` says which hit each is. Truth that the event does not have
    is NaN, and its particles are none.

    Returns:
        columns by tree name, of the schemas `TRACKML_TREES`.

    Raises:
        GeometryIdError: a hit is on no module of the detector.
    """
    modules = module_table()
    shapes = cluster_shapes(event.hits["hit_id"], event.cells)
    measured = hit_measurements(event, shapes)
    order = np.argsort(measured.module, kind="stable")
    module = measured.module[order]
    particles = _particles(event)
    hits, link = _true_hits(event, order, modules.geometry_id[measured.module], particles)
    crossing = hits.position[link[:, 1], :3]
    readings = Readings(
        module=module,
        side=np.zeros(event.n_hits, dtype=np.int64),
        local=measured.local[order],
        size=np.stack([shapes.size0, shapes.size1], axis=1)[order],
        variance=measured.variance[order],
        position=np.stack([event.hits[axis] for axis in "xyz"], axis=1)[order],
        half=np.zeros((event.n_hits, 3)),
        link=link,
        crossing=crossing,
        true_local=modules.to_local(module[link[:, 0]], crossing),
    )
    tables = tables_of_readings(hits, readings, particles, modules)
    del tables[HITS.tree]
    measurements = tables[MEASUREMENTS.tree]
    flat = {
        **measurements.flat,
        HIT_ID: event.hits["hit_id"][order],
        "clus_size": shapes.n_cells[order],
    }
    tables[MEASUREMENTS.tree] = dataclasses.replace(measurements, flat=flat)
    return tables


def event_of_tables(number: int, tables: dict[str, EventColumns]) -> Event:
    """Make the event that jobs read, as if the trees had been written and read back."""
    flat, jagged = {}, {}
    for name, schema in TRACKML_TREES.items():
        columns = tables[name]
        flat[name] = _typed(schema.branches, columns.flat, schema)
        jagged[name] = _typed(schema.jagged_branches, columns.jagged, schema)
    space_points = flat["spacepoints"]
    for name in ("clus_size_loc0", "clus_size_loc1"):
        space_points[name] = flat["measurements"][name].astype(np.float32)
    particles = jagged["particles"]
    contributors = jagged["measurements"]
    counts = tables["measurements"].counts
    assert counts is not None
    packed = [
        particle_ids_of([columns[name] for name in BARCODE], number)
        for columns in (particles, contributors)
    ]
    return Event(
        number,
        space_points,
        flat["measurements"],
        particles,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows_of_ids(*packed),
    )


def _typed(
    branches: tuple[Branch, ...], columns: object, schema: TreeSchema
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for branch in branches:
        if branch.name != schema.event_branch:
            found[branch.name] = np.ascontiguousarray(columns[branch.name], branch.dtype)  # type: ignore[index]
    return found


def _true_hits(
    event: TrackMLEvent,
    order: np.ndarray,
    geometry_id: np.ndarray,
    particles: dict[str, np.ndarray],
) -> tuple[Hits, np.ndarray]:
    """The hits of particles, in the order of their measurements, and which measurement is whose."""
    empty = np.zeros(0, dtype=np.int64)
    truth = event.truth or {"hit_id": empty, "particle_id": empty.astype(np.uint64)}
    particle = empty
    if event.particles is not None:
        particle = rows_of_ids(event.particles["particle_id"], truth["particle_id"])
    known = np.flatnonzero(particle >= 0) if len(particle) else empty
    measurement = np.empty(event.n_hits, dtype=np.int64)
    measurement[order] = np.arange(event.n_hits)
    row = event.rows_of_hits(truth["hit_id"][known])
    by_measurement = np.argsort(measurement[row], kind="stable")
    known, row = known[by_measurement], row[by_measurement]
    missing = np.full(len(truth["hit_id"]), np.nan)

    def state(*names: str) -> np.ndarray:
        return np.stack([truth.get(name, missing)[known] for name in names], axis=1)

    momentum = state("tpx", "tpy", "tpz")
    mass = particles["m"][particle[known]]
    energy = np.sqrt((momentum**2).sum(axis=1) + mass**2)
    before = np.concatenate([momentum, energy[:, None]], axis=1)
    position = np.concatenate([state("tx", "ty", "tz"), missing[known, None]], axis=1)
    index = np.full(len(known), -1, dtype=np.int32)
    hits = Hits(particle[known], geometry_id[row], position, before, before, index)
    return hits, np.stack([measurement[row], np.arange(len(known))], axis=1)


def _particles(event: TrackMLEvent) -> dict[str, np.ndarray]:
    """Columns of the `particles` tree; none without truth, as nothing would belong to them."""
    given = event.particles if event.truth is not None else None
    n = 0 if given is None else len(given["particle_id"])
    zero = np.zeros(n)
    c = dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz", "q", "particle_type", "nhits"), zero)
    c |= {"particle_id": np.zeros(n, dtype=np.uint64), **(given or {})}
    pt = np.hypot(c["px"], c["py"])
    p = np.hypot(pt, c["pz"])
    with np.errstate(divide="ignore", invalid="ignore"):
        eta, q_over_p = np.arcsinh(c["pz"] / pt), c["q"] / p
    return {
        "particle_hash": c["particle_id"],
        "process": zero,
        **{name: c[name] for name in ("particle_type", "vx", "vy", "vz", "px", "py", "pz", "q")},
        "vt": zero,
        "p": p,
        "pt": pt,
        "m": particle_masses(c["particle_type"].astype(np.int64)),
        "eta": eta,
        "phi": np.arctan2(c["py"], c["px"]),
        "theta": np.arctan2(pt, c["pz"]),
        "q_over_p": q_over_p,
        **barcodes_of(c["particle_id"]),
        "e_loss": zero,
        "total_x0": zero,
        "total_l0": zero,
        "number_of_hits": c["nhits"],
        "outcome": zero,
    }
