"""Learn the layer map from simulated events: quantile windows of true doublets and triplets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trkx.plugin import geometry_kernels as g
from trkx.plugin.chain_selection import quadruplet_table
from trkx.plugin.completion_learning import STIFF, learn_resolution
from trkx.plugin.hit_table import ANYTHING, HitTable, make_hit_table
from trkx.plugin.layer_map import N_BINS, N_LEVERS, N_SIZES, LayerMap, lever_bin
from trkx.plugin.layers import Layers
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.truth_edges import (
    Crossings,
    crossings,
    sorted_join,
    true_doublets,
    true_triplets,
)

DISPLACED = 1.0  # mm; production radius above which a particle counts as displaced


@dataclass(frozen=True)
class LayerMapConfig:
    """How wide the map's windows are."""

    pt_min: float = 0.95  # GeV; particles that the windows must contain
    pair_fraction: float = 3e-5  # rarer layer pairs are left out, fraction of true doublets
    triplet_count: int = 6  # rarer triplets of layers are left out, true triplets
    doublet_quantile: float = 0.999  # share of true doublets inside each doublet window
    triplet_quantile: float = 0.998  # share of true triplets inside each triplet window
    overlap_quantile: float = 0.995  # share of true overlaps inside each of their windows
    curvature_quantile: float = 0.993  # share of tracks that bend less than the limit
    slope_quantile: float = 0.9995  # share of true hits inside each cluster-shape window
    margin: float = 1.1  # windows are widened by this factor about their centre
    chain_quantile: float = 0.999  # share of true chains of four hits that agree
    bend_quantile: float = 0.9995  # share of them that bend less than the limit
    displaced_copies: int = 3  # displaced particles are rare, and count this many times more in
    #   windows of doublets and triplets and the agreement of chains
    hits_per_bin: int = 200  # true doublets that make one bin of the inner position


def _window(values: np.ndarray, quantile: float, margin: float) -> tuple[float, float]:
    tail = 0.5 * (1.0 - quantile)
    low, high = np.quantile(values, [tail, 1.0 - tail])
    extra = 0.5 * (margin - 1.0) * (high - low)
    return low - extra, high + extra


@dataclass(frozen=True)
class _Sample:
    doublets: np.ndarray  # (E, 11): layers a, b; position along a, b; dphi; table columns
    triplets: np.ndarray  # (T, 8): layers a, b, c; columns of `triplet_table`
    shapes: np.ndarray  # (2 E, 5): layer; sizes 0, 1; slopes 0, 1
    overlaps: np.ndarray  # (K, 5): layer; mode; differences of residuals; distance
    curvature: np.ndarray  # (tracks, 2): curvature, 1/mm; lever arm, mm
    chains: np.ndarray  # (Q, 2): columns of `quadruplet_table`


def _sample(event: LabelledEvent, layers: Layers, particles: np.ndarray) -> _Sample:
    """Folded quantities of the true doublets and triplets of some particles (P,) bool."""
    t = make_hit_table(event.space_points, layers)
    inverse = np.empty(len(t), np.int64)
    inverse[t.row] = np.arange(len(t))
    layer, _ = layers.index(event.space_points.geometry_id)
    c = crossings(event, layer, particles)
    doublets, particle = true_doublets(c)
    triplets = inverse[true_triplets(doublets, particle)]
    a, b = inverse[doublets]
    sign = t.sign

    def folded(hit: np.ndarray, by: np.ndarray) -> np.ndarray:
        return np.where(sign[by] > 0, t.layer[hit], layers.mirror[t.layer[hit]])

    def along(hit: np.ndarray, by: np.ndarray) -> np.ndarray:
        barrel = layers.barrel[t.layer[hit]]
        return np.where(barrel, sign[by] * t.hit[hit, g.Z], t.hit[hit, g.R])

    dphi = t.hit[b, g.PHI] - t.hit[a, g.PHI]
    dphi = (dphi + np.pi) % (2 * np.pi) - np.pi
    table = g.doublet_table(t.hit, sign, a, b)
    doublet_rows = np.column_stack(
        [folded(a, a), folded(b, a), along(a, a), along(b, a), dphi, table]
    )
    shape_rows = np.concatenate(
        [
            np.column_stack([folded(a, a), t.size[a], table[:, 2:4]]),
            np.column_stack([folded(b, a), t.size[b], table[:, 4:6]]),
        ]
    )
    i, j, k = triplets
    triplet_rows = np.column_stack(
        [
            folded(i, i),
            folded(j, i),
            folded(k, i),
            g.triplet_table(t.hit, sign, layers.barrel, t.layer, i, j, k),
        ]
    )
    outward = np.hypot(t.hit[b, g.R], t.hit[b, g.Z]) > np.hypot(t.hit[a, g.R], t.hit[a, g.Z])
    return _Sample(
        doublet_rows[outward],
        triplet_rows,
        shape_rows,
        _overlap_sample(t, layers, c, inverse),
        _track_curvature(t, c, inverse),
        _chain_sample(t, triplets),
    )


