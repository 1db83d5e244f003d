"""One event as plain NumPy columns, free of ACTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

__all__ = ["BARCODE", "Event"]

# The five numbers that identify a particle, most significant first, as ACTS writes them.
BARCODE = ("vertex_primary", "vertex_secondary", "particle", "generation", "sub_particle")


def _zero_offsets() -> np.ndarray:
    return np.zeros(1, dtype=np.int64)


def _no_rows() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@runtime_checkable
class EventSource(Protocol):
    """Where events come from: files, or whoever asks for a reconstruction."""

    @property
    def available(self) -> tuple[int, int]:
        """First event number and last event number + 1."""

    @property
    def has_measurements(self) -> bool:
        """Whether events have measurements."""

    def check_range(self, first: int, stop: int) -> None:
        """Raise unless these events are there."""

    def read(self, number: int, truth: bool = True, columns: frozenset[str] | None = None) -> Event:
        """The event of that number."""


@dataclass(frozen=True)
class Event:
    """The measurements, space points and truth of one event.

    Units are those of ACTS (mm, GeV, e). An event without hits is an ordinary value: all its
    columns are there and have length 0.

    Attributes:
        number: event number as stored in the files.
        space_points: columns of the `spacepoints` tree, each of shape (N,); with measurements
            also `clus_size_loc0` and `clus_size_loc1`, float32, cluster extents in channels.
        measurements: flat columns of the `measurements` tree, each of shape (M,).
        particles: columns of the `particles` tree for this event, each of shape (P,).
        measurement_particle_offsets: shape (M + 1,), int64; measurement i belongs to the
            particles `measurement_particle_rows[offsets[i]:offsets[i + 1]]`.
        measurement_particle_rows: int64, rows of `particles`; noise has none, merged clusters
            have several.
    """

    number: int
    space_points: Mapping[str, np.ndarray]
    measurements: Mapping[str, np.ndarray] = field(default_factory=dict)
    particles: Mapping[str, np.ndarray] = field(default_factory=dict)
    measurement_particle_offsets: np.ndarray = field(default_factory=_zero_offsets)
    measurement_particle_rows: np.ndarray = field(default_factory=_no_rows)

    @property
    def n_space_points(self) -> int:
        """Number of space points."""
        return _length(self.space_points)

    @property
    def n_measurements(self) -> int:
        """Number of measurements."""
        return _length(self.measurements)

    @property
    def n_particles(self) -> int:
        """Number of particles."""
        return _length(self.particles)

    @property
    def n_particle_measurements(self) -> np.ndarray:
        """Number of measurements that each particle contributes to, shape (P,), int64."""
        return np.bincount(self.measurement_particle_rows, minlength=self.n_particles).astype(
            np.int64
        )

    @property
    def has_truth(self) -> bool:
        """Whether the particles were read."""
        return bool(self.particles)


def _length(columns: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(columns.values()))) if columns else 0
