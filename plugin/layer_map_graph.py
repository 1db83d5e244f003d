"""Graph construction by the layer map: doublets, triplets, and a cellular automaton.

Only edges between layers are made. A second hit of the same layer, where modules overlap, has
edges of its own to the neighbouring layers; track completion adds it to the track.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit

from trkx.plugin import geometry_kernels as g
from trkx.plugin.chain_selection import continued_triplets
from trkx.plugin.doublets import find_doublets
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph
from trkx.plugin.hit_table import HitTable, make_hit_table
from trkx.plugin.layer_map import KAPPA_MAX, LayerMap
from trkx.plugin.node_features import BASE_FEATURES, point_features
from trkx.plugin.soft_edges import hard_edges
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.triplets import find_triplets, group_by, path_lengths
from trkx.plugin.weights import stage_model
from trkx.plugin.workers import run

N_EDGE_FEATURES = 16
N_TRIPLET_FEATURES = 5
CHAIN_HITS = 4  # of two triplets that share a doublet


@dataclass(frozen=True)
class LayerMapGraphConfig:
    """What survives the cellular automaton."""

    min_hits: int = 4  # hits on the longest chain through an edge, one per layer
    soft_factor: float = 0.0  # edges on chains that bend that much more than tracks at the
    #   threshold are dropped, see `soft_edges`; 0: none
    strip_volumes: tuple[int, ...] = ()  # see `SpacePoints.with_types`
    single_clusters: bool = False  # the same


@njit(**JIT)
def _edge_features(begin, end, hit, source, target, pair, sign, shape, size, layer, kappa_max, out):
    """Columns 0–9: r, z, dr, dz, kappa, z0 and four cluster-shape residuals."""
    for e in range(begin, end):
        i, j = source[e], target[e]
        s = sign[i]
        kappa, z0 = g.doublet_geometry(hit, i, j, s)
        dx, dy, dz = hit[j, g.X] - hit[i, g.X], hit[j, g.Y] - hit[i, g.Y], hit[j, g.Z] - hit[i, g.Z]
        out[e, 0] = hit[i, g.R] * np.float32(2e-3) - np.float32(1)
        out[e, 1] = s * hit[i, g.Z] * np.float32(1e-3) - np.float32(1)
        out[e, 2] = (hit[j, g.R] - hit[i, g.R]) * np.float32(0.01) - np.float32(0.5)
        out[e, 3] = s * dz * np.float32(5e-3)
        out[e, 4] = kappa / kappa_max[pair[e]]
        out[e, 5] = z0 * np.float32(0.01)
        for end in range(2):
            h = i if end == 0 else j
            slope0, slope1 = g.module_slopes(hit, h, dx, dy, dz)
            for axis in range(2):
                slope = slope0 if axis == 0 else slope1
                f = shape[layer[h], axis]
                value = np.float32(0)
                if size[h, axis] > 0 and f[2] > 0:
                    value = (size[h, axis] - f[0] - f[1] * slope) / f[2]
                    value = min(max(value, np.float32(-4)), np.float32(4)) * np.float32(0.5)
                out[e, 6 + 2 * end + axis] = value


@njit(**JIT)
def context_features(first, second, chi, inward, outward, out):
    """Columns 10–15: numbers of triplets in and out, path lengths, best triplets in and out."""
    for e in range(len(out)):
        out[e, 10] = out[e, 11] = 0
        out[e, 12] = np.float32(min(inward[e], 14)) / np.float32(7) - np.float32(1)
        out[e, 13] = np.float32(min(outward[e], 14)) / np.float32(7) - np.float32(1)
        out[e, 14] = out[e, 15] = 2
    for t in range(len(first)):
        a, b = first[t], second[t]
        out[b, 10] = min(out[b, 10] + np.float32(0.5), np.float32(2))
        out[a, 11] = min(out[a, 11] + np.float32(0.5), np.float32(2))
        out[b, 14] = min(out[b, 14], chi[t])
        out[a, 15] = min(out[a, 15], chi[t])


def _node_features(
    points: SpacePoints, table: HitTable, beam_spot: tuple[float, float]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Features of the nodes, with types and clusters of space points where they are known."""
    if points.strip is None and points.clusters is None:
        # All is in the table already.
        positions = table.hit[:, [g.R, g.PHI, g.Z]]
        return np.concatenate([positions, table.size], axis=1), BASE_FEATURES[:5]
    features, names = point_features(points, beam_spot)
    return features[table.row], names