def _chain_sample(t: HitTable, triplets: np.ndarray) -> np.ndarray:
    """(Q, 2): how well two triplets that share a doublet agree."""
    n = len(t) + 1
    key = triplets[0] * n + triplets[1]
    order = np.argsort(key, kind="stable")
    a, b = sorted_join(triplets[1] * n + triplets[2], key[order])
    i, j, k = triplets[:, a]
    return quadruplet_table(t.hit, i, j, k, triplets[2, order[b]])


def _unfold(values: np.ndarray, layers: Layers) -> np.ndarray:
    """Statistics are folded to z >= 0: the discs at z < 0 take those of their mirror images."""
    negative = ~layers.barrel & (layers.across[:, 1] <= 0)
    values[negative] = values[layers.mirror[negative]]
    return values


def _slope_windows(shapes: np.ndarray, layers: Layers, config: LayerMapConfig) -> np.ndarray:
    """Range of |slope| that each cluster size allows; anything goes where statistics are poor."""
    out = np.zeros((len(layers), 2, N_SIZES, 2), np.float32)
    out[..., 1] = ANYTHING
    layer = shapes[:, 0].astype(int)
    tail = 1.0 - config.slope_quantile
    for number in np.unique(layer):
        rows = shapes[layer == number]
        for axis in (0, 1):
            size = np.minimum(rows[:, 1 + axis], N_SIZES - 1).astype(int)
            for n in np.unique(size):
                slope = rows[size == n, 3 + axis]
                if len(slope) * tail < 0.5:
                    # A neighbouring size has nearly the same tails: use both for its sake.
                    slope = rows[np.abs(size - n) <= 1, 3 + axis]
                if n == 0 or len(slope) < 300:
                    continue
                low, high = np.quantile(slope, [tail / 2, 1 - tail / 2])
                extra = (config.margin - 1.0) * (high - low)
                out[number, axis, n] = max(low - extra, 0.0), high + extra
    return _unfold(out, layers)


def _shape_lines(shapes: np.ndarray, layers: Layers) -> np.ndarray:
    """Straight lines through cluster size against |slope|; sigma 0 where there is no size."""
    out = np.zeros((len(layers), 2, 3), np.float32)
    layer = shapes[:, 0].astype(int)
    for number in np.unique(layer):
        rows = shapes[layer == number]
        for axis in (0, 1):
            size, slope = rows[:, 1 + axis], rows[:, 3 + axis]
            use = (size > 0) & (size < N_SIZES)
            if np.sum(use) < 100:
                continue
            for _ in range(3):  # merged clusters pull the line up: fit again without outliers
                b, a = np.polyfit(slope[use], size[use], 1)
                residual = size - a - b * slope
                sigma = max(1.4826 * np.median(np.abs(residual[use])), 0.3)
                use = (size > 0) & (np.abs(residual) < 4 * sigma)
            out[number, axis] = a, b, sigma
    return _unfold(out, layers)


