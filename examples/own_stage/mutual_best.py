"""A track builder of your own: edges that both of their hits like best make the tracks.

Nothing here is special to trkx but three names: the graph that comes in, the track candidates
that go out, and `from_settings`, which the pipeline file calls with the table of the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.stage_settings import StageContext, read_settings


@dataclass(frozen=True)
class MutualBestConfig:
    """Settings: names, types and defaults are those of the table in the pipeline file."""

    score_cut: float = 0.5  # probability that an edge must have
    min_hits: int = 5  # of a track

    def __post_init__(self) -> None:
        if not 0 <= self.score_cut < 1:  # becomes an error that names file and table
            raise ValueError(f"score_cut is {self.score_cut}; expected 0 to below 1")


class MutualBest:
    """Chains of edges that are the best one outward of their first hit and inward of their last."""

    def __init__(self, config: MutualBestConfig | None = None) -> None:
        self.config = config or MutualBestConfig()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From the table of a pipeline file; `context` has its folder, the device and target."""
        return cls(read_settings(MutualBestConfig, settings, "mutual_best"))

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph. No state is kept: several threads may call it."""
        if graph.edge_scores is None:
            raise StageError("stage 'mutual_best': the graph has no scores; put a classifier first")
        score = 1 / (1 + np.exp(-graph.edge_scores))  # scores are logits
        source, target = graph.edge_index
        keep = is_best(source, score) & is_best(target, score) & (score > self.config.score_cut)
        source, target, score = source[keep], target[keep], score[keep]
        # Every hit has one edge inward and one outward at most: components are chains.
        n = graph.n_nodes
        links = coo_array((np.ones(len(source), np.int8), (source, target)), shape=(n, n))
        n_chains, chain = connected_components(links, directed=False)
        n_hits = np.bincount(chain, minlength=n_chains)
        mean = np.bincount(chain[source], score, minlength=n_chains) / np.maximum(n_hits - 1, 1)
        long = n_hits >= self.config.min_hits
        r, z = graph.features(("r", "z")).T
        nodes = np.lexsort((r * r + z * z, chain))  # outward along each chain
        nodes = nodes[long[chain[nodes]]]
        return TrackCandidates(
            n_space_points=graph.n_space_points,
            offsets=np.concatenate([[0], np.cumsum(n_hits[long])]).astype(np.int64),
            hits=graph.space_point[nodes],
            scores=mean[long].astype(np.float32),
        )


def is_best(node: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(E,) bool: edges whose score is the highest of all edges at `node` (E,)."""
    order = np.lexsort((score, node))
    last = np.ones(len(node), bool)  # of its node, and so the best
    last[:-1] = node[order][1:] != node[order][:-1]
    best = np.zeros(len(node), bool)
    best[order[last]] = True
    return best
