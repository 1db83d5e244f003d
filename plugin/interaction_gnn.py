"""Interaction GNN: latent states of hits and edges, updated from each other over some steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trkx.plugin.pair_mlp import PairMlp, mlp, sum_at
from trkx.plugin.substepping import Footprint, StateStore, blocks


@dataclass(frozen=True)
class InteractionGnnConfig:
    """Shape of the network."""

    node_features: int  # columns of x
    edge_features: int = 6  # columns of edge_attr; 0: none
    width: int = 128  # channels of a node
    edge_width: int = 0  # channels of an edge; 0: as of a node
    steps: int = 8  # message-passing steps
    recurrent: bool = True  # the same MLPs at every step
    hidden_layers: int = 1  # of every MLP
    hidden: tuple[int, ...] = ()  # width of every hidden layer, MLP by MLP in the order of
    #   `mlp_widths`; empty: `width` for all. Pruning makes them differ
    checkpoint_above: int = 1 << 30  # bytes of activations above which training recomputes them

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))  # JSON has lists
        if self.edge_width == 0:
            object.__setattr__(self, "edge_width", self.width)
        sizes = (self.node_features, self.width, self.edge_width, self.steps, self.hidden_layers)
        if min(sizes) < 1 or self.edge_features < 0 or min(self.hidden, default=1) < 1:
            raise ValueError(f"interaction GNN: sizes must be positive, got {asdict(self)}")
        wanted = self.n_mlps * self.hidden_layers
        if self.hidden and len(self.hidden) != wanted:
            raise ValueError(
                f"interaction GNN: 'hidden' has {len(self.hidden)} widths; {self.n_mlps} MLPs of "
                f"{self.hidden_layers} hidden layers need {wanted}"
            )

    @property
    def modules(self) -> int:
        """Step modules with weights of their own."""
        return 1 if self.recurrent else self.steps

    @property
    def n_mlps(self) -> int:
        return 3 + 2 * self.modules

    def mlp_widths(self) -> list[tuple[int, ...]]:
        """Hidden widths: node encoder, edge encoder, edge and node update per step, score."""
        k = self.hidden_layers
        flat = self.hidden or (self.width,) * (k * self.n_mlps)
        return [flat[i * k : (i + 1) * k] for i in range(self.n_mlps)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class InteractionStep(nn.Module):
    """One step: edges from their nodes, then nodes from the sums of their edges."""

    def __init__(
        self, width: int, edge_width: int, edge_hidden: tuple[int, ...], hidden: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.edge = PairMlp(width, edge_width, edge_hidden, edge_width)
        self.edge_norm = nn.LayerNorm(edge_width)
        self.node = mlp(width + 2 * edge_width, hidden, width)
        self.node_norm = nn.LayerNorm(width)

    def forward(self, h: Tensor, e: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """New states of nodes (N, width) and edges (E, edge_width)."""
        e = e + self.edge_norm(self.edge(h, edge_index, e))
        into = sum_at(e, edge_index[1], h.shape[0])
        out = sum_at(e, edge_index[0], h.shape[0])
        return self.update(h, into, out), e

    def update(self, h: Tensor, into: Tensor, out: Tensor) -> Tensor:
        """New states of nodes from the sums of their incoming and outgoing edges."""
        return h + self.node_norm(self.node(torch.cat([h, into, out], dim=1)))


class InteractionGnn(nn.Module):
    """Scores edges after several steps of message passing.

    Nodes and edges have residual connections with layer norm; incoming and outgoing edges are
    summed apart and concatenated.

    References: Battaglia et al., NeurIPS 2016, arXiv:1612.00222; as in GNN4ITk,
    ATL-ITK-PROC-2022-006, and Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995.
    Departures: layer norm on the output of an MLP only, first layers split (see `PairMlp`).
    """

    def __init__(self, config: InteractionGnnConfig) -> None:
        super().__init__()
        self.config = c = config
        node, edge, *hidden, score = c.mlp_widths()
        self.encode_node = mlp(c.node_features, node, c.width)
        self.encode_edge = PairMlp(c.width, c.edge_features, edge, c.edge_width)
        self.step = nn.ModuleList(
            InteractionStep(c.width, c.edge_width, hidden[2 * k], hidden[2 * k + 1])
            for k in range(c.modules)
        )
        self.score = PairMlp(c.width, c.edge_width, score, 1)
        self.repeats = c.steps // c.modules
        # What one edge leaves behind for the backward pass, bytes.
        self.activations = 4 * c.steps * (3 * sum(hidden[0]) + 3 * c.edge_width)
        self.checkpoint_above = c.checkpoint_above

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Logits of all edges.

        Args:
            x: (N, node_features) float32.
            edge_index: (2, E) int64 rows of x.
            edge_attr: (E, edge_features) float32; None if the network has none.

        Returns:
            (E,) float32 logits that both hits of an edge are of one particle.
        """
        # States keep the precision of x; under autocast only the products lose some.
        h = self.encode_node(x).to(x.dtype)
        e = self.encode_edge(h, edge_index, edge_attr).to(x.dtype)
        recompute = self.training and self.activations * e.shape[0] > self.checkpoint_above
        for _ in range(self.repeats):
            for step in self.step:
                if torch.jit.is_scripting() or not recompute:
                    h, e = step(h, e, edge_index)
                else:  # the backward pass repeats the step: time for memory
                    h, e = checkpoint(step, h, e, edge_index, use_reentrant=False)
        return self.score(h, edge_index, e).squeeze(1)

    def footprint(self, n_nodes: int, n_edges: int) -> Footprint:
        """Memory that `scores_in_blocks` needs."""
        c = self.config
        first = max(widths[0] for widths in c.mlp_widths())
        widest = max(max(widths) for widths in c.mlp_widths())
        return Footprint(
            state=4 * n_edges * c.edge_width,
            nodes=4 * n_nodes * (c.width + 2 * first + 2 * c.edge_width) + 4 * n_edges,
            row=4 * (3 * widest + 3 * max(c.edge_width, c.width) + c.edge_features),
        )

    def scores_in_blocks(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        rows: int,
        offload: bool = False,
    ) -> Tensor:
        """The same scores with the states of all edges in one array that is updated in place.

        Args:
            x, edge_index, edge_attr: see `forward`.
            rows: edges (and nodes) of a block; everything else is of this size.
            offload: keep the states of edges off the device: in the host's memory for a GPU,
                in a file for a CPU.
        """
        n, n_edges, c = x.shape[0], edge_index.shape[1], self.config
        h = torch.empty(n, c.width, device=x.device)
        for b in blocks(n, rows):
            h[b] = self.encode_node(x[b])
        edges = StateStore(n_edges, c.edge_width, x.device, offload)
        source, target = self.encode_edge.source(h), self.encode_edge.target(h)
        for b in blocks(n_edges, rows):
            attr = None if edge_attr is None else edge_attr[b]
            edges.store(b, self.encode_edge.join(source, target, edge_index[:, b], attr))
        del source, target
        for _ in range(self.repeats):
            for step in self.step:
                _step_in_blocks(step, h, edges, edge_index, rows)  # type: ignore[arg-type]
        source, target = self.score.source(h), self.score.target(h)
        scores = torch.empty(n_edges, device=x.device)
        for b in blocks(n_edges, rows):
            e = edges.load(b, x.device)
            scores[b] = self.score.join(source, target, edge_index[:, b], e).squeeze(1)
            edges.store(b)
        return scores


def _step_in_blocks(
    step: InteractionStep, h: Tensor, edges: StateStore, edge_index: Tensor, rows: int
) -> None:
    """One step that overwrites the states of nodes, `h` (N, width), and of edges."""
    source, target = step.edge.source(h), step.edge.target(h)
    into = h.new_zeros(len(h), edges.states.shape[1])
    out = torch.zeros_like(into)
    for b in blocks(edge_index.shape[1], rows):
        index = edge_index[:, b]
        e = edges.load(b, h.device)
        e += step.edge_norm(step.edge.join(source, target, index, e))
        into.index_add_(0, index[1], e)
        out.index_add_(0, index[0], e)
        edges.store(b, e)
    del source, target
    for b in blocks(len(h), rows):
        h[b] = step.update(h[b], into[b], out[b])
