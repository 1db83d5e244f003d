"""Edge classification by the interaction network, on CPU or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trkx.plugin.errors import DeviceError, need
from trkx.plugin.graph import Graph

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


class NetworkClassifier:
    """Edge classifier on a trained interaction network: fused on a CPU, torch on a GPU."""

    def __init__(self, network: InteractionNetwork, device: str = "cpu") -> None:
        self._device = torch_device(device)
        self._fused = None
        if self._device.type == "cpu":
            from trkx.plugin.fused_inference import FusedInference

            self._fused = FusedInference(network)
        self.network = network.to(self._device).eval()

    def __call__(self, graph: Graph) -> Graph:
        """The graph with the logits of its edges and triplets."""
        import torch

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
