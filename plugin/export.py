"""Networks to TorchScript and ONNX, in the form that ACTS' GNN plugin and Triton's backends read.

Inputs `x` (N, F) float32, scaled, `edge_index` (2, E) int64 and, for networks with edge features,
`edge_attr` (E, G) float32; output one logit per edge. An embedding has the input `x` only.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from trkx.plugin.errors import StageError, need

_SAMPLE_NODES, _SAMPLE_EDGES = 7, 11  # sizes of the example that exporting follows


class _EdgeForm(nn.Module):
    """Two or three inputs instead of an optional one, and one column of scores."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        return self.network(x, edge_index, edge_attr).reshape(-1, 1)


class _PlainForm(nn.Module):
    """A network without edge features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.network(x, edge_index).reshape(-1, 1)


def _example(nodes: int, edges: int | None) -> tuple[Tensor, ...]:
    """Inputs to follow; `edges` features per edge, None: an embedding."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(_SAMPLE_NODES, nodes, generator=generator)
    if edges is None:
        return (x,)
    index = torch.randint(0, _SAMPLE_NODES, (2, _SAMPLE_EDGES), generator=generator)
    return (x, index, torch.rand(_SAMPLE_EDGES, edges, generator=generator))[: 3 if edges else 2]


def _form(network: nn.Module, edges: int | None) -> nn.Module:
    if edges is None:
        return network.eval()
    return (_EdgeForm(network) if edges else _PlainForm(network)).eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """TorchScript is what the consumers read; torch would like them to move."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        registration.setLevel(level)


def export_torchscript(
    network: nn.Module, path: Path | str, node_features: int, edge_features: int | None
) -> Path:
    """Write a network as TorchScript.

    Args:
        network: an edge network, or an embedding.
        path: file to write.
        node_features: columns of x.
        edge_features: columns of edge_attr, 0: the network reads none; None: an embedding.
    """
    form = _form(network, edge_features)
    return save_script(form, Path(path), _example(node_features, edge_features))


def save_script(form: nn.Module, path: Path, example: tuple[Tensor, ...] | None = None) -> Path:
    """Write a module as TorchScript; what cannot be compiled is followed on the example, if any."""
    with _quiet(), torch.inference_mode():
        try:
            script = torch.jit.script(form)
        except (RuntimeError, torch.jit.frontend.NotSupportedError):
            if example is None:
                raise
            script = torch.jit.trace(form, example, check_trace=False)  # sizes stay free
        torch.jit.save(script, str(path))
    return path


def export_onnx(
    network: nn.Module, path: Path | str, node_features: int, edge_features: int | None
) -> Path:
    """Write a network as ONNX; arguments as for `export_torchscript`.

    Raises:
        MissingExtraError: onnx or onnxscript are not installed.
        StageError: the network has an operation that ONNX lacks.
    """
    for module in ("onnx", "onnxscript"):
        need(module, "onnx", "export to ONNX")
    path = Path(path)
    inputs = _example(node_features, edge_features)
    names = ("x", "edge_index", "edge_attr")[: len(inputs)]
    dim = torch.export.Dim
    nodes, edges = dim("nodes", min=2), dim("edges", min=2)
    shapes = ({0: nodes}, {1: edges}, {0: edges})[: len(inputs)]
    with _quiet(), torch.inference_mode():
        try:
            program = torch.onnx.export(
                _form(network, edge_features),
                inputs,
                input_names=list(names),
                output_names=["output"],
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise StageError(f"cannot export to ONNX: {str(error).splitlines()[0]}") from error
        assert program is not None
        program.save(str(path))
    return path
