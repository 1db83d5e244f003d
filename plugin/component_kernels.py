"""Connected components and their hits, compiled: linear in the edges and nodes."""

from __future__ import annotations

import numpy as np
from numba import njit

JIT = {"cache": True, "nogil": True, "error_model": "numpy"}
_LONG = 48  # tracks of fewer hits are sorted by insertion


@njit(**JIT)
def connected_labels(source, target, mask, n_nodes):
    """(N,) int32 component of every node on the edges of `mask`, and their number.

    Components are numbered by their lowest node. Union-find; as roots are always the lowest node,
    one pass upward at the end finds all labels.

    References: Tarjan, J. ACM 22, 215 (1975), doi:10.1145/321879.321884.
    """
    parent = np.arange(n_nodes).astype(np.int32)
    for e in range(len(source)):
        if not mask[e]:
            continue
        a, b = source[e], target[e]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    count = 0
    for i in range(n_nodes):
        if parent[i] == i:
            parent[i] = count
            count += 1
        else:
            parent[i] = parent[parent[i]]
    return parent, count


@njit(**JIT)
def component_sums(source, target, mask, probability, label, n_labels):
    """Nodes (C,), edges (C,) and summed probability (C,) of components, and whether (C,) branched.

    A component is branched when one of its nodes has several edges inward or several outward.
    """
    size = np.zeros(n_labels, np.int64)
    for i in range(len(label)):
        size[label[i]] += 1
    degree = np.zeros((len(label), 2), np.uint8)
    n_edges = np.zeros(n_labels, np.int64)
    total = np.zeros(n_labels, np.float64)
    branched = np.zeros(n_labels, np.bool_)
    for e in range(len(source)):
        if not mask[e]:
            continue
        a, b = source[e], target[e]
        c = label[a]
        n_edges[c] += 1
        total[c] += probability[e]
        if degree[a, 1] or degree[b, 0]:
            branched[c] = True
        degree[a, 1] = 1
        degree[b, 0] = 1
    return size, n_edges, total, branched


@njit(**JIT)
def group_nodes(label, keep):
    """Offsets (T+1,) int64 and nodes of the components where `keep` (C,) is True, in their order.

    The nodes of a component ascend.
    """
    new = np.empty(len(keep), np.int64)
    n_kept = 0
    for c in range(len(keep)):
        new[c] = n_kept if keep[c] else -1
        n_kept += keep[c]
    starts = np.zeros(n_kept + 1, np.int64)
    for i in range(len(label)):
        t = new[label[i]]
        if t >= 0:
            starts[t + 1] += 1
    for t in range(n_kept):
        starts[t + 1] += starts[t]
    at = starts[:-1].copy()
    nodes = np.empty(starts[n_kept], np.int64)
    for i in range(len(label)):
        t = new[label[i]]
        if t >= 0:
            nodes[at[t]] = i
            at[t] += 1
    return starts, nodes


@njit(**JIT)
def sort_outward(starts, nodes, distance):
    """Sort the nodes of every track by their `distance` (N,), in place; equal ones stay."""
    for t in range(len(starts) - 1):
        begin, end = starts[t], starts[t + 1]
        if end - begin >= _LONG:
            own = nodes[begin:end].copy()
            nodes[begin:end] = own[np.argsort(distance[own], kind="mergesort")]
            continue
        for i in range(begin + 1, end):
            node = nodes[i]
            d = distance[node]
            j = i
            while j > begin and distance[nodes[j - 1]] > d:
                nodes[j] = nodes[j - 1]
                j -= 1
            nodes[j] = node


@njit(**JIT)
def best_edge_mask(source, target, mask, score, n_nodes):
    """(E,) bool: of `mask`, the edges that are best both of those out of their source and of those
    into their target; of equal ones the first."""
    best_out = np.full(n_nodes, -1, np.int32)
    best_in = np.full(n_nodes, -1, np.int32)
    for e in range(len(source)):
        if not mask[e]:
            continue
        a, b = source[e], target[e]
        if best_out[a] < 0 or score[e] > score[best_out[a]]:
            best_out[a] = e
        if best_in[b] < 0 or score[e] > score[best_in[b]]:
            best_in[b] = e
    keep = np.zeros(len(source), np.bool_)
    for i in range(n_nodes):
        e = best_out[i]
        if e >= 0 and best_in[target[e]] == e:
            keep[e] = True
    return keep
