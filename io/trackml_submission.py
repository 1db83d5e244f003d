"""Submission files of the TrackML challenge: one track number per hit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trkx.io.csv_table import read_csv
from trkx.io.errors import EventContentError, OutputError
from trkx.io.trackml_writer import write_csv

__all__ = ["HitTracks", "read_submission", "write_submission"]

_COLUMNS = ("event_id", "hit_id", "track_id")

HitTracks = tuple[np.ndarray, np.ndarray]
"""Ids of hits and number of the track of each, both int64 of the same shape; −1: on none."""


def read_submission(path: Path) -> dict[int, HitTracks]:
    """Read the tracks of a submission by event number; `event_id`, `hit_id`, `track_id`, `.gz` or
    not. Its events may be mixed and in any order.

    Raises:
        InputError: not such a file; see `trkx.io.csv_table.parse_csv`.
        EventContentError: a hit is there twice.
    """
    columns = read_csv(path, dict.fromkeys(_COLUMNS, np.int64), _COLUMNS)
    event, hit, track = (columns[name] for name in _COLUMNS)
    order = np.lexsort((hit, event))
    event, hit, track = event[order], hit[order], track[order]
    same = np.flatnonzero((event[1:] == event[:-1]) & (hit[1:] == hit[:-1]))
    if len(same):
        raise EventContentError(
            f"hit_id {hit[same[0]]} of event {event[same[0]]} is there twice in {path} "
            f"({len(same)} repeated hits in all); each hit may be on one track"
        )
    starts = np.flatnonzero(np.diff(event, prepend=event[:1] - 1)).tolist()
    stops = [*starts[1:], len(event)][: len(starts)]
    return {
        int(event[start]): (hit[start:stop], track[start:stop])
        for start, stop in zip(starts, stops, strict=True)
    }


def write_submission(path: Path, tracks: Mapping[int, HitTracks], compressed: bool = False) -> None:
    """Write a submission: every hit, hits on no track as track 0.

    Tracks are numbered from 1 up, in their order, as the challenge wants no negative numbers.
    One track of all hits without one matches no particle, so that it scores nothing.

    Args:
        path: file to be written.
        tracks: by event number, all hits of the event and the track number of each, −1: none.
        compressed: as gzip.

    Raises:
        OutputError: the file cannot be written.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
    for number, (hit, track) in sorted(tracks.items()):
        columns["event_id"].append(np.full(len(hit), number, dtype=np.int64))
        columns["hit_id"].append(hit)
        columns["track_id"].append(np.where(track < 0, 0, track + 1))
    joined = {
        name: np.concatenate(several) if several else np.zeros(0, dtype=np.int64)
        for name, several in columns.items()
    }
    try:
        write_csv(path, joined, compressed)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
