"""Track building by the best chain of triplets (Viterbi), best tracks first.

With the scores of a network this is the default builder; without, on the residuals of the
triplets alone, it is the classical builder that shows what the network adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.completion import (
    CompletionConfig,
    complete_tracks,
    hard_chains,
    kept_tracks,
)
from trkx.plugin.errors import StageError
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.overlaps import attach_overlaps
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.track_output import make_candidates, overlap_search
from trkx.plugin.weights import stage_model


@njit(**JIT)
def _extract(source, target, weight, offset, first, link, gap_cost, min_hits, min_total, n_passes,
             with_overlaps, hit, layer, module, sign, cell_start, barrel, along,
             windows):  # fmt: skip
    """Greedy extraction of the best chains; hits of accepted chains are taken out.

    Edges are in topological order; `offset` groups triplets by their second edge. Every pass
    recomputes the best chain that ends in each edge on the hits that are left.
    """
    n = len(source)
    n_nodes = len(layer)
    used = np.zeros(n_nodes, np.bool_)
    extra = np.empty(256, np.int32)
    best = np.empty(n, np.float32)
    back = np.empty(n, np.int32)
    node_best = np.empty(n_nodes, np.float32)
    node_edge = np.empty(n_nodes, np.int32)
    length = np.empty(n, np.int32)
    ends = np.empty(n, np.int64)  # edges that a track may end with
    hits = np.empty(n_nodes, np.int32)
    hit_score = np.empty(n_nodes, np.float32)
    starts = np.zeros(n_nodes + 1, np.int32)
    n_tracks, n_hits = 0, 0
    alive = np.arange(n)
    for sweep in range(n_passes):
        if sweep > 0:
            left = 0
            for x in range(len(alive)):
                e = alive[x]
                if used[source[e]] or used[target[e]]:
                    best[e] = np.float32(-1e9)
                else:
                    alive[left] = e
                    left += 1
            alive = alive[:left]
        node_best[:] = 0
        node_edge[:] = -1
        n_ends = 0
        for e in alive:
            back[e] = -1
            length[e] = 2
            best[e] = weight[e]
            for t in range(offset[e], offset[e + 1]):
                a = first[t]
                if best[a] < np.float32(-1e8):
                    continue
                value = best[a] + weight[e] + link[t]
                if value > best[e]:
                    best[e] = value
                    back[e] = a
                    length[e] = length[a] + 1
            # Two good edges that share a hit may join without a triplet, at a price.
            a = node_edge[source[e]]
            if a >= 0 and node_best[source[e]] + weight[e] - gap_cost > best[e]:
                best[e] = node_best[source[e]] + weight[e] - gap_cost
                back[e] = a
                length[e] = length[a] + 1
            if best[e] > node_best[target[e]]:
                node_best[target[e]] = best[e]
                node_edge[target[e]] = e
            if best[e] > 0 and length[e] >= min_hits:
                ends[n_ends] = e
                n_ends += 1
        order = ends[:n_ends][np.argsort(-best[ends[:n_ends]])]
        found = 0
        for e in order:
            if used[target[e]]:
                continue
            clash = False
            x = e
            while x >= 0:
                if used[source[x]]:
                    clash = True
                    break
                x = back[x]
            if clash:
                continue
            # Backtracking gives the hits from the outside in: fill the slots from the end.
            k = n_hits + length[e] - 1
            hits[k] = target[e]
            used[target[e]] = True
            x = e
            while x >= 0:
                k -= 1
                hits[k] = source[x]
                used[source[x]] = True
                x = back[x]
            n_extra = 0
            if with_overlaps:
                n_extra = attach_overlaps(
                    hit, layer, module, sign, cell_start, barrel, along, windows, used,
                    hits[n_hits : n_hits + length[e]], extra,
                )  # fmt: skip
            if length[e] + n_extra < min_total:
                for x in range(n_extra):
                    used[extra[x]] = False
                for x in range(n_hits, n_hits + length[e]):
                    used[hits[x]] = False
                continue
            for x in range(n_extra):
                hits[n_hits + length[e] + x] = extra[x]
            hit_score[n_tracks] = best[e] / length[e]
            n_hits += length[e] + n_extra
            n_tracks += 1
            starts[n_tracks] = n_hits
            found += 1
        if found == 0:
            break
    return starts[: n_tracks + 1], hits[:n_hits], hit_score[:n_tracks]


@dataclass(frozen=True)
class ViterbiConfig:
    """Weights of the chain and the shortest track."""

    min_layers: int = 4  # hits of the shortest chain, one per layer
    min_hits: int = 5  # hits of the shortest track, with those of overlapping modules
    passes: int = 4  # sweeps over the hits that earlier sweeps left
    edge_offset: float = 1.0  # added to the edge logits; larger: longer tracks
    triplet_offset: float = 0.0  # added to the triplet logits
    logit_max: float = 5.0  # logits are limited to ± this
    gap_cost: float = 7.0  # price of joining two edges without a triplet, in logits
    classical_gap: float = 3.0  # classical: the same, in gains of edges
    chi2_weight: float = 0.35  # classical: weight of a triplet's squared residuals
    classical_edge: float = 1.0  # classical: gain of an edge
    complete: bool = (
        False  # let tracks have the hits on their way, and judge them, see `completion`
    )


class ViterbiTrackBuilder:
    """Track builder on triplets; uses the graph's scores when it has any.

    References: Viterbi, IEEE Trans. Inf. Theory 13, 260 (1967).
    """

    def __init__(
        self,
        config: ViterbiConfig | None = None,
        layer_map: LayerMap | None = None,
        completion: CompletionConfig | None = None,
    ) -> None:
        """Without a layer map, hits of overlapping modules are not attached."""
        self.config = config or ViterbiConfig()
        self.completion = completion or CompletionConfig()
        self.layer_map = layer_map

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder) and `ViterbiConfig`."""
        config = read_settings(ViterbiConfig, settings, "viterbi", ignore=("model",))
        return cls(config, stage_model(settings, context).layer_map())

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph; hits are ordered outward.

        Raises:
            StageError: the graph has neither scores nor residuals of triplets.
        """
        c = self.config
        weight, link = self._weights(graph)
        gap_cost = c.classical_gap if graph.edge_scores is None else c.gap_cost
        first, second = graph.triplet_index
        offset = np.searchsorted(second, np.arange(graph.n_edges + 1)).astype(np.int64)
        starts, hits, score = _extract(
            graph.edge_index[0], graph.edge_index[1], weight, offset,
            np.ascontiguousarray(first), link, np.float32(gap_cost), c.min_layers, c.min_hits,
            c.passes,
            *overlap_search(graph, self.layer_map),
        )  # fmt: skip
        m, starts = self.layer_map, starts.astype(np.int64)
        if not c.complete or m is None or graph.table is None or not len(m.resolution):
            return make_candidates(graph, m, starts, hits, score)
        starts, hits, score = hard_chains(graph.table, m, starts, hits, score)
        tracks = complete_tracks(graph.table, m, starts, hits, score, self.completion)
        keep = kept_tracks(tracks, m, self.completion, graph.edge_scores is not None)
        return make_candidates(graph, None, *tracks.chains(keep))

    def _weights(self, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        """Gains of the edges and triplets, float32."""
        c = self.config
        if graph.edge_scores is None:
            if graph.n_triplets and graph.triplet_features.shape[1] == 0:
                raise StageError(
                    "stage 'viterbi': the graph has neither edge scores nor residuals of "
                    "triplets; put an edge classifier before it, or the constructor 'layer_map'"
                )
            weight = np.full(graph.n_edges, c.classical_edge, np.float32)
            link = -c.chi2_weight * (graph.triplet_features[:, -1] + 1)
        else:
            scores = graph.triplet_scores
            if scores is None:
                scores = np.zeros(graph.n_triplets, np.float32)
            weight = np.clip(graph.edge_scores + c.edge_offset, -c.logit_max, c.logit_max)
            link = np.clip(scores + c.triplet_offset, -c.logit_max, c.logit_max)
        return weight.astype(np.float32), link.astype(np.float32)
