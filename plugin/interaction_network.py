"""Interaction network on the doublet graph: doublets exchange messages along triplets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trkx.plugin.interaction_network_config import InteractionNetworkConfig


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class InteractionNetwork(nn.Module):
    """Scores doublets (edges) and triplets of a graph.

    A message is computed per triplet from its two doublets and its own state, and summed at
    both. Linear maps of concatenated inputs are split, so that each doublet is projected once
    and not once per triplet.

    References: Battaglia et al., NeurIPS 2016, arXiv:1612.00222; for tracking, DeZoort et al.,
    Comput. Softw. Big Sci. 5, 26 (2021), arXiv:2103.16701. Departure: nodes are doublets and
    edges are triplets (the line graph), so that messages follow helices only.
    """

    def __init__(self, config: InteractionNetworkConfig) -> None:
        super().__init__()
        self.config = c = config
        h = c.width
        self.embed = nn.Embedding(c.layer_pairs, c.embedding)
        self.encode_edge = _mlp(c.edge_features + c.embedding, h, h)
        self.encode_triplet = _mlp(c.triplet_features, h, h)

        def repeat(make):
            return nn.ModuleList([make() for _ in range(c.steps)])

        self.first = repeat(lambda: nn.Linear(h, h))
        self.second = repeat(lambda: nn.Linear(h, h, bias=False))
        self.state = repeat(lambda: nn.Linear(h, h, bias=False))
        self.message = repeat(lambda: nn.Linear(h, h))
        self.message_norm = repeat(lambda: nn.LayerNorm(h))
        self.update = repeat(lambda: _mlp(3 * h, h, h))
        self.update_norm = repeat(lambda: nn.LayerNorm(h))
        self.edge_score = _mlp(h, h, 1)
        self.triplet_score = _mlp(3 * h, h, 1)

    def forward(
        self, edges: Tensor, pair: Tensor, triplets: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores of one graph.

        Args:
            edges: (E, F) float32 features.
            pair: (E,) int64 layer pairs.
            triplets: (T, G) float32 features.
            index: (2, T) int64 rows of edges.

        Returns:
            (E,) and (T,) float32 logits that a doublet, a triplet is of one particle.
        """
        a, b = index[0], index[1]
        v = self.encode_edge(torch.cat([edges, self.embed(pair)], dim=1))
        m = self.encode_triplet(triplets)
        for k in range(self.config.steps):
            u = self.state[k](m)
            u = u + self.first[k](v).index_select(0, a) + self.second[k](v).index_select(0, b)
            m = m + self.message_norm[k](self.message[k](torch.relu(u)))
            into = torch.zeros_like(v).index_add(0, b, m)
            out = torch.zeros_like(v).index_add(0, a, m)
            v = v + self.update_norm[k](self.update[k](torch.cat([v, into, out], dim=1)))
        both = torch.cat([v.index_select(0, a), v.index_select(0, b), m], dim=1)
        return self.edge_score(v).squeeze(1), self.triplet_score(both).squeeze(1)
