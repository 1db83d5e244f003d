"""Track building by walkthrough: components first, best paths through the ambiguous ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.connected_components import component_labels, group_nodes, probabilities
from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.overlaps import attach_overlaps
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.track_output import make_candidates, overlap_search
from trkx.plugin.weights import stage_model


@njit(**JIT)
def _walk(source, target, weight, used, min_hits, n_passes, with_overlaps, hit, layer, module, sign,
          cell_start, barrel, along, windows):  # fmt: skip
    """Best paths, best first; edges are in topological order, hits are used once."""
    n_nodes = len(used)
    best = np.zeros(n_nodes, np.float32)
    back = np.empty(n_nodes, np.int32)
    length = np.empty(n_nodes, np.int32)
    nodes = np.empty(n_nodes, np.int32)
    starts = np.zeros(n_nodes + 1, np.int64)
    score = np.empty(n_nodes, np.float32)
    extra = np.empty(256, np.int32)
    n_tracks, n_hits = 0, 0
    for _ in range(n_passes):
        best[:] = 0
        back[:] = -1
        length[:] = 1
        for e in range(len(source)):
            i, j = source[e], target[e]
            if used[i] or used[j]:
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
                clash = clash or used[x]
                x = back[x]
            if clash:
                continue
            x, k = j, n_hits + length[j]
            while x >= 0:
                k -= 1
                nodes[k] = x
                used[x] = True
                x = back[x]
            begin, n_hits = n_hits, n_hits + length[j]
            if with_overlaps:
                n = attach_overlaps(
                    hit, layer, module, sign, cell_start, barrel, along, windows, used,
                    nodes[begin:n_hits], extra,
                )  # fmt: skip
                nodes[n_hits : n_hits + n] = extra[:n]
                n_hits += n
            score[n_tracks] = best[j] / (length[j] - 1)
            n_tracks += 1
            starts[n_tracks] = n_hits
            found += 1
        if found == 0:
            break
    return starts[: n_tracks + 1], nodes[:n_hits], score[:n_tracks]


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

    def __init__(
        self, config: WalkthroughConfig | None = None, layer_map: LayerMap | None = None
    ) -> None:
        """Without a layer map, hits of overlapping modules are not attached to paths."""
        self.config = config or WalkthroughConfig()
        self.layer_map = layer_map

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder) and `WalkthroughConfig`."""
        config = read_settings(WalkthroughConfig, settings, "walkthrough", ignore=("model",))
        return cls(config, stage_model(settings, context).layer_map())

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
        total = np.bincount(component[a], weights=probability[connect], minlength=len(size))
        score = (total / np.maximum(size - 1, 1))[simple]
        starts, nodes = group_nodes(component, simple)
        walk = (probability > c.walk_cut) & ambiguous[component[graph.edge_index[0]]]
        source, target = (np.ascontiguousarray(i) for i in graph.edge_index[:, walk])
        walked, walked_nodes, walked_score = _walk(
            source, target, probability[walk].astype(np.float32), simple[component], c.min_hits,
            c.passes, *overlap_search(graph, self.layer_map),
        )  # fmt: skip
        return make_candidates(
            graph,
            self.layer_map,
            np.concatenate([starts, starts[-1] + walked[1:]]),
            np.concatenate([nodes, walked_nodes]),
            np.concatenate([score, walked_score]),
        )
