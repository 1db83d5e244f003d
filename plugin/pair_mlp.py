"""Multilayer perceptrons on pairs of nodes: the piece that all edge networks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    sizes = [inputs, *hidden, outputs]
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers += [nn.ReLU()] if i else []
        layers.append(nn.Linear(a, b))
    return nn.Sequential(*layers)


def sum_at(values: Tensor, index: Tensor, n: int) -> Tensor:
    """(n, D): sums of the rows of `values` (E, D) that go to each of n nodes by `index` (E,)."""
    return values.new_zeros(n, values.shape[1]).index_add(0, index, values)


class PairMlp(nn.Module):
    """MLP of both nodes of an edge and the edge's own state.

    The first layer acts on a concatenation: W [a, b, e] = W1 a + W2 b + W3 e. Its first two
    terms are computed once per node, not once per edge, of which there are many more.
    """

    def __init__(self, nodes: int, state: int, hidden: Sequence[int], outputs: int) -> None:
        """Make the layers.

        Args:
            nodes: channels of a node.
            state: channels of an edge's state; 0: none.
            hidden: widths of the hidden layers, at least one.
            outputs: channels of the result.
        """
        super().__init__()
        self.source = nn.Linear(nodes, hidden[0])
        self.target = nn.Linear(nodes, hidden[0], bias=False)
        self.state = nn.Linear(state, hidden[0], bias=False) if state else None
        self.rest = mlp(hidden[0], hidden[1:], outputs)

    def forward(self, h: Tensor, edge_index: Tensor, state: Tensor | None) -> Tensor:
        """(E, outputs) from nodes (N, nodes), edges (2, E) and their state (E, state)."""
        return self.join(self.source(h), self.target(h), edge_index, state)

    def join(
        self, source: Tensor, target: Tensor, edge_index: Tensor, state: Tensor | None
    ) -> Tensor:
        """The same from the projected nodes, for all edges or a block of them."""
        u = source.index_select(0, edge_index[0]) + target.index_select(0, edge_index[1])
        if self.state is not None and state is not None:
            u = u + self.state(state)
        return self.rest(torch.relu(u))
