"""Truth matching of tracks to particles by counting shared measurements.

One rule serves every finder, so that their efficiencies can be compared: *double majority*. A
track matches a particle if strictly more than half of the track's measurements are the particle's,
and the track holds strictly more than half of the particle's measurements. A measurement made by
several particles (a merged cluster) counts in full for each of them.

Departures from `acts.examples.TrackTruthMatcher`: there both comparisons are `>=`, so a track that
holds exactly half of a particle matches (use `ACTS_RULE`); of several tracks on one particle this
module keeps the one with most shared measurements whatever the order of the tracks; and a track
made of noise only is a fake here, while ACTS leaves it without an entry.

References:
    TrackML challenge: Amrouche et al., Comput. Softw. Big Sci. 7, 1 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class TrackClassification(IntEnum):
    """Outcome for one track; the numbers are those ACTS writes in `trackClassification`."""

    UNKNOWN = 0  # a track without measurements
    MATCHED = 1  # the best track of its particle
    DUPLICATE = 2  # matches a particle that has a better track
    FAKE = 3  # matches no particle


@dataclass(frozen=True)
class MatchingRule:
    """When a track counts as a particle's."""

    name: str  # key in performance.json
    ratio: float  # fraction to exceed (or reach), dimensionless
    strict: bool  # True: fraction > ratio; False: fraction >= ratio
    double: bool  # the same fraction of the particle's measurements is asked for as well

    @property
    def words(self) -> str:
        """The rule as one English sentence."""
        compare = "more than" if self.strict else "at least"
        text = f"{compare} {self.ratio:.0%} of the track's measurements are the particle's"
        if self.double:
            text += (
                f", and the track holds {compare} {self.ratio:.0%} of the particle's measurements"
            )
        return text + "; a merged measurement counts for each of its particles"

    def holds(self, shared: Ints, on_track: Ints, of_particle: Ints) -> NDArray[np.bool_]:
        """Whether the rule holds, element by element.

        Args:
            shared: measurements the track and the particle have in common.
            on_track: measurements of the track.
            of_particle: measurements of the particle.
        """
        compare = np.greater if self.strict else np.greater_equal
        result = compare(shared, self.ratio * on_track)
        if self.double:
            result = result & compare(shared, self.ratio * of_particle)
        return result


DOUBLE_MAJORITY = MatchingRule("double_majority", ratio=0.5, strict=True, double=True)
SINGLE_MAJORITY = MatchingRule("single_majority", ratio=0.5, strict=True, double=False)
ACTS_RULE = MatchingRule("acts", ratio=0.5, strict=False, double=True)


@dataclass(frozen=True)
class TrackMatching:
    """Truth of every track of one event; all arrays have shape (T,), one entry per track.

    particle: int64, row of the matched particle, -1 if the rule holds for none.
    majority_particle: int64, the particle with most measurements on the track (the matched one
        where there is one), -1 if no measurement of the track belongs to a particle.
    n_majority: int64, measurements shared with `majority_particle`.
    n_measurements: int64, different measurements on the track.
    purity: float64, n_majority / n_measurements; 0 for an empty track.
    completeness: float64, n_majority / measurements of `majority_particle`; 0 without one.
    classification: int8, see `TrackClassification`.
    """

    particle: Ints
    majority_particle: Ints
    n_majority: Ints
    n_measurements: Ints
    purity: Floats
    completeness: Floats
    classification: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.particle)

    def found(self, n_particles: int) -> NDArray[np.bool_]:
        """Shape (n_particles,): whether a particle has at least one matched track."""
        result = np.zeros(n_particles, dtype=bool)
        result[self.particle[self.particle >= 0]] = True
        return result


