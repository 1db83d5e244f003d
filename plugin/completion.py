"""Track completion: hits of overlapping modules that the doublet graph leaves out.

Where modules of one layer overlap, a particle leaves two hits a few millimetres apart. The graph
joins layers, so a track takes one of them; the other has nearly the same residual to the helix
through the neighbouring hits, because multiple scattering there moves both alike.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.geometry_kernels import JIT, PHI, R, X, Y, Z, triplet_geometry
from trkx.plugin.graph import Graph
from trkx.plugin.hit_table import N_ALONG, N_PHI
from trkx.plugin.layer_map import LayerMap

REACH = np.float32(25.0)  # mm, largest distance of two hits of one particle in one layer
_TWO_PI = np.float32(2 * np.pi)


@njit(inline="always", **JIT)
def _residuals(hit, anchors, mode, h, s, along_z):
    """Residuals of hit h as the middle (mode 0), inner (1) or outer (2) hit of a triplet."""
    if mode == 0:
        return triplet_geometry(hit, anchors[0], h, anchors[1], s, along_z)
    if mode == 1:
        return triplet_geometry(hit, h, anchors[0], anchors[1], s, along_z)
    return triplet_geometry(hit, anchors[0], anchors[1], h, s, along_z)


@njit(**JIT)
def _overlaps(hit, layer, module, sign, cell_start, barrel, along, windows, starts, nodes, used):
    """For each node of each track, the overlapping hit that belongs to it, -1: none."""
    partner = np.full(len(nodes), -1, np.int32)
    anchors = np.empty(2, np.int32)
    for t in range(len(starts) - 1):
        begin, end = starts[t], starts[t + 1]
        if end - begin < 3:
            continue
        s = sign[nodes[begin]]
        for q in range(begin, end):
            m = nodes[q]
            if q == begin:
                mode = 1
                anchors[0], anchors[1] = nodes[q + 1], nodes[q + 2]
                middle = nodes[q + 1]
            elif q == end - 1:
                mode = 2
                anchors[0], anchors[1] = nodes[q - 2], nodes[q - 1]
                middle = nodes[q - 1]
            else:
                mode = 0
                anchors[0], anchors[1] = nodes[q - 1], nodes[q + 1]
                middle = m
            own = layer[m]
            w_t, w_a = windows[own, mode, 0], windows[own, mode, 1]
            if w_t <= 0:
                continue
            along_z = barrel[layer[middle]]
            t0, a0, _ = _residuals(hit, anchors, mode, m, s, along_z)
            scale = np.float32(N_ALONG) / (along[own, 1] - along[own, 0])
            v = hit[m, Z] if barrel[own] else hit[m, R]
            a_lo = max(int((v - REACH - along[own, 0]) * scale), 0)
            a_hi = min(int((v + REACH - along[own, 0]) * scale), N_ALONG - 1)
            width = REACH / hit[m, R]
            b_lo = int(np.floor((hit[m, PHI] - width + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
            b_hi = int(np.floor((hit[m, PHI] + width + np.float32(np.pi)) * (N_PHI / _TWO_PI)))
            b_hi = min(b_hi, b_lo + N_PHI - 1)
            best = np.float32(1.0)
            for a in range(a_lo, a_hi + 1):
                for b in range(b_lo, b_hi + 1):
                    cell = (own * N_ALONG + a) * N_PHI + (b + N_PHI) % N_PHI
                    for h in range(cell_start[cell], cell_start[cell + 1]):
                        if used[h] or module[h] == module[m]:
                            continue
                        dx, dy, dz = (
                            hit[h, X] - hit[m, X],
                            hit[h, Y] - hit[m, Y],
                            hit[h, Z] - hit[m, Z],
                        )
                        if dx * dx + dy * dy + dz * dz > REACH * REACH:
                            continue
                        t1, a1, _ = _residuals(hit, anchors, mode, h, s, along_z)
                        dt, da = (t1 - t0) / w_t, (a1 - a0) / w_a
                        chi2 = dt * dt + da * da
                        if chi2 < best:
                            best = chi2
                            partner[q] = h
            if partner[q] >= 0:
                used[partner[q]] = True
    return partner


class OverlapCompletion:
    """Adds the second hit of overlapping modules to every candidate, one per track and layer."""

    def __init__(self, layer_map: LayerMap) -> None:
        self.layer_map = layer_map

    def __call__(self, graph: Graph, candidates: TrackCandidates) -> TrackCandidates:
        """The candidates with the overlapping hits of the graph's hit table."""
        table, layers = graph.table, self.layer_map.layers
        if table is None or len(candidates) == 0:
            return candidates
        node_of = np.empty(len(table), np.int32)
        node_of[table.row] = np.arange(len(table), dtype=np.int32)
        nodes = node_of[candidates.hits]
        used = np.zeros(len(table), np.bool_)
        used[nodes] = True
        partner = _overlaps(
            table.hit, table.layer, table.module, table.sign, table.cell_start, layers.barrel,
            layers.along, self.layer_map.overlaps, candidates.offsets, nodes, used,
        )  # fmt: skip
        added = partner >= 0
        track = np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))
        where = np.nonzero(added)[0]
        # The partner follows or precedes its hit, whichever is nearer to the beam line.
        d = table.hit[:, R] ** 2 + table.hit[:, Z] ** 2
        before = d[partner[where]] < d[nodes[where]]
        all_nodes = np.insert(nodes, where + ~before, partner[where])
        count = np.bincount(track, minlength=len(candidates))
        count += np.bincount(track[where], minlength=len(candidates))
        return TrackCandidates(
            n_space_points=candidates.n_space_points,
            offsets=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
            hits=table.row[all_nodes],
            scores=candidates.scores,
            timing=candidates.timing,
        )
