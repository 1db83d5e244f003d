"""Where a track writer gets the majority particle of each track from."""

from __future__ import annotations

from typing import Any, Protocol

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.io.errors import ConfigError
from trkx.io.event_tables import columns_of_table, links_of_table
from trkx.io.track_columns import truth_columns

__all__ = ["Matching", "TrackMatcher", "TrackTruth", "measurements_of_table"]


class Matching(Protocol):
    """Majority particle of each track, shape (T,) each; `trkx.algorithms.matching` makes it."""

    @property
    def majority_particle(self) -> np.ndarray: ...  # row of the particle, -1: none

    @property
    def n_majority(self) -> np.ndarray: ...

    @property
    def classification(self) -> np.ndarray: ...  # 0 unknown, 1 matched, 2 duplicate, 3 fake


class TrackMatcher(Protocol):
    """A matching rule, such as `trkx.algorithms.matching.match_tracks`."""

    def __call__(
        self,
        track_offsets: np.ndarray,
        track_measurements: np.ndarray,
        measurement_particle_offsets: np.ndarray,
        measurement_particle_rows: np.ndarray,
        n_particles: int,
    ) -> Matching: ...


class TrackTruth:
    """Reads the truth of an event's tracks from the whiteboard.

    Either `inputMatching`, an `ArrowTable` with columns `majority_particle`, `n_majority` and
    `classification`, or `matcher` together with the tracks' table of ACTS'
    `ArrowTrackOutputConverter` says which particle a track belongs to. With neither, there is
    no truth.

    Args:
        owner: the algorithm that reads.
        inputParticleTable: key of the particles' `ArrowTable`.
        inputMatching: key of the matching, or
        matcher: the rule to apply to
        inputTrackTable: the measurements of the tracks and
        inputMeasurementTruthTable: the particles of the measurements.

    Raises:
        ConfigError: `matcher` without `inputTrackTable`.
    """

    def __init__(
        self,
        owner: Any,
        inputParticleTable: str,
        inputMatching: str = "",
        matcher: TrackMatcher | None = None,
        inputTrackTable: str = "",
        inputMeasurementTruthTable: str = "measurement_truth_table",
    ) -> None:
        if matcher is not None and not inputTrackTable:
            raise ConfigError(
                "matcher needs inputTrackTable, the key of the output of ACTS' "
                "ArrowTrackOutputConverter for the same tracks; addTrackWriters adds it"
            )
        self._owner = owner
        self._matcher = matcher
        self.there = bool(inputMatching) or matcher is not None
        if not self.there:
            return
        self._particles = self._handle("InputParticleTable", inputParticleTable)
        if inputMatching:
            self._matching = self._handle("InputMatching", inputMatching)
            self._matcher = None
        else:
            self._tracks = self._handle("InputTrackTable", inputTrackTable)
            self._links = self._handle("InputMeasurementTruthTable", inputMeasurementTruthTable)

    def columns(
        self, store: Any, n_tracks: int, reference: tuple[float, float, float]
    ) -> dict[str, np.ndarray]:
        """Truth branches of the tracks; see `truth_columns`.

        Args:
            store: event store.
            n_tracks: number of tracks.
            reference: point of the tracks' reference surface, mm.
        """
        if not self.there:
            nothing = np.zeros(n_tracks, dtype=np.int64)
            return truth_columns({}, nothing - 1, nothing, nothing, reference)
        particles = columns_of_table(self._particles(store))
        if self._matcher is None:
            found = columns_of_table(self._matching(store))
            row, number, kind = (
                found[name] for name in ("majority_particle", "n_majority", "classification")
            )
        else:
            offsets, measurements = measurements_of_table(self._tracks(store))
            links, rows = links_of_table(self._links(store))
            n_particles = len(next(iter(particles.values()), ()))
            matching = self._matcher(offsets, measurements, links, rows, n_particles)
            row, number, kind = (
                matching.majority_particle,
                matching.n_majority,
                matching.classification,
            )
        return truth_columns(particles, row, number, kind, reference)

    def _handle(self, name: str, key: str) -> Any:
        handle = acts.examples.ReadDataHandle(self._owner, acts.arrow.ArrowTable, name)
        handle.initialize(key)
        return handle


def measurements_of_table(table: Any) -> tuple[np.ndarray, np.ndarray]:
    """Measurements of each track from the table of ACTS' `ArrowTrackOutputConverter`.

    Returns:
        offsets of shape (T + 1,) and measurement indices, both int64.
    """
    lists = table.as_table().column("measurement_ids").combine_chunks().flatten()
    offsets = np.asarray(lists.offsets, dtype=np.int64)
    if not len(offsets):
        return np.zeros(1, np.int64), np.zeros(0, np.int64)
    return offsets - offsets[0], np.asarray(lists.flatten(), dtype=np.int64)