def _overlap_sample(t: HitTable, layers: Layers, c: Crossings, node: np.ndarray) -> np.ndarray:
    """(K, 5): layer, mode, differences of residuals, distance of two hits in one crossing."""
    key = c.particle * 4096 + c.crossing
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    start = np.nonzero(first)[0]
    number = np.cumsum(first) - 1  # crossing of each hit, over all particles
    second = np.nonzero(~first)[0]
    second = second[t.module[node[c.hit[second]]] != t.module[node[c.hit[start[number[second]]]]]]
    rows = []
    for mode, (da, db) in enumerate(((-1, 1), (1, 2), (-2, -1))):
        cross = number[second]
        inside = (cross + min(da, db) >= 0) & (cross + max(da, db) < len(start))
        h, cross = second[inside], cross[inside]
        a, b, m = start[cross + da], start[cross + db], start[cross]
        same = (c.particle[a] == c.particle[h]) & (c.particle[b] == c.particle[h])
        a, b, m, h = (node[c.hit[i[same]]] for i in (a, b, m, h))
        values = []
        for x in (m, h):
            i, j, k = ((a, x, b), (x, a, b), (a, b, x))[mode]
            values.append(g.triplet_table(t.hit, t.sign, layers.barrel, t.layer, i, j, k))
        d = np.abs(values[1] - values[0])
        apart = np.linalg.norm(t.hit[m, : g.Z + 1] - t.hit[h, : g.Z + 1], axis=1)
        rows.append(np.column_stack([t.layer[m], np.full(len(m), mode), d[:, :2], apart]))
    return np.concatenate(rows)


