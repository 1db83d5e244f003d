"""Track building by weakly connected components of the edges above a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph


def probabilities(graph: Graph, stage: str) -> np.ndarray:
    """(E,) edge scores from 0 to 1.

    Raises:
        StageError: no classifier has scored the graph.
    """
    if graph.edge_scores is None:
        raise StageError(f"{stage}: the graph has no edge scores; put an edge classifier before it")
    return 1.0 / (1.0 + np.exp(-graph.edge_scores))


def candidates_from_labels(graph: Graph, label: np.ndarray, score: np.ndarray) -> TrackCandidates:
    """Candidates from (N,) node labels 0…T-1, -1: none; hits ordered by distance."""
    r, z = graph.node_features[:, 0], graph.node_features[:, 2]
    node = np.nonzero(label >= 0)[0]
    node = node[np.lexsort((r[node] ** 2 + z[node] ** 2, label[node]))]
    count = np.bincount(label[node], minlength=len(score))
    return TrackCandidates(
        n_space_points=graph.n_space_points,
        offsets=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        hits=graph.space_point[node],
        scores=score.astype(np.float32),
    )


def component_labels(graph: Graph, mask: np.ndarray) -> np.ndarray:
    """(N,) component of every node on the edges of `mask`."""
    a, b = graph.edge_index[:, mask]
    n = graph.n_nodes
    matrix = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    return connected_components(matrix, directed=False)[1]


def _mean_by(label: np.ndarray, value: np.ndarray, n: int) -> np.ndarray:
    total = np.bincount(label, weights=value, minlength=n)
    return total / np.maximum(np.bincount(label, minlength=n), 1)


@dataclass(frozen=True)
class ConnectedComponentsConfig:
    """When an edge counts, and the shortest track."""

    score_cut: float = 0.5
    min_hits: int = 5


class ConnectedComponents:
    """Every component of at least `min_hits` hits is a track.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995.
    """

    def __init__(self, config: ConnectedComponentsConfig | None = None) -> None:
        self.config = config or ConnectedComponentsConfig()

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph."""
        probability = probabilities(graph, "connected components")
        mask = probability > self.config.score_cut
        component = component_labels(graph, mask)
        size = np.bincount(component)
        keep = size >= self.config.min_hits
        number = np.where(keep, np.cumsum(keep) - 1, -1)
        score = _mean_by(component[graph.edge_index[0, mask]], probability[mask], len(size))
        return candidates_from_labels(graph, number[component], score[keep])
