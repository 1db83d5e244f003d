"""Networks of others: TorchScript and ONNX files, as ACTS' GNN plugin reads them.

Edge networks are called as `forward(x, edge_index)` or `forward(x, edge_index, edge_attr)` and
return one logit per edge, (E,) or (E, 1); embeddings are called as `forward(x)` and return (N, d).
Models of the ExaTrkX project load unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trkx.plugin.edge_network import EdgeNetworkClassifier, EdgeNetworkClassifierConfig
from trkx.plugin.errors import StageError, WeightsError, need
from trkx.plugin.stage_settings import StageContext, read_settings

if TYPE_CHECKING:
    from typing import Self


def load_torchscript(path: Path) -> nn.Module:
    """A TorchScript module from a file, on the CPU.

    Raises:
        WeightsError: no such file, or no TorchScript.
    """
    if not path.is_file():
        raise WeightsError(f"TorchScript model {path}: no such file")
    try:
        with warnings.catch_warnings():
            # TorchScript is what ACTS and the ExaTrkX models use; torch would like them to move.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{path} is no TorchScript model: {reason}") from error


class OnnxNetwork(nn.Module):
    """An ONNX model behind the call of a torch module, run by ONNX Runtime."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Open the model.

        Raises:
            MissingExtraError: ONNX Runtime is not installed.
            WeightsError: no such file, or no ONNX model.
        """
        super().__init__()
        runtime = need("onnxruntime", "onnx", f"model {path.name}")
        if not path.is_file():
            raise WeightsError(f"ONNX model {path}: no such file")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        try:
            self.session = runtime.InferenceSession(
                str(path), options, providers=[*providers, "CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has an exception class per kind of failure
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"{path} is no ONNX model that can be run: {reason}") from error
        self.names = [i.name for i in self.session.get_inputs()]

    def forward(self, *inputs: Tensor) -> Tensor:
        """The first output of the model; inputs in the order the model names them."""
        if len(inputs) != len(self.names):
            raise StageError(
                f"the ONNX model reads {len(self.names)} inputs ({', '.join(self.names)}), but "
                f"gets {len(inputs)}; name edge features only for a model that reads them"
            )
        feed = {n: t.cpu().contiguous().numpy() for n, t in zip(self.names, inputs, strict=True)}
        try:
            (output, *_) = self.session.run(None, feed)
        except Exception as error:
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(output).to(inputs[0].device)


class ForeignEmbedding(nn.Module):
    """The call of our embedding for a network of another kind."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network that is called with x (N, F)."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Where the hits lie, (N, d)."""
        try:
            out = self.network(x)
        except RuntimeError as error:
            raise _not_run(error, f"{x.shape[1]} node features") from error
        if not isinstance(out, Tensor) or out.dim() != 2 or out.shape[0] != x.shape[0]:
            found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise StageError(
                f"the model gave {found} for {x.shape[0]} hits; an embedding gives (hits, "
                "dimensions)"
            )
        return out


def _not_run(error: RuntimeError, given: str) -> StageError:
    """A model refused its input: of a wrong number of features, as a rule."""
    reason = " ".join(str(error).split())[-300:]
    return StageError(f"the model cannot be run on {given}: {reason}")


class ForeignEdgeNetwork(nn.Module):
    """The call of our edge networks for a network of another kind."""

    def __init__(self, network: nn.Module, undirected: bool = False, chunks: int = 1) -> None:
        """Wrap a network.

        Args:
            network: called with x (N, F), edge_index (2, E) and, where there are any, edge_attr.
            undirected: show it every edge in both directions and keep the score of the first, as
                ACTS does.
            chunks: parts into which the edges are split; only for networks that look at one edge
                at a time.
        """
        super().__init__()
        self.network, self.undirected, self.chunks = network, undirected, chunks

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Logits (E,) of all edges."""
        n = edge_index.shape[1]
        attr = edge_attr
        if self.undirected:
            edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
            attr = None if attr is None else torch.cat([attr, attr])
        parts = edge_index.chunk(self.chunks, dim=1)
        attrs = [()] * len(parts) if attr is None else [(a,) for a in attr.chunk(self.chunks)]
        try:
            out = [
                self.network(x, part, *a).reshape(-1) for part, a in zip(parts, attrs, strict=True)
            ]
        except RuntimeError as error:
            n_attr = 0 if attr is None else attr.shape[1]
            raise _not_run(error, f"{x.shape[1]} node and {n_attr} edge features") from error
        logits = torch.cat(out)[:n]
        if logits.shape[0] != n:
            raise StageError(f"the model gave {logits.shape[0]} scores for {n} edges")
        return logits.float()


@dataclass(frozen=True)
class ForeignEdgeClassifierConfig(EdgeNetworkClassifierConfig):
    """A network of others: the file, and what it reads, which the file does not say."""

    model: str = ""  # TorchScript (.pt, .pth) or ONNX (.onnx)
    features: tuple[str, ...] = ("r", "phi", "z")  # node features
    scales: tuple[float, ...] = ()  # they are divided by; empty: 1
    edge_features: tuple[str, ...] = ()  # of GNN4ITk's six, where the model reads any
    edge_scales: tuple[float, ...] = ()
    undirected: bool = False  # the model wants every edge in both directions
    chunks: int = 1  # parts of the edges, for filters

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise ValueError("setting 'model' is missing; name a .pt or .onnx file")
        if self.chunks < 1:
            raise ValueError(f"chunks is {self.chunks}; expected at least 1")


def load_foreign(path: Path, device: str = "cpu") -> nn.Module:
    """A TorchScript or ONNX model by the ending of its name."""
    return OnnxNetwork(path, device) if path.suffix == ".onnx" else load_torchscript(path)


class ForeignEdgeClassifier(EdgeNetworkClassifier):
    """Scores edges with a TorchScript or ONNX model of others."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """The stage `torchscript` or `onnx` of a pipeline file."""
        config = read_settings(ForeignEdgeClassifierConfig, settings, "foreign edge network")
        network = load_foreign(context.path(config.model), context.device)
        card = {
            "features": config.features,
            "scales": config.scales or None,
            "edge_features": config.edge_features,
            "edge_scales": config.edge_scales or None,
        }
        wrapped = ForeignEdgeNetwork(network, config.undirected, config.chunks)
        return cls(wrapped, card, config, context.device)