def _track_curvature(t: HitTable, c: Crossings, node: np.ndarray) -> np.ndarray:
    """(tracks, 2): curvature by first, middle and last hit of each particle, and lever arm."""
    _, first, count = np.unique(c.particle, return_index=True, return_counts=True)
    i, j, k = (node[c.hit[h]] for h in (first, first + count // 2, first + count - 1))
    return g.track_curvatures(t.hit, i, j, k)


def _curvature_limits(rows: np.ndarray, config: LayerMapConfig) -> np.ndarray:
    """Largest curvature of wanted tracks, by lever arm: short ones measure it poorly."""
    out = np.full(N_LEVERS, np.quantile(rows[:, 0], config.curvature_quantile), np.float32)
    lever = lever_bin(rows[:, 1])
    for number in range(N_LEVERS):
        part = rows[lever == number, 0]
        if len(part) >= 500:
            out[number] = np.quantile(part, config.curvature_quantile)
    return out


def _overlap_windows(rows: np.ndarray, layers: Layers, config: LayerMapConfig) -> np.ndarray:
    """Largest differences that a true pair of hits has; 0 where too few pairs are seen."""
    out = np.zeros((len(layers), 3, 3), np.float32)
    fold = np.minimum(np.arange(len(layers)), layers.mirror)
    for number in range(len(layers)):
        for mode in range(3):
            part = rows[(fold[rows[:, 0].astype(int)] == fold[number]) & (rows[:, 1] == mode)]
            if len(part) >= 30:
                # The search compares a sum of squares with 1.
                q = np.quantile(part[:, 2:], config.overlap_quantile, axis=0)
                out[number, mode] = q * np.array([np.sqrt(2.0), np.sqrt(2.0), config.margin])
    return out


def _doublet_windows(
    doublets: np.ndarray, n: int, config: LayerMapConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer pairs (P,) as inner * n + outer, their bin edges, and the windows of each bin."""
    key = (doublets[:, 0] * n + doublets[:, 1]).astype(int)
    pairs, count = np.unique(key, return_counts=True)
    pairs = pairs[count >= max(config.pair_fraction * len(key), 6)]
    edges = np.full((len(pairs), N_BINS + 1), ANYTHING, np.float32)
    edges[:, 0] = -ANYTHING
    windows = np.zeros((len(pairs), N_BINS, 6), np.float32)
    q, m = config.doublet_quantile, config.margin
    for p, pair in enumerate(pairs):
        rows = doublets[key == pair]
        n_bins = int(np.clip(len(rows) // config.hits_per_bin, 1, N_BINS))
        edges[p, 1:n_bins] = np.quantile(rows[:, 2], np.linspace(0, 1, n_bins + 1)[1:-1])
        in_bin = np.searchsorted(edges[p, 1:n_bins], rows[:, 2], side="right")
        for k in range(n_bins):
            part = rows[in_bin == k] if np.sum(in_bin == k) > 3 else rows
            windows[p, k, 0:2] = _window(part[:, 6], q, m)
            windows[p, k, 2] = np.quantile(np.abs(part[:, 4]), q) * m
            windows[p, k, 3] = np.quantile(np.abs(part[:, 5]), q) * m
            windows[p, k, 4:6] = _window(part[:, 3], 1.0, m)
    return pairs, edges, windows


def _triplet_windows(
    triplets: np.ndarray, pairs: np.ndarray, n: int, config: LayerMapConfig
) -> np.ndarray:
    """(P, n, 6): the windows of `LayerMap.triplets`."""
    m = config.margin
    pair_of = np.full((n, n), -1)
    pair_of[pairs // n, pairs % n] = np.arange(len(pairs))
    triplet_windows = np.full((len(pairs), n, 6), -1.0, np.float32)
    a, b, c = triplets[:, 0].astype(int), triplets[:, 1].astype(int), triplets[:, 2].astype(int)
    triplet_key = np.where(pair_of[a, b] >= 0, pair_of[a, b] * n + c, -1)
    order = np.argsort(triplet_key, kind="stable")
    keys, start = np.unique(triplet_key[order], return_index=True)
    for index, rows in zip(keys, np.split(triplets[order], start[1:]), strict=True):
        if index < 0 or len(rows) < config.triplet_count:
            continue
        target = triplet_windows[index // n, index % n]
        target[4:6] = np.quantile(np.abs(rows[:, 6:8]), config.triplet_quantile, axis=0) * m
        for column in (0, 1):
            low, high = _window(rows[:, 3 + column], config.triplet_quantile, m)
            target[2 * column], target[2 * column + 1] = 0.5 * (low + high), 0.5 * (high - low)
    return triplet_windows


def _chain_limits(
    samples: list[_Sample], displaced: list[_Sample], config: LayerMapConfig
) -> np.ndarray:
    """(2,): `LayerMap.chains`; (0,) without any chain."""
    chains = np.concatenate([s.chains for s in samples])
    if not len(chains):
        return np.zeros(0, np.float32)
    change = np.concatenate([chains[:, 0], *(s.chains[:, 0] for s in displaced)])
    limits = (
        np.quantile(change, config.chain_quantile),
        np.quantile(chains[:, 1], config.bend_quantile),
    )
    return (np.array(limits) * config.margin).astype(np.float32)


def learn_layer_map(
    events: Iterable[LabelledEvent],
    layers: Layers,
    config: LayerMapConfig | None = None,
    meta: dict[str, Any] | None = None,
) -> LayerMap:
    """Learn the windows of all layer pairs and triplets.

    Args:
        events: simulated events with truth; twenty at 200 pile-up interactions are enough.
        layers: the detector's layers.
        config: window widths.
        meta: provenance to keep with the map.
    """
    config = config or LayerMapConfig()
    samples, displaced, stiff = [], [], []
    for event in events:
        wanted = event.targets(config.pt_min)
        samples.append(_sample(event, layers, wanted))
        particles = event.targets(STIFF * config.pt_min)
        stiff.append(_sample(event, layers, particles).triplets)
        wanted &= np.hypot(event.vertex[:, 0], event.vertex[:, 1]) > DISPLACED
        if config.displaced_copies and wanted.any():
            displaced += [_sample(event, layers, wanted)] * config.displaced_copies
    doublets = np.concatenate([s.doublets for s in samples + displaced])
    triplets = np.concatenate([s.triplets for s in samples + displaced])
    shapes = np.concatenate([s.shapes for s in samples])
    overlaps = np.concatenate([s.overlaps for s in samples])
    curvature = np.concatenate([s.curvature for s in samples])
    n = len(layers)
    pairs, edges, windows = _doublet_windows(doublets, n, config)
    inner = (pairs // n).astype(np.int32)
    return LayerMap(
        layers=layers,
        pair_inner=inner,
        pair_outer=(pairs % n).astype(np.int32),
        pair_start=np.searchsorted(inner, np.arange(n + 1)).astype(np.int32),
        edges=edges,
        windows=windows,
        triplets=_triplet_windows(triplets, pairs, n, config),
        slopes=_slope_windows(shapes, layers, config),
        shape=_shape_lines(shapes, layers),
        overlaps=_overlap_windows(overlaps, layers, config),
        curvature_max=_curvature_limits(curvature, config),
        chains=_chain_limits(samples, displaced, config),
        resolution=learn_resolution(np.concatenate(stiff), layers),
        meta=dict(meta or {}),
    )
