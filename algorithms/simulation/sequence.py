"""The simulation's elements in ACTS' Sequencer, named and called as ACTS' own helpers are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import acts
import acts.examples
import acts.examples.arrow
import acts.examples.hepmc3
import acts.examples.json
import numpy as np
from acts.examples.simulation import (
    ParticleSelectorConfig,
    addDigitization,
    addFatras,
    addGenParticleSelection,
)

from trkx.algorithms.detector import buildGenericDetector, constantField
from trkx.algorithms.magnetic_field import solenoidField
from trkx.algorithms.simulation.containers import read_hits, read_measurements, read_particles
from trkx.algorithms.simulation.event_tables import build_event_tables
from trkx.algorithms.simulation.hit_loss import lose_measurements, lose_modules
from trkx.algorithms.simulation.modules import config_path, modules_of, read_readout
from trkx.algorithms.simulation.settings import SimulationSettings
from trkx.algorithms.simulation.strip_sensors import StripSensors
from trkx.io.event_writer import EventWriter
from trkx.io.geometry_files import readTrackingGeometry

u = acts.UnitConstants

PRODUCTION_MARGIN = 1.0
"""Vertex smearing moves production points; the cut was made before it (mm)."""

DIGITIZATION_FILES = {
    "geometric": "generic-digi-geometric",
    "smeared": "generic-digi-smearing",
    "trackml": "generic-digi-trackml",
}


class _SkipFreeMultiplicity(acts.examples.IReader):
    """Sets the multiplicity of the HepMC3 reader once the Sequencer has skipped events.

    The Sequencer's event numbers are to be those of the sample, whose random numbers hang on
    them, but the file starts with the first event of its chunk. With a multiplicity of 0, ACTS'
    reader skips to that number without reading anything; this reader stands before it, and puts
    the multiplicity right when the first event is read.
    """

    def __init__(self, multiplicity: Any, n: int, available: tuple[int, int]) -> None:
        acts.examples.IReader.__init__(self, "SkipFreeMultiplicity", acts.logging.WARNING)
        self._multiplicity = multiplicity
        self._n = n
        self._available = available

    def availableEvents(self) -> tuple[int, int]:
        return self._available

    def read(self, context: Any) -> Any:
        self._multiplicity.n = self._n
        return acts.examples.ProcessCode.SUCCESS


def addHepMC3Crossings(
    s: Any,
    inputPath: Path,
    settings: SimulationSettings,
    first: int,
    events: int,
    multiplicity: int,
    rnd: Any,
) -> Any:
    """Read bunch crossings, smear their vertices and convert them to particles.

    Args:
        s: the Sequencer; it must be set to skip `first` events.
        inputPath: HepMC3 file that starts with event `first`.
        settings: the luminous region.
        first: number of the first event in the file.
        events: number of events.
        multiplicity: collisions per crossing in the file.
        rnd: ACTS' random numbers.
    """
    generator = acts.examples.FixedMultiplicityGenerator(n=0)
    source = acts.examples.hepmc3.HepMC3Reader.Input()
    source.path = str(inputPath)
    source.multiplicityGenerator = generator
    skip = _SkipFreeMultiplicity(generator, multiplicity, (0, first + events))
    s.addReader(skip)
    # The Sequencer keeps the C++ half only; without the Python half its methods are gone.
    s.trkx_keep_alive = skip
    sigma = acts.Vector4(
        settings.vertex_sigma_xy * u.mm,
        settings.vertex_sigma_xy * u.mm,
        settings.vertex_sigma_z * u.mm,
        settings.vertex_sigma_t * u.ns,
    )
    level = acts.logging.WARNING
    s.addReader(
        acts.examples.hepmc3.HepMC3Reader(
            inputs=[source],
            level=level,
            outputEvent="hepmc3_event",
            vertexGenerator=acts.examples.GaussianVertexGenerator(
                mean=acts.Vector4(settings.vertex_x * u.mm, 0, 0, 0), stddev=sigma
            ),
            randomNumbers=rnd,
            numEvents=first + events,
            checkEventNumber=True,
        )
    )
    s.addAlgorithm(
        acts.examples.hepmc3.HepMC3InputConverter(
            level=level,
            inputEvent="hepmc3_event",
            outputParticles="particles_generated",
            outputVertices="vertices_truth",
            mergePrimaries=False,
            mergeSecondaries=False,
        )
    )
    return s


def addDetectorSimulation(s: Any, settings: SimulationSettings, rnd: Any) -> Any:
    """Simulate with Fatras and digitize; puts `measurements`, `clusters` and `simhits`."""
    geometry = simulated_geometry(settings)
    make = {"constant": constantField, "solenoid": solenoidField}[settings.field]
    field = make(settings.field_tesla)
    addGenParticleSelection(
        s,
        ParticleSelectorConfig(
            rho=(0.0, (settings.production_radius_max + PRODUCTION_MARGIN) * u.mm),
            pt=(settings.pt_min * u.GeV, None),
        ),
        logLevel=acts.logging.WARNING,
    )
    addFatras(s, geometry, field, rnd=rnd, enableInteractions=True, logLevel=acts.logging.FATAL)
    config = digitization_config(settings)
    # Channels may merge, and only they have a pitch.
    geometric = bool(np.isfinite(read_readout(config).pitch).any())
    addDigitization(
        s,
        geometry,
        field,
        digiConfigFile=config,
        rnd=rnd,
        doMerge=geometric,
        # Channels that touch at a corner belong together; else the threshold splits clusters.
        mergeCommonCorner=geometric,
        logLevel=acts.logging.ERROR,
    )
    s.addAlgorithm(
        acts.examples.arrow.ArrowSimHitOutputConverter(
            level=acts.logging.WARNING,
            inputSimHits="simhits",
            inputParticles="particles_simulated",
            outputTable="simhit_table",
            detectorResolver=acts.examples.arrow.makeVolumeIdDetectorResolver({}, 0),
        )
    )
    return s


def simulated_geometry(settings: SimulationSettings) -> Any:
    """Return the tracking geometry that the settings choose."""
    return own_geometry(settings.geometry) if settings.geometry else buildGenericDetector()[1]


@functools.lru_cache(maxsize=2)
def own_geometry(path: str) -> Any:
    """Read a tracking geometry, once per process: elements share its surfaces."""
    return readTrackingGeometry(path)


def digitization_config(settings: SimulationSettings) -> Path:
    """Return the digitization configuration that the settings choose."""
    if settings.digitization not in DIGITIZATION_FILES:
        return Path(settings.digitization)
    return config_path(DIGITIZATION_FILES[settings.digitization])


class UprootEventWriter(acts.examples.IAlgorithm):
    """Writes the simulated events with noise to ROOT files.

    Args:
        settings: noise and digitization.
        writer: takes the columns of each event.
        noiseRng: gives the random numbers of the noise of an event.
        onEvent: called after each event.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        writer: EventWriter,
        noiseRng: Callable[[int], np.random.Generator],
        onEvent: Callable[[], None],
    ) -> None:
        acts.examples.IAlgorithm.__init__(self, "UprootEventWriter", acts.logging.WARNING)
        self._settings = settings
        self._writer = writer
        self._noise_rng = noiseRng
        self._on_event = onEvent
        self.error: BaseException | None = None
        self._modules = modules_of(simulated_geometry(settings))
        self._readout = read_readout(digitization_config(settings))
        self._sensors = StripSensors() if settings.strips == "stereo" else None
        self._handles = {}
        for key, kind in (
            ("particles_simulated", acts.examples.SimParticleContainer),
            ("simhits", acts.examples.SimHitContainer),
            ("simhit_table", acts.arrow.ArrowTable),
            ("measurements", acts.examples.MeasurementContainer),
            ("clusters", acts.examples.ClusterContainer),
            ("measurement_simhits_map", acts.examples.MeasurementSimHitsMap),
        ):
            self._handles[key] = acts.examples.ReadDataHandle(self, kind, key)
            self._handles[key].initialize(key)

    def execute(self, context: Any) -> Any:
        """Convert and write one event; an exception is kept in `error` and aborts the job."""
        try:
            self._write(context)
        except BaseException as error:
            self.error = self.error or error
            return acts.examples.ProcessCode.ABORT
        return acts.examples.ProcessCode.SUCCESS

    def _write(self, context: Any) -> None:
        event = {key: handle(context.eventStore) for key, handle in self._handles.items()}
        rng = self._noise_rng(context.eventNumber)
        measurements = read_measurements(
            event["measurements"], event["clusters"], event["measurement_simhits_map"]
        )
        hits = read_hits(event["simhits"], event["simhit_table"])
        measurements = lose_modules(
            measurements, hits.geometry_id, self._settings.dead_modules, self._settings.seed
        )
        tables = build_event_tables(
            hits,
            lose_measurements(measurements, self._settings.hit_loss, rng),
            read_particles(event["particles_simulated"]),
            self._modules,
            self._readout,
            self._settings.noise,
            rng,
            self._sensors,
        )
        self._writer.write(context.eventNumber, tables)
        self._on_event()
