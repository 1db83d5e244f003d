"""Collects the figures of all finders and fitters of a job, event by event."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trkx.algorithms.event_display import EventDisplay, FoundTracks
from trkx.algorithms.matching import DOUBLE_MAJORITY, TrackMatching, match_tracks
from trkx.algorithms.metrics import FinderMetrics
from trkx.algorithms.metrics_kinematics import track_kinematics
from trkx.algorithms.metrics_truth import TARGETS, EventTruth, Target
from trkx.algorithms.residuals import FitMetrics


@dataclass(frozen=True)
class FittedTracks:
    """Tracks of one event after a fit.

    offsets, measurements: as for `FinderMetrics.add_event`, shape (T + 1,) and flat.
    parameters: shape (T, 6), bound parameters at the perigee.
    covariance: shape (T, 6, 6).
    fitted: shape (T,), whether a track has these parameters.
    n_found: tracks that were given to the fit.
    """

    offsets: NDArray[np.int64]
    measurements: NDArray[np.int64]
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    fitted: NDArray[np.bool_]
    n_found: int


@dataclass
class PerformanceCollector:
    """Sums of a job: one `FinderMetrics` per finder, one `FitMetrics` per finder and fitter.

    Safe to fill from several threads. Of one event, `display_event` or the first to come, hits and
    tracks are kept for the event display.
    """

    targets: tuple[Target, ...] = TARGETS
    field_tesla: float = 2.0  # solenoid field along z
    beam_spot: tuple[float, float] = (0.0, 0.0)  # x and y of the perigee line, mm
    display_event: int | None = None  # event number
    finders: dict[str, FinderMetrics] = field(default_factory=dict)
    fits: dict[str, dict[str, FitMetrics]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[int, tuple[int, int]] = {}
        self._display_positions: NDArray[np.float32] | None = None
        self._display_tracks: dict[str, FoundTracks] = {}

    def add_finder(self, finder: str) -> FinderMetrics:
        """Announce a finder, so that it is listed even if no event comes."""
        with self._lock:
            if finder not in self.finders:
                self.finders[finder] = FinderMetrics(finder, self.targets)
                self.fits[finder] = {}
            return self.finders[finder]

    def add_fit(self, finder: str, fitter: str) -> FitMetrics:
        """Announce a fit of a finder's tracks."""
        self.add_finder(finder)
        with self._lock:
            if fitter not in self.fits[finder]:
                self.fits[finder][fitter] = FitMetrics(finder, fitter, self.targets[0])
            return self.fits[finder][fitter]

    def add_found(
        self,
        finder: str,
        truth: EventTruth,
        track_offsets: NDArray,
        track_measurements: NDArray,
    ) -> TrackMatching:
        """Count the tracks that a finder found in one event."""
        metrics = self.add_finder(finder)
        matching = metrics.add_event(truth, track_offsets, track_measurements, self.field_tesla)
        with self._lock:
            self._events[truth.number] = (truth.n_measurements, truth.n_interactions)
            if self.display_event is None:
                self.display_event = truth.number
        if truth.number == self.display_event and truth.positions is not None:
            self._keep_for_display(finder, truth, track_offsets, track_measurements, matching)
        return matching

    def add_fitted(
        self, finder: str, fitter: str, truth: EventTruth, tracks: FittedTracks
    ) -> TrackMatching:
        """Compare the fitted tracks of one event with the truth."""
        metrics = self.add_fit(finder, fitter)
        matching = match_tracks(
            tracks.offsets,
            tracks.measurements,
            truth.measurement_particle_offsets,
            truth.measurement_particle_rows,
            truth.n_particles,
            DOUBLE_MAJORITY,
        )
        metrics.add_event(
            truth,
            matching,
            tracks.parameters,
            tracks.covariance,
            tracks.fitted,
            tracks.n_found,
            self.field_tesla,
            self.beam_spot,
        )
        return matching

    def merge(self, other: PerformanceCollector) -> None:
        """Add what another job collected: other finders, or other events of the same finders."""
        for finder, metrics in other.finders.items():
            self.add_finder(finder).merge(metrics)
            for fitter, fit in other.fits[finder].items():
                self.add_fit(finder, fitter).merge(fit)
        with self._lock:
            self._events.update(other._events)
            if self._display_positions is None:
                self.display_event = other.display_event
                self._display_positions = other._display_positions
            if self.display_event == other.display_event:
                self._display_tracks.update(other._display_tracks)

    @property
    def events(self) -> dict[int, tuple[int, int]]:
        """Event number → (measurements, interactions), by ascending number."""
        with self._lock:
            return dict(sorted(self._events.items()))

    @property
    def display(self) -> EventDisplay | None:
        """The event kept for the display; None if there was none with positions."""
        with self._lock:
            if self._display_positions is None or self.display_event is None:
                return None
            return EventDisplay(
                self.display_event, self._display_positions, dict(self._display_tracks)
            )

    def _keep_for_display(
        self,
        finder: str,
        truth: EventTruth,
        offsets: NDArray,
        measurements: NDArray,
        matching: TrackMatching,
    ) -> None:
        assert truth.positions is not None
        kinematics = track_kinematics(offsets, measurements, truth.positions, self.field_tesla)
        tracks = FoundTracks(
            offsets=np.array(offsets, dtype=np.int64),
            hits=np.array(measurements, dtype=np.int64),
            pt=kinematics.pt,
            classification=matching.classification,
        )
        with self._lock:
            self._display_positions = truth.positions.astype(np.float32)
            self._display_tracks[finder] = tracks
