"""Track building by weakly connected components of the edges above a score."""

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
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.track_output import make_candidates
from trkx.plugin.weights import stage_model


def probabilities(graph: Graph, stage: str) -> np.ndarray:
    """(E,) edge scores from 0 to 1.

    Raises:
        StageError: no classifier has scored the graph.
    """
    if graph.edge_scores is None:
        raise StageError(f"{stage}: the graph has no edge scores; put an edge classifier before it")
    return 1.0 / (1.0 + np.exp(-graph.edge_scores))


def component_labels(graph: Graph, mask: np.ndarray) -> np.ndarray:
    """(N,) component of every node on the edges of `mask`."""
    a, b = graph.edge_index[:, mask]
    n = graph.n_nodes
    matrix = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    return connected_components(matrix, directed=False)[1]


def group_nodes(component: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (T+1,) and nodes of the components where `keep` is True, in their order."""
    node = np.nonzero(keep[component])[0]
    node = node[np.argsort(component[node], kind="stable")]
    count = np.bincount(component[node], minlength=len(keep))[keep]
    return np.concatenate([[0], np.cumsum(count)]).astype(np.int64), node


@dataclass(frozen=True)
class ConnectedComponentsConfig:
    """When an edge counts, and the shortest track."""

    score_cut: float = 0.9
    min_hits: int = 5


class ConnectedComponents:
    """Every component of at least `min_hits` hits is a track.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995.
    """

    def __init__(
        self, config: ConnectedComponentsConfig | None = None, layer_map: LayerMap | None = None
    ) -> None:
        """With a layer map, tracks below its pT threshold are dropped."""
        self.config = config or ConnectedComponentsConfig()
        self.layer_map = layer_map

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder) and `ConnectedComponentsConfig`."""
        config = read_settings(
            ConnectedComponentsConfig, settings, "connected_components", ignore=("model",)
        )
        return cls(config, stage_model(settings, context).layer_map())

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph."""
        probability = probabilities(graph, "connected components")
        mask = probability > self.config.score_cut
        component = component_labels(graph, mask)
        size = np.bincount(component)
        keep = size >= self.config.min_hits
        of_edge = component[graph.edge_index[0, mask]]
        total = np.bincount(of_edge, weights=probability[mask], minlength=len(size))
        score = total / np.maximum(np.bincount(of_edge, minlength=len(size)), 1)
        return make_candidates(
            graph, self.layer_map, *group_nodes(component, keep), score=score[keep]
        )
