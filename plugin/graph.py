"""The graph that the stages hand on: nodes, edges, triplets, features and scores together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.node_features import BASE_FEATURES, select_features

if TYPE_CHECKING:
    from trkx.plugin.hit_table import HitTable


def _no_triplets() -> np.ndarray:
    return np.zeros((2, 0), np.int32)


def _no_triplet_features() -> np.ndarray:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Graph:
    """Hits as nodes, doublets as edges, and the triplets that join consecutive edges.

    Arrays that belong together are subset together, by `keep_edges` and `keep_nodes`. An empty
    graph is an ordinary value. Constructors that make no triplets leave them empty.
    """

    n_space_points: int  # in the event
    space_point: np.ndarray  # (N,) int64, row of each node in the event's space points
    module: np.ndarray  # (N,) int32, module of each node, numbered within the detector
    node_features: np.ndarray  # (N, F) float32, beam spot subtracted; columns `feature_names`
    edge_index: np.ndarray  # (2, E) int32; rows of nodes, source nearer the beam line;
    #   sorted so that every edge follows all edges that end where it starts
    edge_pair: np.ndarray  # (E,) int64, layer pair; 0 where the constructor knows none
    edge_features: np.ndarray  # (E, G) float32, of the constructor; may have no columns
    triplet_index: np.ndarray = field(default_factory=_no_triplets)  # (2, T) int32; rows of
    #   edges, sorted by the second
    triplet_features: np.ndarray = field(default_factory=_no_triplet_features)  # (T, H) float32
    edge_scores: np.ndarray | None = None  # (E,) float32, logits
    triplet_scores: np.ndarray | None = None  # (T,) float32, logits
    table: HitTable | None = None  # the nodes in search cells, for builders
    feature_names: tuple[str, ...] = BASE_FEATURES[:3]  # r (mm), phi (rad), z (mm), ...
    event: int = -1  # number of the event; -1: not known
    found: TrackCandidates | None = None  # tracks of an earlier pass, see `second_pass`

    @property
    def n_nodes(self) -> int:
        return len(self.space_point)

    @property
    def n_edges(self) -> int:
        return self.edge_index.shape[1]

    @property
    def n_triplets(self) -> int:
        return self.triplet_index.shape[1]

    def features(self, names: Sequence[str], scales: Sequence[float] | None = None) -> np.ndarray:
        """(N, len(names)) float32: node features by name, each divided by its scale.

        Raises:
            StageError: a feature that this graph does not have.
        """
        return select_features(self.node_features, self.feature_names, names, scales)

    def with_scores(self, edges: np.ndarray, triplets: np.ndarray | None = None) -> Graph:
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

    def keep_nodes(self, mask: np.ndarray) -> Graph:
        """The graph without the nodes where `mask` (N,) is False, and without their edges.

        The hit table is dropped with them: its cells count all hits.
        """
        kept = self.keep_edges(mask[self.edge_index[0]] & mask[self.edge_index[1]])
        new = np.cumsum(mask, dtype=np.int32) - 1
        return replace(
            kept,
            space_point=self.space_point[mask],
            module=self.module[mask],
            node_features=self.node_features[mask],
            edge_index=new[kept.edge_index],
            table=None,
        )

    def without_isolated_nodes(self) -> Graph:
        """The graph without the nodes on no edge, which no track can use."""
        used = np.zeros(self.n_nodes, bool)
        used[self.edge_index] = True
        return self if used.all() else self.keep_nodes(used)
