"""Simulated events of ROOT files as what the plugin trains on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trkx.io.event import Event
from trkx.io.event_sources import EventInput
from trkx.plugin.space_points import LabelledEvent, SpacePoints

__all__ = ["labelled_event", "labelled_events"]


def labelled_event(event: Event) -> LabelledEvent:
    """Space points with their truth.

    A space point belongs to the particles of its measurement; one of two measurements, of strips,
    to the particles of both. Where strips of different particles cross, it belongs to none.
    """
    offsets, particle = _space_point_particles(event)
    p = event.particles
    pt = np.hypot(p["px"], p["py"])
    return LabelledEvent(
        space_points=SpacePoints.from_columns(event.space_points, event.number),
        offsets=offsets,
        particle=particle,
        pt=pt.astype(np.float32),
        eta=np.arcsinh(p["pz"] / np.maximum(pt, 1e-9)).astype(np.float32),
        charge=np.asarray(p["q"], np.float32),
        vertex=np.stack([p["vx"], p["vy"], p["vz"]], axis=1).astype(np.float32),
    )


def _space_point_particles(event: Event) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (N + 1,) and particle rows of the space points."""
    points = event.space_points
    row, particle = _particles_of(event, points["measurement_id"])
    # Identity 0, not index 0, says that there is no second measurement.
    double = np.asarray(points.get("geometry_id_2", np.zeros(len(points["x"])))) != 0
    if double.any():
        second = np.flatnonzero(double)
        row2, particle2 = _particles_of(event, points["measurement_id_2"][second])
        n = event.n_particles
        common = np.isin(row * n + particle, second[row2] * n + particle2)
        kept = common | ~double[row]
        row, particle = row[kept], particle[kept]
    counts = np.bincount(row, minlength=len(points["x"]))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), particle


def _particles_of(event: Event, measurement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a row of `measurement` and a particle of that measurement, ascending in the row."""
    measurement = np.asarray(measurement, np.int64)
    offsets = event.measurement_particle_offsets
    width = np.diff(offsets)[measurement]
    row = np.repeat(np.arange(len(measurement)), width)
    index = np.arange(len(row)) - np.repeat(np.cumsum(width) - width - offsets[measurement], width)
    return row, event.measurement_particle_rows[index]


def labelled_events(
    files: EventInput, first: int = 0, stop: int | None = None
) -> Iterator[LabelledEvent]:
    """The events number `first` to `stop` - 1 of the files, in the order of their numbers."""
    for number in files.numbers[first:stop]:
        yield labelled_event(files.read(number, truth=True))
