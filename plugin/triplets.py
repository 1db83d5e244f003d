"""Triplets: doublets that share a hit and lie on one helix from the beam line, within windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, polar_angle, triplet_curvature, triplet_geometry
from trkx.plugin.hit_table import HitTable
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.workers import joined, run, with_room


@njit(**JIT)
def group_by(values, n):
    """Counting sort: offsets (n+1,) and positions ordered by `values` in 0…n-1, stable."""
    offset = np.zeros(n + 1, np.int64)
    for v in values:
        offset[v + 1] += 1
    for i in range(n):
        offset[i + 1] += offset[i]
    cursor = offset[:-1].copy()
    order = np.empty(len(values), np.int32)
    for e in range(len(values)):
        v = values[e]
        order[cursor[v]] = e
        cursor[v] += 1
    return offset, order


@njit(**JIT)
def _polar_angles(begin, end, hit, source, target, theta):
    for e in range(begin, end):
        theta[e] = polar_angle(hit, source[e], target[e])


@njit(**JIT)
def _sort_by_angle(theta, start, n, ordered, angle):
    """The n doublets from `start` on, by polar angle: insertion sort, as they are few."""
    for x in range(n):
        value = theta[start + x]
        y = x
        while y > 0 and angle[y - 1] > value:
            ordered[y] = ordered[y - 1]
            angle[y] = angle[y - 1]
            y -= 1
        ordered[y] = start + x
        angle[y] = value


@njit(**JIT)
def _find(begin, end, theta, hit, layer, sign, source, target, pair, offset, in_offset, in_order,
          windows, kinks, barrel, mirror, capacity):  # fmt: skip
    first = np.empty(capacity, np.int32)
    second = np.empty(capacity, np.int32)
    value = np.empty((capacity, 4), np.float32)
    most = 0
    for j in range(begin, end):
        most = max(most, offset[j + 1] - offset[j])
    ordered = np.empty(most, np.int32)
    angle = np.empty(most, np.float32)
    count = 0
    for j in range(begin, end):
        n = offset[j + 1] - offset[j]
        if n == 0 or in_offset[j] == in_offset[j + 1]:
            continue
        _sort_by_angle(theta, offset[j], n, ordered, angle)
        along_z = barrel[layer[j]]
        for q in range(in_offset[j], in_offset[j + 1]):
            e1 = in_order[q]
            i = source[e1]
            s = sign[i]
            p = pair[e1]
            low, high = theta[e1] - kinks[p], theta[e1] + kinks[p]
            x, stop = 0, n
            while x < stop:
                middle = (x + stop) // 2
                if angle[middle] < low:
                    x = middle + 1
                else:
                    stop = middle
            while x < n and angle[x] <= high:
                e2, kink = ordered[x], abs(angle[x] - theta[e1])
                x += 1
                k = target[e2]
                c = layer[k] if s > 0 else mirror[layer[k]]
                w = windows[p, c]
                if w[1] < 0 or kink > w[5]:
                    continue
                curvature = triplet_curvature(hit, i, j, k) / w[4]
                if abs(curvature) > 1:
                    continue
                t, a, kappa = triplet_geometry(hit, i, j, k, s, along_z)
                dt = (t - w[0]) / w[1]
                da = (a - w[2]) / w[3]
                if abs(dt) <= 1 and abs(da) <= 1:
                    if count < capacity:
                        first[count] = e1
                        second[count] = e2
                        value[count, 0] = dt
                        value[count, 1] = da
                        value[count, 2] = kappa
                        value[count, 3] = curvature
                    count += 1
    return count, first[:count], second[:count], value[:count]


def find_triplets(
    table: HitTable,
    layer_map: LayerMap,
    source: np.ndarray,
    target: np.ndarray,
    pair: np.ndarray,
    offset: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of consecutive doublets inside the map's triplet windows.

    Args:
        table, layer_map: hits and map.
        source, target, pair, offset: doublets sorted by source, see `find_doublets`.

    Returns:
        first (T,) and second (T,) int32, rows of the doublets, sorted by the shared hit; value
        (T, 4) float32: transverse residual and residual along in units of the window's half
        width, about its centre, signed kappa in 1/mm, and signed curvature in units of the
        largest allowed.
    """
    in_offset, in_order = group_by(target, len(table))
    layers = layer_map.layers
    # Per pair of the inner doublet the largest kink that any outer layer allows; the kink rejects
    # most candidates, and by it they can be looked up.
    windows = layer_map.triplets
    kinks = np.where(windows[:, :, 1] < 0, 0, windows[:, :, 5]).max(axis=1)
    theta = np.empty(len(source), np.float32)
    run(_polar_angles, len(source), table.hit, source, target, theta)
    found = run(
        _find_all, len(table), theta, table.hit, table.layer, table.sign, source, target, pair,
        offset, in_offset, in_order, layer_map.triplets, kinks, layers.barrel, layers.mirror,
    )  # fmt: skip
    first, second, value = (joined([part[k] for part in found]) for k in range(3))
    return first, second, value


def _find_all(begin: int, end: int, *arguments: Any) -> tuple[np.ndarray, ...]:
    """Triplets about the middle hits begin…end, in arrays that are large enough."""
    return with_room(_find, begin, end, 16, *arguments)


@njit(**JIT)
def path_lengths(order, first_offset, first_order, first, second):
    """Longest chains of doublets through each doublet: a cellular automaton in one sweep each way.

    Args:
        order: (E,) doublets in an order in which each follows all its predecessors.
        first_offset, first_order: triplets grouped by their second doublet.
        first, second: (T,) doublets of each triplet.

    Returns:
        inward, outward: (E,) int16; doublets on the longest chain that ends, starts here.
    """
    n = len(order)
    inward = np.ones(n, np.int16)
    outward = np.ones(n, np.int16)
    for q in range(n):
        e = order[q]
        for x in range(first_offset[e], first_offset[e + 1]):
            length = inward[first[first_order[x]]] + 1
            if length > inward[e]:
                inward[e] = length
    for q in range(n - 1, -1, -1):
        e = order[q]
        for x in range(first_offset[e], first_offset[e + 1]):
            f = first[first_order[x]]
            if outward[e] + 1 > outward[f]:
                outward[f] = outward[e] + 1
    return inward, outward
