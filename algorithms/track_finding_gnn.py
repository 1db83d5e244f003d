"""Track finding by a trkx pipeline as an element of ACTS' event loop."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.algorithms.spacepoint_columns import table_columns
from trkx.algorithms.track_hits import TrackHits, hits_of_candidates, make_proto_tracks
from trkx.plugin import load_pipeline
from trkx.plugin.space_points import OPTIONAL_COLUMNS, SpacePoints

__all__ = ["StageTimings", "TrackFindingAlgorithmGnn"]


class StageTimings:
    """Seconds of each pipeline stage by event; safe to fill from several threads."""

    def __init__(self) -> None:
        """Create an empty record."""
        self._lock = threading.Lock()
        self._events: dict[int, dict[str, float]] = {}

    def add(self, event: int, stages: dict[str, float]) -> None:
        """Record the stages of one event."""
        with self._lock:
            self._events[event] = dict(stages)

    @property
    def events(self) -> dict[int, dict[str, float]]:
        """Stage → seconds by event number, ascending."""
        with self._lock:
            return {event: dict(stages) for event, stages in sorted(self._events.items())}

    @property
    def mean(self) -> dict[str, float]:
        """Mean seconds of each stage, in the order of the pipeline."""
        events = list(self.events.values())
        stages = dict.fromkeys(stage for event in events for stage in event)
        return {
            stage: float(np.mean([event.get(stage, 0.0) for event in events])) for stage in stages
        }


class TrackFindingAlgorithmGnn(acts.examples.IAlgorithm):
    """Run a trkx pipeline on the space points and write proto tracks.

    Counterpart of ACTS' algorithm of the same name. A pipeline keeps no state between events,
    so one serves all threads of the sequencer.
    """

    def __init__(
        self,
        pipeline: Any,
        inputSpacePointTable: str = "spacepoint_table",
        outputProtoTracks: str = "gnn_proto_tracks",
        minMeasurementsPerTrack: int = 3,
        beamSpot: tuple[float, float] = (0.0, 0.0),
        timings: StageTimings | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            pipeline: what `trkx.plugin.load_pipeline` returns, or anything called like it; or
                a pipeline file or the name of a shipped pipeline, which are loaded.
            inputSpacePointTable: whiteboard key of the `acts.arrow.ArrowTable` with columns
                `x`, `y`, `z`, `geometry_id`, `measurement_id` and, if there, the
                `trkx.plugin.space_points.OPTIONAL_COLUMNS`.
            outputProtoTracks: key of the proto tracks, hits ordered outward.
            minMeasurementsPerTrack: shorter candidates are dropped.
            beamSpot: x and y of the beam line, mm.
            timings: filled with the seconds of each stage.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "TrackFindingAlgorithmGnn", level)
        self._table = acts.examples.ReadDataHandle(
            self, acts.arrow.ArrowTable, "InputSpacePointTable"
        )
        self._table.initialize(inputSpacePointTable)
        self._output = acts.examples.WriteDataHandle(
            self, acts.examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._output.initialize(outputProtoTracks)
        if isinstance(pipeline, (str, Path)):
            pipeline = load_pipeline(pipeline=pipeline)
        self._pipeline = pipeline
        self._minMeasurements = minMeasurementsPerTrack
        self._beamSpot = beamSpot
        self._timings = StageTimings() if timings is None else timings

    @property
    def timings(self) -> dict[int, dict[str, float]]:
        """Stage → seconds by event number."""
        return self._timings.events

    def execute(self, context: Any) -> Any:
        """Find the tracks of one event."""
        start = time.perf_counter()
        table = self._table(context.eventStore)
        columns = table_columns(
            table,
            ("measurement_id", "x", "y", "z", "geometry_id"),
            optional=(*OPTIONAL_COLUMNS, "measurement_id_2", "geometry_id_2"),
        )
        points = SpacePoints.from_columns(columns, event=context.eventNumber)
        reading = time.perf_counter() - start
        candidates = self._pipeline(points, beam_spot=self._beamSpot)
        start = time.perf_counter()
        hits = keep_long_tracks(
            hits_of_candidates(candidates.offsets, candidates.hits, columns),
            self._minMeasurements,
        )
        self._output(context, make_proto_tracks(hits))
        writing = time.perf_counter() - start
        self._timings.add(
            context.eventNumber, {"input": reading, **candidates.timing, "output": writing}
        )
        self.logger.debug(f"{len(points)} space points, {hits.n_tracks} tracks")
        return acts.examples.ProcessCode.SUCCESS


def keep_long_tracks(hits: TrackHits, minimum: int) -> TrackHits:
    """Return the tracks of at least `minimum` measurements."""
    lengths = np.diff(hits.offsets)
    kept = lengths >= minimum
    if kept.all():
        return hits
    offsets = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    return TrackHits(offsets, hits.measurements[np.repeat(kept, lengths)])
