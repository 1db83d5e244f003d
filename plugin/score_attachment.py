"""Hits that the edge scores tie to a track, although its path goes past them.

Where modules of one layer overlap, a particle leaves several hits side by side. A path takes one
of them; the edges of the others lead to the neighbouring hits of the path all the same. Hit by
hit, with no knowledge of the detector but that two hits of one module are never on one track.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.component_kernels import JIT


@njit(**JIT)
def attach_by_scores(starts, nodes, used, source, target, score, module, cut):
    """The same tracks with the unused hits that their edges tie to them; marks these as used.

    A hit goes to the track to which its edges above `cut` have the largest summed score, of equal
    ones the earlier track. The largest sums go first.

    Args:
        starts, nodes: tracks as offsets (T+1,) and nodes.
        used: (N,) bool.
        source, target, score: (E,) edges.
        module: (N,) module of each node.
        cut: edges of lower score do not count.

    Returns:
        Offsets (T+1,) and nodes; the hits attached to a track follow those of its path.
    """
    n_tracks = len(starts) - 1
    track = np.full(len(used), -1, np.int32)
    for t in range(n_tracks):
        for q in range(starts[t], starts[t + 1]):
            track[nodes[q]] = t
    # Edges from unused hits to tracks, grouped by hit.
    first = np.zeros(len(used) + 1, np.int32)
    for e in range(len(source)):
        if score[e] > cut:
            a, b = source[e], target[e]
            if not used[a] and track[b] >= 0:
                first[a + 1] += 1
            elif not used[b] and track[a] >= 0:
                first[b + 1] += 1
    for i in range(len(used)):
        first[i + 1] += first[i]
    at = first[:-1].copy()
    to = np.empty(first[-1], np.int32)
    tie = np.empty(first[-1], np.float32)
    for e in range(len(source)):
        if score[e] > cut:
            a, b = source[e], target[e]
            if not used[a] and track[b] >= 0:
                to[at[a]], tie[at[a]] = track[b], score[e]
                at[a] += 1
            elif not used[b] and track[a] >= 0:
                to[at[b]], tie[at[b]] = track[a], score[e]
                at[b] += 1
    hit = np.empty(len(used), np.int32)
    own = np.empty(len(used), np.int32)
    total = np.empty(len(used), np.float32)
    n = 0
    for i in range(len(used)):
        best, winner = np.float32(0), -1
        for p in range(first[i], first[i + 1]):
            # Double precision: the sum does not depend on the order of the edges.
            value = 0.0
            for q in range(first[i], first[i + 1]):
                if to[q] == to[p]:
                    value += tie[q]
            rounded = np.float32(value)
            if rounded > best or (rounded == best and to[p] < winner):
                best, winner = rounded, to[p]
        if winner >= 0:
            hit[n], own[n], total[n] = i, winner, best
            n += 1
    order = np.argsort(-total[:n], kind="mergesort")
    # Attached hits of a track form a list, the latest first.
    previous = np.full(len(used), -1, np.int32)
    last = np.full(n_tracks, -1, np.int32)
    count = np.zeros(n_tracks, np.int32)
    for p in order:
        i, t = hit[p], own[p]
        clash = False
        for q in range(starts[t], starts[t + 1]):
            clash = clash or module[nodes[q]] == module[i]
        q = last[t]
        while q >= 0 and not clash:
            clash = module[q] == module[i]
            q = previous[q]
        if not clash:
            previous[i] = last[t]
            last[t] = i
            count[t] += 1
            used[i] = True
    new_starts = np.zeros(n_tracks + 1, np.int64)
    new_nodes = np.empty(starts[n_tracks] + count.sum(), np.int64)
    for t in range(n_tracks):
        begin, path = new_starts[t], starts[t + 1] - starts[t]
        new_nodes[begin : begin + path] = nodes[starts[t] : starts[t + 1]]
        new_starts[t + 1] = begin + path + count[t]
        i = last[t]
        for k in range(new_starts[t + 1] - 1, begin + path - 1, -1):
            new_nodes[k] = i
            i = previous[i]
    return new_starts, new_nodes
