"""Track building by walkthrough: components first, best paths through the ambiguous ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.connected_components import (
    candidates_from_labels,
    component_labels,
    probabilities,
)
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph


@njit(**JIT)
def _walk(n_nodes, source, target, weight, label, score, n_tracks, min_hits, n_passes):
    """Label the nodes of the best paths, best first; edges are in topological order."""
    best = np.zeros(n_nodes, np.float32)
    back = np.empty(n_nodes, np.int32)
    length = np.empty(n_nodes, np.int32)
    for _ in range(n_passes):
        best[:] = 0
        back[:] = -1
        length[:] = 1
        for e in range(len(source)):
            i, j = source[e], target[e]
            if label[i] >= 0 or label[j] >= 0:
                continue
            value = best[i] + weight[e]
            if value > best[j]:
                best[j] = value
                back[j] = i
                length[j] = length[i] + 1
        order = np.argsort(-best)
        found = 0
        for q in range(n_nodes):
            j = order[q]
            if best[j] <= 0:
                break
            if length[j] < min_hits:
                continue
            x, clash = j, False
            while x >= 0:
                if label[x] >= 0:
                    clash = True
                    break
                x = back[x]
            if clash:
                continue
            x = j
            while x >= 0:
                label[x] = n_tracks
                x = back[x]
            score[n_tracks] = best[j] / (length[j] - 1)
            n_tracks += 1
            found += 1
        if found == 0:
            break
    return n_tracks


@dataclass(frozen=True)
class WalkthroughConfig:
    """The two score thresholds, and the shortest track."""

    component_cut: float = 0.01  # edges that connect components
    walk_cut: float = 0.1  # edges that a path may take
    min_hits: int = 5
    passes: int = 3  # sweeps over the hits that earlier sweeps left


class Walkthrough:
    """Components that are simple chains become tracks; the others are searched for best paths.

    References: GNN4ITk, ATL-ITK-PROC-2022-006 and arXiv:2103.06995. Departure: the best path
    maximises the summed score above the cut, found by one sweep over the edges.
    """

    def __init__(self, config: WalkthroughConfig | None = None) -> None:
        self.config = config or WalkthroughConfig()

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph."""
        c = self.config
        probability = probabilities(graph, "walkthrough")
        connect = probability > c.component_cut
        component = component_labels(graph, connect)
        a, b = graph.edge_index[:, connect]
        n = graph.n_nodes
        branches = (np.bincount(a, minlength=n) > 1) | (np.bincount(b, minlength=n) > 1)
        size = np.bincount(component)
        ambiguous = np.bincount(component, weights=branches) > 0
        simple = ~ambiguous & (size >= c.min_hits)
        number = np.where(simple, np.cumsum(simple) - 1, -1)
        label = number[component]
        total = np.bincount(component[a], weights=probability[connect], minlength=len(size))
        score = np.zeros(int(simple.sum()) + n // max(c.min_hits, 1) + 1, np.float32)
        score[: int(simple.sum())] = (total / np.maximum(size - 1, 1))[simple]
        walk = (probability > c.walk_cut) & ambiguous[component[graph.edge_index[0]]]
        source, target = graph.edge_index[:, walk]
        n_tracks = _walk(
            n, np.ascontiguousarray(source), np.ascontiguousarray(target),
            probability[walk].astype(np.float32), label, score, int(simple.sum()), c.min_hits,
            c.passes,
        )  # fmt: skip
        return candidates_from_labels(graph, label, score[:n_tracks])
