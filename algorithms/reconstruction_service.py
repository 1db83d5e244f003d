"""An event loop that reconstructs whatever event it is given: track finding and Kalman fit.

ACTS fits within its sequencer only, so a sequencer runs in a thread of its own for as long as the
service does: its reader waits for the next request, its last element hands the tracks back.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any

import acts
import acts.examples
import numpy as np

from trkx.algorithms.detector import buildGenericDetector, constantField
from trkx.algorithms.helpers import addGnnTrackFinding, addKalmanFit
from trkx.algorithms.track_hits import addTrackHits, hits_of_table
from trkx.io.errors import EventContentError, TrkxError
from trkx.io.event import Event
from trkx.io.readers import addEventReader, sensitiveGeometryIds
from trkx.plugin.serving.reco_exchange import FittedTracks

__all__ = ["ReconstructionService"]

_ENDLESS = 1 << 40  # events of a sequencer that ends when it is told to


class _Stop(Exception):
    """The reader's way out of the event loop."""


class _Requests:
    """The events that are asked for, as a source for the reader."""

    available = (0, _ENDLESS)
    has_measurements = True

    def __init__(self) -> None:
        self.waiting: queue.Queue[tuple[Event, Future[FittedTracks]] | None] = queue.Queue()
        self.current: Future[FittedTracks] | None = None

    def check_range(self, first: int, stop: int) -> None:
        """All events are there, sooner or later."""

    def read(self, number: int, truth: bool = True, columns: frozenset[str] | None = None) -> Event:
        """Wait for the next event."""
        request = self.waiting.get()
        if request is None:
            raise _Stop
        event, self.current = request
        return event


class _Collector(acts.examples.IAlgorithm):
    """Hands the fitted tracks of each event to who asked for them."""

    def __init__(self, requests: _Requests, inputTracks: str, inputTable: str) -> None:
        acts.examples.IAlgorithm.__init__(self, "FittedTracksCollector", acts.logging.WARNING)
        self._requests = requests
        self._tracks = acts.examples.ReadDataHandle(
            self, acts.examples.ConstTrackContainer, "InputTracks"
        )
        self._tracks.initialize(inputTracks)
        self._table = acts.examples.ReadDataHandle(self, acts.arrow.ArrowTable, "InputTable")
        self._table.initialize(inputTable)

    def execute(self, context: Any) -> Any:
        """Answer one request."""
        tracks = self._tracks(context.eventStore)
        n = len(tracks)
        hits = hits_of_table(self._table(context.eventStore))
        found = FittedTracks(
            np.array(tracks.parameters, dtype=np.float64).reshape(n, 6),
            np.array(tracks.covariance, dtype=np.float64).reshape(n, 6, 6),
            np.array(tracks.chi2, dtype=np.float32),
            np.array(tracks.ndf, dtype=np.int32),
            hits.offsets,
            hits.measurements,
        )
        assert self._requests.current is not None
        self._requests.current.set_result(found)
        return acts.examples.ProcessCode.SUCCESS


class ReconstructionService:
    """Finds and fits the tracks of one event after the other; a context manager."""

    def __init__(self, pipeline: Any, field: float = 2.0) -> None:
        """Start the event loop.

        Args:
            pipeline: what `trkx.plugin.load_pipeline` returns.
            field: along z, tesla.
        """
        _, self._geometry = buildGenericDetector()
        self._field = constantField(field)
        self._pipeline = pipeline
        self._modules = sensitiveGeometryIds(self._geometry)
        self._start()

    def _start(self) -> None:
        self._requests = _Requests()
        self._sequencer = self._wire()
        self._thread = threading.Thread(target=self._run, name="reconstruction", daemon=True)
        self._thread.start()

    def _wire(self) -> Any:
        s = acts.examples.Sequencer(
            events=_ENDLESS, numThreads=1, trackFpes=False, logLevel=acts.logging.MAX
        )
        addEventReader(
            s,
            self._requests,
            self._geometry,
            logLevel=acts.logging.WARNING,
            readTruth=False,
        )
        addGnnTrackFinding(s, pipeline=self._pipeline, outputProtoTracks="proto_tracks")
        addKalmanFit(
            s,
            self._geometry,
            self._field,
            inputProtoTracks="proto_tracks",
            outputTracks="tracks",
            inputSpacePointTable="spacepoint_table",
        )
        table = addTrackHits(s, "tracks")
        s.addAlgorithm(_Collector(self._requests, "tracks", table))
        return s

    def _run(self) -> None:
        requests = self._requests
        try:
            self._sequencer.run()
        except BaseException as error:
            if requests.current is not None and not requests.current.done():
                requests.current.set_exception(TrkxError(f"the event loop stopped: {error}"))

    def __call__(self, columns: dict[str, np.ndarray]) -> FittedTracks:
        """Find and fit the tracks of one event.

        Args:
            columns: `rec_loc0`, `rec_loc1`, `var_loc0`, `var_loc1`, `geometry_id`, `x`, `y`,
                `z`, `clus_size_loc0`, `clus_size_loc1`, one row per measurement.

        Raises:
            EventContentError: a measurement is on no module of the detector.
            TrkxError: ACTS stopped; the next event finds a new event loop.
        """
        ids = columns["geometry_id"]
        unknown = ~np.isin(ids, self._modules)
        if unknown.any():
            raise EventContentError(
                f"{int(unknown.sum())} of {len(ids)} measurements are on no module of the "
                f"detector, first in row {int(unknown.argmax())}: {int(ids[unknown.argmax()])}"
            )
        if len(ids) == 0:
            none = np.zeros(0)
            return FittedTracks(
                np.zeros((0, 6)), np.zeros((0, 6, 6)), none, none, np.zeros(1, np.int64),
                np.zeros(0, np.int64),
            )  # fmt: skip
        if not self._thread.is_alive():
            self._start()
        # Space points are made in the order of the modules; rows go back to that of the request.
        order = np.argsort(ids, kind="stable")
        sorted_columns = {name: values[order] for name, values in columns.items()}
        points = {
            **{name: sorted_columns[name] for name in ("x", "y", "z", "geometry_id")},
            **{name: sorted_columns[name] for name in ("clus_size_loc0", "clus_size_loc1")},
            "measurement_id": np.arange(len(ids), dtype=np.uint32),
        }
        event = Event(0, points, sorted_columns)
        answer: Future[FittedTracks] = Future()
        self._requests.waiting.put((event, answer))
        found = answer.result()
        return FittedTracks(
            found.parameters, found.covariances, found.chi2, found.ndf, found.offsets,
            order[found.hits],
        )  # fmt: skip

    def close(self) -> None:
        """End the event loop."""
        self._requests.waiting.put(None)
        self._thread.join(timeout=30)

    def __enter__(self) -> ReconstructionService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
