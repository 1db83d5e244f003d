"""Training of the embedding: pull hits of one track together, push all others apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trkx.plugin.embedding import (
    EMBEDDING_FEATURES,
    EMBEDDING_SCALES,
    Embedding,
    EmbeddingConfig,
)
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.metric_learning import STAGE, MetricLearning, MetricLearningConfig
from trkx.plugin.node_features import point_features, select_features
from trkx.plugin.pair_cuts import PairCuts, PairSelection
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.stage_settings import read_settings
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.training.example_chunks import ExampleChunks
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings
from trkx.plugin.training.stages import Events, TrainingRequest, card_of
from trkx.plugin.truth_edges import crossings, true_doublets

_PARTICLES = 3  # of a space point; more are very rare


@dataclass(frozen=True)
class EmbeddingDataConfig:
    """What the embedding reads and is taught: table [data] of a configuration."""

    features: tuple[str, ...] = EMBEDDING_FEATURES  # of hits
    scales: tuple[float, ...] = EMBEDDING_SCALES  # what they are divided by
    margin: float = 0.3  # positives are pulled within 1 - margin, negatives beyond 1 + margin
    positive_weight: float = 100.0  # of a pair of one track, against a neighbour to be rejected
    easy_weight: float = 0.02  # of neighbours that the cuts reject anyway
    random_negatives: int = 1000  # pairs drawn at random, besides the mined ones
    sector_hits: int = 6000  # consecutive in azimuth, that one step looks at
    queries: int = 1500  # hits of the sector whose neighbours are mined
    label_pt: float = 0.0  # GeV; hits of softer particles are not pulled together; 0: 0.9 times
    #   the target
    z0_max: float = 200.0  # cuts of the graph constructor, see `PairCuts`
    curvature_max: float = 1e-3
    overlap_max: float = 30.0

    def __post_init__(self) -> None:
        if len(self.features) != len(self.scales):
            raise ValueError(
                f"{len(self.features)} features, but {len(self.scales)} scales; give one for each"
            )
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin is {self.margin}; expected 0 to below 1")
        if min(self.sector_hits, self.queries) < 1:
            raise ValueError("sector_hits and queries must be at least 1")
        _ = self.cuts

    @property
    def cuts(self) -> PairCuts:
        """The cuts on neighbours."""
        return PairCuts(self.z0_max, self.curvature_max, self.overlap_max)

    @property
    def mirrored(self) -> list[int]:
        """Features that change sign under z → -z."""
        return [i for i, name in enumerate(self.features) if name.endswith(("z", "eta"))]


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
    event: LabelledEvent, config: EmbeddingDataConfig, pt_min: float
) -> EmbeddingExample:
    """The example of one event, whose targets are above `pt_min`, GeV."""
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
    x = select_features(columns, names, config.features, config.scales)
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
        self, network: Embedding, settings: FitSettings, data: EmbeddingDataConfig | None = None
    ) -> None:
        super().__init__(network, settings)
        self.data = data or EmbeddingDataConfig()

    def training_step(self, batch: EmbeddingExample, batch_idx: int) -> Tensor:
        c = self.data
        x, hits, pair = self._sector(batch)
        if torch.rand(()) < 0.5:
            x[:, c.mirrored] *= -1
        z = self.network(x)
        near = 1 - c.margin
        positive = torch.relu(distances(z, pair) - near).sum() / max(pair.shape[1], 1)
        rows = torch.randperm(len(x))[: c.queries]
        found, weight = self._negatives(z.detach(), batch, hits, rows)
        negative = torch.relu(1 + c.margin - distances(z, found)) * weight.to(z.device)
        total = c.positive_weight * positive + negative.sum() / len(rows)
        return self.mean_over_processes(total, torch.ones_like(total))

    def _sector(self, batch: EmbeddingExample) -> tuple[Tensor, Tensor, Tensor]:
        """Features, rows of the hits, and positives, of some hits consecutive in azimuth."""
        n = len(batch.x)
        size = min(self.data.sector_hits, n)
        first = int(torch.randint(n, ()))
        hits = (torch.arange(size) + first) % n
        place = (batch.pair.cpu() - first) % n  # rows in the sector
        pair = place[:, (place < size).all(dim=0)]
        return batch.x[hits].clone(), hits, pair

    def _negatives(
        self, z: Tensor, batch: EmbeddingExample, hits: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pairs (2, M) of rows of the sector that are of no common particle, and weights (M,)."""
        c = self.data
        near = torch.cdist(z[rows], z) < 1 + c.margin
        query, other = near.nonzero().cpu().T
        mined = torch.stack([rows[query], other])
        drawn = torch.randint(len(hits), (2, c.random_negatives))
        pair = torch.cat([mined, drawn], dim=1)
        pair = pair[:, pair[0] != pair[1]]
        a, b = batch.particle[hits].cpu()[pair]
        shared = ((a[:, :, None] == b[:, None, :]) & (a[:, :, None] >= 0)).any(dim=2).any(dim=1)
        pair = pair[:, ~shared]
        at_x, at_y, at_z = batch.position[hits].cpu().numpy().T
        modules = batch.geometry_id[hits].cpu().numpy().astype(np.uint64)
        selection = PairSelection(SpacePoints(at_x, at_y, at_z, modules), c.cuts)
        plausible = torch.from_numpy(selection(*pair.numpy()))
        return pair, torch.where(plausible, 1.0, c.easy_weight)


def distances(z: Tensor, pair: Tensor) -> Tensor:
    """(M,) distances; the root is kept off zero, where it has no gradient."""
    return ((z[pair[0]] - z[pair[1]]).square().sum(dim=1) + 1e-9).sqrt()


def build(
    request: TrainingRequest, events: Events
) -> tuple[EmbeddingTraining, ExampleChunks[EmbeddingExample]]:
    """The training of the embedding, and its events.

    Raises:
        StageError: bad settings.
    """
    config = _config(request)
    torch.manual_seed(request.fit.seed)
    shape = read_settings(
        EmbeddingConfig, {"features": len(config.features), **request.network}, STAGE
    )
    pt_min = config.label_pt or 0.9 * request.pt_min
    data = ExampleChunks(
        events,
        lambda event: embedding_example(event, config, pt_min),
        request.work / "examples",
        EmbeddingExample,
        lambda example: len(example.x),
        key=request.key,
        keep=events.keep,
    )
    return EmbeddingTraining(Embedding(shape), request.fit, config), data


def finish(training: EmbeddingTraining, request: TrainingRequest) -> StageWeights:
    """Write the weights and their card."""
    c = training.data
    about = card_of(request, features=list(c.features), scales=list(c.scales))
    shape: Any = training.network.config
    return StageWeights.write(request.out, STAGE, training.network, shape.to_dict(), about)


def as_stage(network: Embedding, request: TrainingRequest) -> MetricLearning:
    """The graph constructor with a network that is being trained."""
    config = read_settings(MetricLearningConfig, request.settings, STAGE)
    data = _config(request)
    return MetricLearning(network, data.features, data.scales, config, request.context.device)


def _config(request: TrainingRequest) -> EmbeddingDataConfig:
    return read_settings(EmbeddingDataConfig, request.data, f"{STAGE}, [data]")
