"""A reconstruction job: events in, tracks found, fitted, written, measured and compared.

`buildReconstruction` wires a sequencer and runs nothing; `runJob` runs it and writes the
result folder.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import acts
import acts.examples

from trkx.algorithms.event_inputs import check_fits, open_inputs
from trkx.algorithms.helpers import addLabelWriter
from trkx.algorithms.job_chains import ChainSettings, FinderChain, addFinder
from trkx.algorithms.job_config import JobConfig, finder_key
from trkx.algorithms.job_detector import JobDetector, job_detector, needs_measurement_table
from trkx.algorithms.job_output import GRAPH_PATTERNS, LABEL_PATTERNS, result_folder
from trkx.algorithms.job_pipelines import pipeline_files
from trkx.algorithms.job_service import service_record
from trkx.algorithms.job_timing import ProgressAlgorithm, StageTime, StageTimer
from trkx.algorithms.magnetic_field import central_field, namedField
from trkx.algorithms.matching import match_tracks
from trkx.algorithms.performance import library_versions
from trkx.algorithms.performance_algorithm import addPerformance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.trackml_input import TrackMLInput
from trkx.algorithms.trackml_tracks import hit_tracks
from trkx.io.atomic import atomic_path
from trkx.io.errors import ConfigError, InputError, TrkxError
from trkx.io.event_sources import EventInput
from trkx.io.lrt_files import LrtFiles
from trkx.io.readers import addEventReader
from trkx.io.track_writers import addTrackWriters
from trkx.io.trackml_submission import write_submission

TIMING_FILE = "timing.csv"
MEASUREMENT_TABLE = "measurement_table"


@dataclass
class Reconstruction:
    """A sequencer that is ready to run, and what it fills."""

    sequencer: Any
    events: tuple[int, int]  # first event number, last one + 1
    input_files: list[Path]
    chains: dict[str, FinderChain]  # by finder
    timer: StageTimer
    collector: PerformanceCollector | None  # None: the input has no truth
    progress: list[Any] = field(default_factory=list)  # called after each event
    remotes: dict[str, Any] = field(default_factory=dict)  # finder → pipeline on servers

    @property
    def n_events(self) -> int:
        """Number of events the sequencer goes through."""
        return self.events[1] - self.events[0]


@dataclass(frozen=True)
class JobResult:
    """What a job found and how long it took."""

    config: JobConfig
    events: tuple[int, int]  # first event number, last one + 1
    chains: dict[str, FinderChain]
    times: dict[str, StageTime]  # by stage, as `gnn:finding` or `gnn:fitting:kf`
    collector: PerformanceCollector | None
    input_files: list[Path]
    wall_seconds: float  # of the event loop
    peak_memory_bytes: int  # of the process
    service: dict[str, Any] = field(default_factory=dict)  # finder → what its servers did

    @property
    def n_events(self) -> int:
        """Number of events the job went through."""
        return self.events[1] - self.events[0]


def runReconstruction(
    config: JobConfig,
    folder: Path,
    labels: Path | None = None,
    graphs: Path | None = None,
) -> Reconstruction:
    """Wire reader, finders, fits, measurement and writers of a job; run nothing yet.

    Args:
        config: what to do.
        folder: where the sequencer and the writers write.
        labels: where the label writer writes; None: no labels.
        graphs: where the graph after every stage is written; None: nowhere.

    Raises:
        ConfigError: the device is not there.
        InputError: the input cannot be used.
        EventRangeError: the events asked for are not in the input.
    """
    check_device(config.device)
    check_weights(config)
    check_backend(config)
    hooks = graph_hooks(config, graphs)
    with open_inputs(config.input, config.events) as files:
        if not files.has_measurements:
            raise InputError(
                f"no measurements tree in {', '.join(map(str, config.input))}, which fits and "
                "labels need; name the whole folder, or measurements.root as well"
            )
        check_fits(files, config)
        events = event_range(files, config.events)
        # Others are opened once more, with the detector's modules to be checked against.
        source = files if isinstance(files, TrackMLInput | LrtFiles) else config.input
        first_available, has_truth = files.available[0], files.has_truth
        paths, detector = files.paths, job_detector(config, files, source)
    s = acts.examples.Sequencer(
        skip=events[0] - first_available,
        events=events[1] - events[0],
        numThreads=config.threads,
        trackFpes=False,
        logLevel=acts.logging.INFO if config.verbose else acts.logging.MAX,
        outputDir=str(folder),
        outputTimingFile=TIMING_FILE,
    )
    addReader(s, config, detector, has_truth)
    timer = StageTimer(config.threads)
    settings = ChainSettings(
        detector.trackingGeometry,
        namedField(config.field),
        fieldTesla=central_field(config.field),
        start=detector.start,
        target=config.target,
        device=config.device,
        weights=config.weights,
        pipelines=config.pipeline_files,
        beamSpot=config.beam_spot,
        logLevel=acts.logging.INFO if config.verbose else None,
        service=config.service,
        hooks=hooks,
    )
    chains = {
        finder: addFinder(s, finder, config.fitters, settings, timer) for finder in config.finders
    }
    collector = None
    if has_truth:
        collector = PerformanceCollector(field_tesla=central_field(config.field))
        for chain in chains.values():
            addPerformance(
                s,
                chain.finder,
                inputTracks=chain.found_tracks,
                inputProtoTracks=chain.proto_tracks,
                fits=chain.fits,
                collector=collector,
            )
    for chain in chains.values():
        addWriters(s, chain, folder, config, has_truth)
    if labels is not None:
        if len(chains) > 1:
            raise ConfigError("labels: only with one finder, the labels of several would mix")
        (chain,) = chains.values()
        addLabelWriter(
            s, labels, inputProtoTracks=chain.proto_tracks, inputTracks=chain.found_tracks
        )
    built = Reconstruction(s, events, paths, chains, timer, collector, remotes=settings.remotes)
    s.addAlgorithm(ProgressAlgorithm(lambda: [update() for update in built.progress]))
    return built


def addReader(s: Any, config: JobConfig, detector: JobDetector, hasTruth: bool) -> None:
    """Add the reader of a job, which leaves out what no finder of the job needs.

    Without a tracking geometry, module ids are taken as they are.

    Raises:
        InputError: the input cannot be used, or holds no truth for a finder that needs it.
    """
    truth_finder = "truth" in config.finders
    if truth_finder and not hasTruth:
        inputs = ", ".join(str(path) for path in config.input)
        raise InputError(
            f"finder 'truth' needs a particles tree, which {inputs} does not have; add "
            "particles.root, or choose another finder"
        )
    # ACTS' space points are for start parameters; the CKF makes its own for its seeds.
    only_ckf = all(finder.startswith("ckf") for finder in config.finders)
    without = only_ckf or detector.trackingGeometry is None or detector.start == "helix"
    table = config.track_states or needs_measurement_table(config, detector)
    addEventReader(
        s,
        detector.source,
        detector.trackingGeometry,
        outputSpacePoints="" if without else "spacepoints",
        logLevel=acts.logging.INFO if config.verbose else acts.logging.WARNING,
        readTruth=hasTruth,
        outputMeasurementTable=MEASUREMENT_TABLE if table else "",
        outputParticles="particles" if truth_finder else "",
        outputMeasurementParticlesMap="",
        outputParticleMeasurementsMap="particle_measurements_map" if truth_finder else "",
    )


def addWriters(s: Any, chain: FinderChain, folder: Path, config: JobConfig, hasTruth: bool) -> None:
    """Add writers for the tracks of each fit of a finder."""
    for fitter, tracks in chain.fits.items():
        addTrackWriters(
            s,
            f"{finder_key(chain.finder)}_{fitter}",
            inputTracks=tracks,
            outputDir=folder,
            matcher=match_tracks if hasTruth else None,
            writeStates=config.track_states,
            inputMeasurementTable=MEASUREMENT_TABLE if config.track_states else "",
            provenance={"settings": config.as_json(), "versions": library_versions()},
            logLevel=acts.logging.INFO if config.verbose else acts.logging.WARNING,
        )


def check_device(device: str) -> None:
    """Raise unless networks can run on `device`.

    Raises:
        MissingExtraError: there is no torch.
        DeviceError: there is no such device.
    """
    if device == "cpu":
        return
    from trkx.plugin.errors import DeviceError, need

    torch = need("torch", "local", f"device {device!r}")
    if not torch.cuda.is_available():
        build = "a CPU build" if torch.version.cuda is None else "a CUDA build"
        raise DeviceError(
            f"device {device!r} is not there: torch {torch.__version__} is {build} and sees no "
            "CUDA device. Use --device cpu; `trkx doctor` says what torch sees."
        )


def check_weights(config: JobConfig) -> None:
    """Raise unless the weights of your own are for the target and the finders of the job.

    Raises:
        WeightsError: they cannot be read.
        ConfigError: they are for another target, or none of the pipelines reads them.
    """
    if config.weights is None:
        return
    from trkx.plugin.weights import Model

    target = Model.open(config.weights).card.get("target", config.target)
    if target != config.target:
        raise ConfigError(
            f"weights: {config.weights} was trained for target {target!r}, but the job's is "
            f"{config.target!r}. Pass --target {target}, or other weights."
        )
    files = pipeline_files(config.finders, config.pipeline_files)
    if files and not any(file.reads_model for file in files.values()):
        raise ConfigError(
            f"weights: no stage of {', '.join(files)} reads the model folder {config.weights}; "
            "name the weights of its stages in a pipeline file of your own"
        )


def check_backend(config: JobConfig) -> None:
    """Raise where servers are to be asked, but no finder of the job asks any.

    Raises:
        ConfigError: none does.
    """
    if config.service is None:
        return
    if not set(pipeline_files(config.finders, config.pipeline_files)) - {"classical"}:
        raise ConfigError(
            f"backend 'triton': {', '.join(config.finders)} would not ask servers: only gnn, "
            "gnn+ckf and pipelines do. Choose one of them, or --backend local."
        )


def graph_hooks(config: JobConfig, folder: Path | None) -> tuple[Any, ...]:
    """The hook that writes the graph after every stage to a folder; none for None.

    Raises:
        ConfigError: the job has several finders, one without a graph, or one on servers.
    """
    if folder is None:
        return ()
    if len(config.finders) > 1:
        raise ConfigError("dump_graphs: only with one finder, the graphs of several would mix")
    if not pipeline_files(config.finders, config.pipeline_files):
        raise ConfigError(
            f"dump_graphs: finder '{config.finders[0]}' has no graph; choose gnn or a pipeline"
        )
    if config.service is not None:
        raise ConfigError("dump_graphs: graphs stay on the servers; use --backend local")
    from trkx.plugin.graph_files import GraphDump

    return (GraphDump(folder),)


def event_range(files: EventInput, wanted: tuple[int | None, int | None]) -> tuple[int, int]:
    """Return the first event number and the last one + 1, checked against the input.

    Raises:
        EventRangeError: they are not in the input.
    """
    low, high = files.available
    if isinstance(files, TrackMLInput):  # has these events only, perhaps by other numbers
        return low, high
    first = low if wanted[0] is None else wanted[0]
    stop = high if wanted[1] is None else wanted[1]
    files.check_range(first, stop)
    return first, stop


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def runJob(config: JobConfig, command: str = "run") -> JobResult:
    """Run a job and write its result folder, all of it or nothing.

    Args:
        config: what to do.
        command: `run` or `compare`, for job.json.

    Returns:
        the figures, which are in the result folder as well.
    """
    from trkx.algorithms.job_results import print_result, write_results

    with ExitStack() as stack:
        folder = stack.enter_context(result_folder(config.out, config.force))
        labels = config.labels and stack.enter_context(
            result_folder(config.labels, config.force, LABEL_PATTERNS)
        )
        submission = config.submission and stack.enter_context(
            atomic_path(config.submission, config.force)
        )
        if submission and labels is None:
            labels = Path(stack.enter_context(TemporaryDirectory(prefix="trkx-labels-")))
        graphs = config.dump_graphs and stack.enter_context(
            result_folder(config.dump_graphs, config.force, GRAPH_PATTERNS)
        )
        job = runReconstruction(config, folder, labels, graphs)
        for remote in job.remotes.values():
            stack.callback(remote.close)
        start = time.perf_counter()
        with _progress_bar(job):
            run_sequencer(job.sequencer)
        if submission and labels:
            with open_inputs(config.input, config.events) as files:
                tracks = hit_tracks(files, range(*job.events), labels)
            write_submission(submission, tracks, str(config.submission).endswith(".gz"))
        result = JobResult(
            config=config,
            events=job.events,
            chains=job.chains,
            times=job.timer.result(
                # The CPU time of a process that waits for a server says nothing.
                folder / TIMING_FILE,
                wall={f"{finder}:finding" for finder in job.remotes},
            ),
            collector=job.collector,
            input_files=job.input_files,
            wall_seconds=time.perf_counter() - start,
            peak_memory_bytes=peak_memory_bytes(),
            service={name: service_record(remote) for name, remote in job.remotes.items()},
        )
        document = write_results(result, folder, command)
    print_result(result, document)
    return result


def run_sequencer(s: Any) -> None:
    """Run the sequencer; what ACTS itself stops at becomes an error with advice.

    Raises:
        TrkxError: an element of ACTS gave up. Errors of trkx's own elements pass unchanged.
    """
    try:
        s.run()
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        raise TrkxError(
            f"ACTS stopped the event loop: {error}. Run again with --verbose to see which element "
            "did, and why."
        ) from error


def _progress_bar(job: Reconstruction) -> Any:
    """A bar on a terminal, nothing in batch."""
    from tqdm import tqdm

    bar = tqdm(total=job.n_events, unit="event", desc=", ".join(job.chains), disable=None)
    job.progress.append(bar.update)
    return bar
