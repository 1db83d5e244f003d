"""Edge classification by the interaction network, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trkx.plugin.errors import DeviceError, StageError, need
from trkx.plugin.graph import Graph
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.weights import stage_model

if TYPE_CHECKING:
    from trkx.plugin.interaction_network import InteractionNetwork


def torch_device(name: str):
    """The torch device of that name.

    Raises:
        DeviceError: there is no such device here.
    """
    torch = need("torch", "local", f"device '{name}'")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device '{name}' is not one torch knows; use 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device '{name}' was asked for, but torch {torch.__version__} sees no CUDA device; "
            "use '--device cpu', or install a CUDA build of torch and a driver"
        )
    return device


@dataclass(frozen=True)
class NetworkClassifierConfig:
    """Where the network is; what it reads, it says itself."""

    model: str = ""  # folder of 'trkx train'; '': the shipped model of the target


class NetworkClassifier:
    """Edge classifier on a trained interaction network: fused on a CPU, torch on a GPU."""

    def __init__(self, network: InteractionNetwork, device: str = "cpu") -> None:
        self._device = torch_device(device)
        self._fused = None
        if self._device.type == "cpu":
            from trkx.plugin.fused_inference import FusedInference

            self._fused = FusedInference(network)
        self.network = network.to(self._device).eval()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder)."""
        read_settings(NetworkClassifierConfig, settings, "fast")
        return cls(stage_model(settings, context).network(), context.device)

    def __call__(self, graph: Graph) -> Graph:
        """The graph with the logits of its edges and triplets.

        Raises:
            StageError: the graph has not the features that the network reads.
        """
        import torch

        self._check(graph)
        if self._fused is not None:
            return graph.with_scores(*self._fused(graph))
        if graph.n_edges == 0:
            return graph.with_scores(np.zeros(0, np.float32), np.zeros(0, np.float32))

        def tensor(array: np.ndarray):
            return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

        with torch.inference_mode():
            edges, triplets = self.network(
                tensor(graph.edge_features),
                tensor(graph.edge_pair),
                tensor(graph.triplet_features),
                tensor(graph.triplet_index.astype(np.int64)),
            )
        return graph.with_scores(edges.cpu().numpy(), triplets.cpu().numpy())

    def _check(self, graph: Graph) -> None:
        c = self.network.config
        found = graph.edge_features.shape[1], graph.triplet_features.shape[1]
        pairs = int(graph.edge_pair.max(initial=-1)) + 1
        if graph.n_triplets == 0:
            found = found[0], c.triplet_features
        if graph.n_edges and (
            found != (c.edge_features, c.triplet_features) or pairs > c.layer_pairs
        ):
            raise StageError(
                f"stage 'fast': its network reads {c.edge_features} features of each edge, "
                f"{c.triplet_features} of each triplet and {c.layer_pairs} layer pairs; this graph "
                f"has {found[0]}, {graph.triplet_features.shape[1]} and {pairs}. Put the graph "
                "constructor 'layer_map' of the same model before it"
            )
