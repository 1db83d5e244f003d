"""Simulated events as events of the TrackML challenge."""

from __future__ import annotations

import dataclasses

import numpy as np

from trkx.algorithms.trackml_tables import HIT_ID, particle_ids_of
from trkx.algorithms.trackml_weights import hit_weights
from trkx.io.errors import InputFileError
from trkx.io.event import BARCODE, Event
from trkx.io.event_files import EventFiles
from trkx.io.trackml_event import TrackMLEvent

__all__ = ["ExportedEvents", "trackml_event_of"]


class ExportedEvents:
    """Events of trkx's own files, read as events of the challenge.

    Attributes:
        numbers: event numbers, ascending.
        label: what was opened, for messages.

    Raises:
        InputFileError: there are no measurements, or space points have two of them.
    """

    def __init__(self, files: EventFiles, label: str) -> None:
        if not files.has_measurements or files.has_strips:
            raise InputFileError(
                f"{label} has no measurements of both coordinates, which TrackML's hits are; add "
                "measurements.root, or simulate with --strips 2d"
            )
        self._files = files
        self.label = label
        self.numbers = files.numbers

    def read(self, number: int) -> TrackMLEvent:
        """Read one event."""
        return trackml_event_of(self._files.read(number))


def trackml_event_of(event: Event) -> TrackMLEvent:
    """Make an event of the challenge, with weights of the accuracy phase where there is truth.

    There are no cells. Modules of the endcaps keep ACTS' numbers. A hit of several particles is
    that of the first of them, as the challenge has one for each.

    Raises:
        EventContentError: barcodes that do not fit into a `particle_id`.
    """
    m = event.measurements
    hit_id = m.get(HIT_ID, np.arange(1, event.n_measurements + 1))
    hits = {
        "hit_id": hit_id,
        **{axis: m[f"rec_g{axis}"] for axis in "xyz"},
        "volume_id": m["volume_id"],
        "layer_id": m["layer_id"],
        "module_id": m["surface_id"],
    }
    if not event.has_truth:
        return TrackMLEvent(event.number, hits)
    p = event.particles
    names = particle_ids_of([p[name] for name in BARCODE], event.number)
    offsets = event.measurement_particle_offsets
    owned = np.flatnonzero(np.diff(offsets))
    owner = event.measurement_particle_rows[offsets[owned]]
    particle_id = np.zeros(event.n_measurements, dtype=np.uint64)
    particle_id[owned] = names[owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        momentum = np.abs(1 / m["true_qop"])
    theta, phi = m["true_theta"], m["true_phi"]
    direction = (np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta))
    truth = {
        "hit_id": hit_id,
        "particle_id": particle_id,
        **{f"t{axis}": m[f"true_{axis}"] for axis in "xyz"},
        **{f"tp{axis}": momentum * d for axis, d in zip("xyz", direction, strict=True)},
    }
    particles = {
        "particle_id": names,
        "particle_type": p["particle_type"],
        **{name: p[name] for name in ("vx", "vy", "vz", "px", "py", "pz", "q")},
        "nhits": np.bincount(owner, minlength=event.n_particles),
    }
    made = TrackMLEvent(event.number, hits, None, particles, truth)
    return dataclasses.replace(made, truth={**truth, "weight": hit_weights(made)})
