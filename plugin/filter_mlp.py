"""Filter: an MLP on the two hits of an edge, which drops most wrong edges before a GNN."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trkx.plugin.pair_mlp import PairMlp
from trkx.plugin.substepping import Footprint, blocks


@dataclass(frozen=True)
class FilterMlpConfig:
    """Shape of the network."""

    node_features: int  # columns of x
    edge_features: int = 6  # columns of edge_attr; 0: none
    width: int = 128  # hidden channels
    hidden_layers: int = 3

    def __post_init__(self) -> None:
        if min(self.node_features, self.width, self.hidden_layers) < 1 or self.edge_features < 0:
            raise ValueError(f"filter: sizes must be positive, got {asdict(self)}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class FilterMlp(nn.Module):
    """Scores every edge by itself, from the features of both hits and of the edge.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995. Departure: edge
    features besides those of the hits, and the first layer is split (see `PairMlp`).
    """

    def __init__(self, config: FilterMlpConfig) -> None:
        super().__init__()
        self.config = c = config
        self.score = PairMlp(c.node_features, c.edge_features, [c.width] * c.hidden_layers, 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """(E,) logits; x (N, F), edge_index (2, E) int64, edge_attr (E, G) float32."""
        return self.score(x, edge_index, edge_attr).squeeze(1)

    def footprint(self, n_nodes: int, n_edges: int) -> Footprint:
        """Memory that `scores_in_blocks` needs."""
        c = self.config
        return Footprint(
            state=0,
            nodes=4 * 2 * n_nodes * c.width + 4 * n_edges,
            row=4 * (4 * c.width + 2 * c.edge_features),
        )

    def scores_in_blocks(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        rows: int,
        offload: bool = False,
    ) -> Tensor:
        """The same scores, `rows` edges at a time; there is no state to offload."""
        source, target = self.score.source(x), self.score.target(x)
        scores = torch.empty(edge_index.shape[1], device=x.device)
        for b in blocks(edge_index.shape[1], rows):
            attr = None if edge_attr is None else edge_attr[b]
            scores[b] = self.score.join(source, target, edge_index[:, b], attr).squeeze(1)
        return scores
