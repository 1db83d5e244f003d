"""ACTS event data from the columns of an event.

The containers keep themselves sorted, and to insert out of order costs a hundred times more
than in order: particles are inserted in the order of their barcodes, simulated hits in that of
their modules. Measurements must keep their order, which is that of the modules in files of
`trkx simulate` and of ACTS.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat, starmap
from operator import add
from typing import Any

import acts
import acts.examples
import numpy as np

from trkx.io.errors import BranchError, EventContentError
from trkx.io.event import BARCODE, Event
from trkx.io.event_truth import pack_barcodes

__all__ = [
    "GeometryIds",
    "all_measurements",
    "make_barcodes",
    "make_measurement_particles_map",
    "make_measurements",
    "make_particles",
    "make_space_points",
]

# Indices of the bound parameters loc0, loc1 and time in ACTS.
_BOUND_INDICES = (0, 1, 5)

_PARTICLE_COLUMNS = ("particle_type", "q", "m", "vx", "vy", "vz", "px", "py", "pz")


class GeometryIds(dict[int, Any]):
    """`acts.GeometryIdentifier` objects by value, made when first asked for."""

    def __missing__(self, value: int) -> Any:
        made = acts.GeometryIdentifier(value)
        self[value] = made
        return made


def _run(calls: Any) -> None:
    """Exhaust an iterator in C, which a loop in Python would double the time of."""
    deque(calls, maxlen=0)


def make_measurements(event: Event, geometry_ids: GeometryIds) -> Any:
    """Build the measurements, in the order of the file.

    A measurement has the coordinates that are finite in the file, of loc0, loc1 and time.

    Returns:
        an `acts.examples.MeasurementContainer`.

    Raises:
        EventContentError: a measurement has no coordinate.
    """
    columns = event.measurements
    measured = np.zeros(event.n_measurements, dtype=np.int8)
    for bit, name in enumerate(("loc0", "loc1", "time")):
        value, variance = columns.get(f"rec_{name}"), columns.get(f"var_{name}")
        if value is not None and variance is not None:
            # ACTS' sequencer traps floating-point exceptions, and comparing NaN is one.
            positive = np.nan_to_num(variance, nan=0.0) > 0
            measured |= (np.isfinite(value) & positive).astype(np.int8) << bit
    if (measured == 0).any():
        raise EventContentError(
            f"measurement {int(np.flatnonzero(measured == 0)[0])} of event {event.number} has "
            "neither rec_loc0 nor rec_loc1 with a variance"
        )
    container = acts.examples.MeasurementContainer()
    container.reserve(event.n_measurements)
    ids = [geometry_ids[value] for value in columns["geometry_id"].tolist()]
    # Runs of the same kind of measurement; files of one detector are a single one mostly.
    edges = np.flatnonzero(np.diff(measured)) + 1
    for start, stop in zip([0, *edges], [*edges, len(measured)], strict=True):
        if start == stop:
            continue
        names = [n for bit, n in enumerate(("loc0", "loc1", "time")) if measured[start] >> bit & 1]
        indices = tuple(
            index for bit, index in enumerate(_BOUND_INDICES) if measured[start] >> bit & 1
        )
        values = zip(*(columns[f"rec_{n}"][start:stop].tolist() for n in names), strict=True)
        variances = zip(*(columns[f"var_{n}"][start:stop].tolist() for n in names), strict=True)
        _run(map(container.emplaceMeasurement, ids[start:stop], repeat(indices), values, variances))
    return container


def make_space_points(event: Event, geometry_ids: GeometryIds) -> Any:
    """Build the space points, in the order of the file, each with its source links.

    Returns:
        an `acts.SpacePointContainer` with position, radius and variances.
    """
    columns = event.space_points
    kind = acts.SpacePointColumns
    wanted = kind.X.value | kind.Y.value | kind.Z.value | kind.R.value
    wanted |= kind.VarianceR.value | kind.VarianceZ.value | kind.SourceLinks.value
    # ACTS' TrackParamsEstimationAlgorithm reads the time column whether it is there or not.
    wanted |= kind.Time.value
    container = acts.SpacePointContainer(kind(wanted))
    n = event.n_space_points
    container.reserve(n)
    link, source = acts.examples.IndexSourceLink, acts.examples.IndexSourceLink.toSourceLink
    index = columns["measurement_id"].tolist() if "measurement_id" in columns else range(n)
    ids = [geometry_ids[value] for value in columns["geometry_id"].tolist()]
    links: Any = zip(map(source, map(link, ids, index)))
    second = columns.get("geometry_id_2")
    # Identity 0, not index 0, says that there is no second measurement.
    if second is not None and second.any():
        others = [
            (source(link(geometry_ids[value], other)),) if value else ()
            for value, other in zip(
                second.tolist(), columns["measurement_id_2"].tolist(), strict=True
            )
        ]
        links = map(add, links, others)
    points = starmap(container.createSpacePoint, repeat((), n))
    _run(map(acts.MutableSpacePointProxy.assignSourceLinks, points, links))
    if n:
        for ours, name in (("x", "x"), ("y", "y"), ("z", "z"), ("r", "r")):
            getattr(container, ours)[:] = columns[name]
        for ours, name in (("varianceR", "var_r"), ("varianceZ", "var_z")):
            getattr(container, ours)[:] = columns.get(name, 0.0)
        container.time[:] = columns.get("t", np.nan)
    return container


def make_barcodes(columns: list[np.ndarray]) -> list[Any]:
    """Build one barcode per particle from the five components, shape (P,) each."""
    make = acts.examples.SimBarcode
    barcodes = []
    for primary, secondary, particle, generation, sub in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        barcode = make()
        barcode.vertexPrimary = primary
        barcode.particle = particle
        if secondary:
            barcode.vertexSecondary = secondary
        if generation:
            barcode.generation = generation
        if sub:
            barcode.subParticle = sub
        barcodes.append(barcode)
    return barcodes


def make_measurement_particles_map(event: Event, barcodes: list[Any]) -> Any:
    """Build the `acts.examples.MeasurementParticlesMap`.

    Args:
        event: the event.
        barcodes: one per particle row.
    """
    counts = np.diff(event.measurement_particle_offsets)
    measurements = np.repeat(np.arange(len(counts)), counts).tolist()
    found = acts.examples.MeasurementParticlesMap()
    owners = [barcodes[row] for row in event.measurement_particle_rows.tolist()]
    _run(map(found.insert, measurements, owners))
    return found


def make_particles(event: Event, barcodes: list[Any]) -> Any:
    """Build the `acts.examples.SimParticleContainer`.

    Args:
        event: the event.
        barcodes: one per particle row.

    Raises:
        BranchError: the particles lack a column that ACTS needs.
    """
    columns = event.particles
    for name in _PARTICLE_COLUMNS:
        if name not in columns:
            raise BranchError(
                f"branch '{name}' not in the particles tree, which the particle container needs; "
                "pass outputParticles='' to do without it"
            )
    n = event.n_particles
    order = np.argsort(pack_barcodes([columns[name] for name in BARCODE])[0])
    values = {
        name: columns[name][order].tolist() if name in columns else [0] * n
        for name in (*_PARTICLE_COLUMNS, "vt", "process", "total_x0", "total_l0")
    }
    values["n"] = columns["number_of_hits"][order].tolist() if "number_of_hits" in columns else []
    values["outcome"] = columns["outcome"][order].tolist() if "outcome" in columns else []
    pdgs = {pdg: acts.PdgParticle(pdg) for pdg in set(values["particle_type"])}
    processes = {p: acts.examples.GenerationProcess(p) for p in set(values["process"])}
    outcomes = {o: acts.examples.SimulationOutcome(o) for o in set(values["outcome"])}
    momentum = np.stack([columns[axis][order].astype(np.float64) for axis in ("px", "py", "pz")])
    absolute = np.sqrt((momentum**2).sum(axis=0)).tolist()
    make, vector3, vector4 = acts.examples.SimParticle, acts.Vector3, acts.Vector4
    container = acts.examples.SimParticleContainer()
    for i, row in enumerate(order.tolist()):
        particle = make(
            barcodes[row], pdgs[values["particle_type"][i]], values["q"][i], values["m"][i]
        )
        particle.fourPosition = vector4(
            values["vx"][i], values["vy"][i], values["vz"][i], values["vt"][i]
        )
        particle.direction = vector3(values["px"][i], values["py"][i], values["pz"][i])
        particle.absoluteMomentum = absolute[i]
        particle.process = processes[values["process"][i]]
        particle.setFinalMaterialPassed(values["total_x0"][i], values["total_l0"][i])
        if values["n"]:
            particle.numberOfHits = values["n"][i]
        if outcomes:
            particle.outcome = outcomes[values["outcome"][i]]
        container.insert(particle)
    return container


def all_measurements(container: Any) -> Any:
    """Build the subset that holds all measurements, as ACTS' finders ask for."""
    return acts.examples.MeasurementSubset(container, range(len(container)))
