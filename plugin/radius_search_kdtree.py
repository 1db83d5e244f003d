"""Fixed-radius neighbour search with scipy's k-d tree."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

CHUNK = 1 << 22  # slots (query, neighbour) that are in memory at once
_SLACK = 1e-9  # relative; covers the other order of the tree's sums


def exact_distances(x: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Squared distances of the rows i and j of (N, d) points, float64, of the shape of i and j."""
    total = np.zeros(np.broadcast_shapes(i.shape, j.shape))
    for column in x.T.astype(np.float64):
        difference = column[i] - column[j]
        total += difference * difference
    return total


def nearest(
    x: np.ndarray, query: np.ndarray, neighbour: np.ndarray, radius: float, k: int
) -> np.ndarray:
    """(2, E): of candidate pairs, grouped by query, those that `radius_search` defines."""
    distance = exact_distances(x, query, neighbour)
    keep = (distance <= radius * radius) & (query != neighbour)
    query, neighbour, distance = query[keep], neighbour[keep], distance[keep]
    group = np.cumsum(np.diff(query, prepend=query[:1]) != 0)
    order = np.lexsort((neighbour, distance, group))
    query, neighbour = query[order], neighbour[order]
    start = np.searchsorted(group, group)  # groups are sorted already
    first = np.arange(len(group)) - start < k
    return np.stack([query[first], neighbour[first]])


def search(x: np.ndarray, rows: np.ndarray, radius: float, k: int) -> np.ndarray:
    """See `radius_search`."""
    tree = cKDTree(x.astype(np.float64))
    width = min(k + 2, len(x))  # itself, k neighbours, and one that shows whether the last ties
    step = max(CHUNK // width, 1)
    found = [
        _chunk(tree, x, rows[at : at + step], radius, k, width) for at in range(0, len(rows), step)
    ]
    return np.concatenate(found, axis=1)


def _chunk(
    tree: cKDTree, x: np.ndarray, rows: np.ndarray, radius: float, k: int, width: int
) -> np.ndarray:
    reach = radius * (1 + _SLACK)
    distance, index = tree.query(x[rows], k=np.arange(1, width + 1), distance_upper_bound=reach)
    tied = np.zeros(len(rows), bool)
    if width < len(x):
        last, before = distance[:, -1], distance[:, -2]
        tied = np.isfinite(last) & (last <= before * (1 + _SLACK))
    valid = np.isfinite(distance) & ~tied[:, None]
    position = np.nonzero(valid)[0]
    neighbour = index[valid]
    if tied.any():
        at = np.nonzero(tied)[0]
        balls = tree.query_ball_point(
            x[rows[at]], np.minimum(distance[at, -1] * (1 + _SLACK), reach)
        )
        position = np.concatenate([position, np.repeat(at, [len(b) for b in balls])])
        neighbour = np.concatenate([neighbour, *(np.asarray(b, np.int64) for b in balls)])
        order = np.argsort(position, kind="stable")
        position, neighbour = position[order], neighbour[order]
    return nearest(x, rows[position], neighbour.astype(np.int64), radius, k)
