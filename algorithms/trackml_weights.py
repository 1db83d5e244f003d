"""Weights of hits in the score of the TrackML challenge.

A hit weighs more at both ends of its track and on tracks of high pT, nothing on particles of less
than 4 hits or in noise. Events of the challenge come with these weights; here they are computed
for events without.

References:
    Amrouche et al., The Tracking Machine Learning Challenge: Accuracy Phase, arXiv:1904.06778;
    Throughput Phase, Comput. Softw. Big Sci. 7, 1 (2023), arXiv:2105.01160;
    https://github.com/LAL/trackml-library (`weights.py`), whose rules these are.
"""

from __future__ import annotations

import functools

import numpy as np

from trkx.io.errors import EventContentError, InputFileError
from trkx.io.trackml_event import TrackMLEvent, rows_of_ids

__all__ = ["PHASES", "hit_weights", "order_weights", "pt_weight"]

PHASES = ("accuracy", "throughput")

MIN_HITS, MAX_HITS = 4, 20
_ORDER = (10.0, 8.0, 6.0, 5.0, 3.0, 3.0, 3.0, 5.0, 6.0)
"""Weights along a track of 9 hits, first to last; stretched for other lengths."""


@functools.cache
def order_weights() -> np.ndarray:
    """Weight of a hit by the length of its track and its place on it.

    Returns:
        shape (21, 20): row n has the weights of the n hits of a track, which sum to 1.
    """
    table = np.zeros((MAX_HITS + 1, MAX_HITS))
    for n in range(MIN_HITS, MAX_HITS + 1):
        places = np.linspace(0, n - 1, len(_ORDER))
        weights = np.interp(np.arange(n), places, _ORDER)
        table[n, :n] = weights / weights.sum()
    return table


def pt_weight(pt: np.ndarray) -> np.ndarray:
    """Weight of a particle by its pT in GeV: 0.2 up to 0.5 GeV, rising to 1 at 3 GeV."""
    return np.interp(pt, (0.05, 0.5, 3.0), (0.2, 0.2, 1.0), left=0.0)


def hit_weights(event: TrackMLEvent, phase: str = "accuracy") -> np.ndarray:
    """Compute the weights of the hits that the truth of an event covers.

    Hits are ordered along their particle by their distance in z from its vertex, in true positions,
    or in measured ones where the truth has none.

    Args:
        event: an event with particles and truth.
        phase: `throughput` counts generated particles only, not those made in the detector
            (generation, bits 24 to 35 of `particle_id`, other than 0); `accuracy` all.

    Returns:
        shape (T,), by row of the truth; they sum to 1, or to 0 if no particle counts.

    Raises:
        InputFileError: there are no particles, or no truth.
        EventContentError: a particle has more hits than its `nhits` says.
    """
    if event.truth is None or event.particles is None:
        missing = "truth" if event.truth is None else "particles"
        raise InputFileError(
            f"weights of event {event.number} cannot be computed without its {missing}; add "
            f"event{event.number:09d}-{missing}.csv"
        )
    particles, truth = event.particles, event.truth
    row = rows_of_ids(particles["particle_id"], truth["particle_id"])
    z = truth["tz"] if "tz" in truth else event.hits["z"][event.rows_of_hits(truth["hit_id"])]
    known = np.flatnonzero(row >= 0)
    row, distance = row[known], np.abs(z[known] - particles["vz"][row[known]])
    found = np.bincount(row, minlength=len(particles["particle_id"]))
    n_hits = particles.get("nhits", found)
    wrong = np.flatnonzero(found > n_hits)
    if len(wrong):
        raise EventContentError(
            f"particle {particles['particle_id'][wrong[0]]} of event {event.number} has "
            f"{found[wrong[0]]} hits in the truth, but nhits is {n_hits[wrong[0]]}; weights "
            "cannot be computed. Do particles and truth belong together?"
        )
    counts = pt_weight(np.hypot(particles["px"], particles["py"]))
    if phase == "throughput":
        generation = (particles["particle_id"] >> np.uint64(24)) & np.uint64(0xFFF)
        counts = np.where(generation == 0, counts, 0.0)
    place = _place_on_track(row, distance)
    table = order_weights()
    used = np.minimum(n_hits[row], MAX_HITS)
    by_order = np.where(place < MAX_HITS, table[used, np.minimum(place, MAX_HITS - 1)], 0.0)
    weights = np.zeros(len(truth["hit_id"]))
    weights[known] = counts[row] * by_order
    total = weights.sum()
    return weights / total if total > 0 else weights


def _place_on_track(particle: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Place of each hit among those of its particle, from 0; hits at one distance share the mean
    of their places, rounded down, as in the challenge."""
    order = np.lexsort((distance, particle))
    ordered, apart = particle[order], distance[order]
    n = len(order)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    start = np.repeat(starts, np.diff(starts, append=n))
    new = np.ones(n, dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (apart[1:] != apart[:-1])
    ties = np.flatnonzero(new)
    length = np.diff(ties, append=n)
    first = np.repeat(ties, length) - start
    place = np.zeros(n, dtype=np.int64)
    place[order] = first + (np.repeat(length, length) - 1) // 2
    return place
