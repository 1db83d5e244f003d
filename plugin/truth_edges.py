"""True doublets and triplets of an event: consecutive layer crossings of a particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.plugin.space_points import LabelledEvent


@dataclass(frozen=True)
class Crossings:
    """Hits of selected particles in flight order, grouped by layer crossing."""

    hit: np.ndarray  # (K,) int64, space point
    particle: np.ndarray  # (K,) int64
    crossing: np.ndarray  # (K,) int64, number of the crossing within the particle, from 0


def crossings(event: LabelledEvent, layer: np.ndarray, particles: np.ndarray) -> Crossings:
    """Order the hits of particles by distance from their vertex and group them by layer.

    Overlapping modules of one layer give one crossing with several hits.

    Args:
        event: the event.
        layer: (N,) layer of each space point.
        particles: (P,) bool, particles to use.
    """
    s = event.space_points
    hit = np.repeat(np.arange(len(s)), np.diff(event.offsets))
    keep = particles[event.particle]
    hit, particle = hit[keep], event.particle[keep]
    v = event.vertex[particle]
    d = np.sqrt((s.x[hit] - v[:, 0]) ** 2 + (s.y[hit] - v[:, 1]) ** 2 + (s.z[hit] - v[:, 2]) ** 2)
    order = np.lexsort((d, particle))
    hit, particle = hit[order], particle[order]
    lay = layer[hit]
    first = np.ones(len(hit), bool)
    first[1:] = particle[1:] != particle[:-1]
    new = first.copy()
    new[1:] |= lay[1:] != lay[:-1]
    number = np.cumsum(new) - 1
    start = np.zeros(len(hit), np.int64)
    start[first] = number[first]
    start = np.maximum.accumulate(start)
    return Crossings(hit, particle, number - start)


def sorted_join(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (i, j) with left[i] == right[j]; `right` is sorted ascending."""
    low = np.searchsorted(right, left, side="left")
    count = np.searchsorted(right, left, side="right") - low
    i = np.repeat(np.arange(len(left)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    return i, j


def true_doublets(c: Crossings) -> tuple[np.ndarray, np.ndarray]:
    """(2, E) int64 hit pairs of consecutive crossings, and (E,) int64 their particle."""
    key = c.particle * 4096 + c.crossing
    i, j = sorted_join(key + 1, key)
    return np.stack([c.hit[i], c.hit[j]]), c.particle[i]


def true_triplets(doublets: np.ndarray, particle: np.ndarray) -> np.ndarray:
    """(3, T) int64 hit triples of consecutive crossings, joined from true doublets."""
    stride = int(doublets.max(initial=0)) + 1
    left = particle * stride + doublets[1]
    right = particle * stride + doublets[0]
    order = np.argsort(right, kind="stable")
    i, j = sorted_join(left, right[order])
    j = order[j]
    return np.stack([doublets[0, i], doublets[1, i], doublets[1, j]])


def any_shared_particle(event: LabelledEvent, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(E,) int64: a particle that both hits belong to, of the highest pT, -1: none."""
    best = np.full(len(source), -1, np.int64)
    width = int(np.diff(event.offsets).max(initial=0))
    n = np.diff(event.offsets)

    def nth(hit: np.ndarray, k: int) -> np.ndarray:
        has = n[hit] > k
        at = np.minimum(event.offsets[hit] + k, max(len(event.particle) - 1, 0))
        return np.where(has, event.particle[at], -1) if len(event.particle) else -np.ones_like(hit)

    for a in range(min(width, 4)):  # clusters of more than four particles do not occur
        pa = nth(source, a)
        for b in range(min(width, 4)):
            same = (pa >= 0) & (pa == nth(target, b))
            better = same & ((best < 0) | (event.pt[pa] > event.pt[np.maximum(best, 0)]))
            best = np.where(better, pa, best)
    return best
