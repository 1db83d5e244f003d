"""How well each edge is continued by other edges: features that a filter cannot make itself."""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import CX, CY, JIT, PHI, R, X, Y, Z, triplet_geometry
from trkx.plugin.graph import Graph
from trkx.plugin.triplets import group_by

SUPPORT_FEATURES = 4
NOT_CONTINUED = 5.0  # value of the first two where there is no continuation at all
# A residual of 1: mm, and mm per mm of the longer leg (scattering grows with it).
TRANSVERSE, LONGITUDINAL, PER_LENGTH = 0.1, 0.5, 0.004
SHORTEST_LEG = 30.0  # mm; pairs in the overlap of two modules have no direction


@njit(**JIT)
def _support(hit, source, target, out_offset, out_order, in_offset, in_order, shortest):
    n_edges = len(source)
    best = np.full((n_edges, 2), np.float32(1e10), np.float32)
    count = np.zeros((n_edges, 2), np.float32)
    length = np.empty(n_edges, np.float32)
    for e in range(n_edges):
        i, j = source[e], target[e]
        dx, dy, dz = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y], hit[j, Z] - hit[i, Z]
        length[e] = np.sqrt(dx * dx + dy * dy + dz * dz)
    one = np.float32(1.0)
    for j in range(len(hit)):
        for p in range(in_offset[j], in_offset[j + 1]):
            e1 = in_order[p]
            if length[e1] < shortest:
                continue
            i = source[e1]
            for q in range(out_offset[j], out_offset[j + 1]):
                e2 = out_order[q]
                if length[e2] < shortest:
                    continue
                k = target[e2]
                flat = abs(hit[k, Z] - hit[i, Z]) < abs(hit[k, R] - hit[i, R])
                t, a, _ = triplet_geometry(hit, i, j, k, one, flat)
                leg = np.float32(PER_LENGTH) * max(length[e1], length[e2])
                t /= np.float32(TRANSVERSE) + leg
                a /= np.float32(LONGITUDINAL) + leg
                value = t * t + a * a
                best[e1, 0] = min(best[e1, 0], value)
                best[e2, 1] = min(best[e2, 1], value)
                if value < 9:
                    count[e1, 0] += 1
                    count[e2, 1] += 1
    return best, count


def edge_support(graph: Graph) -> np.ndarray:
    """Features of all edges from the triplets they form with others.

    A triplet of edges (a, b) and (b, c) has residuals of b from the helix through the beam line,
    a and c, across and along; they are divided by what scattering and resolution of a 1 GeV
    particle make, and squared and summed. Edges shorter than an overlap form none.

    Args:
        graph: N nodes with r, phi, z (mm, rad), and E edges.

    Returns:
        (E, 4) float32: logarithm to base 10 of the best value outward and inward
        (`NOT_CONTINUED` without any, -3 at least), and the logarithm of 1 + the number of
        continuations below 9, outward and inward.
    """
    r, phi, x, y, z = graph.features(("r", "phi", "x", "y", "z")).T
    hit = np.zeros((graph.n_nodes, 10), np.float32)
    hit[:, X], hit[:, Y], hit[:, Z], hit[:, PHI] = x, y, z, phi
    hit[:, R] = np.maximum(r, np.float32(1e-3))
    hit[:, CX], hit[:, CY] = x / hit[:, R] ** 2, y / hit[:, R] ** 2
    source, target = (np.ascontiguousarray(i) for i in graph.edge_index)
    n = graph.n_nodes
    best, count = _support(
        hit, source, target, *group_by(source, n), *group_by(target, n), np.float32(SHORTEST_LEG)
    )
    value = np.log10(np.maximum(best, np.float32(1e-3)))
    value[best >= 1e9] = NOT_CONTINUED
    return np.concatenate([np.minimum(value, NOT_CONTINUED), np.log1p(count)], axis=1)
