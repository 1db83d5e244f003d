"""Heterogeneous GNN: pixels and strips have encoders and messages of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trkx.plugin.pair_mlp import PairMlp, mlp, sum_at
from trkx.plugin.substepping import Footprint, StateStore, blocks

# Types of nodes are 0 (pixel) and 1 (strip). A pair of them has the number 2 * source + target;
# the numbers stand in the code because TorchScript takes no constants of modules.
N_TYPES = 2
N_PAIRS = 4


@dataclass(frozen=True)
class HeterogeneousGnnConfig:
    """Shape of the network."""

    node_features: int  # columns of x, of which the last is 1 for strips and 0 for pixels
    edge_features: int = 6  # columns of edge_attr; 0: none
    width: int = 128  # channels of a node and of an edge
    steps: int = 8  # message-passing steps, each with weights of its own
    hidden_layers: int = 1  # of every MLP
    together: float = 0.7  # share of a training in which all types learn as one
    padded: int = 0  # features before `is_strip` that are set to 0 for pixels, such as the four of
    #   the second cluster, which a pixel does not have; 0: all are used as they are

    def __post_init__(self) -> None:
        if min(self.width, self.steps, self.hidden_layers) < 1 or self.edge_features < 0:
            raise ValueError(f"heterogeneous GNN: sizes must be positive, got {asdict(self)}")
        if not 0 <= self.together <= 1:
            raise ValueError(
                f"heterogeneous GNN: together is {self.together}; expected a share from 0 to 1"
            )
        if not 0 <= self.padded < self.node_features - 1:
            raise ValueError(
                f"heterogeneous GNN: {self.node_features} node features with is_strip, "
                f"{self.padded} of them padded; one must be left for pixels"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _alike(modules: Iterable[nn.Module]) -> nn.ModuleList:
    """Modules of one shape with the initial weights of the first, one per type or pair."""
    copies = nn.ModuleList(modules)
    for other in copies[1:]:
        other.load_state_dict(copies[0].state_dict())
    return copies


class TypedPairs(nn.Module):
    """One MLP per pair of node types, on the edges of that pair."""

    def __init__(self, nodes: int, state: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.pair = _alike(PairMlp(nodes, state, hidden, outputs) for _ in range(N_PAIRS))

    def forward(self, h: list[Tensor], index: list[Tensor], state: list[Tensor]) -> list[Tensor]:
        """Results of the edges of each pair.

        Args:
            h: nodes (N_t, nodes) of each type.
            index: (2, E_k) of each pair, rows within the types of source and target.
            state: (E_k, state) of each pair.
        """
        out: list[Tensor] = []
        for k, pair in enumerate(self.pair):
            source = pair.source(h[k // 2])  # type: ignore[operator]
            target = pair.target(h[k % 2])  # type: ignore[operator]
            out.append(pair.join(source, target, index[k], state[k]))  # type: ignore[operator]
        return out

    @torch.jit.unused
    def projected(self, h: list[Tensor]) -> Iterator[Callable[[Tensor, Tensor | None], Tensor]]:
        """For each pair a function of a block's ends and states; nodes are projected once."""
        for k in range(N_PAIRS):
            pair: Any = self.pair[k]
            yield partial(pair.join, pair.source(h[k // 2]), pair.target(h[k % 2]))


class HeterogeneousStep(nn.Module):
    """One step: messages of each pair of types, then nodes of each type."""

    def __init__(self, width: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.edge = TypedPairs(width, width, hidden, width)
        self.edge_norm = _alike(nn.LayerNorm(width) for _ in range(N_PAIRS))
        self.node = _alike(mlp(3 * width, hidden, width) for _ in range(N_TYPES))
        self.node_norm = _alike(nn.LayerNorm(width) for _ in range(N_TYPES))

    def forward(
        self, h: list[Tensor], e: list[Tensor], index: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """New states of the nodes of each type and of the edges of each pair."""
        message = self.edge(h, index, e)
        edges: list[Tensor] = []
        for k, norm in enumerate(self.edge_norm):
            edges.append(e[k] + norm(message[k]))
        nodes: list[Tensor] = []
        for t, (update, norm) in enumerate(zip(self.node, self.node_norm)):  # noqa: B905
            into, out = torch.zeros_like(h[t]), torch.zeros_like(h[t])
            for other in range(2):
                here, there = 2 * other + t, 2 * t + other
                into = into + sum_at(edges[here], index[here][1], h[t].shape[0])
                out = out + sum_at(edges[there], index[there][0], h[t].shape[0])
            nodes.append(h[t] + norm(update(torch.cat([h[t], into, out], dim=1))))
        return nodes, edges


class HeterogeneousGnn(nn.Module):
    """Interaction GNN whose encoders, messages, updates and scores depend on the types of nodes.

    Types are told by the last column of x. Nodes and edges are sorted by type once per graph, so
    that a step costs what one of the homogeneous network of the same width does.

    All types start from the same weights and learn as one for the first part of a training
    (`share_gradients`), as a homogeneous network would: a pair of types of which there are few
    edges, such as a pixel and a strip, learns from all of them before it learns what is its own.

    References: GNN4ITk: Caillou et al., EPJ Web Conf. 295, 03030 (2024),
    doi:10.1051/epjconf/202429503030. Departures: those of `InteractionGnn`.
    """

    def __init__(self, config: HeterogeneousGnnConfig) -> None:
        super().__init__()
        self.config = c = config
        hidden = (c.width,) * c.hidden_layers
        self.padded = c.padded
        self.encode_node = _alike(mlp(c.node_features - 1, hidden, c.width) for _ in range(N_TYPES))
        self.encode_edge = TypedPairs(c.width, c.edge_features, hidden, c.width)
        self.step = nn.ModuleList(HeterogeneousStep(c.width, hidden) for _ in range(c.steps))
        self.score = TypedPairs(c.width, c.width, hidden, 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Logits of all edges.

        Args:
            x: (N, node_features) float32, the last column above 0.5 for strips.
            edge_index: (2, E) int64 rows of x.
            edge_attr: (E, edge_features) float32; None if the network has none.

        Returns:
            (E,) float32 logits that both hits of an edge are of one particle.
        """
        features, rows, index = self.by_type(x, edge_index)
        h: list[Tensor] = []
        for t, encode in enumerate(self.encode_node):
            # States keep the precision of x; under autocast only the products lose some.
            h.append(encode(features[t]).to(x.dtype))
        e: list[Tensor] = []
        for edges in rows:
            attr = x.new_zeros(edges.shape[0], 0)
            e.append(attr if edge_attr is None else edge_attr.index_select(0, edges))
        e = self.encode_edge(h, index, e)
        e = [state.to(x.dtype) for state in e]
        for step in self.step:
            h, e = step(h, e, index)
        score = self.score(h, index, e)
        return torch.cat(score).index_select(0, torch.argsort(torch.cat(rows))).squeeze(1)

    def by_type(
        self, x: Tensor, edge_index: Tensor
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Sort a graph by the types of its nodes.

        Returns:
            features of the nodes of each type; for each pair of types the rows of its edges, and
            their ends (2, E_k) as rows within the types.
        """
        strip = x[:, -1] > 0.5
        values = x[:, :-1]
        if self.padded > 0:
            kept, second = values[:, : -self.padded], values[:, -self.padded :]
            values = torch.cat([kept, second * strip.to(x.dtype).unsqueeze(1)], dim=1)
        kind = strip.long()
        # Row of each node among those of its type.
        row = torch.where(strip, torch.cumsum(kind, dim=0), torch.cumsum(1 - kind, dim=0)) - 1
        pair = 2 * kind.index_select(0, edge_index[0]) + kind.index_select(0, edge_index[1])
        features: list[Tensor] = []
        for t in range(2):
            features.append(values.index_select(0, torch.nonzero(kind == t).squeeze(1)))
        rows: list[Tensor] = []
        index: list[Tensor] = []
        for k in range(4):
            edges = torch.nonzero(pair == k).squeeze(1)
            ends = edge_index.index_select(1, edges)
            rows.append(edges)
            index.append(row.index_select(0, ends.flatten()).view(2, -1))
        return features, rows, index

    @torch.jit.unused
    def share_gradients(self, progress: float) -> None:
        """Give all types the sum of their gradients while they learn as one.

        Args:
            progress: share of the training that is done.
        """
        if progress >= self.config.together:
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.ModuleList) and name != "step":
                for weights in zip(*(m.parameters() for m in module), strict=True):
                    found = [w.grad for w in weights if w.grad is not None]
                    if found:
                        total = torch.stack(found).sum(dim=0)
                        for weight in weights:
                            weight.grad = total.clone()

    @torch.jit.unused
    def footprint(self, n_nodes: int, n_edges: int) -> Footprint:
        """Memory that `scores_in_blocks` needs."""
        c = self.config
        return Footprint(
            state=4 * n_edges * c.width,
            # States, sums, projections, features sorted by type; rows and ends of the edges.
            nodes=4 * n_nodes * (5 * c.width + c.node_features) + 28 * n_edges,
            row=4 * (6 * c.width + c.edge_features),
        )

    @torch.jit.unused
    def scores_in_blocks(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        rows: int,
        offload: bool = False,
    ) -> Tensor:
        """The same scores with states of edges that are updated in place, block by block.

        Args:
            x, edge_index, edge_attr: see `forward`.
            rows: edges (and nodes) of a block.
            offload: keep the states of edges off the device, see `StateStore`.
        """
        width, device = self.config.width, x.device
        features, of_pair, index = self.by_type(x, edge_index)
        h = [torch.empty(len(f), width, device=device) for f in features]
        for state, values, encode in zip(h, features, self.encode_node, strict=True):
            for b in blocks(len(state), rows):
                state[b] = encode(values[b])
        scores = torch.empty(edge_index.shape[1], device=device)
        e = [StateStore(len(r), width, device, offload) for r in of_pair]
        for k, join in enumerate(self.encode_edge.projected(h)):
            for b in blocks(len(of_pair[k]), rows):
                attr = None if edge_attr is None else edge_attr[of_pair[k][b]]
                e[k].store(b, join(index[k][:, b], attr))
        for step in self.step:
            _step_in_blocks(step, h, e, index, rows)  # type: ignore[arg-type]
        for k, join in enumerate(self.score.projected(h)):
            for b in blocks(len(of_pair[k]), rows):
                state = e[k].load(b, device)
                scores[of_pair[k][b]] = join(index[k][:, b], state).squeeze(1)
                e[k].store(b)
        return scores


def _step_in_blocks(
    step: HeterogeneousStep, h: list[Tensor], e: list[StateStore], index: list[Tensor], rows: int
) -> None:
    """One step that overwrites the states of nodes and edges."""
    into, out = [torch.zeros_like(state) for state in h], [torch.zeros_like(state) for state in h]
    for k, join in enumerate(step.edge.projected(h)):
        for b in blocks(index[k].shape[1], rows):
            source, target = index[k][:, b]
            state = e[k].load(b, h[0].device)
            state += step.edge_norm[k](join(index[k][:, b], state))
            into[k % 2].index_add_(0, target, state)
            out[k // 2].index_add_(0, source, state)
            e[k].store(b, state)
    for t, state in enumerate(h):
        for b in blocks(len(state), rows):
            both = torch.cat([state[b], into[t][b], out[t][b]], dim=1)
            state[b] += step.node_norm[t](step.node[t](both))
