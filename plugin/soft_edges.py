"""Edges of particles far below the pT threshold, told by the curvature of the chain they are on.

Windows of doublets and triplets must be wide, since a short piece of a track says little about its
curvature, and so most edges belong to softer particles. The chain of best triplets through an edge
is long enough to tell. What lies well below the threshold is dropped before the network.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, track_curvatures
from trkx.plugin.layer_map import lever_bin


@njit(**JIT)
def chain_ends(source, target, first, second, cost):
    """First, middle and last hit of the chain of least-cost triplets through each edge.

    Args:
        source, target: (E,) hits; every edge follows all edges that end where it starts.
        first, second: (T,) edges of the triplets.
        cost: (T,) smaller is better.

    Returns:
        (3, E) int32; the middle one is an end of the edge itself, or of the chain where the edge
        is the whole chain.
    """
    n = len(source)
    before, after = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    least_before, least_after = np.full(n, np.inf, np.float32), np.full(n, np.inf, np.float32)
    for t in range(len(first)):
        a, b = first[t], second[t]
        if cost[t] < least_before[b]:
            least_before[b] = cost[t]
            before[b] = a
        if cost[t] < least_after[a]:
            least_after[a] = cost[t]
            after[a] = b
    out = np.empty((3, n), np.int32)
    for e in range(n):
        out[0, e] = source[e] if before[e] < 0 else out[0, before[e]]
        out[1, e] = target[e] if before[e] < 0 else source[e]
    for e in range(n - 1, -1, -1):
        out[2, e] = target[e] if after[e] < 0 else out[2, after[e]]
    return out


def hard_edges(
    hit: np.ndarray,
    edge_index: np.ndarray,
    triplet_index: np.ndarray,
    cost: np.ndarray,
    curvature_max: np.ndarray,
    factor: float,
) -> np.ndarray:
    """Which edges may belong to a particle above the threshold, (E,) bool.

    Args:
        hit: hit table.
        edge_index: (2, E) rows of the hit table, in topological order.
        triplet_index: (2, T) edges.
        cost: (T,) squared residuals of the triplets.
        curvature_max: limits of tracks by lever arm, see `LayerMap.curvature_max`.
        factor: chains may bend that much more than tracks.
    """
    ends = chain_ends(edge_index[0], edge_index[1], triplet_index[0], triplet_index[1], cost)
    curvature, lever = track_curvatures(hit, *ends).T
    return curvature <= factor * curvature_max[lever_bin(lever)]
