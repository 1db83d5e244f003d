"""Training of the embedding: pull hits of one track together, push all others apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trkx.plugin.embedding import Embedding
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.node_features import point_features, select_features
from trkx.plugin.pair_cuts import PairCuts, PairSelection
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings
from trkx.plugin.truth_edges import crossings, true_doublets

_PARTICLES = 3  # of a space point; more are very rare


@dataclass(frozen=True)
class EmbeddingLoss:
    """What is pulled and pushed, in units of the radius."""

    margin: float = 0.3  # positives are pulled within 1 - margin, negatives beyond 1 + margin
    positive_weight: float = 50.0  # of a pair of one track, against one neighbour to be rejected
    easy_weight: float = 0.02  # of neighbours that the cuts reject anyway
    sector_hits: int = 6000  # consecutive in azimuth, that one step looks at
    queries: int = 1500  # hits of the sector whose neighbours are mined
    random_negatives: int = 1000  # pairs drawn at random, besides the mined ones
    pt_min: float = 0.9  # GeV, of the particles whose hits are pulled together

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin is {self.margin}; expected 0 to below 1")
        if min(self.sector_hits, self.queries) < 1:
            raise ValueError("sector_hits and queries must be at least 1")


class EmbeddingExample(NamedTuple):
    """One event, its hits in the order of azimuth."""

    x: Tensor  # (N, F) float32, features as the network reads them
    position: Tensor  # (N, 3) float32, x, y, z, mm
    geometry_id: Tensor  # (N,) int64
    particle: Tensor  # (N, 3) int64, particles of the hit, -1: none
    pair: Tensor  # (2, P) int64, hits of consecutive crossings of a target


def target_pairs(event: LabelledEvent, pt_min: float) -> np.ndarray:
    """(2, P) int64: hits of consecutive layer crossings of target particles."""
    volume, layer, _ = split_geometry_id(event.space_points.geometry_id)
    wanted = event.targets(pt_min, eta_max=4.2, hits_min=6)
    pair, _ = true_doublets(crossings(event, (volume << 12) | layer, wanted))
    return pair


def embedding_example(
    event: LabelledEvent, features: Sequence[str], scales: Sequence[float], pt_min: float
) -> EmbeddingExample:
    """The example of one event.

    Args:
        event: the event.
        features: node features, by name.
        scales: what they are divided by.
        pt_min: of targets, GeV.
    """
    points = event.space_points
    columns, names = point_features(points)
    order = np.argsort(columns[:, names.index("phi")], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    count = np.diff(event.offsets)
    particle = np.full((len(points), _PARTICLES), -1, np.int64)
    for k in range(_PARTICLES):
        has = count > k
        particle[has, k] = event.particle[event.offsets[:-1][has] + k]
    x = select_features(columns, names, features, scales)
    arrays = (
        x[order],
        np.stack([points.x, points.y, points.z], axis=1)[order],
        points.geometry_id[order].astype(np.int64),
        particle[order],
        place[target_pairs(event, pt_min)],
    )
    return EmbeddingExample(*(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays))


class EmbeddingTraining(StageTraining):
    """Hinge loss on a sector of an event at a time.

    Positives are pairs of hits of consecutive crossings of a target; negatives are all pairs
    that a search of the sector in the current embedding finds around some of its hits, and pairs
    drawn at random. Neighbours of the same particle that are no positives are left alone.

    A sector holds complete neighbourhoods, so that all that is searched is embedded in the same
    step: no negative is stale.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995.
    """

    def __init__(
        self,
        network: Embedding,
        settings: FitSettings,
        loss: EmbeddingLoss | None = None,
        cuts: PairCuts | None = None,
        mirror: Sequence[int] = (),
    ) -> None:
        """Train a network.

        Args:
            network: the embedding.
            settings: optimisation.
            loss: what is pulled and pushed.
            cuts: cuts that the graph constructor applies to neighbours.
            mirror: columns of x that change sign under z → -z; events are mirrored at random.
        """
        super().__init__(network, settings)
        self.loss = loss or EmbeddingLoss()
        self.cuts = cuts or PairCuts()
        self.mirror = list(mirror)

    def training_step(self, batch: EmbeddingExample, batch_idx: int) -> Tensor:
        c = self.loss
        x, hits, pair = self._sector(batch)
        if self.mirror and torch.rand(()) < 0.5:
            x[:, self.mirror] *= -1
        z = self.network(x)
        near = 1 - c.margin
        positive = torch.relu(_distance(z, pair) - near).sum() / max(pair.shape[1], 1)
        rows = torch.randperm(len(x))[: c.queries]
        found, weight = self._negatives(z.detach(), batch, hits, rows)
        negative = torch.relu(1 + c.margin - _distance(z, found)) * weight.to(z.device)
        total = c.positive_weight * positive + negative.sum() / len(rows)
        return self.mean_over_processes(total, torch.ones_like(total))

    def _sector(self, batch: EmbeddingExample) -> tuple[Tensor, Tensor, Tensor]:
        """Features, rows of the hits, and positives, of some hits consecutive in azimuth."""
        n = len(batch.x)
        size = min(self.loss.sector_hits, n)
        first = int(torch.randint(n, ()))
        hits = (torch.arange(size) + first) % n
        place = (batch.pair.cpu() - first) % n  # rows in the sector
        pair = place[:, (place < size).all(dim=0)]
        return batch.x[hits].clone(), hits, pair

    def _negatives(
        self, z: Tensor, batch: EmbeddingExample, hits: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pairs (2, M) of rows of the sector that are of no common particle, and weights (M,)."""
        c = self.loss
        near = torch.cdist(z[rows], z) < 1 + c.margin
        query, other = near.nonzero().cpu().T
        mined = torch.stack([rows[query], other])
        drawn = torch.randint(len(hits), (2, c.random_negatives))
        pair = torch.cat([mined, drawn], dim=1)
        pair = pair[:, pair[0] != pair[1]]
        a, b = batch.particle[hits].cpu()[pair]
        shared = ((a[:, :, None] == b[:, None, :]) & (a[:, :, None] >= 0)).any(dim=2).any(dim=1)
        pair = pair[:, ~shared]
        position = batch.position[hits].cpu().numpy().T
        modules = batch.geometry_id[hits].cpu().numpy().astype(np.uint64)
        selection = PairSelection(SpacePoints(*position, modules), self.cuts)
        plausible = torch.from_numpy(selection(*pair.numpy()))
        return pair, torch.where(plausible, 1.0, c.easy_weight)


