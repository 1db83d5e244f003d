"""Graph construction by metric learning: edges join hits that lie close in an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.edge_network import check_inputs
from trkx.plugin.edge_support import edge_support
from trkx.plugin.errors import StageError, WeightsError, need
from trkx.plugin.graph import Graph
from trkx.plugin.network_classifier import torch_device
from trkx.plugin.node_features import point_features, select_features
from trkx.plugin.pair_cuts import PairCuts, PairSelection
from trkx.plugin.radius_search import METHODS, radius_search
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.stage_weights import StageWeights

if TYPE_CHECKING:
    from typing import Self

    from torch import nn

STAGE = "metric_learning"
PRECISIONS = ("float32", "bfloat16", "float16")
_ROWS = 1 << 14  # hits that are embedded at once: their activations stay in the cache
_PAIRS = 1 << 22  # pairs that the cuts look at once


@dataclass(frozen=True)
class MetricLearningConfig:
    """The search in the embedding space, and cuts on what it finds."""

    weights: str = ""  # file of the trained weights
    model: str = ""  # TorchScript (.pt, .pth) or ONNX (.onnx) embedding of others instead
    features: tuple[str, ...] = ("r", "phi", "z")  # what `model` reads
    scales: tuple[float, ...] = ()  # they are divided by; empty: 1
    radius: float = 1.0  # of the search; the training's hinge is at 1
    k: int = 300  # most neighbours of a hit, nearest first
    search: str = "grid"  # method, see `radius_search`
    precision: str = "float32"  # of the network's products
    z0_max: float = 250.0  # cuts, see `PairCuts`
    curvature_max: float = 1.1e-3
    overlap_max: float = 0.0
    support: bool = True  # give edges the features of `edge_support`, for the filter

    def __post_init__(self) -> None:
        if not self.radius > 0 or self.k < 1:
            raise ValueError(f"radius is {self.radius}, k is {self.k}; expected positive numbers")
        if self.search not in METHODS:
            raise ValueError(f"search is '{self.search}'; choose of {', '.join(METHODS)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is '{self.precision}'; choose of {', '.join(PRECISIONS)}")
        _ = self.cuts

    @property
    def cuts(self) -> PairCuts:
        """The cuts on neighbours."""
        return PairCuts(self.z0_max, self.curvature_max, self.overlap_max)


class MetricLearning:
    """Embeds all hits and joins each to its neighbours within a radius.

    Neighbours on the same module, and those that the geometric cuts reject, are no edges. The
    cuts come after the choice of the k nearest.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995. Departure: cuts on
    the geometry of pairs, and features of how well an edge is continued by others, so that the
    filter that follows has fewer edges to look at, and more to tell them apart.
    """

    def __init__(
        self,
        network: nn.Module,
        features: Sequence[str],
        scales: Sequence[float],
        config: MetricLearningConfig | None = None,
        device: str = "cpu",
    ) -> None:
        """Use a trained embedding.

        Args:
            network: `forward(x (N, F)) -> (N, d)`.
            features: node features it reads, in order.
            scales: what they are divided by.
            config: search and cuts.
            device: 'cpu' or 'cuda', of the network.

        Raises:
            WeightsError: the network reads another number of features.
        """
        shape = getattr(network, "config", None)
        if shape is not None and shape.features != len(features):
            raise WeightsError(
                f"metric learning: its card names {len(features)} features ({', '.join(features)}),"
                f" but the network reads {shape.features}; train it anew"
            )
        self.config = config or MetricLearningConfig()
        self.features, self.scales = tuple(features), tuple(scales)
        self.device = torch_device(device)
        self.network = network.to(self.device).eval()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """The stage of a pipeline file."""
        config = read_settings(MetricLearningConfig, settings, STAGE)
        if bool(config.weights) == bool(config.model):
            raise StageError(
                f"stage '{STAGE}': give 'weights', a file of 'trkx train', or 'model', a file of "
                "TorchScript or ONNX; one of the two"
            )
        need("torch", "local", f"stage '{STAGE}'")
        if config.model:
            from trkx.plugin.foreign_networks import ForeignEmbedding, load_foreign

            foreign = ForeignEmbedding(load_foreign(context.path(config.model), context.device))
            scales = config.scales or (1.0,) * len(config.features)
            return cls(foreign, config.features, scales, config, context.device)
        from trkx.plugin.embedding import Embedding, EmbeddingConfig

        weights = StageWeights.open(context.path(config.weights), STAGE)
        card = weights.card
        network = weights.load_into(Embedding(EmbeddingConfig(**card["network"])))
        return cls(network, card["features"], card["scales"], config, context.device)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Make the graph of one event."""
        c = self.config
        source, target = radius_search(self.embed(points, beam_spot), c.radius, c.k, c.search)
        selection = PairSelection(points, c.cuts, beam_spot)
        kept = []
        for at in range(0, len(source), _PAIRS):
            a, b = source[at : at + _PAIRS], target[at : at + _PAIRS]
            kept.append(np.stack([a, b])[:, selection(a, b)])
        edges = np.concatenate(kept, axis=1) if kept else np.zeros((2, 0), np.int64)
        graph = edge_graph(points, edges, beam_spot)
        return replace(graph, edge_features=edge_support(graph)) if c.support else graph

    def embed(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """(N, d) float32: where the hits lie in the embedding space.

        Raises:
            StageError: the space points lack a feature, or it is not finite.
        """
        return self.embed_columns(*point_features(points, beam_spot))

    def embed_columns(self, columns: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The same from a table of features (N, F), whose columns are named."""
        import torch

        x = select_features(columns, names, self.features, self.scales)
        check_inputs(x, np.zeros((2, 0), np.int64), self.features)
        if len(x) == 0:
            return np.zeros((0, 1), np.float32)
        kind = getattr(torch, self.config.precision)
        reduced = kind != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, kind, enabled=reduced):
            parts = [
                self.network(part.to(self.device)).float().cpu()
                for part in torch.from_numpy(x).split(_ROWS)
            ]
        return torch.cat(parts).numpy()
