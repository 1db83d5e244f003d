"""Figure of merit of an embedding: edges that its graph needs for a share of the true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trkx.plugin.metric_learning import MetricLearning
from trkx.plugin.pair_cuts import PairSelection
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.training.embedding_training import distances, target_pairs


@dataclass(frozen=True)
class GraphSize:
    """Edges needed for a share of the target pairs."""

    efficiency: float
    radius: float
    edges: float  # per event, after the cuts, outward
    neighbours: float  # mean number of points within the radius, before the cuts


def graph_sizes(
    stage: MetricLearning,
    events: Sequence[LabelledEvent],
    efficiencies: Sequence[float] = (0.95, 0.97, 0.98, 0.99),
    pt_min: float = 1.0,
    queries: int = 2000,
) -> list[GraphSize]:
    """How many edges the embedding needs for a share of the target pairs: its figure of merit.

    Pairs that the cuts reject are lost at any radius. Edges are counted around some hits and
    scaled to all.

    Args:
        stage: the embedding and the cuts; its radius and k do not matter.
        events: validation events.
        efficiencies: shares asked for.
        pt_min: of targets, GeV.
        queries: hits of each event around which edges are counted.
    """
    near, weights, reached = [], [], []
    true = []
    rng = np.random.default_rng(1)
    for event in events:
        z = torch.from_numpy(stage.embed(event.space_points))
        selection = PairSelection(event.space_points, stage.config.cuts)
        pair = target_pairs(event, pt_min)
        d = distances(z, torch.from_numpy(pair)).numpy().astype(np.float64)
        d[~selection(*pair)] = math.inf
        true.append(d)
        rows = torch.from_numpy(rng.permutation(len(z))[:queries])
        limit = float(np.quantile(d, max(efficiencies), method="higher"))
        limit = limit if math.isfinite(limit) else float(d[np.isfinite(d)].max())
        for part in rows.split(200):
            distance = torch.cdist(z[part], z)
            query, other = (distance <= limit).nonzero().T
            keep = selection(part[query].numpy(), other.numpy())
            found = distance[query, other].numpy()
            scale = len(z) / len(rows) / len(events)
            near.append(found[keep])
            weights.append(np.full(keep.sum(), scale / 2))  # every pair is seen from both ends
            reached.append(found)
    ds, ws, rs = np.concatenate(near), np.concatenate(weights), np.concatenate(reached)
    true_d = np.sort(np.concatenate(true))
    out = []
    for efficiency in efficiencies:
        radius = float(true_d[min(math.ceil(efficiency * len(true_d)), len(true_d)) - 1])
        within = ws[ds <= radius].sum()
        per_query = (rs <= radius).sum() / (queries * len(events))
        out.append(GraphSize(efficiency, radius, float(within), float(per_query)))
    return out
