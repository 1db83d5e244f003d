"""Tracks of events of the TrackML challenge: from submissions, and from labels of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trkx.algorithms.label_writer import label_file
from trkx.algorithms.trackml_tables import HIT_ID
from trkx.io.errors import EmptyInputError, EventContentError, InputFileError
from trkx.io.event_sources import EventInput
from trkx.io.trackml_files import TrackMLFiles
from trkx.io.trackml_submission import HitTracks, read_submission

__all__ = ["hit_tracks", "read_tracks"]


def hit_tracks(files: EventInput, numbers: Sequence[int], labels: Path) -> dict[int, HitTracks]:
    """The labels that a job wrote, by the event and hit numbers of the challenge.

    Args:
        files: input of the job. Where it has no hit numbers, as simulated samples, hits are
            counted from 1 in the order of the measurements, as in the challenge.
        numbers: events of the job; those without hits are left out.
        labels: folder of the labels.
    """
    stored: Mapping[int, int] = dict(
        zip(files.numbers, getattr(files, "stored", files.numbers), strict=True)
    )
    found: dict[int, HitTracks] = {}
    for number in numbers:
        if number in stored:
            track = np.load(label_file(labels, number))
            columns = files.read(number, truth=False, columns={HIT_ID}).measurements
            hit_id = columns.get(HIT_ID, np.arange(1, len(track) + 1))
            found[stored[number]] = (hit_id, track)
    return found


def read_tracks(path: Path, files: TrackMLFiles) -> dict[int, HitTracks]:
    """Read the tracks of events: a submission, or a folder of labels of those events.

    Args:
        path: submission or folder; labels are in the order of the modules, as `trkx run` writes
            them.
        files: the events, for the numbers of their hits.

    Raises:
        InputFileError: there are none.
        EmptyInputError: a submission without a row.
        EventContentError: labels of another number of hits.
    """
    if not path.is_dir():
        tracks = read_submission(path)
        if not tracks:
            raise EmptyInputError(f"no track in {path}: it has a header only")
        return tracks
    from trkx.algorithms.trackml_input import TrackMLInput

    found: dict[int, HitTracks] = {}
    for number in files.numbers:
        file = label_file(path, number)
        if file.is_file():
            track = np.load(file)
            event = TrackMLInput(files, [number]).read(number, truth=False)
            hit_id = event.measurements[HIT_ID]
            if len(track) != len(hit_id):
                raise EventContentError(
                    f"{file} has {len(track)} labels, but event {number} of {files.label} has "
                    f"{len(hit_id)} hits; are they of the same event?"
                )
            found[number] = (hit_id, track)
    if not found:
        raise InputFileError(
            f"no labels of the events of {files.label} in {path}; expected "
            f"{label_file(path, files.numbers[0]).name} and so on"
        )
    return found