class LayerMapGraph:
    """Graph constructor on a learned layer map.

    References: the cellular automaton on doublets follows Abt et al., Nucl. Instrum. Meth. A 489,
    389 (2002); departures: windows are learned, chains are counted in one sweep each way.
    """

    def __init__(self, layer_map: LayerMap, config: LayerMapGraphConfig | None = None) -> None:
        self.layer_map = layer_map
        self.config = config or LayerMapGraphConfig()
        self._kappa_max = layer_map.windows[:, :, KAPPA_MAX].max(axis=1)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder) and `LayerMapGraphConfig`."""
        config = read_settings(LayerMapGraphConfig, settings, "layer_map", ignore=("model",))
        return cls(stage_model(settings, context).layer_map(), config)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Build the graph of one event; `beam_spot` is x and y of the beam line in mm."""
        m = self.layer_map
        points = points.with_types(self.config.strip_volumes, self.config.single_clusters)
        table = make_hit_table(points, m.layers, m.slopes, beam_spot)
        source, target, pair, offset = find_doublets(table, m)
        first, second, value = find_triplets(table, m, source, target, pair, offset)
        if len(m.chains) and self.config.min_hits >= CHAIN_HITS:
            keep = continued_triplets(table.hit, source, target, first, second, m.chains)
            first, second, value = first[keep], second[keep], value[keep]
        if self.config.min_hits >= 3:
            # Few doublets have a triplet: what follows runs on these only.
            some = np.zeros(len(source), bool)
            some[first] = some[second] = True
            new = np.cumsum(some, dtype=np.int32) - 1
            source, target, pair = source[some], target[some], pair[some]
            first, second = new[first], new[second]
        # Chains run outward: doublets sorted by the distance of their inner hit from the origin
        # follow all their predecessors.
        distance = table.hit[:, g.R] ** 2 + table.hit[:, g.Z] ** 2
        rank = np.empty(len(table), np.int32)
        rank[np.argsort(distance)] = np.arange(len(table), dtype=np.int32)
        _, order = group_by(rank[source], len(table))
        in_offset, in_order = group_by(second, len(source))
        inward, outward = path_lengths(order, in_offset, in_order, first, second)
        kept = order[(inward + outward)[order] >= self.config.min_hits]
        new = np.full(len(source), -1, np.int32)
        new[kept] = np.arange(len(kept), dtype=np.int32)
        survive = (new[first] >= 0) & (new[second] >= 0)
        first, second, value = new[first[survive]], new[second[survive]], value[survive]
        _, by_second = group_by(second, len(kept))
        edges = np.stack([source[kept], target[kept]])
        triplets, value = np.stack([first[by_second], second[by_second]]), value[by_second]
        if self.config.soft_factor > 0:
            cost = value[:, 0] ** 2 + value[:, 1] ** 2
            hard = hard_edges(
                table.hit, edges, triplets, cost, m.curvature_max, self.config.soft_factor
            )
            kept, edges = kept[hard], edges[:, hard]
            survive = hard[triplets].all(axis=0)
            new = np.cumsum(hard, dtype=np.int32) - 1
            triplets, value = new[triplets[:, survive]], value[survive]
        return self._graph(
            points,
            table,
            edges,
            pair[kept].astype(np.int64),
            triplets,
            value,
            inward[kept],
            outward[kept],
            beam_spot,
        )

    def _graph(
        self,
        points: SpacePoints,
        table: HitTable,
        edge_index: np.ndarray,
        pair: np.ndarray,
        triplet_index: np.ndarray,
        value: np.ndarray,
        inward: np.ndarray,
        outward: np.ndarray,
        beam_spot: tuple[float, float],
    ) -> Graph:
        """Attach features; `value` are the columns that `find_triplets` returns."""
        m = self.layer_map
        features = np.empty((len(pair), N_EDGE_FEATURES), np.float32)
        run(
            _edge_features, len(pair), table.hit, edge_index[0], edge_index[1], pair, table.sign,
            m.shape, table.size, table.layer, self._kappa_max, features,
        )  # fmt: skip
        chi = value[:, 0] ** 2 + value[:, 1] ** 2
        context_features(triplet_index[0], triplet_index[1], chi, inward, outward, features)
        triplets = np.empty((len(value), N_TRIPLET_FEATURES), np.float32)
        triplets[:, :2] = 2 * value[:, :2]
        triplets[:, 2] = value[:, 2] / self._kappa_max[pair[triplet_index[0]]]
        triplets[:, 3] = 2 * value[:, 3]
        triplets[:, 4] = 2 * chi - 1
        nodes, names = _node_features(points, table, beam_spot)
        return Graph(
            n_space_points=len(points),
            space_point=table.row,
            module=table.module,
            node_features=nodes,
            feature_names=names,
            edge_index=edge_index,
            edge_pair=pair,
            edge_features=features,
            triplet_index=triplet_index,
            triplet_features=triplets,
            table=table,
        )
