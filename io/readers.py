"""Sequencer reader for events in ROOT files, on uproot."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.io.errors import ConfigError, TreeError
from trkx.io.event import BARCODE, Event, EventSource
from trkx.io.event_sources import open_events
from trkx.io.event_tables import table_of_columns, table_of_links
from trkx.io.input_files import PathLike
from trkx.io.reader_containers import (
    GeometryIds,
    all_measurements,
    make_barcodes,
    make_measurement_particles_map,
    make_measurements,
    make_particles,
    make_space_points,
)
from trkx.io.reader_sim_hits import make_measurement_sim_hits_map, make_sim_hits
from trkx.io.schema import STRIP_COLUMNS

__all__ = [
    "READ_COLUMNS",
    "UprootEventReader",
    "addEventReader",
    "addSpacePointMaker",
    "sensitiveGeometryIds",
]

READ_COLUMNS = frozenset(
    (
        *("r", "t", "var_r", "var_z", "clus_size_loc0", "clus_size_loc1", "rec_time", "var_time"),
        *("particle_type", "q", "m", "vx", "vy", "vz", "vt", "px", "py", "pz", "p", "pt", "eta"),
        *("phi", "theta", "process", "total_x0", "total_l0", "number_of_hits", "outcome"),
        *("hf_origin", "particle_hash"),
        *STRIP_COLUMNS,
    )
)
"""Columns that finders, fitters and performance measures use, besides those always read."""
_TRUE_COLUMNS = (
    *("true_loc0", "true_loc1", "true_phi", "true_theta", "true_qop", "true_time"),
    *("true_x", "true_y", "true_z"),
)


class UprootEventReader(acts.examples.IReader):
    """Puts the measurements, space points and truth of an event on the whiteboard.

    Reads what `trkx simulate` writes, what ACTS' C++ ROOT writers write, and Athena's dumps; see
    `trkx.io.event_sources`.
    Measurements and space points keep the order of the file: index i of `measurements` is row i
    of the event. An event without hits gives empty containers.

    Args:
        input: a folder, ROOT files, glob patterns, or a list of these; or another source of
            events, whose geometry ids are taken as they are.
        level: log level.
        outputMeasurements: `acts.examples.MeasurementContainer`.
        outputMeasurementSubset: `acts.examples.MeasurementSubset` of all measurements, which
            ACTS' finders and fitters ask for.
        outputSpacePoints: `acts.SpacePointContainer` of the file's space points with source
            links, for ACTS' seeding; "": none. It takes a third of the reading time, most of
            it for the links; ACTS' `SpacePointMaker` is faster (see `addEventReader`).
        outputSpacePointTable: `acts.arrow.ArrowTable` with the columns of the space points;
            `trkx.io.event_tables.columns_of_table` makes NumPy arrays of it, without copying.
        outputMeasurementTable: `ArrowTable` with the flat columns of the measurements, true
            positions included, for writers of track states; "": none.
        readTruth: read the particles and link the measurements to them.
        outputMeasurementTruthTable: `ArrowTable` with the particle rows behind each
            measurement; see `trkx.io.event_tables.links_of_table`.
        outputParticleTable: `ArrowTable` with the columns of the particles.
        outputParticles: `acts.examples.SimParticleContainer`.
        outputMeasurementParticlesMap: `acts.examples.MeasurementParticlesMap`.
        outputParticleMeasurementsMap: `acts.examples.ParticleMeasurementsMap`.
        outputSimHits: `acts.examples.SimHitContainer` of the `hits` tree; "": none.
        outputMeasurementSimHitsMap: `acts.examples.MeasurementSimHitsMap`; "": none.
        events: first event and last event + 1 to read; None: all there are.
        branches: branches that have another name in the files, by the name used here.
        trackingGeometry: if given, geometry ids that it does not have are an error.
        columns: columns to read besides the necessary ones; None: those that trkx uses.

    An empty key for any output leaves it out.

    Raises:
        InputError: a subclass says what is wrong; see `trkx.io.errors`.
    """

    def __init__(
        self,
        input: PathLike | Sequence[PathLike] | EventSource,
        level: Any = acts.logging.INFO,
        outputMeasurements: str = "measurements",
        outputMeasurementSubset: str = "measurement_subset",
        outputSpacePoints: str = "",
        outputSpacePointTable: str = "spacepoint_table",
        outputMeasurementTable: str = "",
        readTruth: bool = True,
        outputMeasurementTruthTable: str = "measurement_truth_table",
        outputParticleTable: str = "particle_table",
        outputParticles: str = "particles",
        outputMeasurementParticlesMap: str = "measurement_particles_map",
        outputParticleMeasurementsMap: str = "particle_measurements_map",
        outputSimHits: str = "",
        outputMeasurementSimHitsMap: str = "",
        events: tuple[int, int] | None = None,
        branches: Mapping[str, str] | None = None,
        trackingGeometry: Any = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        acts.examples.IReader.__init__(self, "UprootEventReader", level)
        self.files: Any = input
        if not isinstance(input, EventSource):
            self.files = open_events(
                input,
                branches=branches,
                geometry_ids=None
                if trackingGeometry is None
                else sensitiveGeometryIds(trackingGeometry),
            )
        self._columns = READ_COLUMNS if columns is None else frozenset(columns)
        if outputMeasurementTable and columns is None:
            self._columns |= frozenset(_TRUE_COLUMNS)
        self._truth = readTruth
        self._lock = threading.Lock()
        self._geometry_ids = GeometryIds()
        if events is not None:
            self.files.check_range(*events)
        self._range = events or self.files.available
        if outputMeasurementSimHitsMap and not outputSimHits:
            raise ConfigError("outputMeasurementSimHitsMap needs outputSimHits")
        if (outputMeasurements or outputMeasurementSubset) and not self.files.has_measurements:
            raise TreeError(
                "no measurements tree in the input, which the measurement container needs; add "
                "measurements.root, or pass outputMeasurements='' and outputMeasurementSubset=''"
            )
        if outputMeasurementSubset and not outputMeasurements:
            raise ConfigError("outputMeasurementSubset needs outputMeasurements")
        kinds = {
            "OutputMeasurements": (acts.examples.MeasurementContainer, outputMeasurements),
            "OutputMeasurementSubset": (acts.examples.MeasurementSubset, outputMeasurementSubset),
            "OutputSpacePoints": (acts.SpacePointContainer, outputSpacePoints),
            "OutputSpacePointTable": (acts.arrow.ArrowTable, outputSpacePointTable),
            "OutputMeasurementTable": (acts.arrow.ArrowTable, outputMeasurementTable),
            "OutputSimHits": (acts.examples.SimHitContainer, outputSimHits),
            "OutputMeasurementSimHitsMap": (
                acts.examples.MeasurementSimHitsMap,
                outputMeasurementSimHitsMap,
            ),
        }
        if readTruth:
            kinds |= {
                "OutputMeasurementTruthTable": (acts.arrow.ArrowTable, outputMeasurementTruthTable),
                "OutputParticleTable": (acts.arrow.ArrowTable, outputParticleTable),
                "OutputParticles": (acts.examples.SimParticleContainer, outputParticles),
                "OutputMeasurementParticlesMap": (
                    acts.examples.MeasurementParticlesMap,
                    outputMeasurementParticlesMap,
                ),
                "OutputParticleMeasurementsMap": (
                    acts.examples.ParticleMeasurementsMap,
                    outputParticleMeasurementsMap,
                ),
            }
        self._handles: dict[str, Any] = {}
        for name, (kind, key) in kinds.items():
            if key:
                self._handles[name] = acts.examples.WriteDataHandle(self, kind, name)
                self._handles[name].initialize(key)

        # The sequencer does not let an element read what it writes itself, so that the handle
        # is that of another one, which is never run.
        self._bystander = acts.examples.IAlgorithm("UprootEventReaderSubset", level)
        self._stored_measurements = acts.examples.ReadDataHandle(
            self._bystander, acts.examples.MeasurementContainer, "InputMeasurements"
        )
        self._stored_measurements.initialize(outputMeasurements or "measurements")

    def availableEvents(self) -> tuple[int, int]:
        """First event number and last event number + 1."""
        return self._range

    def read(self, context: Any) -> Any:
        """Read the event of `context`."""
        # One event at a time: two would pass the interpreter lock to and fro and take longer.
        with self._lock:
            event = self.files.read(context.eventNumber, truth=self._truth, columns=self._columns)
            self._put_hits(context, event)
            if self._truth:
                self._put_truth(context, event)
            if "OutputSimHits" in self._handles:
                self._put_sim_hits(context, event)
        return acts.examples.ProcessCode.SUCCESS

    def _put_hits(self, context: Any, event: Event) -> None:
        handles = self._handles
        if "OutputMeasurements" in handles:
            measurements = make_measurements(event, self._geometry_ids)
            handles["OutputMeasurements"](context, measurements)
            if "OutputMeasurementSubset" in handles:
                # A subset points to its container, and the whiteboard has moved that.
                subset = all_measurements(self._stored_measurements(context.eventStore))
                handles["OutputMeasurementSubset"](context, subset)
        if "OutputMeasurementTable" in handles:
            handles["OutputMeasurementTable"](context, table_of_columns(event.measurements))
        if "OutputSpacePoints" in handles:
            handles["OutputSpacePoints"](context, make_space_points(event, self._geometry_ids))
        if "OutputSpacePointTable" in handles:
            handles["OutputSpacePointTable"](context, table_of_columns(event.space_points))

    def _put_truth(self, context: Any, event: Event) -> None:
        handles = self._handles
        if "OutputMeasurementTruthTable" in handles:
            table = table_of_links(
                event.measurement_particle_offsets, event.measurement_particle_rows
            )
            handles["OutputMeasurementTruthTable"](context, table)
        if "OutputParticleTable" in handles:
            handles["OutputParticleTable"](context, table_of_columns(event.particles))
        forward, backward = "OutputMeasurementParticlesMap", "OutputParticleMeasurementsMap"
        if not {"OutputParticles", forward, backward} & handles.keys():
            return
        barcodes = make_barcodes([event.particles[name] for name in BARCODE])
        if "OutputParticles" in handles:
            handles["OutputParticles"](context, make_particles(event, barcodes))
        if {forward, backward} & handles.keys():
            links = make_measurement_particles_map(event, barcodes)
            if backward in handles:
                # Inserting here in the order of measurements would take a second and more.
                handles[backward](context, links.invert())
            if forward in handles:
                handles[forward](context, links)

    def _put_sim_hits(self, context: Any, event: Event) -> None:
        hits = self.files.read_hits(context.eventNumber)
        container, order = make_sim_hits(hits, self._geometry_ids)
        self._handles["OutputSimHits"](context, container)
        if "OutputMeasurementSimHitsMap" in self._handles:
            links = make_measurement_sim_hits_map(event, hits, order)
            self._handles["OutputMeasurementSimHitsMap"](context, links)


def addEventReader(
    s: Any,
    input: PathLike | Sequence[PathLike] | EventSource,
    trackingGeometry: Any = None,
    outputSpacePoints: str = "spacepoints",
    logLevel: Any = acts.logging.INFO,
    **options: Any,
) -> Any:
    """Add an `UprootEventReader` to the sequencer, and what makes its space points.

    With a tracking geometry, ACTS' `SpacePointMaker` makes one space point per measurement, in
    the order of the modules. Without, and where the file has space points of strips, which have
    two measurements, the reader takes those of the file, more slowly.

    Args:
        s: the sequencer.
        input: a folder, ROOT files, glob patterns, or a list of these.
        trackingGeometry: the detector's; also makes unknown geometry ids an error.
        outputSpacePoints: key of the `acts.SpacePointContainer`; "": none.
        logLevel: log level.
        options: passed on to the reader.

    Returns:
        the sequencer.
    """
    source: Any = input
    if not isinstance(input, EventSource):
        source = open_events(
            input,
            branches=options.pop("branches", None),
            geometry_ids=None
            if trackingGeometry is None
            else sensitiveGeometryIds(trackingGeometry),
        )
    strips = getattr(source, "has_strips", False)
    made = bool(outputSpacePoints) and trackingGeometry is not None and not strips
    # The sequencer keeps the C++ part of the reader alive, and that keeps the Python part.
    s.addReader(
        UprootEventReader(
            source,
            level=logLevel,
            trackingGeometry=trackingGeometry,
            outputSpacePoints="" if made else outputSpacePoints,
            **options,
        )
    )
    if made:
        measurements = options.get("outputMeasurementSubset", "measurement_subset")
        addSpacePointMaker(s, trackingGeometry, measurements, outputSpacePoints, logLevel)
    return s


def addSpacePointMaker(
    s: Any,
    trackingGeometry: Any,
    inputMeasurements: str = "measurement_subset",
    outputSpacePoints: str = "spacepoints",
    logLevel: Any = acts.logging.INFO,
) -> Any:
    """Add ACTS' `SpacePointMaker` for all volumes with sensors: one space point per measurement.

    Args:
        s: the sequencer.
        trackingGeometry: the detector's.
        inputMeasurements: key of the `MeasurementSubset`.
        outputSpacePoints: key of the `acts.SpacePointContainer`.
        logLevel: log level.

    Returns:
        the sequencer.
    """
    volumes = np.unique(sensitiveGeometryIds(trackingGeometry) >> np.uint64(56))
    s.addAlgorithm(
        acts.examples.SpacePointMaker(
            level=logLevel,
            trackingGeometry=trackingGeometry,
            inputMeasurements=inputMeasurements,
            outputSpacePoints=outputSpacePoints,
            geometrySelection=[acts.GeometryIdentifier(volume=int(v)) for v in volumes],
        )
    )
    return s


def sensitiveGeometryIds(trackingGeometry: Any) -> np.ndarray:
    """Geometry ids of the detector's sensitive surfaces, ascending, uint64."""
    found: list[int] = []
    trackingGeometry.visitSurfaces(lambda surface: found.append(surface.geometryId.value))
    ids = np.unique(np.array(found, dtype=np.uint64))
    return ids[(ids >> np.uint64(8)) & np.uint64(0xFFFFF) != 0]
