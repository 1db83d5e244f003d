"""Sequencer element that compares the tracks of a finder, and their fits, with the truth.

It stands behind the timed stages of a job, so matching costs no finder any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import acts
import acts.examples
import numpy as np

from trkx.algorithms.metrics_truth import EventTruth
from trkx.algorithms.performance_collector import FittedTracks, PerformanceCollector
from trkx.algorithms.track_hits import (
    TrackHits,
    addTrackHits,
    hits_of_proto_tracks,
    hits_of_table,
)
from trkx.io.errors import ConfigError, EventContentError
from trkx.io.event import Event
from trkx.io.event_tables import event_of_tables


class EventSource(Protocol):
    """Where truth comes from if it is not on the whiteboard; `EventFiles` is one."""

    def read(self, number: int, truth: bool = True) -> Event: ...


def addPerformance(
    s: Any,
    finder: str,
    inputTracks: str | None = None,
    inputProtoTracks: str | None = None,
    fits: Mapping[str, str] | None = None,
    collector: PerformanceCollector | None = None,
    events: EventSource | None = None,
    inputTruth: str = "measurement_truth_table",
    inputParticles: str = "particle_table",
    inputSpacePoints: str = "spacepoint_table",
    logLevel: Any = None,
) -> PerformanceCollector:
    """Measure a finder, and the fits of its tracks, against the truth.

    All finders are treated alike: what counts is which measurements each track holds.

    Args:
        s: the sequencer.
        finder: name in performance.json.
        inputTracks: whiteboard key of the found tracks (`ConstTrackContainer`), as of the CKF; or
        inputProtoTracks: key of the found proto tracks. One of the two.
        fits: fitter → key of the fitted tracks. Default: for `inputTracks` their own parameters,
            as fitter `ckf`; for proto tracks none.
        collector: where the figures go; pass the same one for all finders of a job.
        events: read the truth from files instead of from the whiteboard.
        inputTruth: key of the table of particle rows behind each measurement.
        inputParticles: key of the table of particles.
        inputSpacePoints: key of the table of space points, for positions.
        logLevel: level of the algorithms; default warnings.

    Returns:
        the collector; its figures are complete when the sequencer has run.

    Raises:
        ConfigError: neither or both of `inputTracks` and `inputProtoTracks` are given.
    """
    if (inputTracks is None) == (inputProtoTracks is None):
        raise ConfigError(
            f"finder {finder!r}: give either inputTracks or inputProtoTracks, found "
            f"inputTracks={inputTracks!r}, inputProtoTracks={inputProtoTracks!r}"
        )
    if fits is None:
        fits = {} if inputTracks is None else {"ckf": inputTracks}
    collector = PerformanceCollector() if collector is None else collector
    tables: dict[str, str] = {}
    for key in dict.fromkeys([*fits.values(), *([inputTracks] if inputTracks else [])]):
        # A name of our own: writers of the same tracks make a table of theirs.
        name = f"{key}_for_{finder.replace('-', '_').replace('+', '_')}_performance"
        tables[key] = addTrackHits(s, key, name, logLevel)
    s.addAlgorithm(
        PerformanceAlgorithm(
            finder=finder,
            inputTracks=inputTracks,
            inputProtoTracks=inputProtoTracks,
            fits=fits,
            tables=tables,
            collector=collector,
            events=events,
            inputTruth=inputTruth,
            inputParticles=inputParticles,
            inputSpacePoints=inputSpacePoints,
            level=logLevel or acts.logging.WARNING,
        )
    )
    return collector


class PerformanceAlgorithm(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Matches tracks to particles and hands the result to a collector; see `addPerformance`."""

    def __init__(
        self,
        finder: str,
        inputTracks: str | None,
        inputProtoTracks: str | None,
        fits: Mapping[str, str],
        tables: Mapping[str, str],
        collector: PerformanceCollector,
        events: EventSource | None,
        inputTruth: str,
        inputParticles: str,
        inputSpacePoints: str,
        level: Any,
    ) -> None:
        """Create the algorithm; `tables` maps keys of tracks to keys of their hit tables."""
        acts.examples.IAlgorithm.__init__(self, "PerformanceAlgorithm", level)
        examples, arrow = acts.examples, acts.arrow.ArrowTable
        self._finder = finder
        self._collector = collector
        self._events = events
        self._protos = self._handle(examples.ProtoTrackContainer, inputProtoTracks)
        self._found_table = tables[inputTracks] if inputTracks else None
        self._tables = {key: self._handle(arrow, key) for key in tables.values()}
        self._fits = {
            fitter: (self._handle(examples.ConstTrackContainer, key), tables[key])
            for fitter, key in fits.items()
        }
        keys = () if events is not None else (inputSpacePoints, inputTruth, inputParticles)
        self._truth = [self._handle(arrow, key) for key in keys]
        collector.add_finder(finder)
        for fitter in fits:
            collector.add_fit(finder, fitter)

    def _handle(self, kind: Any, key: str | None) -> Any:
        if key is None:
            return None
        handle = acts.examples.ReadDataHandle(self, kind, f"Input_{key}")
        handle.initialize(key)
        return handle

    def execute(self, context: Any) -> Any:
        """Measure one event."""
        store = context.eventStore
        hits = {key: hits_of_table(handle(store)) for key, handle in self._tables.items()}
        found = (
            hits[self._found_table]
            if self._found_table is not None
            else hits_of_proto_tracks(self._protos(store))
        )
        truth = self._read_truth(context)
        _check_hits(self._finder, found, truth)
        self._collector.add_found(self._finder, truth, found.offsets, found.measurements)
        for fitter, (handle, table) in self._fits.items():
            tracks = handle(store)
            _check_hits(f"{self._finder}, {fitter}", hits[table], truth)
            fitted = fitted_tracks(tracks, hits[table], found.n_tracks)
            self._collector.add_fitted(self._finder, fitter, truth, fitted)
        return acts.examples.ProcessCode.SUCCESS

    def _read_truth(self, context: Any) -> EventTruth:
        if self._events is not None:
            return EventTruth.from_event(self._events.read(context.eventNumber, truth=True))
        store = context.eventStore
        tables = [handle(store) for handle in self._truth]
        return EventTruth.from_event(event_of_tables(context.eventNumber, *tables))


def fitted_tracks(tracks: Any, hits: TrackHits, n_found: int) -> FittedTracks:
    """Parameters and covariances of a `ConstTrackContainer`, with the hits of the same tracks."""
    n = len(tracks)
    fitted = np.fromiter((track.hasReferenceSurface for track in tracks), dtype=bool, count=n)
    return FittedTracks(
        offsets=hits.offsets,
        measurements=hits.measurements,
        parameters=np.array(tracks.parameters, dtype=np.float64).reshape(n, 6),
        covariance=np.array(tracks.covariance, dtype=np.float64).reshape(n, 6, 6),
        fitted=fitted,
        n_found=n_found,
    )


def _check_hits(tracks: str, hits: TrackHits, truth: EventTruth) -> None:
    if len(hits.measurements) and int(hits.measurements.max()) >= truth.n_measurements:
        raise EventContentError(
            f"event {truth.number}: a track of {tracks} holds measurement "
            f"{int(hits.measurements.max())}, but the event has {truth.n_measurements}. Give the "
            "tracks and the truth of the same event."
        )
