"""Track building by the hierarchical GNN: every hit goes to the super-node it fits best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.connected_components import group_nodes, probabilities
from trkx.plugin.edge_features import edge_features
from trkx.plugin.errors import StageError, WeightsError, need
from trkx.plugin.graph import Graph
from trkx.plugin.network_classifier import torch_device
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.track_output import make_candidates

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from trkx.plugin.hierarchical_gnn import HierarchicalGnn, HierarchicalOutput

STAGE = "hierarchical"


@dataclass(frozen=True)
class HierarchicalBuilderConfig:
    """How the trained network is used."""

    weights: str = ""  # file of the trained weights
    edge_cut: float = 0.0  # edges that a classifier before scored below this probability are
    #   dropped, and with them hits without edges; 0: all edges and hits are used, and no
    #   classifier is needed
    score_cut: float = 0.5  # least probability of a hit on its super-node
    candidates: int = 0  # super-nodes that a hit may be assigned to; 0: as many as in training
    log_odds: float = 2.5  # of an edge being true at the mixture's cut, natural logarithm: above
    #   0 super-nodes are purer, and tracks come in more of them, between which hits may choose
    min_hits: int = 5  # of a track
    min_pt: float = 0.0  # GeV; tracks clearly softer are built, and dropped in the end

    def __post_init__(self) -> None:
        for name in ("edge_cut", "score_cut"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to below 1")
        if self.candidates < 0:
            raise ValueError(f"candidates is {self.candidates}; expected 0 or more")


@dataclass(frozen=True)
class HierarchicalInputs:
    """What the network reads, by name."""

    features: tuple[str, ...]  # of hits
    scales: tuple[float, ...]  # what they are divided by
    edge_features: tuple[str, ...]

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Self:
        """As the card of weights says."""
        return cls(
            tuple(card["features"]), tuple(card["scales"]), tuple(card.get("edge_features", ()))
        )

    def tensors(self, graph: Graph, device: Any = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Arguments of the network: features, positions, edges and their features.

        Raises:
            StageError: the graph lacks a feature, or a feature is not finite.
        """
        import torch

        x = graph.features(self.features, self.scales)
        bad = ~np.isfinite(x).all(axis=1)
        if bad.any():
            raise StageError(
                f"stage '{STAGE}': {int(bad.sum())} of {len(x)} nodes have NaN or infinite "
                f"features, first node {int(np.argmax(bad))}; remove them, or repair the features "
                f"{', '.join(self.features)}"
            )
        if graph.n_edges and (graph.edge_index.min() < 0 or graph.edge_index.max() >= len(x)):
            raise StageError(
                f"stage '{STAGE}': edges name nodes {graph.edge_index.min()} to "
                f"{graph.edge_index.max()}, but there are {len(x)} nodes"
            )
        arrays = (
            x,
            graph.features(("r", "phi", "z")),
            graph.edge_index.astype(np.int64),
            edge_features(graph, self.edge_features),
        )
        hits, position, index, attributes = (torch.from_numpy(a).to(device) for a in arrays)
        return hits, position, index, attributes


class HierarchicalBuilder:
    """Every super-node with at least `min_hits` hits is a track.

    Hits are assigned to the candidate of the highest score, if that is above the cut; edges play
    no part in it, so that tracks come out whole of graphs that lack edges.

    References: Liu et al., arXiv:2303.01640. Departure: there a hit may be on several tracks.
    """

    def __init__(
        self,
        network: HierarchicalGnn,
        card: Mapping[str, Any],
        config: HierarchicalBuilderConfig | None = None,
        device: str = "cpu",
    ) -> None:
        """Use a network with the features that its card names.

        Raises:
            WeightsError: the card names another number of features than the network reads.
        """
        self.config = config or HierarchicalBuilderConfig()
        self.inputs = HierarchicalInputs.of_card(card)
        shape = network.config
        found = len(self.inputs.features), len(self.inputs.edge_features)
        if found != (shape.node_features, shape.edge_features):
            raise WeightsError(
                f"stage '{STAGE}': the card names {found[0]} node and {found[1]} edge features, "
                f"but the network reads {shape.node_features} and {shape.edge_features}; train it "
                "anew"
            )
        self.device = torch_device(device)
        self.network = network.to(self.device).eval()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """The stage of a pipeline file."""
        config = read_settings(HierarchicalBuilderConfig, settings, STAGE)
        if not config.weights:
            raise StageError(f"stage '{STAGE}': setting 'weights' is missing; give a file")
        need("torch", "local", f"stage '{STAGE}'")
        weights = StageWeights.open(context.path(config.weights), STAGE)
        return cls(make_hierarchical(weights), weights.card, config, context.device)

    def __call__(self, graph: Graph) -> TrackCandidates:
        """Build the tracks of one graph.

        Raises:
            StageError: `edge_cut` is set and no classifier has scored the graph, or the graph
                lacks features, or has ones that are not finite.
        """
        import torch

        c = self.config
        if c.edge_cut > 0:
            graph = graph.keep_edges(probabilities(graph, STAGE) >= c.edge_cut)
            graph = graph.without_isolated_nodes()
        with torch.inference_mode():
            output = self.network(
                *self.inputs.tensors(graph, self.device), c.candidates, c.log_odds
            )
        super_node, score = assign_hits(output, c.score_cut)
        n = int(super_node.max(initial=-1)) + 1
        size = np.bincount(super_node[super_node >= 0], minlength=n)
        total = np.bincount(
            super_node[super_node >= 0], weights=score[super_node >= 0], minlength=n
        )
        keep = size >= c.min_hits
        # Unassigned hits form one further group, which is not kept.
        group = np.where(super_node >= 0, super_node, n)
        starts, nodes = group_nodes(group, np.append(keep, False))
        mean = (total / np.maximum(size, 1))[keep]
        return make_candidates(graph, None, starts, nodes, mean, c.min_pt)


def make_hierarchical(weights: StageWeights) -> HierarchicalGnn:
    """The network of trained weights.

    Raises:
        WeightsError: the card's shape is not one of this network.
    """
    from trkx.plugin.hierarchical_gnn import HierarchicalGnn, HierarchicalGnnConfig

    try:
        network = HierarchicalGnn(HierarchicalGnnConfig(**weights.card["network"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{weights.path}: no hierarchical GNN: {error}; train it anew"
        ) from error
    weights.load_into(network)
    return network


def assign_hits(output: HierarchicalOutput, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 super-node of every hit, -1: none, and (N,) its probability.

    Args:
        output: of the network.
        cut: least probability.
    """
    import torch

    n = len(output.embedding)
    if output.pairs.shape[1] == 0:
        return np.full(n, -1, np.int64), np.zeros(n, np.float32)
    k = output.pairs.shape[1] // n  # every hit has as many candidates
    score, best = torch.sigmoid(output.logits).view(n, k).max(dim=1)
    chosen = output.pairs[1].view(n, k).gather(1, best[:, None]).squeeze(1)
    chosen = torch.where(score > cut, chosen, -1)
    return chosen.cpu().numpy(), score.cpu().numpy()
