"""Simulated events of ROOT files as what the plugin trains on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trkx.io.event import Event
from trkx.io.event_files import EventFiles
from trkx.plugin.space_points import LabelledEvent, SpacePoints

__all__ = ["labelled_event", "labelled_events"]


def labelled_event(event: Event) -> LabelledEvent:
    """Space points with their truth; every space point takes that of its first measurement."""
    measurement = np.asarray(event.space_points["measurement_id"], np.int64)
    offsets = event.measurement_particle_offsets
    width = np.diff(offsets)[measurement]
    new = np.concatenate([[0], np.cumsum(width)]).astype(np.int64)
    index = np.arange(new[-1]) + np.repeat(offsets[measurement] - new[:-1], width)
    p = event.particles
    pt = np.hypot(p["px"], p["py"])
    return LabelledEvent(
        space_points=SpacePoints.from_columns(event.space_points),
        offsets=new,
        particle=event.measurement_particle_rows[index],
        pt=pt.astype(np.float32),
        eta=np.arcsinh(p["pz"] / np.maximum(pt, 1e-9)).astype(np.float32),
        charge=np.asarray(p["q"], np.float32),
        vertex=np.stack([p["vx"], p["vy"], p["vz"]], axis=1).astype(np.float32),
    )


def labelled_events(
    files: EventFiles, first: int = 0, stop: int | None = None
) -> Iterator[LabelledEvent]:
    """The events number `first` to `stop` - 1 of the files, in the order of their numbers."""
    for number in files.numbers[first:stop]:
        yield labelled_event(files.read(number, truth=True))
