"""Learn a layer map for displaced tracks: windows of triplets that need no beam line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trkx.plugin.free_triplets import free_triplet_table
from trkx.plugin.hit_table import make_hit_table
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layer_map_learning import LayerMapConfig, learn_layer_map
from trkx.plugin.layers import Layers
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.truth_edges import crossings, true_doublets, true_triplets


@dataclass(frozen=True)
class FreeMapConfig:
    """How wide the windows are."""

    doublets: LayerMapConfig = field(  # pairs of layers and windows of doublets
        default_factory=lambda: LayerMapConfig(
            pair_fraction=3e-4, doublet_quantile=0.995, slope_quantile=0.997
        )
    )
    quantile: float = 0.995  # share of true triplets inside each window
    margin: float = 1.1  # windows are widened by this factor
    triplet_count: int = 20  # rarer triplets of layers are left out, true triplets


def _sample(event: LabelledEvent, layers: Layers, pt_min: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of true triplets, (T, 5): folded layers a, b, c; residual along, curvature; and of true
    pairs of triplets, (Q, 4): folded layers of the first; change of curvature."""
    t = make_hit_table(event.space_points, layers)
    node = np.empty(len(t), np.int64)
    node[t.row] = np.arange(len(t))
    layer, _ = layers.index(event.space_points.geometry_id)
    c = crossings(event, layer, event.targets(pt_min))
    i, j, k = triplets = node[true_triplets(*true_doublets(c))]
    folded = np.where(t.sign[i] > 0, t.layer[triplets], layers.mirror[t.layer[triplets]])
    values = free_triplet_table(t.hit, layers.barrel, t.layer, i, j, k)
    # Two triplets follow each other where the last doublet of one is the first of the other.
    n = len(t)
    key = i * n + j
    order = np.argsort(key, kind="stable")
    low = np.searchsorted(key[order], j * n + k)
    high = np.searchsorted(key[order], j * n + k, side="right")
    one = np.repeat(np.arange(len(i)), high - low)
    other = order[np.arange(len(one)) - np.repeat(np.cumsum(high - low) - high, high - low)]
    change = np.abs(values[one, 1] - values[other, 1])
    return (
        np.column_stack([folded.T, np.abs(values)]),
        np.column_stack([folded.T[one], change]),
    )


def _quantiles(
    rows: np.ndarray, pair_of: np.ndarray, n: int, config: FreeMapConfig
) -> dict[tuple[int, int], np.ndarray]:
    """(pair, layer) → quantiles of the columns after the three layers."""
    a, b, c = rows[:, :3].astype(int).T
    key = np.where(pair_of[a, b] >= 0, pair_of[a, b] * n + c, -1)
    order = np.argsort(key, kind="stable")
    keys, start = np.unique(key[order], return_index=True)
    return {
        (int(k) // n, int(k) % n): np.quantile(part[:, 3:], config.quantile, axis=0) * config.margin
        for k, part in zip(keys, np.split(rows[order], start[1:]), strict=True)
        if k >= 0 and len(part) >= config.triplet_count
    }


def learn_free_map(
    events: Iterable[LabelledEvent],
    like: LayerMap,
    config: FreeMapConfig | None = None,
    meta: dict[str, Any] | None = None,
) -> LayerMap:
    """Learn the windows of doublets and triplets of displaced particles.

    Args:
        events: decays of long-lived particles; no pile-up is needed.
        like: map of the same detector, for its layers and curvature limits, which do not hang on
            where tracks come from. (Cluster shapes do: prompt particles have but few slopes.)
        config: window widths.
        meta: provenance to keep with the map.
    """
    config = config or FreeMapConfig()
    known: Sequence[LabelledEvent] = list(events)
    layers = like.layers
    n = len(layers)
    learned = learn_layer_map(known, layers, config.doublets, meta)
    samples = [_sample(event, layers, config.doublets.pt_min) for event in known]
    pair_of = np.full((n, n), -1)
    pair_of[learned.pair_inner, learned.pair_outer] = np.arange(len(learned.pair_inner))
    single = _quantiles(np.concatenate([s[0] for s in samples]), pair_of, n, config)
    double = _quantiles(np.concatenate([s[1] for s in samples]), pair_of, n, config)
    # The last triplet of every track has no change; where that is all there is, anything goes.
    free = np.full((len(learned.pair_inner), n, 3), -1.0, np.float32)
    for key, (along, curvature) in single.items():
        free[key] = along, curvature, double.get(key, (curvature,))[0]
    return replace(learned, curvature_max=like.curvature_max, free=free)
