"""Hierarchical GNN: hits, super-nodes that stand for tracks, and messages within and between."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from trkx.plugin.hierarchical_pooling import (
    centroids,
    edge_similarity,
    nearest,
    pool,
    similarity_cut,
)
from trkx.plugin.pair_mlp import PairMlp, mlp, sum_at
from trkx.plugin.track_lines import (
    N_DIRECTION,
    N_LINE_FEATURES,
    N_RESIDUALS,
    edge_lines,
    fit_lines,
    residuals,
    waves,
)

_LOWER = (0.5, 1.0, 2.0)  # below the cut: further tries for hits that are in no super-node
N_PAIR_FEATURES = N_RESIDUALS + 2  # and similarity, membership
N_SUPER_EDGE_FEATURES = 2 * N_RESIDUALS + 1  # both ways, and similarity


@dataclass(frozen=True)
class HierarchicalGnnConfig:
    """Shape of the network and of its hierarchy."""

    node_features: int  # columns of x
    edge_features: int = 6  # columns of edge_attr
    width: int = 64  # channels of hits, edges, super-nodes and pairs
    flat_steps: int = 4  # message-passing steps before pooling
    hierarchical_steps: int = 3  # steps with super-nodes
    embedding: int = 8  # channels of the space that hits are pooled in
    candidates: int = 6  # super-nodes that a hit may be assigned to
    neighbours: int = 8  # super-nodes that a super-node exchanges messages with
    min_size: int = 2  # hits of a super-node
    max_size: int = 30  # larger components are split
    log_odds: float = 0.0  # of the mixture's components at the cut, natural logarithm

    def __post_init__(self) -> None:
        whole = (
            self.node_features, self.edge_features, self.width, self.flat_steps,
            self.hierarchical_steps, self.embedding, self.candidates, self.min_size,
        )  # fmt: skip
        if min(whole) < 1 or self.neighbours < 0:
            raise ValueError(f"hierarchical GNN: sizes must be positive, got {asdict(self)}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Embedded(NamedTuple):
    """What the flat part makes of a graph."""

    hits: Tensor  # (N, width)
    edges: Tensor  # (E, width)
    embedding: Tensor  # (N, D), of unit length


class HierarchicalOutput(NamedTuple):
    """Super-nodes and the scores of hits on them."""

    embedding: Tensor  # (N, D), of unit length
    super_node: Tensor  # (N,) int64, the one a hit was pooled into, -1: none
    pairs: Tensor  # (2, K) int64, rows of hits (ascending) and of their candidate super-nodes
    logits: Tensor  # (K,), that the hit is on the track that the super-node stands for


class _Messages(nn.Module):
    """New states of pairs from both ends, with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.update = PairMlp(width, width, (width,), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, left: Tensor, right: Tensor, index: Tensor, state: Tensor) -> Tensor:
        source, target = self.update.source(left), self.update.target(right)
        return state + self.norm(self.update.join(source, target, index, state))


class _Update(nn.Module):
    """New states of nodes from sums of messages, with a residual connection."""

    def __init__(self, width: int, sums: int) -> None:
        super().__init__()
        self.mlp = mlp((1 + sums) * width, (width,), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, state: Tensor, *sums: Tensor) -> Tensor:
        return state + self.norm(self.mlp(torch.cat([state, *sums], dim=1)))


