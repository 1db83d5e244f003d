"""Doublets: pairs of hits on connected layers that the layer map's windows allow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import (
    CX,
    CY,
    JIT,
    PHI,
    R,
    X,
    Y,
    Z,
    doublet_geometry,
    shape_allows,
)
from trkx.plugin.hit_table import N_ALONG, N_PHI, HitTable
from trkx.plugin.layer_map import (
    ALONG_HIGH,
    ALONG_LOW,
    KAPPA_MAX,
    PHI_MAX,
    Z0_HIGH,
    Z0_LOW,
    LayerMap,
)
from trkx.plugin.workers import joined, joined_offsets, run, with_room

_TWO_PI = np.float32(2 * np.pi)


@njit(**JIT)
def _along_range(r, z, z0_low, z0_high, barrel, low, high):
    """Position along the outer layer that z0 in [z0_low, z0_high] allows.

    (low, high) is the outer layer's extent across, in r for a barrel and in z for a disc.
    """
    first, last = np.float32(1e9), np.float32(-1e9)
    for a in range(2):
        z0 = z0_low if a == 0 else z0_high
        for b in range(2):
            across = low if b == 0 else high
            if barrel:
                v = z + (z - z0) * (across - r) / r
            else:
                dz = z - z0
                if dz < np.float32(1.0):
                    # The line runs away from the disc: nothing bounds r from above.
                    v = np.float32(1e9) if across > z else r
                else:
                    v = r + (across - z) * r / dz
            first = min(first, v)
            last = max(last, v)
    return first, last


@njit(**JIT)
def _find(
    begin, end, hit, layer, sign, cell_start, edges, windows, pair_outer, pair_start, barrel,
    mirror, along, across, capacity,
):  # fmt: skip
    source = np.empty(capacity, np.int32)
    target = np.empty(capacity, np.int32)
    pair = np.empty(capacity, np.int16)
    offset = np.zeros(end - begin + 1, np.int64)
    count = 0
    for i in range(begin, end):
        offset[i - begin] = count
        s = sign[i]
        inner = layer[i] if s > 0 else mirror[layer[i]]
        r, z, phi = hit[i, R], s * hit[i, Z], hit[i, PHI]
        position = z if barrel[inner] else r
        distance = r * r + z * z
        for p in range(pair_start[inner], pair_start[inner + 1]):
            folded = pair_outer[p]
            outer = folded if s > 0 else mirror[folded]
            k = 0
            while position >= edges[p, k + 1]:
                k += 1
            w = windows[p, k]
            lo = across[outer, 0] if (barrel[outer] or s > 0) else -across[outer, 1]
            hi = across[outer, 1] if (barrel[outer] or s > 0) else -across[outer, 0]
            v_lo, v_hi = _along_range(r, z, w[Z0_LOW], w[Z0_HIGH], barrel[outer], lo, hi)
            v_lo = max(v_lo, w[ALONG_LOW])
            v_hi = min(v_hi, w[ALONG_HIGH])
            if barrel[outer] and s < 0:
                v_lo, v_hi = -v_hi, -v_lo
            scale = np.float32(N_ALONG) / (along[outer, 1] - along[outer, 0])
            a_lo = max(int((v_lo - along[outer, 0]) * scale), 0)
            a_hi = min(int((v_hi - along[outer, 0]) * scale), N_ALONG - 1)
            dphi_max = w[PHI_MAX]
            kappa_max = w[KAPPA_MAX]
            p_lo = int(np.floor((phi - dphi_max + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
            p_hi = int(np.floor((phi + dphi_max + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
            if p_hi - p_lo >= N_PHI:
                p_lo, p_hi = 0, N_PHI - 1
            for a in range(a_lo, a_hi + 1):
                base = (outer * N_ALONG + a) * N_PHI
                for part in range(2):
                    # The azimuth range may wrap around: at most two contiguous pieces.
                    if part == 0:
                        b_lo, b_hi = max(p_lo, 0), min(p_hi, N_PHI - 1)
                    elif p_lo < 0:
                        b_lo, b_hi = p_lo + N_PHI, N_PHI - 1
                    elif p_hi >= N_PHI:
                        b_lo, b_hi = 0, p_hi - N_PHI
                    else:
                        break
                    for j in range(cell_start[base + b_lo], cell_start[base + b_hi + 1]):
                        kappa, z0 = doublet_geometry(hit, i, j, s)
                        if abs(kappa) > kappa_max or z0 < w[Z0_LOW] or z0 > w[Z0_HIGH]:
                            continue
                        # Points on opposite sides of the beam line lie on such circles too.
                        if hit[i, CX] * hit[j, CX] + hit[i, CY] * hit[j, CY] < 0:
                            continue
                        if hit[j, R] * hit[j, R] + hit[j, Z] * hit[j, Z] <= distance:
                            continue
                        dx = hit[j, X] - hit[i, X]
                        dy = hit[j, Y] - hit[i, Y]
                        dz = hit[j, Z] - hit[i, Z]
                        if not shape_allows(hit, i, dx, dy, dz):
                            continue
                        if not shape_allows(hit, j, dx, dy, dz):
                            continue
                        if count < capacity:
                            source[count] = i
                            target[count] = j
                            pair[count] = p
                        count += 1
    offset[end - begin] = count
    return count, source[:count], target[:count], pair[:count], offset


def find_doublets(
    table: HitTable, layer_map: LayerMap, per_hit: int = 16
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All doublets inside the map's windows.

    Args:
        table, layer_map: hits and map.
        per_hit: room that is made for doublets at first; where it is too small, they are searched
            for again.

    Returns:
        source (E,) int32 and target (E,) int32 rows of the table, sorted by source; pair (E,)
        int16, layer pair of the map; offset (N+1,) int64, first doublet of each source.
    """
    layers = layer_map.layers
    found = run(
        _find_all, len(table), per_hit, table.hit, table.layer, table.sign, table.cell_start,
        layer_map.edges, layer_map.windows, layer_map.pair_outer, layer_map.pair_start,
        layers.barrel, layers.mirror, layers.along, layers.across,
    )  # fmt: skip
    source, target, pair = (joined([part[k] for part in found]) for k in range(3))
    return source, target, pair, joined_offsets([part[3] for part in found])


def _find_all(begin: int, end: int, per_hit: int, *arguments: Any) -> tuple[np.ndarray, ...]:
    """Doublets of the inner hits begin…end, in arrays that are large enough."""
    return with_room(_find, begin, end, per_hit, *arguments)
