"""Triplets that continue: two that share a doublet must bend alike, and no more than allowed.

A triplet of neighbouring layers measures its curvature poorly, four hits in a row do so better. The
test needs no beam line, so that windows may be wide enough for displaced decays without more
triplets in the end.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, X, Y, triplet_curvature

# Entries of `LayerMap.chains`.
CHANGE_MAX, CURVATURE_MAX = range(2)

# Errors by which changes of curvature are scaled before their limit is learned.
POSITION = np.float32(0.05)  # mm, of a hit
SCATTERING = np.float32(2e-3)  # rad, in a layer
ALLOWANCE = np.float32(0.5)  # errors by which a chain may bend more than it seems to


@njit(inline="always", **JIT)
def curvature_and_variance(hit, i, j, k):
    """Signed curvature (1/mm) of the circle through three hits, and its variance."""
    ax, ay = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y]
    bx, by = hit[k, X] - hit[j, X], hit[k, Y] - hit[j, Y]
    a = np.float32(1) / np.sqrt(max(ax * ax + ay * ay, np.float32(1e-6)))
    b = np.float32(1) / np.sqrt(max(bx * bx + by * by, np.float32(1e-6)))
    half = np.float32(2) * a * b / (a + b)  # 2 / (length of both)
    kink = POSITION * POSITION * (a * a + b * b + (a + b) * (a + b)) + SCATTERING * SCATTERING
    return triplet_curvature(hit, i, j, k), kink * half * half


@njit(inline="always", **JIT)
def agreement(first, first_variance, second, second_variance):
    """Change of curvature in units of its error, and the least curvature (1/mm) of both."""
    error = np.sqrt(first_variance + second_variance)
    low = abs(first + second) * np.float32(0.5) - ALLOWANCE * error
    return abs(first - second) / error, low


@njit(**JIT)
def quadruplet_table(hit, i, j, k, m):
    """(Q, 2) float32: `agreement` of the triplets (i, j, k) and (j, k, m)."""
    out = np.empty((len(i), 2), np.float32)
    for q in range(len(i)):
        first, v1 = curvature_and_variance(hit, i[q], j[q], k[q])
        second, v2 = curvature_and_variance(hit, j[q], k[q], m[q])
        out[q, 0], out[q, 1] = agreement(first, v1, second, v2)
    return out


@njit(**JIT)
def continued_triplets(hit, source, target, first, second, limits):
    """(T,) bool: triplets that agree with at least one that they share a doublet with.

    Args:
        hit: the hit table.
        source, target: (E,) hits of the doublets.
        first, second: (T,) doublets of the triplets; those of one first doublet lie together.
        limits: (2,) `LayerMap.chains`.
    """
    n = len(first)
    start = np.full(len(source), -1, np.int32)
    curvature = np.empty(n, np.float32)
    variance = np.empty(n, np.float32)
    for t in range(n):
        a, b = first[t], second[t]
        if start[a] < 0:
            start[a] = t
        curvature[t], variance[t] = curvature_and_variance(hit, source[a], target[a], target[b])
    keep = np.zeros(n, np.bool_)
    for t in range(n):
        e = second[t]
        u = start[e]
        if u < 0:
            continue
        while u < n and first[u] == e:
            change, low = agreement(curvature[t], variance[t], curvature[u], variance[u])
            if change < limits[CHANGE_MAX] and low < limits[CURVATURE_MAX]:
                keep[t] = True
                keep[u] = True
            u += 1
    return keep
