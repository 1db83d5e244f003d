"""What is checked of every TrackML event that is read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trkx.io.errors import EventContentError, NonFiniteError
from trkx.io.trackml_event import PARTS, TrackMLEvent, TrackMLPart, rows_of_ids

__all__ = ["check_event", "check_part"]

_FAR = 20.0
"""mm. True and measured positions of a hit are 25 µm apart at the median, and 5 mm at most, along
a long strip; hits of another event are decimetres away."""


def check_part(
    part: TrackMLPart, columns: Mapping[str, np.ndarray], number: int, where: str
) -> dict[str, np.ndarray]:
    """Check the columns of one file by themselves.

    Args:
        part: what the file should hold.
        columns: what it holds.
        number: event number in its name.
        where: its name.

    Returns:
        the columns, without an `event_id` that repeats the event's number.

    Raises:
        NonFiniteError: NaN or infinite values.
        EventContentError: repeated or negative ids, values of no meaning, or another event.
    """
    kept = dict(columns)
    events = kept.pop("event_id", np.zeros(0, dtype=np.int64))
    other = np.flatnonzero(events != number)
    if len(other):
        raise EventContentError(
            f"event_id is {events[other[0]]} in row {other[0]} of {where}, expected {number} "
            "throughout; split mixed events into files of their own"
        )
    for name, values in kept.items():
        if values.dtype.kind not in "biuf" and name in part.required:
            raise EventContentError(
                f"column '{name}' of {where} holds {values[0]!r} in its first row, expected numbers"
            )
    for name in part.finite:
        values = kept.get(name, np.zeros(0))
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise NonFiniteError(
                f"{len(bad)} of {len(values)} values of column '{name}' are not finite in {where}; "
                f"the first is {values[bad[0]]} in data row {bad[0] + 1}. Remove these rows or "
                "write the file again."
            )
    for name in ("hit_id", *PARTS["hits"].types):
        if name in kept and kept[name].dtype.kind == "i" and len(kept[name]):
            lowest = int(kept[name].argmin())
            if kept[name][lowest] < 0:
                raise EventContentError(
                    f"{name} {kept[name][lowest]} in data row {lowest + 1} of {where} is out of "
                    "range, expected 0 or more"
                )
    key = {"hits": "hit_id", "truth": "hit_id", "particles": "particle_id"}.get(part.name)
    if key:
        _check_unique(kept[key], key, where)
    return kept


def check_event(event: TrackMLEvent, where: str) -> None:
    """Check that the files of an event belong together.

    Raises:
        EventContentError: ids that the other files do not have, true positions far from the hits.
        NonFiniteError: the true state of a particle's hit is not finite.
    """
    for name in ("cells", "truth"):
        columns = getattr(event, name)
        if columns is None:
            continue
        missing = np.flatnonzero(event.rows_of_hits(columns["hit_id"]) < 0)
        if len(missing):
            raise EventContentError(
                f"{len(missing)} of {len(columns['hit_id'])} rows of the {name} of event "
                f"{event.number} are of hits that {where} does not have; the first is hit_id "
                f"{columns['hit_id'][missing[0]]} in data row {missing[0] + 1} (hits have "
                f"{_span(event.hits['hit_id'])}). Do the files belong to the same event?"
            )
    if event.truth is not None:
        _check_truth(event, event.truth, where)


def _check_truth(event: TrackMLEvent, truth: Mapping[str, np.ndarray], where: str) -> None:
    of_particle = np.flatnonzero(truth["particle_id"] != 0)
    if event.particles is not None:
        wanted = truth["particle_id"][of_particle]
        missing = np.flatnonzero(rows_of_ids(event.particles["particle_id"], wanted) < 0)
        if len(missing):
            raise EventContentError(
                f"{len(np.unique(wanted[missing]))} particles of the truth of event "
                f"{event.number} are not among its {len(event.particles['particle_id'])} "
                f"particles in {where}; the first is particle_id {wanted[missing[0]]}. Do the "
                "files belong to the same event?"
            )
    state = [name for name in PARTS["truth"].types if name.startswith("t") and name in truth]
    for name in state:
        bad = of_particle[~np.isfinite(truth[name][of_particle])]
        if len(bad):
            raise NonFiniteError(
                f"{len(bad)} values of column '{name}' of the truth of event {event.number} in "
                f"{where} are not finite though the hits are of particles; the first is hit_id "
                f"{truth['hit_id'][bad[0]]}. Only hits of no particle may have NaN there."
            )
    if {"tx", "ty", "tz"} <= truth.keys() and len(of_particle):
        rows = event.rows_of_hits(truth["hit_id"][of_particle])
        squares = [(truth[f"t{axis}"][of_particle] - event.hits[axis][rows]) ** 2 for axis in "xyz"]
        distance = float(np.median(np.sqrt(sum(squares))))
        if distance > _FAR:
            raise EventContentError(
                f"true positions of event {event.number} in {where} are {distance:.0f} mm from "
                f"the hits (median), expected below {_FAR:.0f} mm; is the truth that of another "
                "event?"
            )


def _check_unique(ids: np.ndarray, name: str, where: str) -> None:
    # Sorted ids are the rule, and cheap to see.
    if len(ids) < 2 or np.all(ids[1:] > ids[:-1]):
        return
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(same):
        first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
        raise EventContentError(
            f"{name} {ids[first]} is in data rows {first + 1} and {second + 1} of {where}, "
            f"{len(same)} repeated ids in all; each may be there once. Were events mixed?"
        )


def _span(ids: np.ndarray) -> str:
    return f"{ids.min()} to {ids.max()}" if len(ids) else "none"