class _HierarchicalStep(nn.Module):
    """Edges, pairs of hit and super-node, and super-edges, then hits and super-nodes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge, self.pair, self.super_edge = (_Messages(width) for _ in range(3))
        self.hit, self.super_node = _Update(width, 3), _Update(width, 3)

    def forward(
        self,
        hits: Tensor,
        supers: Tensor,
        states: tuple[Tensor, Tensor, Tensor],
        indices: tuple[Tensor, Tensor, Tensor],
        membership: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        edge_index, pairs, links = indices
        edges = self.edge(hits, hits, edge_index, states[0])
        pair = self.pair(hits, supers, pairs, states[1])
        link = self.super_edge(supers, supers, links, states[2])
        weighted, n, m = pair * membership, len(hits), len(supers)
        new_hits = self.hit(
            hits,
            sum_at(edges, edge_index[1], n),
            sum_at(edges, edge_index[0], n),
            sum_at(weighted, pairs[0], n),
        )
        new_supers = self.super_node(
            supers,
            sum_at(weighted, pairs[1], m),
            sum_at(link, links[0], m),
            sum_at(link, links[1], m),
        )
        return new_hits, new_supers, (edges, pair, link)


class HierarchicalGnn(nn.Module):
    """Pools hits into super-nodes, and says which hits are on the track of each super-node.

    Hits get an embedding from flat message passing. The similarity of the two ends of edges is
    a mixture of true and false ones: edges above the crossing of two fitted normal distributions
    join hits into super-nodes. Every hit is paired with the super-nodes nearest to it in the
    embedding, wherever the edges end, so that fragments of a track find each other although
    edges between them are missing. Pairs weigh by a softmax of their similarity, through which
    the embedding is trained as well.

    References: Liu, Calafiura, Farrell, Ju, Murnane, Pham, arXiv:2303.01640. Departures: pairs
    and super-edges carry states of their own, which begin with the residuals of hits to lines
    fitted to the super-nodes (`track_lines`); components that are too large for a track are split,
    and what is left over is pooled at lower cuts; a hit is assigned to its best super-node only.
    """

    score_cut: Tensor

    def __init__(self, config: HierarchicalGnnConfig) -> None:
        super().__init__()
        self.config = c = config
        w = c.width
        self.encode_hit = mlp(c.node_features + N_DIRECTION, (w,), w)
        self.encode_edge = PairMlp(w, c.edge_features + N_LINE_FEATURES, (w,), w)
        self.flat_edge = nn.ModuleList(_Messages(w) for _ in range(c.flat_steps))
        self.flat_hit = nn.ModuleList(_Update(w, 2) for _ in range(c.flat_steps))
        self.embed = mlp(w, (w,), c.embedding)
        self.encode_super = mlp(w + c.embedding + N_LINE_FEATURES, (w,), w)
        self.encode_pair = mlp(N_PAIR_FEATURES, (w,), w)
        self.encode_link = mlp(N_SUPER_EDGE_FEATURES, (w,), w)
        self.sharpness = nn.Parameter(torch.tensor(1.0))  # of memberships
        self.steps = nn.ModuleList(_HierarchicalStep(w) for _ in range(c.hierarchical_steps))
        self.score = PairMlp(w, w, (w,), 1)
        # Running mean of the cut over training events, for events that allow no fit.
        self.register_buffer("score_cut", torch.tensor(1.5))

    def embed_hits(
        self, x: Tensor, position: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> Embedded:
        """The flat part; arguments as of `forward`."""
        r, phi, z = position.unbind(1)
        direction = waves(phi, torch.asinh(z / r.clamp(min=1e-3)))
        hits, n = self.encode_hit(torch.cat([x, direction], dim=1)), len(x)
        lines = edge_lines(position, edge_index).features()
        edges = self.encode_edge(hits, edge_index, torch.cat([edge_attr, lines], dim=1))
        for message, update in zip(self.flat_edge, self.flat_hit, strict=True):
            edges = message(hits, hits, edge_index, edges)
            hits = update(hits, sum_at(edges, edge_index[1], n), sum_at(edges, edge_index[0], n))
        return Embedded(hits, edges, normalize(self.embed(hits), dim=1))

    @torch.no_grad()
    def cluster(
        self, embedding: Tensor, edge_index: Tensor, log_odds: float | None = None
    ) -> Tensor:
        """(N,) int64 super-node of every hit, -1: none; in training the running cut follows."""
        c = self.config
        similarity = edge_similarity(embedding, edge_index).cpu().numpy()
        odds = c.log_odds if log_odds is None else log_odds
        cut = similarity_cut(similarity, odds, float(self.score_cut))
        if self.training:
            self.score_cut.mul_(0.95).add_(0.05 * cut)
        labels = pool(
            edge_index.cpu().numpy(),
            similarity,
            cut,
            len(embedding),
            c.min_size,
            c.max_size,
            lower_cuts=[cut - step for step in _LOWER],
        )
        return torch.from_numpy(labels).to(embedding.device)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
        candidates: int = 0,
        log_odds: float | None = None,
    ) -> HierarchicalOutput:
        """Super-nodes and scores of one graph.

        Args:
            x: (N, node_features) float32, scaled.
            position: (N, 3) float32: r (mm), φ (rad), z (mm).
            edge_index: (2, E) int64 rows of x.
            edge_attr: (E, edge_features) float32.
            candidates: super-nodes that a hit may be assigned to; 0: as many as in training.
            log_odds: of the mixture's components at the cut; None: as in training.
        """
        flat = self.embed_hits(x, position, edge_index, edge_attr)
        super_node = self.cluster(flat.embedding, edge_index, log_odds)
        return self.assign(flat, super_node, position, edge_index, candidates)

    def assign(
        self,
        flat: Embedded,
        super_node: Tensor,
        position: Tensor,
        edge_index: Tensor,
        candidates: int = 0,
    ) -> HierarchicalOutput:
        """The hierarchical part, on the super-nodes that `cluster` made of the flat part."""
        c = self.config
        hits, edges, embedding = flat
        m = int(super_node.max()) + 1 if len(super_node) else 0
        if m == 0:
            none = torch.zeros((2, 0), dtype=torch.int64, device=hits.device)
            return HierarchicalOutput(embedding, super_node, none, hits.new_zeros(0))
        means = centroids(embedding, super_node, m)
        pairs = nearest(embedding, means, candidates or c.candidates, first=super_node)
        links = nearest(means, means, c.neighbours + 1, first=torch.arange(m, device=means.device))
        links = links[:, links[0] != links[1]]
        near = edge_similarity(torch.cat([embedding, means]), _offset(pairs, len(hits)))
        linked = edge_similarity(means, links)
        k = pairs.shape[1] // max(len(hits), 1)
        membership = (self.sharpness * near).view(-1, k).softmax(dim=1).view(-1, 1)

        lines = fit_lines(position, super_node, m)
        metres = position * position.new_tensor([1e-3, 1.0, 1e-3])
        member = (super_node[pairs[0]] == pairs[1]).to(hits.dtype)
        offset = residuals(lines, metres, pairs)
        pair = self.encode_pair(torch.cat([offset, torch.stack([near, member], 1)], dim=1))
        between = [residuals(lines, lines.centre, i) for i in (links, links.flip(0))]
        link = self.encode_link(torch.cat([*between, linked[:, None]], dim=1))
        pooled = sum_at(hits[pairs[0]] * membership, pairs[1], m)
        pooled = pooled / sum_at(membership, pairs[1], m).clamp(min=1e-3)
        supers = self.encode_super(torch.cat([pooled, means, lines.features()], dim=1))

        states, indices = (edges, pair, link), (edge_index, pairs, links)
        for step in self.steps:
            hits, supers, states = step(hits, supers, states, indices, membership)
        source, target = self.score.source(hits), self.score.target(supers)
        logits = self.score.join(source, target, pairs, states[1]).squeeze(1)
        return HierarchicalOutput(embedding, super_node, pairs, logits)


def _offset(pairs: Tensor, n: int) -> Tensor:
    """Pairs of hits and super-nodes as rows of one table with the super-nodes below the hits."""
    return torch.stack([pairs[0], pairs[1] + n])
