"""Efficiency and fakes on events of the TrackML challenge, by double majority.

Some events come with the truth of their pixel hits only. By the rule `pixel`, tracks are found on
all hits; then only the pixel hits of tracks and particles count.

- Targets: charged particles of at least 7 hits in all (`nhits`), 3 of those that count, |eta| < 4,
  and a pT above the threshold, at production.
- A track matches a particle if more than half of the track's counting hits are the particle's, and
  more than half of the particle's counting hits are on the track. Noise counts on tracks.
- Fakes: of the tracks of at least 7 hits in all and 3 that count, those that match no particle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.matching import match_tracks
from trkx.io.errors import InputFileError
from trkx.io.trackml_event import TrackMLEvent, rows_of_ids

__all__ = ["RULES", "TrackMLCounts", "count_tracks"]

RULES = ("pixel", "all")
PIXEL_VOLUMES = (7, 8, 9)
MINIMUM_HITS, MINIMUM_COUNTING = 7, 3
ETA_MAX = 4.0
MINIMUM_COVERED = 0.999
"""Share of the hits that truth must cover. Hits that it does not cover do not count."""


@dataclass(frozen=True)
class TrackMLCounts:
    """Counts of some events, which add up."""

    targets: int = 0
    found: int = 0
    primaries: int = 0  # targets produced within 1 mm of the beam line
    primaries_found: int = 0
    tracks: int = 0
    fakes: int = 0
    duplicates: int = 0  # tracks beyond the first of their particle

    def __add__(self, other: TrackMLCounts) -> TrackMLCounts:
        return TrackMLCounts(*(a + b for a, b in zip(self._values, other._values, strict=True)))

    @property
    def _values(self) -> tuple[int, ...]:
        return tuple(vars(self).values())

    @property
    def efficiency(self) -> tuple[float, float]:
        """Found targets over targets, and the half width of its 68% Wilson interval."""
        return share(self.found, self.targets)

    @property
    def fake_rate(self) -> tuple[float, float]:
        """Fakes over tracks, and the half width of its 68% Wilson interval."""
        return share(self.fakes, self.tracks)


def share(part: int, total: int) -> tuple[float, float]:
    """A share and the half width of its 68% Wilson interval; NaN of nothing."""
    if total == 0:
        return float("nan"), float("nan")
    p = part / total
    return p, float(np.sqrt(p * (1 - p) / total + 0.25 / total**2) / (1 + 1 / total))


def count_tracks(
    event: TrackMLEvent,
    offsets: np.ndarray,
    hits: np.ndarray,
    pt_min: float,
    rule: str = "pixel",
) -> TrackMLCounts:
    """Count the tracks of one event.

    Args:
        event: with truth and particles.
        offsets: shape (T + 1,); track t has the hits `hits[offsets[t]:offsets[t + 1]]`.
        hits: rows of the event's hits.
        pt_min: threshold of the targets, GeV.
        rule: `pixel` or `all`, which hits count.

    Raises:
        InputFileError: there is no truth, or not of the hits that count.
    """
    if event.truth is None or event.particles is None:
        raise InputFileError(f"event {event.number} has no truth and particles to compare with")
    counting = np.ones(event.n_hits, dtype=bool)
    if rule == "pixel":
        counting = np.isin(event.hits["volume_id"], PIXEL_VOLUMES)
    covered = event.has_hit_truth & counting
    if covered.sum() < MINIMUM_COVERED * counting.sum():
        raise InputFileError(
            f"the truth of event {event.number} covers {int(covered.sum())} of the "
            f"{int(counting.sum())} hits that count by the rule '{rule}'"
        )
    counting = covered
    p = event.particles
    row = rows_of_ids(p["particle_id"], event.particle_id)
    row[~counting | (event.particle_id == 0)] = -1
    belongs = row >= 0
    n = len(p["particle_id"])
    n_counting = np.bincount(row[belongs], minlength=n)
    n_hits = p["nhits"] if "nhits" in p else np.bincount(row[belongs], minlength=n)
    pt = np.hypot(p["px"], p["py"])
    target = (
        (p["q"] != 0)
        & (pt > pt_min)
        & (np.abs(np.arcsinh(p["pz"] / np.maximum(pt, 1e-9))) < ETA_MAX)
        & (n_hits >= MINIMUM_HITS)
        & (n_counting >= MINIMUM_COUNTING)
    )
    on_track = counting[hits]
    kept_before = np.concatenate([[0], np.cumsum(on_track)])
    matching = match_tracks(
        kept_before[offsets],
        hits[on_track],
        np.concatenate([[0], np.cumsum(belongs)]),
        row[belongs],
        n,
    )
    found = matching.found(n)
    long = (np.diff(offsets) >= MINIMUM_HITS) & (matching.n_measurements >= MINIMUM_COUNTING)
    matched = long & (matching.particle >= 0)
    primary = target & (np.hypot(p["vx"], p["vy"]) < 1.0)
    return TrackMLCounts(
        targets=int(target.sum()),
        found=int(found[target].sum()),
        primaries=int(primary.sum()),
        primaries_found=int(found[primary].sum()),
        tracks=int(long.sum()),
        fakes=int((long & ~matched).sum()),
        duplicates=int(matched.sum() - len(np.unique(matching.particle[matched]))),
    )
