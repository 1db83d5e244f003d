"""Paths through a directed graph without cycles, compiled.

Edges are in topological order: each follows all edges that end where it starts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.component_kernels import JIT
from trkx.plugin.overlaps import attach_overlaps


@njit(**JIT)
def walk_edge_mask(source, target, mask, probability, min_score, add_score, n_nodes):
    """(E,) bool: of `mask`, the edges that a path may take out of their source.

    All above `add_score`; where a node has none, its best one above `min_score`.
    """
    best = np.full(n_nodes, -1, np.int32)
    for e in range(len(source)):
        if mask[e] and probability[e] > min_score:
            a = source[e]
            if best[a] < 0 or probability[e] > probability[best[a]]:
                best[a] = e
    keep = np.zeros(len(source), np.bool_)
    for e in range(len(source)):
        if mask[e] and probability[e] > min_score:
            keep[e] = probability[e] > add_score or best[source[e]] == e
    return keep


@njit(**JIT)
def best_paths(source, target, weight, used, min_hits):
    """The best path of every tree of best predecessors; marks its hits as used.

    One sweep finds for every node the path of the largest summed weight that ends in it. These
    paths make trees: all paths of a tree start at its root, so that the best one of at least
    `min_hits` hits excludes the others.

    Returns:
        offsets (T+1,) int64, nodes from the start of each path outward, mean weight (T,); the
        largest summed weight first, of equal ones the lower last node.
    """
    n_nodes = len(used)
    best = np.zeros(n_nodes, np.float32)
    back = np.full(n_nodes, -1, np.int32)
    length = np.ones(n_nodes, np.int32)
    root = np.arange(n_nodes).astype(np.int32)
    for e in range(len(source)):
        i, j = source[e], target[e]
        if used[i] or used[j]:
            continue
        value = best[i] + weight[e]
        if value > best[j]:
            best[j] = value
            back[j] = i
            length[j] = length[i] + 1
            root[j] = root[i]
    top = np.full(n_nodes, -1, np.int32)
    n_tracks = 0
    for j in range(n_nodes):
        if length[j] >= min_hits:
            r = root[j]
            if top[r] < 0:
                n_tracks += 1
                top[r] = j
            elif best[j] > best[top[r]]:
                top[r] = j
    ends = np.sort(top[top >= 0])
    ends = ends[np.argsort(-best[ends], kind="mergesort")]
    starts = np.zeros(n_tracks + 1, np.int64)
    for t in range(n_tracks):
        starts[t + 1] = starts[t] + length[ends[t]]
    nodes = np.empty(starts[n_tracks], np.int64)
    score = np.empty(n_tracks, np.float64)
    for t in range(n_tracks):
        x = ends[t]
        score[t] = best[x] / (length[x] - 1)
        for k in range(starts[t + 1] - 1, starts[t] - 1, -1):
            nodes[k] = x
            used[x] = True
            x = back[x]
    return starts, nodes, score


@njit(**JIT)
def longest_roads(source, target, weight, used, min_hits):
    """The longest path from every unused node, the innermost node first; marks hits as used.

    Of equally long paths the one of the largest summed weight. Returns as `best_paths`, in the
    order found.
    """
    n_nodes, n_edges = len(used), len(source)
    first = np.zeros(n_nodes + 1, np.int64)
    for e in range(n_edges):
        first[source[e] + 1] += 1
    for i in range(n_nodes):
        first[i + 1] += first[i]
    at = first[:-1].copy()
    out = np.empty(n_edges, np.int64)
    for e in range(n_edges):
        out[at[source[e]]] = e
        at[source[e]] += 1
    seen = np.full(n_nodes, -1, np.int64)  # the last start from which a node was reached
    length = np.zeros(n_nodes, np.int32)
    total = np.zeros(n_nodes, np.float32)
    follow = np.empty(n_nodes, np.int32)
    stack = np.empty(n_nodes + 1, np.int64)
    starts = np.zeros(n_nodes + 1, np.int64)
    nodes = np.empty(n_nodes, np.int64)
    score = np.empty(n_nodes, np.float64)
    n_tracks, n_hits = 0, 0
    for e in range(n_edges):
        begin = source[e]
        if used[begin] or seen[begin] == e or out[first[begin]] != e:
            continue
        stack[0], depth = begin, 1
        seen[begin] = e
        at[begin] = first[begin]
        length[begin], total[begin], follow[begin] = 1, 0, -1
        while depth > 0:
            i = stack[depth - 1]
            if at[i] == first[i + 1]:
                depth -= 1
                continue
            q = out[at[i]]
            j = target[q]
            if used[j]:
                at[i] += 1
            elif seen[j] != e:  # come back to this edge when the paths from j are known
                seen[j] = e
                at[j] = first[j]
                length[j], total[j], follow[j] = 1, 0, -1
                stack[depth] = j
                depth += 1
            else:
                at[i] += 1
                better = length[j] + 1 > length[i]
                if better or (length[j] + 1 == length[i] and total[j] + weight[q] > total[i]):
                    length[i] = length[j] + 1
                    total[i] = total[j] + weight[q]
                    follow[i] = j
        used[begin] = True
        if length[begin] < min_hits:
            continue
        x = begin
        while x >= 0:
            nodes[n_hits] = x
            used[x] = True
            n_hits += 1
            x = follow[x]
        score[n_tracks] = total[begin] / (length[begin] - 1)
        n_tracks += 1
        starts[n_tracks] = n_hits
    return starts[: n_tracks + 1].copy(), nodes[:n_hits].copy(), score[:n_tracks].copy()


@njit(**JIT)
def with_overlaps(starts, nodes, used, hit, layer, module, sign, cell_start, barrel, along,
                  windows):  # fmt: skip
    """Offsets and nodes of the same tracks with unused hits of overlapping modules attached."""
    n_tracks = len(starts) - 1
    new_starts = np.zeros(n_tracks + 1, np.int64)
    new_nodes = np.empty(len(used), np.int64)
    extra = np.empty(256, np.int32)
    at = 0
    for t in range(n_tracks):
        chain = nodes[starts[t] : starts[t + 1]]
        new_nodes[at : at + len(chain)] = chain
        at += len(chain)
        if len(chain) <= 64:  # longer ones are no tracks
            n = attach_overlaps(
                hit, layer, module, sign, cell_start, barrel, along, windows, used,
                chain.astype(np.int32), extra,
            )  # fmt: skip
            new_nodes[at : at + n] = extra[:n]
            at += n
        new_starts[t + 1] = at
    return new_starts, new_nodes[:at].copy()
