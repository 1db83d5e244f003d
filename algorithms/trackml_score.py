"""The score of the TrackML challenge: the weight of hits on tracks that match a particle.

References:
    Amrouche et al., The Tracking Machine Learning Challenge: Accuracy Phase, arXiv:1904.06778;
    https://github.com/LAL/trackml-library (`score.py`), whose rules these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.trackml_weights import hit_weights
from trkx.io.errors import EventContentError
from trkx.io.trackml_event import TrackMLEvent

__all__ = ["EventScore", "score_event", "score_hits"]


@dataclass(frozen=True)
class EventScore:
    """Score of one event."""

    number: int
    score: float  # weight of the majority particles' hits on good tracks / weight of all hits
    n_tracks: int  # with hits that the truth covers
    n_good_tracks: int  # by double majority
    n_hits: int
    n_truth_hits: int  # that the truth covers
    n_unassigned: int  # of those, on no track
    weights: str  # `file`: as they come with the truth; else the phase they were computed for


def score_hits(
    track: np.ndarray, particle: np.ndarray, weight: np.ndarray
) -> tuple[float, int, int]:
    """Score hits, each on one track or none.

    A track counts if more than half of its hits are of one particle, and more than half of that
    particle's hits are on it; it scores the weights of the hits they share. Hits of no particle
    are taken for those of one more particle, as in the challenge; they have weight 0.

    Args:
        track: shape (T,), track number of each hit; negative: on no track. 0 is a track.
        particle: shape (T,), particle of each hit, 0: of none.
        weight: shape (T,), weights.

    Returns:
        score between 0 and 1 (0 if all weights are 0), number of tracks, and of good tracks.
    """
    total = float(weight.sum())
    particles, particle = np.unique(particle, return_inverse=True)
    particle_hits = np.bincount(particle, minlength=len(particles))
    on_track = np.flatnonzero(track >= 0)
    tracks, track = np.unique(track[on_track], return_inverse=True)
    track_hits = np.bincount(track, minlength=len(tracks))
    pair, shared = np.unique(track * len(particles) + particle[on_track], return_inverse=True)
    n_shared = np.bincount(shared, minlength=len(pair))
    shared_weight = np.bincount(shared, weight[on_track], minlength=len(pair))
    of_track, of_particle = np.divmod(pair, max(len(particles), 1))
    # More than half of a track's hits: at most one particle can have that.
    good = (2 * n_shared > track_hits[of_track]) & (2 * n_shared > particle_hits[of_particle])
    score = float(shared_weight[good].sum()) / total if total > 0 else 0.0
    return score, len(tracks), int(good.sum())


def score_event(
    event: TrackMLEvent, hit_id: np.ndarray, track_id: np.ndarray, phase: str | None = None
) -> EventScore:
    """Score the tracks of an event.

    Hits that the truth does not cover are left out of tracks and particles alike, so that the
    score is one of the covered hits only.

    Args:
        event: event with truth, and with particles unless its truth has weights.
        hit_id: shape (M,), hits with a track; each once. Others are on no track.
        track_id: shape (M,), number of their track; negative: on none.
        phase: compute the weights of `accuracy` or `throughput`; None: those of the file, or of
            `accuracy` where it has none.

    Raises:
        EventContentError: a hit is there twice, or not in the event.
        InputFileError: truth or particles are missing.
    """
    rows = event.rows_of_hits(hit_id)
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        raise EventContentError(
            f"hit_id {hit_id[unknown[0]]} of the tracks of event {event.number} is not among its "
            f"{event.n_hits} hits ({len(unknown)} such in all). Are the tracks of this event?"
        )
    counts = np.bincount(rows, minlength=event.n_hits)
    if len(rows) and counts.max() > 1:
        repeated = event.hits["hit_id"][int(counts.argmax())]
        raise EventContentError(
            f"hit_id {repeated} of event {event.number} is on {counts.max()} tracks "
            f"({int((counts > 1).sum())} such hits in all); each hit may be on one"
        )
    used = phase or "accuracy"
    if phase is None and event.truth is not None and "weight" in event.truth:
        weight, used = event.truth["weight"], "file"
    else:
        weight = hit_weights(event, used)
    assert event.truth is not None  # or there would be no weights
    of_hit = np.full(event.n_hits, -1, dtype=np.int64)
    of_hit[rows] = track_id
    track = of_hit[event.rows_of_hits(event.truth["hit_id"])]
    score, n_tracks, n_good = score_hits(track, event.truth["particle_id"], weight)
    return EventScore(
        event.number,
        score,
        n_tracks,
        n_good,
        event.n_hits,
        len(track),
        int((track < 0).sum()),
        used,
    )
