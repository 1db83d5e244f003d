"""Triplets of hits on one helix, wherever it comes from, and the chains that they form.

The layer map's own triplets are on circles through the beam line. Tracks of displaced decays are
not: here a triplet is bounded by the curvature of its own three hits and by how straight it is
along the helix, and two consecutive triplets by how much their curvatures differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, X, Y, Z, triplet_curvature
from trkx.plugin.hit_table import HitTable
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.triplets import group_by
from trkx.plugin.workers import joined, run, with_room

# Columns of `LayerMap.free`.
ALONG_MAX, CURVATURE_MAX, CHANGE_MAX = range(3)


@njit(inline="always", **JIT)
def residual_along(hit, i, j, k, curvature, along_z):
    """Residual (mm) of hit j to the helix through i and k, in z (`along_z`) or in arc length."""
    ax, ay = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y]
    bx, by = hit[k, X] - hit[j, X], hit[k, Y] - hit[j, Y]
    a2, b2 = ax * ax + ay * ay, bx * bx + by * by
    # Arc from chord, to second order in the curvature.
    bend = curvature * curvature * np.float32(1.0 / 24.0)
    a = np.sqrt(a2) * (np.float32(1) + bend * a2)
    b = np.sqrt(b2) * (np.float32(1) + bend * b2)
    dz = hit[k, Z] - hit[i, Z]
    if along_z:
        return hit[j, Z] - hit[i, Z] - dz * a / max(a + b, np.float32(1e-3))
    if abs(dz) < np.float32(1e-3):
        return np.float32(1e6)
    return a - (a + b) * (hit[j, Z] - hit[i, Z]) / dz


@njit(**JIT)
def free_triplet_table(hit, barrel, layer, i, j, k):
    """(T, 2) float32: residual along and signed curvature of triplets of hits."""
    out = np.empty((len(i), 2), np.float32)
    for t in range(len(i)):
        out[t, 1] = triplet_curvature(hit, i[t], j[t], k[t])
        out[t, 0] = residual_along(hit, i[t], j[t], k[t], out[t, 1], barrel[layer[j[t]]])
    return out


@njit(**JIT)
def _steepness(hit, source, target, along_z, edges, slope, inverse, bow):
    """Slope of doublets in r-z, dz/ds at a hit of a barrel and ds/dz at one of a disc.

    Also one over their lengths in s or z, and how much a bend changes a residual, for a squared
    curvature of 24; returns one over the shortest length.
    """
    most = np.float32(0)
    for x in range(len(edges)):
        i, j = source[edges[x]], target[edges[x]]
        dx, dy = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y]
        ds, dz = np.sqrt(dx * dx + dy * dy), hit[j, Z] - hit[i, Z]
        if along_z:
            inverse[x] = np.float32(1) / max(ds, np.float32(1e-3))
            slope[x] = dz * inverse[x]
            bow[x] = ds * ds * abs(dz)
        else:
            inverse[x] = np.float32(1) / max(abs(dz), np.float32(1e-3))
            slope[x] = (ds if dz >= 0 else -ds) * inverse[x]
            bow[x] = ds * ds * ds
        most = max(most, inverse[x])
    return most


@njit(**JIT)
def _find(begin, end, hit, layer, sign, source, target, pair, offset, in_offset, in_order, windows,
          reach, barrel, mirror, capacity):  # fmt: skip
    first = np.empty(capacity, np.int32)
    second = np.empty(capacity, np.int32)
    value = np.empty((capacity, 2), np.float32)
    most = 1
    for j in range(begin, end):
        most = max(most, in_offset[j + 1] - in_offset[j], offset[j + 1] - offset[j])
    slope_in, slope_out = np.empty(most, np.float32), np.empty(most, np.float32)
    inverse_in, inverse_out = np.empty(most, np.float32), np.empty(most, np.float32)
    bow_in, bow_out = np.empty(most, np.float32), np.empty(most, np.float32)
    outs = np.empty(most, np.int32)
    slack = np.float32(1.01)  # for rounding
    count = 0
    for j in range(begin, end):
        n_in, n_out = in_offset[j + 1] - in_offset[j], offset[j + 1] - offset[j]
        if n_in == 0 or n_out == 0:
            continue
        along_z = barrel[layer[j]]
        ins = in_order[in_offset[j] : in_offset[j + 1]]
        for x in range(n_out):
            outs[x] = offset[j] + x
        short_in = _steepness(hit, source, target, along_z, ins, slope_in, inverse_in, bow_in)
        short_out = _steepness(
            hit, source, target, along_z, outs[:n_out], slope_out, inverse_out, bow_out
        )
        # Only doublets of nearly the same slope can be on one helix: the outer ones are sorted.
        # A residual is the difference of slopes divided by the sum of the inverse lengths, but for
        # the bend, which matters for long doublets only: not to the first, coarse selection.
        by_slope = np.argsort(slope_out[:n_out])
        sorted_out = slope_out[:n_out][by_slope]
        for q in range(n_in):
            e1 = ins[q]
            i = source[e1]
            p = pair[e1]
            folded = sign[i] > 0
            width = np.float32(1.1) * reach[p] * (short_in + short_out)
            for x in range(np.searchsorted(sorted_out, slope_in[q] - width), n_out):
                difference = abs(sorted_out[x] - slope_in[q])
                if sorted_out[x] - slope_in[q] > width:
                    break
                e2 = by_slope[x]
                k = target[offset[j] + e2]
                w = windows[p, layer[k] if folded else mirror[layer[k]]]
                allowed = slack * (w[0] + w[1] * w[1] / 24 * (bow_in[q] + bow_out[e2]))
                if difference > allowed * (inverse_in[q] + inverse_out[e2]):
                    continue
                curvature = triplet_curvature(hit, i, j, k)
                if abs(curvature) > w[1]:
                    continue
                along = residual_along(hit, i, j, k, curvature, along_z)
                if abs(along) > w[0]:
                    continue
                if count < capacity:
                    first[count] = e1
                    second[count] = offset[j] + e2
                    value[count, 0] = along / w[0]
                    value[count, 1] = curvature
                count += 1
    return count, first[:count], second[:count], value[:count]


def _find_all(begin: int, end: int, *arguments: Any) -> tuple[np.ndarray, ...]:
    """Triplets about the middle hits begin…end, in arrays that are large enough."""
    return with_room(_find, begin, end, 16, *arguments)


def find_free_triplets(
    table: HitTable,
    layer_map: LayerMap,
    source: np.ndarray,
    target: np.ndarray,
    pair: np.ndarray,
    offset: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of consecutive doublets inside the windows `LayerMap.free`.

    Args:
        table, layer_map: hits and map.
        source, target, pair, offset: doublets sorted by source, see `find_doublets`.

    Returns:
        first (T,) and second (T,) int32, rows of the doublets, sorted by the shared hit; value
        (T, 2) float32: residual along in units of the largest allowed, signed curvature in 1/mm.
    """
    in_offset, in_order = group_by(target, len(table))
    layers = layer_map.layers
    reach = layer_map.free[..., ALONG_MAX].max(axis=1)
    found = run(
        _find_all, len(table), table.hit, table.layer, table.sign, source, target, pair, offset,
        in_offset, in_order, layer_map.free, reach, layers.barrel, layers.mirror,
    )  # fmt: skip
    first, second, value = (joined([part[k] for part in found]) for k in range(3))
    return first, second, value


