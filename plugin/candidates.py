"""What track finding returns: track candidates as lists of space points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class TrackCandidates:
    """T candidates on N space points; a space point is on one candidate at most."""

    n_space_points: int
    offsets: np.ndarray  # (T+1,) int64 into `hits`
    hits: np.ndarray  # (offsets[-1],) int64, rows of the space points, ordered outward
    scores: np.ndarray  # (T,) float32, mean edge score of the candidate, 0 to 1
    timing: dict[str, float] = field(default_factory=dict)  # stage → seconds

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: candidate of each space point, -1: unassigned."""
        labels = np.full(self.n_space_points, -1, dtype=np.int64)
        labels[self.hits] = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        return labels

    def joined(self, more: TrackCandidates) -> TrackCandidates:
        """Tracks of two passes; those of this one that lost a hit to the other are left out."""
        taken = np.zeros(self.n_space_points, bool)
        taken[more.hits] = True
        n_hits = np.diff(self.offsets)
        track = np.repeat(np.arange(len(self)), n_hits)
        keep = np.bincount(track, taken[self.hits], minlength=len(self)) == 0
        counts = np.concatenate([n_hits[keep], np.diff(more.offsets)])
        return TrackCandidates(
            n_space_points=self.n_space_points,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            hits=np.concatenate([self.hits[keep[track]], more.hits]),
            scores=np.concatenate([self.scores[keep], more.scores]),
        )

    @classmethod
    def empty(cls, n_space_points: int = 0) -> TrackCandidates:
        """No candidates on `n_space_points` space points."""
        return cls(
            n_space_points, np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        )
