"""Track building by the best chain of triplets (Viterbi), best tracks first.

With the scores of a network this is the default builder; without, on the residuals of the
triplets alone, it is the classical builder that shows what the network adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph


@njit(**JIT)
def _extract(n_nodes, source, target, weight, offset, first, link, min_hits, n_passes):
    """Greedy extraction of the best chains; hits of accepted chains are taken out.

    Edges are in topological order; `offset` groups triplets by their second edge. Every pass
    recomputes the best chain that ends in each edge on the hits that are left.
    """
    n = len(source)
    used = np.zeros(n_nodes, np.bool_)
    best = np.empty(n, np.float32)
    back = np.empty(n, np.int32)
    back_triplet = np.empty(n, np.int32)
    length = np.empty(n, np.int32)
    hits = np.empty(n_nodes, np.int32)
    hit_score = np.empty(n_nodes, np.float32)
    starts = np.zeros(n_nodes + 1, np.int32)
    n_tracks, n_hits = 0, 0
    for _ in range(n_passes):
        for e in range(n):
            back[e] = -1
            back_triplet[e] = -1
            length[e] = 2
            if used[source[e]] or used[target[e]]:
                best[e] = np.float32(-1e9)
                continue
            best[e] = weight[e]
            for t in range(offset[e], offset[e + 1]):
                a = first[t]
                if best[a] < np.float32(-1e8):
                    continue
                value = best[a] + weight[e] + link[t]
                if value > best[e]:
                    best[e] = value
                    back[e] = a
                    back_triplet[e] = t
                    length[e] = length[a] + 1
        order = np.argsort(-best)
        found = 0
        for q in range(n):
            e = order[q]
            if best[e] <= 0:
                break
            if length[e] < min_hits or used[target[e]]:
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
            hit_score[n_tracks] = best[e]
            n_hits += length[e]
            n_tracks += 1
            starts[n_tracks] = n_hits
            found += 1
        if found == 0:
            break
    return starts[: n_tracks + 1], hits[:n_hits], hit_score[:n_tracks]


@dataclass(frozen=True)
class ViterbiConfig:
    """Weights of the chain and the shortest track."""

    min_hits: int = 5  # hits of the shortest track, before completion
    passes: int = 4  # sweeps over the hits that earlier sweeps left
    edge_offset: float = 1.0  # added to the edge logits; larger: longer tracks
    triplet_offset: float = 0.0  # added to the triplet logits
    logit_max: float = 5.0  # logits are limited to ± this
    chi2_weight: float = 0.35  # classical: weight of a triplet's squared residuals
    classical_edge: float = 1.0  # classical: gain of an edge


class ViterbiTrackBuilder:
    """Track builder on triplets; uses the graph's scores when it has any.

    References: Viterbi, IEEE Trans. Inf. Theory 13, 260 (1967).
    """

    def __init__(self, config: ViterbiConfig | None = None) -> None:
        self.config = config or ViterbiConfig()

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph; hits are ordered outward."""
        c = self.config
        if graph.n_edges == 0:
            return TrackCandidates.empty(graph.n_space_points)
        first, second = graph.triplet_index
        if graph.edge_scores is None:
            weight = np.full(graph.n_edges, c.classical_edge, np.float32)
            chi2 = graph.triplet_features[:, 3]
            link = -c.chi2_weight * (chi2 + 1)
        else:
            limit = np.float32(c.logit_max)
            weight = np.clip(graph.edge_scores + np.float32(c.edge_offset), -limit, limit)
            link = graph.triplet_scores
            if link is None:
                link = np.zeros(graph.n_triplets, np.float32)
            link = np.clip(link + np.float32(c.triplet_offset), -limit, limit)
        offset = np.searchsorted(second, np.arange(graph.n_edges + 1)).astype(np.int64)
        starts, hits, total = _extract(
            graph.n_nodes, graph.edge_index[0], graph.edge_index[1],
            np.ascontiguousarray(weight, np.float32), offset, np.ascontiguousarray(first),
            np.ascontiguousarray(link, np.float32), c.min_hits, c.passes,
        )  # fmt: skip
        n = np.maximum(np.diff(starts), 1)
        return TrackCandidates(
            n_space_points=graph.n_space_points,
            offsets=starts.astype(np.int64),
            hits=graph.space_point[hits],
            scores=(total / n).astype(np.float32),
        )
