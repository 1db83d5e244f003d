"""Which measurements a track holds, as two flat arrays, for tracks of any origin.

All finders are scored, labelled and written from the same pair of arrays:
`offsets`, shape (T + 1,), and `measurements`, so that track t holds
`measurements[offsets[t]:offsets[t + 1]]`, ordered outward.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, pairwise
from typing import Any, NamedTuple

import acts
import acts.examples
import acts.examples.arrow
import numpy as np

from trkx.io.errors import EventContentError

__all__ = [
    "TrackHits",
    "addTrackHits",
    "hits_of_candidates",
    "hits_of_proto_tracks",
    "hits_of_table",
    "hits_of_tracks",
    "labels_from_hits",
    "make_proto_tracks",
]


class TrackHits(NamedTuple):
    """Measurements of each track in compressed rows.

    Attributes:
        offsets: shape (T + 1,), int64, starts at 0.
        measurements: shape (offsets[-1],), int64, measurement indices in the event, ordered
            outward; outliers and holes are not in it.
    """

    offsets: np.ndarray
    measurements: np.ndarray

    @property
    def n_tracks(self) -> int:
        """Number of tracks, those without measurements included."""
        return len(self.offsets) - 1


def addTrackHits(
    s: Any,
    inputTracks: str,
    outputTable: str | None = None,
    logLevel: Any = None,
) -> str:
    """Add ACTS' Arrow converter, which lists the measurements of all tracks at once.

    It takes 4 ms for 2000 tracks where a Python loop over the track states takes 60 ms and
    holds the interpreter lock. Read the result with `hits_of_table`.

    Args:
        s: the sequencer.
        inputTracks: whiteboard key of the tracks.
        outputTable: key of the `acts.arrow.ArrowTable`; default `<inputTracks>_table`.
        logLevel: level of the converter; default warnings.

    Returns:
        the key of the table.
    """
    key = outputTable or f"{inputTracks}_table"
    s.addAlgorithm(
        acts.examples.arrow.ArrowTrackOutputConverter(
            level=logLevel or acts.logging.WARNING, inputTracks=inputTracks, outputTable=key
        )
    )
    return key


def hits_of_candidates(
    offsets: np.ndarray, rows: np.ndarray, columns: Mapping[str, np.ndarray]
) -> TrackHits:
    """Return the measurements of tracks of space points; a strip space point has two.

    Args:
        offsets: shape (T + 1,), int64.
        rows: shape (offsets[-1],), space points of the tracks, ordered outward.
        columns: `measurement_id` and, where space points may have two measurements,
            `measurement_id_2` and `geometry_id_2`, which is 0 for those with one.
    """
    first = columns["measurement_id"][rows].astype(np.int64)
    second_id = columns.get("geometry_id_2")
    if second_id is None or not (double := second_id[rows] != 0).any():
        return TrackHits(offsets, first)
    track = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    both = np.stack([first, columns["measurement_id_2"][rows].astype(np.int64)], axis=1)
    kept = np.stack([np.ones(len(rows), bool), double], axis=1).ravel()
    measurement, track = both.ravel()[kept], np.repeat(track, 2)[kept]
    # Two space points of one track may share a strip, which counts once, where it came first.
    order = np.lexsort((measurement, track))
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (np.diff(measurement[order]) == 0) & (np.diff(track[order]) == 0)
    counts = np.bincount(track[~repeated], minlength=len(offsets) - 1)
    return TrackHits(_offsets(counts), measurement[~repeated])


def hits_of_table(table: Any) -> TrackHits:
    """Return the measurements listed in the table of ACTS' `ArrowTrackOutputConverter`.

    Args:
        table: `acts.arrow.ArrowTable` with one row for the event.
    """
    import pyarrow

    column = pyarrow.record_batch(table).column("measurement_ids")
    lists = column.flatten()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    # An Arrow slice keeps the offsets of the array it was cut from.
    measurements = lists.values.to_numpy()[offsets[0] : offsets[-1]] if len(offsets) else []
    if len(offsets) == 0:
        offsets = np.zeros(1, dtype=np.int64)
    return TrackHits(offsets - offsets[0], np.asarray(measurements, dtype=np.int64))


def hits_of_tracks(tracks: Any) -> TrackHits:
    """Return the measurements of a track container by a loop over its states.

    About 30 µs per track; where a sequencer is at hand, `addTrackHits` is much faster.

    Args:
        tracks: `acts.examples.ConstTrackContainer`.
    """
    index_of = acts.examples.IndexSourceLink.fromSourceLink
    counts = np.zeros(len(tracks), dtype=np.int64)
    measurements: list[int] = []
    for t, track in enumerate(tracks):
        states = [
            index_of(state.uncalibratedSourceLink).index()
            for state in track.trackStatesReversed
            if state.typeFlags.isMeasurement and not state.typeFlags.isOutlier
        ]
        counts[t] = len(states)
        measurements.extend(reversed(states))
    return TrackHits(_offsets(counts), np.array(measurements, dtype=np.int64))


def hits_of_proto_tracks(protoTracks: Any) -> TrackHits:
    """Return the measurements of a proto-track container.

    Args:
        protoTracks: `acts.examples.ProtoTrackContainer`.
    """
    counts = np.fromiter(map(len, protoTracks), dtype=np.int64, count=len(protoTracks))
    offsets = _offsets(counts)
    measurements = np.fromiter(
        chain.from_iterable(protoTracks), dtype=np.int64, count=int(offsets[-1])
    )
    return TrackHits(offsets, measurements)


def make_proto_tracks(hits: TrackHits) -> Any:
    """Return an `acts.examples.ProtoTrackContainer` with the same tracks, in the same order."""
    container = acts.examples.ProtoTrackContainer()
    measurements = hits.measurements.tolist()
    bounds = hits.offsets.tolist()
    for begin, end in pairwise(bounds):
        container.append(acts.examples.ProtoTrack(measurements[begin:end]))
    return container


def labels_from_hits(hits: TrackHits, n_measurements: int) -> np.ndarray:
    """Return one track number per measurement.

    Where tracks share a measurement (the CKF allows it), the longest of them keeps it, and
    of equally long ones the first.

    Args:
        hits: the tracks.
        n_measurements: number of measurements in the event.

    Returns:
        shape (n_measurements,), int64, row of the track; -1: unassigned.

    Raises:
        EventContentError: if a track holds a measurement that the event does not have.
    """
    labels = np.full(n_measurements, -1, dtype=np.int64)
    if len(hits.measurements) == 0:
        return labels
    low, high = int(hits.measurements.min()), int(hits.measurements.max())
    if low < 0 or high >= n_measurements:
        raise EventContentError(
            f"tracks hold measurement {low if low < 0 else high}, but the event has "
            f"{n_measurements} (0 to {n_measurements - 1}); give the tracks and the "
            "measurements of the same event"
        )
    lengths = np.diff(hits.offsets)
    # The last write to an element stands, so the track to keep comes last.
    order = np.lexsort((-np.arange(hits.n_tracks), lengths))
    track_of = np.repeat(np.arange(hits.n_tracks), lengths)
    rank = np.empty(hits.n_tracks, dtype=np.int64)
    rank[order] = np.arange(hits.n_tracks)
    by_rank = np.argsort(rank[track_of], kind="stable")
    labels[hits.measurements[by_rank]] = track_of[by_rank]
    return labels


def _offsets(counts: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
