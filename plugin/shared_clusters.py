"""Space points of several tracks that share a cluster: the better track keeps it.

Where strips of two particles cross on a module, up to four space points are made of the same four
clusters, and overlapping modules give more. Every space point is on one track at most, but the
clusters may end up on several; here each is left on the best of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import read_settings

PREFERENCES = ("score", "length")


@dataclass(frozen=True)
class SharedClustersConfig:
    """How many tracks may have a cluster, and which keep it."""

    max_tracks: int = 1  # tracks that a cluster may be on
    prefer: str = "score"  # 'score': tracks of the better score keep, of equal ones the longer;
    #   'length': the other way round
    min_hits: int = 5  # tracks of which fewer space points are left are dropped

    def __post_init__(self) -> None:
        if self.max_tracks < 1:
            raise ValueError(f"max_tracks is {self.max_tracks}; give 1 or more")
        if self.prefer not in PREFERENCES:
            raise ValueError(f"prefer is '{self.prefer}'; choose one of {', '.join(PREFERENCES)}")


class SharedClusters:
    """Takes tracks in the order of their quality; each gets the space points that are still free.

    A space point is free if none of its clusters is on `max_tracks` better tracks. What a dropped
    track would have had is free for the others. Equal tracks come in their order.
    """

    def __init__(self, config: SharedClustersConfig | None = None) -> None:
        self.config = config or SharedClustersConfig()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> SharedClusters:
        """From the table [shared_clusters] of a pipeline file."""
        return cls(read_settings(SharedClustersConfig, settings, "shared_clusters"))

    def __call__(self, candidates: TrackCandidates, points: SpacePoints) -> TrackCandidates:
        """Resolve the tracks of one event; `points` are the space points they are made of."""
        c = self.config
        cluster = cluster_numbers(points, candidates.hits)
        length = np.diff(candidates.offsets)
        keys = [-candidates.scores.astype(np.float64), -length]
        order = np.lexsort(keys if c.prefer == "length" else keys[::-1])
        n_clusters = int(cluster.max()) + 1 if len(cluster) else 0
        kept = _share_out(order, candidates.offsets, cluster, n_clusters, c.max_tracks, c.min_hits)
        if kept.all():
            return candidates
        track = np.repeat(np.arange(len(candidates)), length)
        left = np.bincount(track[kept], minlength=len(candidates))
        return replace(
            candidates,
            offsets=np.concatenate([[0], np.cumsum(left[left > 0])]).astype(np.int64),
            hits=candidates.hits[kept],
            scores=candidates.scores[left > 0],
        )


def cluster_numbers(points: SpacePoints, rows: np.ndarray) -> np.ndarray:
    """Number the clusters of some space points; a cluster is known by its position.

    Args:
        points: the space points; those without clusters are clusters themselves.
        rows: (H,) rows of them.

    Returns:
        (H, 2) int64 numbers from 0; -1: there is no second cluster.
    """
    number = np.full((len(rows), 2), -1, np.int64)
    if points.clusters is None:
        _, number[:, 0] = np.unique(rows, return_inverse=True)
        return number
    # Adding 0 makes -0 and 0 the same bytes.
    position = np.ascontiguousarray(points.clusters[rows].reshape(-1, 3) + np.float32(0))
    there = ~np.isnan(position[:, 0])
    key = position[there].view(np.dtype((np.void, 12))).ravel()
    _, number.reshape(-1)[there] = np.unique(key, return_inverse=True)
    return number


def shared_share(candidates: TrackCandidates, points: SpacePoints) -> float:
    """Share of the clusters on tracks that are on two tracks or more; 0 where there are none."""
    cluster = cluster_numbers(points, candidates.hits)
    track = np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))
    pair = np.stack([cluster, np.broadcast_to(track[:, None], cluster.shape)], axis=2)
    pair = np.unique(pair.reshape(-1, 2)[cluster.ravel() >= 0], axis=0)
    count = np.bincount(pair[:, 0]) if len(pair) else np.zeros(0)
    return float((count > 1).sum() / max((count > 0).sum(), 1))


@njit(**JIT)
def _share_out(order, starts, cluster, n_clusters, max_tracks, min_hits):
    """(H,) bool: which space points the tracks keep, taken in `order`."""
    keep = np.zeros(len(cluster), np.bool_)
    uses = np.zeros(n_clusters, np.int64)
    last = np.full(n_clusters, -1, np.int64)
    for t in order:
        n = 0
        for h in range(starts[t], starts[t + 1]):
            free = True
            for k in range(2):
                c = cluster[h, k]
                free = free and (c < 0 or uses[c] < max_tracks)
            keep[h] = free
            n += free
        if n < min_hits:
            keep[starts[t] : starts[t + 1]] = False
            continue
        for h in range(starts[t], starts[t + 1]):
            for k in range(2):
                c = cluster[h, k]
                # Two space points of a track may have a cluster in common, which counts once.
                if keep[h] and c >= 0 and last[c] != t:
                    last[c] = t
                    uses[c] += 1
    return keep
