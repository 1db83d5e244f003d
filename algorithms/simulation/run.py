"""The whole simulation: chunks are generated in a child process while ACTS works on the last."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import acts
import acts.examples

from trkx.algorithms.simulation.generator import (
    STREAM_NOISE,
    check_generator,
    event_rng,
)
from trkx.algorithms.simulation.generator_process import GeneratorProcess
from trkx.algorithms.simulation.modules import read_readout
from trkx.algorithms.simulation.sequence import (
    UprootEventWriter,
    addDetectorSimulation,
    addHepMC3Crossings,
    digitization_config,
    simulated_geometry,
)
from trkx.algorithms.simulation.settings import SimulationSettings
from trkx.io.errors import ConfigError
from trkx.io.event_writer import EventWriter
from trkx.io.provenance import make_provenance
from trkx.io.schema import STRIP_TREES, TREES

CHUNK_EVENTS = 8
"""Events generated at a time: many enough to keep the threads busy, few enough that the text files
of two chunks (3 MB per μ = 200 event) and the wait for the first one stay small."""


@dataclass(frozen=True)
class SimulationReport:
    """What was done."""

    paths: list[Path]
    events: int
    seconds: float
    """from the call to the closed files, set-up included"""

    @property
    def seconds_per_event(self) -> float:
        """Wall seconds per event."""
        return self.seconds / self.events


def simulate(
    settings: SimulationSettings,
    output: str | Path,
    events: int,
    first: int = 0,
    threads: int = 2,
    force: bool = False,
    command: str = "trkx.algorithms.simulation.simulate",
    on_event: Callable[[], None] = lambda: None,
) -> SimulationReport:
    """Simulate events and write spacepoints, measurements, particles and hits as ROOT files.

    Event i depends on `(settings, i)` only: not on `threads`, nor on which events are made before.
    Memory does not grow with the number of events.

    Args:
        settings: what to simulate.
        output: folder for the files; made if needed.
        events: number of events.
        first: number of the first event.
        threads: threads of ACTS' Sequencer; one more process generates.
        force: replace results in `output`.
        command: stored in the files.
        on_event: called after each event, from any thread.

    Raises:
        ConfigError: a number is out of range.
        OutputError: `output` cannot be written or holds results.
        MissingExtraError: Pythia or pyhepmc is not installed.
    """
    if events < 1:
        raise ConfigError(f"events is {events}; give at least 1")
    if first < 0:
        raise ConfigError(f"first event is {first}; give 0 or more")
    if threads < 1:
        raise ConfigError(f"threads is {threads}; give at least 1")
    check_generator()
    begin = time.perf_counter()
    if settings.geometry:  # what is wrong with its files is said before anything is generated
        simulated_geometry(settings)
        read_readout(digitization_config(settings))
    provenance = make_provenance(
        command,
        settings.as_dict(),
        settings.seed,
        detector=Path(settings.geometry).stem if settings.geometry else "generic",
        first_event=first,
        events=events,
    )
    trees = STRIP_TREES if settings.strips == "stereo" else TREES
    with EventWriter(output, provenance, first=first, force=force, trees=trees) as writer:
        scratch = Path(tempfile.mkdtemp(prefix="trkx-simulate-"))
        try:
            for chunk in _generate(settings, scratch, first, events):
                _process(settings, chunk, writer, threads, on_event)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        paths = writer.close()
    return SimulationReport(paths, events, time.perf_counter() - begin)


@dataclass(frozen=True)
class _Chunk:
    path: Path
    first: int
    events: int
    multiplicity: int


def _generate(
    settings: SimulationSettings, scratch: Path, first: int, events: int
) -> Iterator[_Chunk]:
    """Yield generated chunks, the next one already in the making; deletes those done."""
    ranges = [
        (start, min(CHUNK_EVENTS, first + events - start))
        for start in range(first, first + events, CHUNK_EVENTS)
    ]
    # The first chunks are small, so that ACTS has something to do soon.
    if ranges[0][1] > 2:
        start, n = ranges[0]
        ranges[:1] = [(start, 2), (start + 2, n - 2)]
    paths = [scratch / f"crossings-{start}.hepmc3" for start, _ in ranges]
    with GeneratorProcess(settings) as generator:
        requested = 0
        for i, (start, n) in enumerate(ranges):
            # One chunk ahead of the one that is worked on.
            while requested < min(i + 2, len(ranges)):
                generator.request(paths[requested], *ranges[requested])
                requested += 1
            yield _Chunk(paths[i], start, n, generator.wait())
            paths[i].unlink()


def _process(
    settings: SimulationSettings,
    chunk: _Chunk,
    writer: EventWriter,
    threads: int,
    on_event: Callable[[], None],
) -> None:
    s = acts.examples.Sequencer(
        skip=chunk.first,
        events=chunk.events,
        numThreads=min(threads, chunk.events),
        trackFpes=False,
        logLevel=acts.logging.WARNING,
        outputDir=str(chunk.path.parent),
        outputTimingFile="",
    )
    rnd = acts.examples.RandomNumbers(seed=settings.seed)
    addHepMC3Crossings(s, chunk.path, settings, chunk.first, chunk.events, chunk.multiplicity, rnd)
    addDetectorSimulation(s, settings, rnd)
    event_writer = UprootEventWriter(
        settings,
        writer,
        lambda event: event_rng(settings.seed, event, STREAM_NOISE),
        on_event,
    )
    s.addAlgorithm(event_writer)
    try:
        s.run()
    except Exception:
        if event_writer.error is not None:
            raise event_writer.error from None
        raise
