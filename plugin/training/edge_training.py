"""Training of networks that score edges: filter, interaction, attention, heterogeneous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from trkx.plugin.heterogeneous_gnn import HeterogeneousGnn
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings


class GraphExample(NamedTuple):
    """One graph with its labels; a batch is several of them, as one graph."""

    x: Tensor  # (N, F) float32, scaled node features
    edge_index: Tensor  # (2, E) int32 or int64
    edge_attr: Tensor  # (E, G) float32; no columns: the network reads none
    label: Tensor  # (E,) float32, 1: both hits are of one particle
    weight: Tensor  # (E,) float32


def n_edges(example: GraphExample) -> int:
    """What batches of graphs are balanced by."""
    return len(example.label)


def join_graphs(examples: Sequence[GraphExample]) -> GraphExample:
    """Several graphs as one without edges between them."""
    if len(examples) == 1:
        return examples[0]
    counts = torch.tensor([0, *(len(e.x) for e in examples[:-1])])
    shifts = counts.cumsum(0).tolist()
    return GraphExample(
        x=torch.cat([e.x for e in examples]),
        edge_index=torch.cat(
            [e.edge_index.long() + s for e, s in zip(examples, shifts, strict=True)], dim=1
        ),
        edge_attr=torch.cat([e.edge_attr for e in examples]),
        label=torch.cat([e.label for e in examples]),
        weight=torch.cat([e.weight for e in examples]),
    )


def edge_loss(
    logits: Tensor, label: Tensor, weight: Tensor, focal: float = 0.0, positive: float = 1.0
) -> Tensor:
    """Sum of the weighted binary cross entropies of E edges.

    Args:
        logits: (E,).
        label: (E,) 0 or 1.
        weight: (E,).
        focal: exponent γ of (1 - p)^γ, which turns to edges that are hard; 0: none.
        positive: further weight of true edges.

    References: focal loss: Lin et al., ICCV 2017, arXiv:1708.02002.
    """
    loss = binary_cross_entropy_with_logits(logits, label, reduction="none") * weight
    if positive != 1.0:
        loss = loss * (1 + (positive - 1) * label)
    if focal > 0:
        p = torch.sigmoid(logits)
        loss = loss * (p + label - 2 * p * label) ** focal
    return loss.sum()


class EdgeTraining(StageTraining):
    """Weighted binary cross entropy on the edges of graphs.

    Args:
        network: forward(x, edge_index, edge_attr) gives the logits of the edges.
        settings: how to optimise.
        focal: see `edge_loss`.
        positive: see `edge_loss`.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: FitSettings,
        focal: float = 0.0,
        positive: float = 1.0,
    ) -> None:
        super().__init__(network, settings)
        self.focal, self.positive = focal, positive

    def on_after_backward(self) -> None:
        """Networks of several types of nodes may learn as one at first."""
        if isinstance(self.network, HeterogeneousGnn):
            self.network.share_gradients(self.step / self.total_steps)

    def training_step(self, batch: GraphExample, batch_idx: int) -> Tensor:
        attributes = batch.edge_attr if batch.edge_attr.shape[1] else None
        logits = self.network(batch.x, batch.edge_index.long(), attributes)
        total = edge_loss(logits.float(), batch.label, batch.weight, self.focal, self.positive)
        return self.mean_over_processes(total, batch.weight.sum())
