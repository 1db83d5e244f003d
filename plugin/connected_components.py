"""Track building by weakly connected components of the edges above a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.component_kernels import component_sums, connected_labels, group_nodes
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.junction_removal import remove_junctions
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
    return expit(graph.edge_scores)


def check_scores(**scores: float) -> None:
    """Raise ValueError for a threshold that is no probability."""
    for name, value in scores.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is {value}; expected a probability from 0 to 1")


@dataclass(frozen=True)
class ConnectedComponentsConfig:
    """When an edge counts, and which components are tracks."""

    score_cut: float = 0.9
    min_hits: int = 5
    junction_removal: bool = False  # first leave every node its best edge in and its best edge out
    min_pt: float = 0.0  # GeV; where there is no layer map, tracks clearly softer are dropped

    def __post_init__(self) -> None:
        check_scores(score_cut=self.score_cut)


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
        c = self.config
        probability = probabilities(graph, "connected components")
        source, target = graph.edge_index
        mask = probability > c.score_cut
        if c.junction_removal:
            mask = remove_junctions(graph.edge_index, probability, graph.n_nodes, mask)
        label, n = connected_labels(source, target, mask, graph.n_nodes)
        size, n_edges, total, _ = component_sums(source, target, mask, probability, label, n)
        keep = size >= c.min_hits
        starts, nodes = group_nodes(label, keep)
        score = total[keep] / np.maximum(n_edges[keep], 1)
        return make_candidates(graph, self.layer_map, starts, nodes, score, c.min_pt)
