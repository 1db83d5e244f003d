"""Edge classification by any edge network: filter, interaction, attention or heterogeneous GNN."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.plugin.edge_features import EDGE_FEATURES, edge_features
from trkx.plugin.errors import DetectorMismatchError, StageError, WeightsError, need
from trkx.plugin.graph import Graph
from trkx.plugin.network_classifier import torch_device
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.stage_weights import StageWeights

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor, nn

# Stage of a card: module, configuration and network. Modules are imported when asked for.
NETWORKS = {
    "filter": ("trkx.plugin.filter_mlp", "FilterMlpConfig", "FilterMlp"),
    "interaction_gnn": ("trkx.plugin.interaction_gnn", "InteractionGnnConfig", "InteractionGnn"),
    "attention_gnn": ("trkx.plugin.attention_gnn", "AttentionGnnConfig", "AttentionGnn"),
    "heterogeneous_gnn": (
        "trkx.plugin.heterogeneous_gnn",
        "HeterogeneousGnnConfig",
        "HeterogeneousGnn",
    ),
}
PRECISIONS = ("float32", "bfloat16", "float16")
_OUTSIDE = 0.01  # share of hits that may lie outside of the detector the network was trained on
_MARGIN = 1.05


@dataclass(frozen=True)
class EdgeNetworkClassifierConfig:
    """How a trained edge network is used."""

    weights: str = ""  # file of the trained weights
    cut: float = 0.0  # edges below this probability are dropped; 0: none
    shrink_nodes: bool = True  # also drop nodes that are left without edges
    memory_budget: str = "auto"  # working memory, such as "4 GiB"; "auto": most of what is free
    precision: str = "float32"  # of products; sums and states stay float32
    compile: bool = False  # compile the network's blocks at the first event

    def __post_init__(self) -> None:
        if not 0.0 <= self.cut < 1.0:
            raise ValueError(f"cut is {self.cut}; expected a probability from 0 to below 1")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is '{self.precision}'; choose of {', '.join(PRECISIONS)}")


def make_network(stage: str, shape: Mapping[str, Any]) -> nn.Module:
    """An untrained network of a stage.

    Args:
        stage: one of `NETWORKS`.
        shape: arguments of its configuration.

    Raises:
        StageError: no such stage, or a shape that its network does not have.
    """
    if stage not in NETWORKS:
        raise StageError(f"no edge network '{stage}'; choose of {', '.join(NETWORKS)}")
    need("torch", "local", f"stage '{stage}'")
    where, config, network = NETWORKS[stage]
    module = importlib.import_module(where)
    try:
        return getattr(module, network)(getattr(module, config)(**shape))
    except (TypeError, ValueError) as error:
        raise StageError(f"stage '{stage}': {error}") from error


def extent(graph: Graph) -> dict[str, float]:
    """Largest radius and |z| of the nodes, mm: what a card keeps of the detector."""
    r, z = graph.features(("r", "z")).T
    return {"r": float(r.max(initial=0.0)), "z": float(np.abs(z).max(initial=0.0))}


class EdgeNetworkClassifier:
    """Scores the edges of a graph with a trained network, and drops those below a cut.

    The card of the weights says what the network reads. Edges given twice are scored and count
    twice, a self-loop is an edge like others, an isolated node changes no score; graph
    constructors of this package make none of them.
    """

    def __init__(
        self,
        network: nn.Module,
        card: Mapping[str, Any],
        config: EdgeNetworkClassifierConfig | None = None,
        device: str = "cpu",
    ) -> None:
        """Use a network with the features that its card names.

        Args:
            network: `forward(x, edge_index, edge_attr) -> logits`.
            card: with 'features', 'scales' (optional), 'edge_features' (default: the six, where
                the network has as many), 'edge_scales' and 'extent' (optional).
            config: cut, memory budget and precision.
            device: 'cpu' or 'cuda'.

        Raises:
            WeightsError: the features of the card are not as many as the network reads.
        """
        self.config = config or EdgeNetworkClassifierConfig()
        self.card = dict(card)
        self.device = torch_device(device)
        self.features = tuple(card["features"])
        self.scales = card.get("scales")
        shape: Any = getattr(network, "config", None)
        wants_edges = getattr(shape, "edge_features", 0)
        self.edge_features = tuple(card.get("edge_features", EDGE_FEATURES[:wants_edges]))
        self.edge_scales = card.get("edge_scales")
        wants = getattr(shape, "node_features", len(self.features))
        for what, found, expected in (
            ("node", self.features, wants),
            ("edge", self.edge_features, wants_edges),
        ):
            if shape is not None and len(found) != expected:
                raise WeightsError(
                    f"edge network: its card names {len(found)} {what} features "
                    f"({', '.join(found)}), but the network reads {expected}; train it anew"
                )
        self.network = network.to(self.device).eval()
        if self.config.compile:
            compile_blocks(self.network)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """The stage of a pipeline file."""
        stage = context.stage or "edge network"
        config = read_settings(EdgeNetworkClassifierConfig, settings, stage)
        if not config.weights:
            raise StageError(f"stage '{stage}': setting 'weights' is missing")
        weights = StageWeights.open(context.path(config.weights), context.stage or None)
        network = make_network(weights.card["stage"], weights.card["network"])
        return cls(weights.load_into(network), weights.card, config, context.device)

    def __call__(self, graph: Graph) -> Graph:
        """The graph with logits of its edges, without those below the cut.

        Raises:
            StageError: the graph lacks features, has NaN features or edges out of range.
            DetectorMismatchError: hits lie outside of the detector that was trained on.
        """
        scores = self.scores(graph)
        scored = graph.with_scores(scores)
        if self.config.cut <= 0.0:
            return scored
        kept = scored.keep_edges(scores >= logit(self.config.cut))
        return kept.without_isolated_nodes() if self.config.shrink_nodes else kept

    def scores(self, graph: Graph) -> np.ndarray:
        """(E,) float32 logits of all edges."""
        import torch

        from trkx.plugin.substepping import score_edges

        x, index, attr = self.inputs(graph)
        if graph.n_edges == 0:
            return np.zeros(0, np.float32)
        reduced = self.config.precision != "float32"
        kind = getattr(torch, self.config.precision)
        with torch.autocast(self.device.type, kind) if reduced else nullcontext():
            logits = score_edges(self.network, x, index, attr, self.config.memory_budget)
        return logits.cpu().numpy()

    def inputs(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the network is given: nodes (n, F), edges (2, E) int64, edge features (E, G).

        Nodes on no edge change no score; they are left out.
        """
        import torch

        x = graph.features(self.features, self.scales)
        check_inputs(x, graph.edge_index, self.features)
        self._check_extent(graph)
        edges = graph.edge_index
        used = np.zeros(len(x), bool)
        used[edges] = True
        if not used.all():
            x, edges = x[used], (np.cumsum(used) - 1)[edges]

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        attr = None
        if self.edge_features:
            attr = tensor(edge_features(graph, self.edge_features, self.edge_scales))
        return tensor(x), tensor(edges).long(), attr

    def _check_extent(self, graph: Graph) -> None:
        known = self.card.get("extent")
        if known is None or graph.n_nodes == 0:
            return
        r, z = graph.features(("r", "z")).T
        outside = (r > _MARGIN * known["r"]) | (np.abs(z) > _MARGIN * known["z"])
        if outside.mean() > _OUTSIDE:
            raise DetectorMismatchError(
                f"{int(outside.sum())} of {len(r)} hits lie outside of the detector that this "
                f"network was trained on (r < {known['r']:.0f} mm, |z| < {known['z']:.0f} mm); "
                "pass weights trained for this detector, or train them with 'trkx train'"
            )


def check_inputs(x: np.ndarray, edge_index: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse features and edges that would give meaningless scores.

    Raises:
        StageError: a feature that is NaN or infinite, an edge to a node that is not there.
    """
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise StageError(
            f"edge network: {int(bad.any(axis=1).sum())} of {len(x)} nodes have NaN or infinite "
            f"features, first '{names[column]}' of node {row}; remove these hits first"
        )
    if edge_index.size and (edge_index.min() < 0 or edge_index.max() >= len(x)):
        raise StageError(
            f"edge network: edges name nodes {edge_index.min()} to {edge_index.max()}, but the "
            f"graph has {len(x)} nodes"
        )


def logit(probability: float) -> float:
    """Score of a probability between 0 and 1."""
    return float(np.log(probability / (1.0 - probability)))


def compile_blocks(network: nn.Module) -> None:
    """Compile what is evaluated per block, at its first call; needs a C++ compiler on a CPU."""
    import torch

    from trkx.plugin.pair_mlp import PairMlp

    for module in network.modules():
        if isinstance(module, PairMlp):
            module.join = torch.compile(module.join, dynamic=True)  # type: ignore[method-assign]
