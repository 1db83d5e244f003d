"""Fixed-radius neighbour search with FAISS: brute force by matrix products (extra `search`)."""

from __future__ import annotations

import numpy as np

from trkx.plugin.errors import need
from trkx.plugin.radius_search_kdtree import nearest

SLOTS = 1 << 26  # pairs that are in memory at once where all points lie within the radius


def search(x: np.ndarray, rows: np.ndarray, radius: float, k: int) -> np.ndarray:
    """See `radius_search`; `IndexFlatL2`, the exact index.

    References: Johnson, Douze and Jegou, IEEE Trans. Big Data 7, 535 (2021), arXiv:1702.08734.
    """
    faiss = need("faiss", "search", "search method 'faiss'")
    centred = np.ascontiguousarray(x - x.mean(axis=0, dtype=np.float64), np.float32)
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(centred)
    # Distances come as |a|² + |b|² - 2ab, which rounds with the size of the vectors.
    largest = float((centred.astype(np.float64) ** 2).sum(axis=1).max())
    slack = 8 * (x.shape[1] + 4) * float(np.finfo(np.float32).eps) * max(largest, radius**2)
    step = max(SLOTS // len(x), 1)
    found = []
    for at in range(0, len(rows), step):
        query = rows[at : at + step]
        limits, _, neighbour = index.range_search(centred[query], radius * radius + slack)
        group = np.repeat(query, np.diff(limits.astype(np.int64)))
        found.append(nearest(x, group, neighbour.astype(np.int64), radius, k))
    return np.concatenate(found, axis=1)
