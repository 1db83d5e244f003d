"""The networks of the published contract as TorchScript, for Triton's libtorch backend.

Each file reads FEATURES as clients send them; scales, cosines, the direction of edges and the
features of edges are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trkx.plugin.acts_form import ActsEdgeNetwork, ActsEdges, ActsEmbedding, ActsNodes
from trkx.plugin.exatrkx_graph import FEATURE_SCALES, FEATURES, ExatrkxGraph
from trkx.plugin.export import save_script
from trkx.plugin.pipeline_file import PipelineFile

if TYPE_CHECKING:
    from trkx.plugin.edge_network import EdgeNetworkClassifier

_COLUMNS = (*FEATURES, "eta")


class _Unscaled(nn.Module):
    """r (mm), phi (rad), z (mm) and eta from FEATURES."""

    if TYPE_CHECKING:  # TorchScript finds out the types of buffers by itself
        scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(FEATURE_SCALES))

    def forward(self, features: Tensor) -> Tensor:
        """(N, 4) from (N, 3)."""
        x = features * self.scale
        eta = torch.asinh(x[:, 2:3] / x[:, 0:1].clamp(min=1e-3))
        return torch.cat([x, eta], dim=1)


class EmbedScript(nn.Module):
    """INPUT__0 (N, 3) → OUTPUT__0 (N, d)."""

    def __init__(self, stage: ExatrkxGraph) -> None:
        super().__init__()
        self.unscaled = _Unscaled()
        nodes = ActsNodes(_COLUMNS, stage.features, stage.scales)
        self.network = ActsEmbedding(stage.network, nodes)

    def forward(self, features: Tensor) -> Tensor:
        """Where the hits lie."""
        return self.network(self.unscaled(features))


class EdgeScript(nn.Module):
    """INPUT__0 (N, 3), INPUT__1 (2, E) → OUTPUT__0, logits (E, 1) or (E,)."""

    def __init__(self, stage: EdgeNetworkClassifier, column: bool) -> None:
        """Take the network of a stage; `column`: its logits are (E, 1)."""
        super().__init__()
        self.unscaled, self.column = _Unscaled(), column
        nodes = ActsNodes(_COLUMNS, stage.features, stage.scales)
        names = stage.edge_features
        edges = ActsEdges(names, stage.edge_scales) if names else None
        self.network = ActsEdgeNetwork(stage.network, nodes, edges, outward=True)

    def forward(self, features: Tensor, edge_index: Tensor) -> Tensor:
        """Logits of all edges."""
        logits = self.network(self.unscaled(features), edge_index)
        return logits.reshape(-1, 1) if self.column else logits


def write_scripts(file: PipelineFile, target: str, folder: Path, version: str) -> list[Path]:
    """Write `model.pt` into the folders of the models embed, filter and gnn."""
    constructor, first, second, _ = (file.make_stage(table, "cpu", target) for table in file.stages)
    forms = {
        "embed": EmbedScript(constructor),
        "filter": EdgeScript(first, column=True),
        "gnn": EdgeScript(second, column=False),
    }
    return [
        save_script(form.eval(), folder / name / version / "model.pt")
        for name, form in forms.items()
    ]