@njit(**JIT)
def chain_lengths(order, first, second, curvature, change_max, in_offset, in_order):
    """Longest chains through each triplet, of triplets that share a doublet and agree.

    Args:
        order: (T,) triplets in an order in which each follows all that end where it starts.
        first, second: (T,) doublets of each triplet.
        curvature, change_max: (T,) of each triplet, and by how much the next one's may differ.
        in_offset, in_order: triplets grouped by their second doublet.

    Returns:
        inward, outward: (T,) int16; triplets on the longest chain that ends, starts here; best
        (T,) float32: smallest change of curvature to a neighbour on a chain, in units of the
        largest allowed, 2: none.
    """
    n = len(order)
    inward, outward = np.ones(n, np.int16), np.ones(n, np.int16)
    best = np.full(n, 2, np.float32)
    for q in range(n):
        t = order[q]
        e = first[t]
        for x in range(in_offset[e], in_offset[e + 1]):
            u = in_order[x]
            change = abs(curvature[u] - curvature[t]) / change_max[u]
            if change <= 1:
                inward[t] = max(inward[t], inward[u] + 1)
                best[t], best[u] = min(best[t], change), min(best[u], change)
    for q in range(n - 1, -1, -1):
        t = order[q]
        e = first[t]
        for x in range(in_offset[e], in_offset[e + 1]):
            u = in_order[x]
            if abs(curvature[u] - curvature[t]) <= change_max[u]:
                outward[u] = max(outward[u], outward[t] + 1)
    return inward, outward, best


@njit(**JIT)
def median_curvatures(hit, starts, nodes):
    """(T,) float32: median curvature (1/mm) of triplets that span two thirds of each track.

    One wrong hit changes a circle through three hits at will, but not the median of several.

    Args:
        hit: (N, N_COLUMNS) table of hits.
        starts: (T+1,) offsets into `nodes`.
        nodes: hits of the tracks, ordered outward; three at least.
    """
    out = np.empty(len(starts) - 1, np.float32)
    for t in range(len(out)):
        track = nodes[starts[t] : starts[t + 1]]
        n = len(track)
        k = max(n // 3, 1)
        curvature = np.empty(k, np.float32)
        for x in range(k):
            middle = track[(n - k) // 2 + x]
            curvature[x] = triplet_curvature(hit, track[x], middle, track[n - k + x])
        out[t] = abs(np.median(curvature))
    return out
