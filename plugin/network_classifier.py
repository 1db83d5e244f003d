"""Edge classification by the interaction network, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trkx.plugin.errors import DeviceError, StageError, need
from trkx.plugin.fused_inference import FusedInference
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


class TorchInference:
    """Forward pass of a network by torch, on any of its devices."""

    def __init__(self, network: InteractionNetwork, device: str) -> None:
        self._device = torch_device(device)
        self._network = network.to(self._device).eval()

    def __call__(self, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        """Logits of the E edges and T triplets of a graph, float32."""
        import torch

        if graph.n_edges == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)

        def tensor(array: np.ndarray):
            return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

        with torch.inference_mode():
            edges, triplets = self._network(
                tensor(graph.edge_features),
                tensor(graph.edge_pair),
                tensor(graph.triplet_features),
                tensor(graph.triplet_index.astype(np.int64)),
            )
        return edges.cpu().numpy(), triplets.cpu().numpy()


@dataclass(frozen=True)
class NetworkClassifierConfig:
    """Where the network is; what it reads, it says itself."""

    model: str = ""  # folder of 'trkx train'; '': the shipped model of the target


class NetworkClassifier:
    """Edge classifier on a trained interaction network: fused on a CPU, torch on a GPU."""

    def __init__(self, network: InteractionNetwork | FusedInference, device: str = "cpu") -> None:
        """The fused form of a network is for the CPU only; it does without torch."""
        self.config = network.config
        self._score: Callable[[Graph], tuple[np.ndarray, np.ndarray]]
        if isinstance(network, FusedInference):
            self._score = network
        elif torch_device(device).type == "cpu":
            self._score = FusedInference.of(network)
        else:
            self._score = TorchInference(network, device)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder)."""
        read_settings(NetworkClassifierConfig, settings, "fast")
        model = stage_model(settings, context)
        if context.device == "cpu":
            return cls(FusedInference(*model.network_state()))
        return cls(model.network(), context.device)

    def __call__(self, graph: Graph) -> Graph:
        """The graph with the logits of its edges and triplets.

        Raises:
            StageError: the graph has not the features that the network reads.
        """
        self._check(graph)
        return graph.with_scores(*self._score(graph))

    def _check(self, graph: Graph) -> None:
        c = self.config
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
