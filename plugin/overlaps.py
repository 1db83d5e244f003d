"""Hits of overlapping modules, which the doublet graph leaves out of a track.

Where modules of one layer overlap, a particle leaves up to four hits a few millimetres apart. The
graph joins layers, so a chain takes one of them; the others have nearly the same residual to the
helix through the neighbouring hits, because multiple scattering there moves all of them alike.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, PHI, R, X, Y, Z, triplet_geometry
from trkx.plugin.hit_table import N_ALONG, N_PHI

MAX_PER_HIT = 3  # hits that join one hit of the chain
_TWO_PI = np.float32(2 * np.pi)


@njit(inline="always", **JIT)
def _residuals(hit, first, second, mode, h, s, along_z):
    """Residuals of hit h as the middle (mode 0), inner (1) or outer (2) hit of a triplet."""
    if mode == 0:
        return triplet_geometry(hit, first, h, second, s, along_z)
    if mode == 1:
        return triplet_geometry(hit, h, first, second, s, along_z)
    return triplet_geometry(hit, first, second, h, s, along_z)


@njit(**JIT)
def nearest_overlap(hit, layer, module, cell_start, barrel, along, windows, used, m, first, second,
                    mode, s):  # fmt: skip
    """The unused hit that overlaps hit m of a chain best, -1: none.

    `first` and `second` are the hits of the chain that define the helix, see `_residuals`.
    """
    own = layer[m]
    w_t, w_a = windows[own, mode, 0], windows[own, mode, 1]
    if w_t <= 0:
        return -1
    reach = windows[own, mode, 2]
    middle = m if mode == 0 else (first if mode == 1 else second)
    along_z = barrel[layer[middle]]
    scale = np.float32(N_ALONG) / (along[own, 1] - along[own, 0])
    v = hit[m, Z] if barrel[own] else hit[m, R]
    a_lo = max(int((v - reach - along[own, 0]) * scale), 0)
    a_hi = min(int((v + reach - along[own, 0]) * scale), N_ALONG - 1)
    width = reach / hit[m, R]
    b_lo = int(np.floor((hit[m, PHI] - width + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
    b_hi = int(np.floor((hit[m, PHI] + width + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
    b_hi = min(b_hi, b_lo + N_PHI - 1)
    best, found = np.float32(1.0), -1
    t0, a0 = np.float32(0), np.float32(0)
    alone = True  # few hits have another one within reach: only those need residuals
    for a in range(a_lo, a_hi + 1):
        base = (own * N_ALONG + a) * N_PHI
        # Cells that follow each other in azimuth do so in the table; the range may wrap around.
        for part in range(2):
            if part == 0:
                first_cell, last_cell = max(b_lo, 0), min(b_hi, N_PHI - 1)
            elif b_lo < 0:
                first_cell, last_cell = b_lo + N_PHI, N_PHI - 1
            elif b_hi >= N_PHI:
                first_cell, last_cell = 0, b_hi - N_PHI
            else:
                break
            for h in range(cell_start[base + first_cell], cell_start[base + last_cell + 1]):
                if used[h] or module[h] == module[m]:
                    continue
                dx = hit[h, X] - hit[m, X]
                dy = hit[h, Y] - hit[m, Y]
                dz = hit[h, Z] - hit[m, Z]
                if dx * dx + dy * dy + dz * dz > reach * reach:
                    continue
                if alone:
                    t0, a0, _ = _residuals(hit, first, second, mode, m, s, along_z)
                    alone = False
                t1, a1, _ = _residuals(hit, first, second, mode, h, s, along_z)
                dt, da = (t1 - t0) / w_t, (a1 - a0) / w_a
                chi2 = dt * dt + da * da
                if chi2 < best:
                    best = chi2
                    found = h
    return found


@njit(**JIT)
def attach_overlaps(hit, layer, module, sign, cell_start, barrel, along, windows, used, chain, out):
    """Mark the hits that overlap a chain (n,) as used, and write them to `out`; returns how many.

    Two hits of one module are never on one track.
    """
    n = len(chain)
    count = 0
    if n < 3:
        return count
    s = sign[chain[0]]
    for q in range(n):
        if q == 0:
            mode, first, second = 1, chain[1], chain[2]
        elif q == n - 1:
            mode, first, second = 2, chain[n - 3], chain[n - 2]
        else:
            mode, first, second = 0, chain[q - 1], chain[q + 1]
        begin = count
        for _ in range(MAX_PER_HIT):
            h = nearest_overlap(
                hit, layer, module, cell_start, barrel, along, windows, used, chain[q], first,
                second, mode, s,
            )  # fmt: skip
            if h < 0:
                break
            used[h] = True
            twin = False
            for x in range(begin, count):
                twin = twin or module[out[x]] == module[h]
            if twin:
                used[h] = False
                break
            out[count] = h
            count += 1
    return count