def _distance(z: Tensor, pair: Tensor) -> Tensor:
    """(M,) distances; the root is kept off zero, where it has no gradient."""
    return ((z[pair[0]] - z[pair[1]]).square().sum(dim=1) + 1e-9).sqrt()


@dataclass(frozen=True)
class GraphSize:
    """Edges needed for a share of the target pairs."""

    efficiency: float
    radius: float
    edges: float  # per event, after the cuts, outward
    neighbours: float  # mean number of points within the radius, before the cuts


def graph_sizes(
    network: Embedding,
    events: Sequence[LabelledEvent],
    features: Sequence[str],
    scales: Sequence[float],
    cuts: PairCuts,
    efficiencies: Sequence[float] = (0.95, 0.97, 0.98, 0.99),
    pt_min: float = 1.0,
    queries: int = 2000,
) -> list[GraphSize]:
    """How many edges the embedding needs for a share of the target pairs: its figure of merit.

    Pairs that the cuts reject are lost at any radius. Edges are counted around some hits and
    scaled to all.

    Args:
        network: the embedding.
        events: validation events.
        features, scales: of the network's input.
        cuts: cuts on neighbours.
        efficiencies: shares asked for.
        pt_min: of targets, GeV.
        queries: hits of each event around which edges are counted.
    """
    distances, weights, rejected = [], [], []
    true = []
    rng = np.random.default_rng(1)
    for event in events:
        columns, names = point_features(event.space_points)
        x = torch.from_numpy(select_features(columns, names, features, scales))
        with torch.inference_mode():
            z = torch.cat([network(part) for part in x.split(1 << 14)])
        selection = PairSelection(event.space_points, cuts)
        pair = target_pairs(event, pt_min)
        d = _distance(z, torch.from_numpy(pair)).numpy().astype(np.float64)
        d[~selection(*pair)] = math.inf
        true.append(d)
        rows = torch.from_numpy(rng.permutation(len(x))[:queries])
        limit = float(np.quantile(d, max(efficiencies), method="higher"))
        limit = limit if math.isfinite(limit) else float(d[np.isfinite(d)].max())
        for part in rows.split(200):
            distance = torch.cdist(z[part], z)
            query, other = (distance <= limit).nonzero().T
            keep = selection(part[query].numpy(), other.numpy())
            found = distance[query, other].numpy()
            scale = len(x) / len(rows) / len(events)
            distances.append(found[keep])
            weights.append(np.full(keep.sum(), scale / 2))  # every pair is seen from both ends
            rejected.append(found)
    ds, ws, rs = np.concatenate(distances), np.concatenate(weights), np.concatenate(rejected)
    true_d = np.sort(np.concatenate(true))
    out = []
    for efficiency in efficiencies:
        radius = float(true_d[min(math.ceil(efficiency * len(true_d)), len(true_d)) - 1])
        within = ws[ds <= radius].sum()
        per_query = (rs <= radius).sum() / (queries * len(events))
        out.append(GraphSize(efficiency, radius, float(within), float(per_query)))
    return out