def match_tracks(
    track_offsets: NDArray,
    track_measurements: NDArray,
    measurement_particle_offsets: NDArray,
    measurement_particle_rows: NDArray,
    n_particles: int,
    rule: MatchingRule = DOUBLE_MAJORITY,
) -> TrackMatching:
    """Match each track to at most one particle.

    A track to which the rule gives several particles (only possible with merged measurements) goes
    to the one with most shared measurements, then to the one it completes best, then to the lowest
    row. Of the tracks of one particle, the best is the match and the others are duplicates: most
    shared measurements, then highest purity, then lowest index. A measurement listed twice on a
    track counts once.

    Args:
        track_offsets: shape (T + 1,); track t is `track_measurements[offsets[t]:offsets[t + 1]]`.
        track_measurements: indices of measurements, 0 to M - 1.
        measurement_particle_offsets: shape (M + 1,), the same layout for particles per measurement.
        measurement_particle_rows: rows of particles, 0 to n_particles - 1, each at most once per
            measurement; noise has none.
        n_particles: number of particles in the event.
        rule: when a track counts as a particle's.

    Raises:
        ValueError: an index is outside its range, or offsets do not cover their array.
    """
    track_offsets = np.asarray(track_offsets, dtype=np.int64)
    track_measurements = np.asarray(track_measurements, dtype=np.int64)
    measurement_particle_offsets = np.asarray(measurement_particle_offsets, dtype=np.int64)
    measurement_particle_rows = np.asarray(measurement_particle_rows, dtype=np.int64)
    n_tracks = len(track_offsets) - 1
    n_measurements_in_event = len(measurement_particle_offsets) - 1
    _check_csr("track_offsets", track_offsets, len(track_measurements))
    _check_csr(
        "measurement_particle_offsets", measurement_particle_offsets, len(measurement_particle_rows)
    )
    _check_range("track_measurements", track_measurements, n_measurements_in_event)
    _check_range("measurement_particle_rows", measurement_particle_rows, n_particles)

    of_particle = np.bincount(measurement_particle_rows, minlength=n_particles)
    track = np.repeat(np.arange(n_tracks), np.diff(track_offsets))
    track, measurement = _unique_pairs(track, track_measurements, n_measurements_in_event)
    on_track = np.bincount(track, minlength=n_tracks)

    pair_track, pair_particle, shared = _count_shared(
        track, measurement, measurement_particle_offsets, measurement_particle_rows, n_particles
    )
    holds = rule.holds(shared, on_track[pair_track], of_particle[pair_particle])
    best = _first_of_group(pair_track, pair_particle, of_particle[pair_particle], -shared, ~holds)

    particle = np.full(n_tracks, -1, dtype=np.int64)
    majority = np.full(n_tracks, -1, dtype=np.int64)
    n_majority = np.zeros(n_tracks, dtype=np.int64)
    majority[pair_track[best]] = pair_particle[best]
    n_majority[pair_track[best]] = shared[best]
    matched = best[holds[best]]
    particle[pair_track[matched]] = pair_particle[matched]

    purity = n_majority / np.maximum(on_track, 1)
    completeness = np.zeros(n_tracks)
    has = majority >= 0
    completeness[has] = n_majority[has] / of_particle[majority[has]]
    return TrackMatching(
        particle=particle,
        majority_particle=majority,
        n_majority=n_majority,
        n_measurements=on_track,
        purity=purity,
        completeness=completeness,
        classification=_classify(particle, n_majority, on_track, purity),
    )


def _classify(
    particle: Ints, n_majority: Ints, n_measurements: Ints, purity: Floats
) -> NDArray[np.int8]:
    """Matched, duplicate or fake for each track (see `match_tracks`)."""
    result = np.full(len(particle), TrackClassification.FAKE, dtype=np.int8)
    result[n_measurements == 0] = TrackClassification.UNKNOWN
    matched = np.flatnonzero(particle >= 0)
    result[matched] = TrackClassification.DUPLICATE
    best = _first_of_group(particle[matched], matched, -purity[matched], -n_majority[matched])
    result[matched[best]] = TrackClassification.MATCHED
    return result


def _count_shared(
    track: Ints, measurement: Ints, offsets: Ints, rows: Ints, n_particles: int
) -> tuple[Ints, Ints, Ints]:
    """All (track, particle) pairs with common measurements, and how many they have in common."""
    counts = offsets[measurement + 1] - offsets[measurement]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    position = np.arange(total) - np.repeat(ends - counts, counts)
    particle = rows[np.repeat(offsets[measurement], counts) + position]
    stride = max(n_particles, 1)
    keys, shared = np.unique(np.repeat(track, counts) * stride + particle, return_counts=True)
    return keys // stride, keys % stride, shared


def _unique_pairs(first: Ints, second: Ints, n_second: int) -> tuple[Ints, Ints]:
    stride = max(n_second, 1)
    keys = np.unique(first * stride + second)
    return keys // stride, keys % stride


def _first_of_group(group: NDArray, *keys: NDArray) -> Ints:
    """Index of the first element of each group when ordered by `keys`, the last key first."""
    order = np.lexsort((*keys, group))
    ordered = group[order]
    return order[np.flatnonzero(np.diff(ordered, prepend=-1) != 0)]


def _check_csr(name: str, offsets: Ints, length: int) -> None:
    if (
        len(offsets) == 0
        or offsets[0] != 0
        or offsets[-1] != length
        or np.any(np.diff(offsets) < 0)
    ):
        raise ValueError(
            f"{name} must rise from 0 to {length}, the length of the array it divides; "
            f"found {offsets[:3].tolist()}…{offsets[-1:].tolist()}"
        )


def _check_range(name: str, values: Ints, stop: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= stop):
        bad = values[(values < 0) | (values >= stop)][0]
        raise ValueError(f"{name} must lie in 0 to {stop - 1}; found {bad}")
