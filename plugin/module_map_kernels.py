"""Doublets and triplets of a module map: the quantities that are cut on, and the search.

As in `geometry_kernels`: after a change of an inlined function, run `make clean`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT

# Columns of the hits, (N, 6) float32; mm and rad.
X, Y, Z, R, PHI, ETA = range(6)
# Rows of the ranges.
Z0, DPHI, PHI_SLOPE, DETA = range(4)
DYDX, DZDR = 8, 9

_PI = np.float32(np.pi)
_TWO_PI = np.float32(2 * np.pi)
_SMALL = np.float32(1e-4)  # mm; below, slopes have no meaning and are 0, as in ModuleMapGraph


@njit(inline="always", **JIT)
def doublet_quantities(hit, i, j):
    """z0, dphi, phi slope and deta of the doublet (i, j)."""
    dphi = hit[j, PHI] - hit[i, PHI]
    if dphi > _PI:
        dphi -= _TWO_PI
    elif dphi < -_PI:
        dphi += _TWO_PI
    dr = hit[j, R] - hit[i, R]
    z0, slope = np.float32(0), np.float32(0)
    if abs(dr) > _SMALL:
        z0 = hit[i, Z] - hit[i, R] * (hit[j, Z] - hit[i, Z]) / dr
        slope = dphi / dr
    return z0, dphi, slope, hit[i, ETA] - hit[j, ETA]


@njit(inline="always", **JIT)
def transverse_slope(hit, i, j, m, turned):
    """dy/dx of the doublet (i, j); `turned`: with the x axis through hit m."""
    dx, dy = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y]
    if turned:
        c, s = hit[m, X] / hit[m, R], hit[m, Y] / hit[m, R]
        dx, dy = dx * c + dy * s, dy * c - dx * s
    return dy / dx if abs(dx) > _SMALL else np.float32(0)


@njit(inline="always", **JIT)
def polar_slope(hit, i, j):
    """dz/dr of the doublet (i, j)."""
    dr = hit[j, R] - hit[i, R]
    return (hit[j, Z] - hit[i, Z]) / dr if abs(dr) > _SMALL else np.float32(0)


@njit(**JIT)
def triplet_quantities(hit, triplet, turned):
    """(T, 10) float32: quantities of the triplets (3, T), columns `module_map.QUANTITIES`."""
    out = np.empty((triplet.shape[1], 10), np.float32)
    for t in range(triplet.shape[1]):
        i, j, k = triplet[0, t], triplet[1, t], triplet[2, t]
        out[t, 0], out[t, 1], out[t, 2], out[t, 3] = doublet_quantities(hit, i, j)
        out[t, 4], out[t, 5], out[t, 6], out[t, 7] = doublet_quantities(hit, j, k)
        inner = transverse_slope(hit, i, j, j, turned)
        out[t, DYDX] = inner - transverse_slope(hit, j, k, j, turned)
        out[t, DZDR] = polar_slope(hit, i, j) - polar_slope(hit, j, k)
    return out


@njit(**JIT)
def search_doublets(hit, cell, bin_start, n_bins, pair_start, pair_outer, windows, capacity):
    """Doublets inside the ranges of their pair of cells.

    Args:
        hit: (N, 6), sorted by cell and bin in azimuth.
        cell: (N,) cell of each hit.
        bin_start: (C * n_bins + 1,) first hit of each bin.
        n_bins: bins in azimuth.
        pair_start, pair_outer: pairs of each cell, and their outer cells.
        windows: (P, 4, 2) ranges.
        capacity: doublets to make room for; the number found may be larger.
    """
    n = len(hit)
    source = np.empty(capacity, np.int32)
    target = np.empty(capacity, np.int32)
    pair = np.empty(capacity, np.int32)
    value = np.empty((capacity, 4), np.float32)
    offset = np.zeros(n + 1, np.int64)
    count = 0
    for i in range(n):
        offset[i] = count
        phi = hit[i, PHI]
        distance = hit[i, R] * hit[i, R] + hit[i, Z] * hit[i, Z]
        for p in range(pair_start[cell[i]], pair_start[cell[i] + 1]):
            w = windows[p]
            base = pair_outer[p] * n_bins
            first = int(np.floor((phi + w[DPHI, 0] + _PI) * (n_bins / _TWO_PI)))
            last = int(np.floor((phi + w[DPHI, 1] + _PI) * (n_bins / _TWO_PI)))
            if last - first >= n_bins - 1:
                first, last = 0, n_bins - 1
            for part in range(2):
                # The azimuth range may wrap around: at most two contiguous pieces.
                if part == 0:
                    low, high = max(first, 0), min(last, n_bins - 1)
                elif first < 0:
                    low, high = first + n_bins, n_bins - 1
                elif last >= n_bins:
                    low, high = 0, last - n_bins
                else:
                    break
                for j in range(bin_start[base + low], bin_start[base + high + 1]):
                    z0, dphi, slope, deta = doublet_quantities(hit, i, j)
                    if dphi < w[DPHI, 0] or dphi > w[DPHI, 1]:
                        continue
                    if deta < w[DETA, 0] or deta > w[DETA, 1]:
                        continue
                    if z0 < w[Z0, 0] or z0 > w[Z0, 1]:
                        continue
                    if slope < w[PHI_SLOPE, 0] or slope > w[PHI_SLOPE, 1]:
                        continue
                    if hit[j, R] * hit[j, R] + hit[j, Z] * hit[j, Z] <= distance:
                        continue
                    if count < capacity:
                        source[count] = i
                        target[count] = j
                        pair[count] = p
                        value[count, Z0] = z0
                        value[count, DPHI] = dphi
                        value[count, PHI_SLOPE] = slope
                        value[count, DETA] = deta
                    count += 1
    offset[n] = count
    return count, source[:count], target[:count], pair[:count], value[:count], offset


@njit(**JIT)
def search_triplets(hit, cell, turned, source, target, pair, value, offset, in_offset, in_order,
                    pair_start, follow_start, follow, windows, capacity):  # fmt: skip
    """Pairs of doublets inside the ranges of their triplet of cells.

    Args:
        hit, cell: as in `search_doublets`.
        turned: frame of dy/dx.
        source, target, pair, value, offset: what `search_doublets` found.
        in_offset, in_order: doublets grouped by their target.
        pair_start: pairs of each cell.
        follow_start: (P,) first entry of each pair in `follow`.
        follow: for each pair, and each pair of its outer cell: the triplet, -1: none.
        windows: (T, 10, 2) ranges.
        capacity: triplets to make room for; the number found may be larger.

    Returns:
        number found, doublets first and second of each, its triplet of cells, and diff_dydx and
        diff_dzdr.
    """
    first = np.empty(capacity, np.int32)
    second = np.empty(capacity, np.int32)
    which = np.empty(capacity, np.int32)
    kink = np.empty((capacity, 2), np.float32)
    n = len(source)
    dzdr = np.empty(n, np.float32)
    before = np.empty(n, np.float32)  # slopes in the frames of the inner and of the outer hit
    after = np.empty(n, np.float32)
    for e in range(n):
        dzdr[e] = polar_slope(hit, source[e], target[e])
        before[e] = transverse_slope(hit, source[e], target[e], target[e], turned)
        after[e] = transverse_slope(hit, source[e], target[e], source[e], turned)
    count = 0
    for j in range(len(hit)):
        base = pair_start[cell[j]]
        for q in range(in_offset[j], in_offset[j + 1]):
            a = in_order[q]
            begin = follow_start[pair[a]] - base
            for b in range(offset[j], offset[j + 1]):
                t = follow[begin + pair[b]]
                if t < 0:
                    continue
                w = windows[t]
                polar = dzdr[a] - dzdr[b]
                if polar < w[DZDR, 0] or polar > w[DZDR, 1]:
                    continue
                bend = before[a] - after[b]
                if bend < w[DYDX, 0] or bend > w[DYDX, 1]:
                    continue
                inside = True
                for k in range(4):
                    inside = inside and w[k, 0] <= value[a, k] <= w[k, 1]
                    inside = inside and w[4 + k, 0] <= value[b, k] <= w[4 + k, 1]
                if not inside:
                    continue
                if count < capacity:
                    first[count] = a
                    second[count] = b
                    which[count] = t
                    kink[count, 0] = bend
                    kink[count, 1] = polar
                count += 1
    return count, first[:count], second[:count], which[:count], kink[:count]
