"""The graph that the stages hand on: nodes, edges, triplets, features and scores together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trkx.plugin.hit_table import HitTable


@dataclass(frozen=True)
class Graph:
    """Hits as nodes, doublets as edges, and the triplets that join consecutive edges.

    Arrays that belong together are subset together, by `keep_edges`. An empty graph is an
    ordinary value.
    """

    n_space_points: int  # in the event
    space_point: np.ndarray  # (N,) int64, row of each node in the event's space points
    module: np.ndarray  # (N,) int32, module of each node, numbered within the detector
    node_features: np.ndarray  # (N, 3) float32: r (mm), phi (rad), z (mm), beam spot subtracted
    edge_index: np.ndarray  # (2, E) int32; rows of nodes, source nearer the beam line;
    #   sorted so that every edge follows all edges that end where it starts
    edge_pair: np.ndarray  # (E,) int64, layer pair
    edge_features: np.ndarray  # (E, F) float32
    triplet_index: np.ndarray  # (2, T) int32; rows of edges, sorted by the second
    triplet_features: np.ndarray  # (T, G) float32
    edge_scores: np.ndarray | None = None  # (E,) float32, logits
    triplet_scores: np.ndarray | None = None  # (T,) float32, logits
    table: HitTable | None = None  # the nodes in search cells, for builders

    @property
    def n_nodes(self) -> int:
        return len(self.space_point)

    @property
    def n_edges(self) -> int:
        return self.edge_index.shape[1]

    @property
    def n_triplets(self) -> int:
        return self.triplet_index.shape[1]

    def with_scores(self, edges: np.ndarray, triplets: np.ndarray | None) -> Graph:
        """The same graph with the scores (logits) of a classifier."""
        return replace(self, edge_scores=edges, triplet_scores=triplets)

    def keep_edges(self, mask: np.ndarray) -> Graph:
        """The graph without the edges where `mask` (E,) is False, and without their triplets."""
        new = np.cumsum(mask, dtype=np.int32) - 1
        a, b = self.triplet_index
        t = mask[a] & mask[b]
        return replace(
            self,
            edge_index=self.edge_index[:, mask],
            edge_pair=self.edge_pair[mask],
            edge_features=self.edge_features[mask],
            edge_scores=None if self.edge_scores is None else self.edge_scores[mask],
            triplet_index=np.stack([new[a[t]], new[b[t]]]),
            triplet_features=self.triplet_features[t],
            triplet_scores=None if self.triplet_scores is None else self.triplet_scores[t],
        )
