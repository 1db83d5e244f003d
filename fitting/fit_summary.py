"""Count of the tracks that a fit received and of those it lost."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import acts
import acts.examples

__all__ = ["FitCounts", "FitSummary", "FitSummaryAlgorithm"]

TOLERATED_FAILURES = 0.005
"""Fraction of failed fits above which an event is worth a warning."""

FEW_FAILURES = 5
"""Failed fits that are never worth one: in a small collection, one failure exceeds any fraction."""


@dataclass(frozen=True)
class FitCounts:
    """How many tracks went into a fit and came out of it.

    Attributes:
        found: tracks before the fit.
        started: those with start parameters.
        fitted: those with fitted parameters at the reference surface.
    """

    found: int = 0
    started: int = 0
    fitted: int = 0

    @property
    def failed(self) -> int:
        """Tracks lost between finding and the end of the fit."""
        return self.found - self.fitted

    @property
    def fraction_fitted(self) -> float:
        """Fitted tracks over found ones; 1 if none was found."""
        return self.fitted / self.found if self.found else 1.0

    def __add__(self, other: FitCounts) -> FitCounts:
        return FitCounts(
            self.found + other.found, self.started + other.started, self.fitted + other.fitted
        )

    def __str__(self) -> str:
        return (
            f"{self.found} tracks, {self.found - self.started} without start parameters, "
            f"{self.started - self.fitted} fits failed, {self.fitted} fitted "
            f"({100 * self.fraction_fitted:.2f}%)"
        )


class FitSummary:
    """Counts of a fit by event; safe to fill from several threads."""

    def __init__(self) -> None:
        """Create an empty summary."""
        self._lock = threading.Lock()
        self._counts: dict[int, FitCounts] = {}

    def add(self, event: int, counts: FitCounts) -> None:
        """Record the counts of one event."""
        with self._lock:
            self._counts[event] = counts

    @property
    def counts(self) -> dict[int, FitCounts]:
        """Counts by event number, ascending."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    @property
    def total(self) -> FitCounts:
        """Counts summed over all events so far."""
        return sum(self.counts.values(), FitCounts())

    def __str__(self) -> str:
        return f"{len(self.counts)} events: {self.total}"


class FitSummaryAlgorithm(acts.examples.IAlgorithm):
    """Count found, started and fitted tracks of each event.

    ACTS' fitters only log a failed fit and leave the track out.
    """

    def __init__(
        self,
        inputFound: str,
        inputTracks: str,
        inputStarted: str | None = None,
        foundAreTracks: bool = False,
        summary: FitSummary | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputFound: whiteboard key of the proto tracks (or tracks) before the fit.
            inputTracks: key of the fitted tracks.
            inputStarted: key of the proto tracks with start parameters; default: all have.
            foundAreTracks: whether `inputFound` are tracks, as for a refit.
            summary: where the counts go.
            level: log level; events with more than 0.5% failures, and more than five, are logged
                as warnings, the others at debug level.
        """
        acts.examples.IAlgorithm.__init__(self, "FitSummaryAlgorithm", level)
        examples = acts.examples
        found = examples.ConstTrackContainer if foundAreTracks else examples.ProtoTrackContainer
        self._found = examples.ReadDataHandle(self, found, "InputFound")
        self._found.initialize(inputFound)
        self._tracks = examples.ReadDataHandle(self, examples.ConstTrackContainer, "InputTracks")
        self._tracks.initialize(inputTracks)
        self._started = None
        if inputStarted:
            self._started = examples.ReadDataHandle(
                self, examples.ProtoTrackContainer, "InputStarted"
            )
            self._started.initialize(inputStarted)
        self._label = inputTracks
        self._summary = FitSummary() if summary is None else summary

    def execute(self, context: Any) -> Any:
        """Count the tracks of one event."""
        store = context.eventStore
        found = len(self._found(store))
        counts = FitCounts(
            found=found,
            started=found if self._started is None else len(self._started(store)),
            fitted=len(self._tracks(store)),
        )
        self._summary.add(context.eventNumber, counts)
        worth_a_warning = counts.failed > max(TOLERATED_FAILURES * counts.found, FEW_FAILURES)
        self.logger.log(
            acts.logging.WARNING if worth_a_warning else acts.logging.DEBUG,
            f"{self._label}, event {context.eventNumber}: {counts}",
        )
        return acts.examples.ProcessCode.SUCCESS
