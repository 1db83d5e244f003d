"""Track building by walkthrough: components first, best paths through the ambiguous ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.component_kernels import component_sums, connected_labels, group_nodes
from trkx.plugin.connected_components import check_scores, probabilities
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.score_attachment import attach_by_scores
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.track_output import make_candidates, overlap_search
from trkx.plugin.walk_kernels import best_paths, longest_roads, walk_edge_mask, with_overlaps
from trkx.plugin.weights import stage_model

PATHS = ("best", "longest")


@dataclass(frozen=True)
class WalkthroughConfig:
    """The score thresholds, and the shortest track."""

    component_cut: float = 0.01  # edges that connect components
    walk_cut: float = 0.1  # least score of an edge that a path may take
    add_cut: float = 0.6  # where a hit has edges above this, paths take all of these and no other
    paths: str = "best"  # 'best': of the largest summed score; 'longest': as published
    attach_cut: float = 0.3  # hits beside a track join it by edges above this; 1: none do
    min_path: int = 4  # hits of the shortest path
    min_hits: int = 5  # hits of the shortest track, with those that joined its path
    passes: int = 3  # 'best': sweeps over the hits that earlier sweeps left
    min_pt: float = 0.0  # GeV; where there is no layer map, tracks clearly softer are dropped

    def __post_init__(self) -> None:
        check_scores(component_cut=self.component_cut, walk_cut=self.walk_cut, add_cut=self.add_cut)
        if self.paths not in PATHS:
            raise ValueError(f"paths is '{self.paths}'; choose one of {', '.join(PATHS)}")


@dataclass
class Walk:
    """The tracks of one graph while they are found, and the hits they use."""

    graph: Graph
    layer_map: LayerMap | None
    probability: np.ndarray  # (E,) edge scores from 0 to 1
    config: WalkthroughConfig
    used: np.ndarray = field(init=False)  # (N,) bool
    n_hits: list[np.ndarray] = field(default_factory=list)
    nodes: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used = np.zeros(self.graph.n_nodes, bool)
        self._overlaps = overlap_search(self.graph, self.layer_map)

    def add(self, starts: np.ndarray, nodes: np.ndarray, score: np.ndarray) -> None:
        """Attach hits beside the paths, and keep the tracks that are long enough then."""
        self.used[nodes] = True
        if self._overlaps[0]:
            starts, nodes = with_overlaps(starts, nodes, self.used, *self._overlaps[1:])
        elif self.config.attach_cut < 1.0:
            starts, nodes = attach_by_scores(
                starts, nodes, self.used, *self.graph.edge_index, self.probability,
                self.graph.module, self.config.attach_cut,
            )  # fmt: skip
        n_hits = np.diff(starts)
        keep = n_hits >= self.config.min_hits
        self.n_hits.append(n_hits[keep])
        self.nodes.append(nodes[np.repeat(keep, n_hits)])
        self.scores.append(score[keep])

    def simple_components(self, cut: float) -> np.ndarray:
        """Make tracks of the components of edges above `cut` that are simple chains.

        Returns:
            (E,) bool: the edges of the other components.
        """
        source, target = self.graph.edge_index
        mask = (self.probability > cut) & ~self.used[source] & ~self.used[target]
        label, n = connected_labels(source, target, mask, self.graph.n_nodes)
        size, n_edges, total, branched = component_sums(
            source, target, mask, self.probability, label, n
        )
        keep = ~branched & (size >= max(self.config.min_path, 2))
        starts, nodes = group_nodes(label, keep)
        self.add(starts, nodes, total[keep] / n_edges[keep])
        return mask & branched[label[source]]

    def paths(self, mask: np.ndarray) -> None:
        """Make tracks of paths on the edges of `mask` (E,), as the thresholds allow."""
        config = self.config
        source, target = self.graph.edge_index
        walk = walk_edge_mask(
            source, target, mask, self.probability, config.walk_cut, config.add_cut,
            self.graph.n_nodes,
        )  # fmt: skip
        edges = source[walk], target[walk], self.probability[walk].astype(np.float32)
        if config.paths == "longest":
            self.add(*longest_roads(*edges, self.used.copy(), config.min_path))
            return
        for _ in range(config.passes):
            starts, nodes, score = best_paths(*edges, self.used, config.min_path)
            if len(score) == 0:
                break
            self.add(starts, nodes, score)

    def candidates(self) -> TrackCandidates:
        """All tracks found."""
        n_hits = np.concatenate(self.n_hits)
        return make_candidates(
            self.graph,
            self.layer_map,
            np.concatenate([[0], np.cumsum(n_hits)]).astype(np.int64),
            np.concatenate(self.nodes),
            np.concatenate(self.scores),
            self.config.min_pt,
        )


class Walkthrough:
    """Components that are simple chains become tracks; the others are searched for best paths.

    Departure from the publication, which takes the longest path from every hit, the innermost hit
    first (`paths = "longest"`): the path of the largest summed score in each tree of best
    predecessors, found by one sweep over the edges.

    References: GNN4ITk, ATL-ITK-PROC-2022-006 and arXiv:2103.06995.
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
        walk = Walk(graph, self.layer_map, probabilities(graph, "walkthrough"), self.config)
        walk.paths(walk.simple_components(self.config.component_cut))
        return walk.candidates()
