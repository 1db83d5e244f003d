"""The whole chain on one event of the TrackML challenge: space points, tracks, Kalman fit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import acts
import acts.examples
import numpy as np

from trkx.algorithms.detector import buildGenericDetector
from trkx.algorithms.helpers import addGnnTrackFinding, addKalmanFit
from trkx.algorithms.job_timing import StageTimer
from trkx.algorithms.trackml_input import TrackMLInput
from trkx.algorithms.trackml_tables import HIT_ID
from trkx.fitting.fit_summary import FitCounts, FitSummary
from trkx.io.input_files import PathLike
from trkx.io.readers import addEventReader
from trkx.io.trackml_event import rows_of_ids
from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.graph import Graph
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import SpacePoints

__all__ = ["ChainResult", "FoundTracks", "find_tracks", "fit_candidates", "fit_tracks"]


@dataclass(frozen=True)
class FoundTracks:
    """Tracks of one event, as rows of its hits in the order of the hits file.

    Attributes:
        offsets: shape (T + 1,); track t is `hits[offsets[t]:offsets[t + 1]]`.
        hits: rows of the hits, outward on each track.
        seconds: CPU seconds of each stage.
        candidates: what the pipeline returned.
    """

    offsets: np.ndarray
    hits: np.ndarray
    seconds: dict[str, float]
    candidates: TrackCandidates


@dataclass(frozen=True)
class ChainResult:
    """Outcome of the Kalman fit of F tracks.

    Attributes:
        counts: tracks found, started and fitted.
        chi2: shape (F,), summed over the measurements.
        ndf: shape (F,), degrees of freedom.
        qop: shape (F,), charge over momentum at the beam line, e/GeV.
        seconds: CPU seconds of the fit, start parameters included.
    """

    counts: FitCounts
    chi2: np.ndarray
    ndf: np.ndarray
    qop: np.ndarray
    seconds: float


class _CpuClock:
    """A hook of the pipeline that notes CPU seconds after each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def __call__(self, stage: str, graph: Graph | None) -> None:
        now = time.process_time()
        self.seconds[stage], self._last = now - self._last, now


def find_tracks(
    events: TrackMLInput,
    number: int,
    hit_id: np.ndarray,
    pipeline: Pipeline,
    beam_spot: tuple[float, float] = (0.0, 0.0),
) -> FoundTracks:
    """Find the tracks of one event.

    Args:
        events: where the event is.
        number: its number in `events`.
        hit_id: shape (N,), the hits in the order of the hits file.
        pipeline: what finds.
        beam_spot: x and y of the beam line, mm.
    """
    event = events.read(number, truth=False)
    points = SpacePoints.from_columns(event.space_points, number)
    clock = _CpuClock()
    candidates = replace(pipeline, hooks=(clock,))(points, beam_spot=beam_spot)
    clock("track_building", None)
    measurement = np.asarray(event.space_points["measurement_id"], np.int64)[candidates.hits]
    rows = rows_of_ids(hit_id, event.measurements[HIT_ID][measurement])
    return FoundTracks(candidates.offsets, rows, clock.seconds, candidates)


class _Collector(acts.examples.IAlgorithm):
    """Keeps chi2, degrees of freedom and q/p of fitted tracks."""

    def __init__(self, inputTracks: str) -> None:
        acts.examples.IAlgorithm.__init__(self, "ChainCollector", acts.logging.WARNING)
        self._tracks = acts.examples.ReadDataHandle(
            self, acts.examples.ConstTrackContainer, "InputTracks"
        )
        self._tracks.initialize(inputTracks)
        self.chi2 = self.ndf = self.qop = np.zeros(0)

    def execute(self, context: Any) -> Any:
        tracks = self._tracks(context.eventStore)
        self.chi2, self.ndf = np.array(tracks.chi2), np.array(tracks.ndf)
        self.qop = np.array(tracks.parameters, dtype=np.float64).reshape(len(tracks), 6)[:, 4]
        return acts.examples.ProcessCode.SUCCESS


def fit_tracks(
    inputs: PathLike | Sequence[PathLike],
    number: int,
    found: FoundTracks,
    field: Any,
    outputDir: Path,
) -> ChainResult:
    """Fit the tracks of one event with ACTS' Kalman filter.

    Args:
        inputs: where the event is.
        number: number in the names of its files.
        found: what `find_tracks` returned for it.
        field: magnetic field provider.
        outputDir: where the sequencer writes its timing.
    """
    with TrackMLInput.open(inputs, (number, number + 1)) as events:
        return fit_candidates(events, found.candidates, field, outputDir)


def fit_candidates(
    source: Any, candidates: TrackCandidates, field: Any, outputDir: Path
) -> ChainResult:
    """Fit the tracks of the first event of a source of events; see `fit_tracks`."""
    _, geometry = buildGenericDetector()
    s = acts.examples.Sequencer(
        events=1,
        numThreads=1,
        trackFpes=False,
        logLevel=acts.logging.WARNING,
        outputDir=str(outputDir),
    )
    addEventReader(s, source, geometry, readTruth=False, logLevel=acts.logging.WARNING)
    addGnnTrackFinding(
        s,
        pipeline=lambda points, beam_spot=(0.0, 0.0): candidates,
        outputProtoTracks="found",
    )
    timer, summary = StageTimer(1), FitSummary()
    with timer.stage(s, "fit"):
        addKalmanFit(
            s,
            geometry,
            field,
            "found",
            "fitted",
            inputSpacePointTable="spacepoint_table",
            summary=summary,
        )
    collector = _Collector("fitted")
    s.addAlgorithm(collector)
    s.run()
    return ChainResult(
        summary.total,
        collector.chi2,
        collector.ndf,
        collector.qop,
        timer.result()["fit"].seconds,
    )
