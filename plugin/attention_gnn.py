"""Attention GNN: edge scores weight the messages between hits at every step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trkx.plugin.pair_mlp import PairMlp, mlp, sum_at
from trkx.plugin.substepping import Footprint, blocks


@dataclass(frozen=True)
class AttentionGnnConfig:
    """Shape of the network."""

    node_features: int  # columns of x
    edge_features: int = 6  # columns of edge_attr; 0: none
    width: int = 64  # hidden channels
    steps: int = 8  # message-passing steps
    hidden_layers: int = 2  # of the edge and node networks

    def __post_init__(self) -> None:
        sizes = (self.node_features, self.width, self.steps, self.hidden_layers)
        if min(sizes) < 1 or self.edge_features < 0:
            raise ValueError(f"attention GNN: sizes must be positive, got {asdict(self)}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class AttentionGnn(nn.Module):
    """Scores edges from their two hits, then moves hits by their score-weighted neighbours.

    The edge network and the node network are the same at every step. Input features are shown
    to both again at every step, and nodes have residual connections.

    References: Farrell et al., arXiv:1810.06111 (HEP.TrkX); Ju et al., Eur. Phys. J. C 81, 876
    (2021), arXiv:2103.06995. Departures: edge features, layer norm on nodes.
    """

    def __init__(self, config: AttentionGnnConfig) -> None:
        super().__init__()
        self.config = c = config
        hidden = [c.width] * c.hidden_layers
        channels = c.width + c.node_features
        self.encode = mlp(c.node_features, [c.width], c.width)
        self.score = PairMlp(channels, c.edge_features, hidden, 1)
        self.node = mlp(3 * channels, hidden, c.width)
        self.norm = nn.LayerNorm(c.width)
        self.steps = c.steps

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """(E,) logits; x (N, F), edge_index (2, E) int64, edge_attr (E, G) float32."""
        source, target = edge_index[0], edge_index[1]
        h = torch.cat([self.encode(x), x], dim=1)
        for _ in range(self.steps):
            weight = torch.sigmoid(self.score(h, edge_index, edge_attr))
            into = sum_at(weight * h.index_select(0, source), target, h.shape[0])
            out = sum_at(weight * h.index_select(0, target), source, h.shape[0])
            h = self.update(h, into, out, x)
        return self.score(h, edge_index, edge_attr).squeeze(1)

    def update(self, h: Tensor, into: Tensor, out: Tensor, x: Tensor) -> Tensor:
        """New nodes (N, width + F): state and input side by side."""
        new = h[:, : h.shape[1] - x.shape[1]] + self.norm(
            self.node(torch.cat([h, into, out], dim=1))
        )
        return torch.cat([new, x], dim=1)

    def footprint(self, n_nodes: int, n_edges: int) -> Footprint:
        """Memory that `scores_in_blocks` needs."""
        c = self.config
        channels = c.width + c.node_features
        return Footprint(
            state=0,
            nodes=4 * n_nodes * (3 * channels + 2 * c.width) + 4 * n_edges,
            row=4 * (4 * c.width + 4 * channels + c.edge_features),
        )

    def scores_in_blocks(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        rows: int,
        offload: bool = False,
    ) -> Tensor:
        """The same scores, `rows` edges at a time; edges have no state to offload."""
        n_edges = edge_index.shape[1]
        h = torch.cat([self.encode(x), x], dim=1)
        scores = torch.empty(n_edges, device=x.device)
        for step in range(self.steps + 1):
            source, target = self.score.source(h), self.score.target(h)
            into, out = torch.zeros_like(h), torch.zeros_like(h)
            for b in blocks(n_edges, rows):
                index = edge_index[:, b]
                attr = None if edge_attr is None else edge_attr[b]
                score = self.score.join(source, target, index, attr)
                if step == self.steps:
                    scores[b] = score.squeeze(1)
                    continue
                weight = torch.sigmoid(score)
                into.index_add_(0, index[1], weight * h.index_select(0, index[0]))
                out.index_add_(0, index[0], weight * h.index_select(0, index[1]))
            if step == self.steps:
                return scores
            del source, target
            for b in blocks(len(h), rows):
                h[b] = self.update(h[b], into[b], out[b], x[b])
        return scores
