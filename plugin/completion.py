"""Completion: tracks are followed through the layers where they have no hit, and judged as a whole.

A chain of edges ends where the graph has a gap, at a hole, a kink or a soft stretch. Fitted with
all of its hits, a track says much better than a triplet where its others are. A hit joins when it
is likelier to be the track's than to be there by chance, the density of hits around it considered;
hits of short tracks are free for longer ones, so that pieces of one particle grow together. What
is half a particle still, or soft, is told by a logistic regression on the finished track.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.plugin import completion_kernels as k
from trkx.plugin.completion_kernels import complete
from trkx.plugin.component_kernels import sort_outward
from trkx.plugin.errors import WeightsError
from trkx.plugin.geometry_kernels import R, Z, track_curvatures
from trkx.plugin.hit_table import HitTable
from trkx.plugin.layer_map import LayerMap, lever_bin
from trkx.plugin.track_following import CURVATURE_PER_GEV

SHORT = 7  # hits; shorter tracks are not judged
LOOSE = 1.5  # times the curvature of tracks at the threshold, of chains that are completed


@dataclass(frozen=True)
class CompletionConfig:
    """When a hit joins a track, and which tracks are kept."""

    least_gain: float = 3.0  # least log likelihood ratio of a hit
    chi2_max: float = 12.0  # of a hit, two degrees of freedom
    passes: int = 2  # how often each track is looked at
    weak_hits: int = 8  # hits of the longest track that longer ones take hits from
    min_quality: float = 1.0  # of tracks of seven hits or more, logit of the regression
    softest: float = 0.7  # fraction of the threshold in pT; softer tracks are dropped
    min_hits: int = 5  # of the shortest track


@dataclass(frozen=True)
class CompletedTracks:
    """T tracks in the order they came in."""

    n_hits: np.ndarray  # (T,) int32
    hits: np.ndarray  # (T, MAX_HITS) int32, rows of the hit table, in the order of flight; -1: none
    summary: np.ndarray  # (T, N_SUMMARY) float32, columns of `completion_kernels`
    score: np.ndarray  # (T,) float32, that they came with

    def features(self, pt_min: float) -> np.ndarray:
        """(T, N_FEATURES) float64: what the quality is judged by; `pt_min` in GeV."""
        s = self.summary.astype(np.float64)
        unit = CURVATURE_PER_GEV / pt_min
        n = self.n_hits.astype(np.float64)
        bend = np.clip((s[:, k.CURVATURE] - s[:, k.CURVATURE_ERROR]) / unit, 0.0, 2.0)
        per_hit = s[:, k.CHI2] / np.maximum(2 * n - 5, 1)
        chi2 = np.clip(np.log(np.maximum(per_hit, 1e-2)), -1.5, 4.0)
        hits, layers = np.clip(n, 5, 12) - 8, np.clip(s[:, k.LAYERS], 4, 10) - 6
        after = np.minimum(s[:, k.AFTER], 4)
        score = np.clip(self.score.astype(np.float64), 0.0, 9.0) / 3
        # Pieces of particles from the beam line point there, displaced tracks do not.
        impact = np.log1p(np.minimum(s[:, k.IMPACT], 100.0) / 0.3)
        before, start = np.clip(s[:, k.BEFORE], 0, 8) / 4, np.minimum(s[:, k.START], 700.0) / 300
        columns = (
            np.ones_like(n), bend, np.maximum(bend - 1, 0), chi2, np.maximum(chi2 - 0.7, 0), hits,
            layers, np.minimum(s[:, k.HOLES], 3), before, after, score,
            hits * hits, layers * layers, score * score, score * hits, chi2 * hits, after * hits,
            hits * layers, np.minimum(s[:, k.CURVATURE_ERROR] / unit, 1.0), impact, impact * before,
            impact * impact, start, start * before, impact * bend, bend * before,
        )  # fmt: skip
        return np.stack(columns, axis=1)

    def chains(self, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offsets, hits and scores of the tracks where `keep` (T,) is True."""
        n_hits = self.n_hits[keep]
        nodes = self.hits[keep][np.arange(self.hits.shape[1])[None] < n_hits[:, None]]
        offsets = np.concatenate([[0], np.cumsum(n_hits)]).astype(np.int64)
        return offsets, nodes.astype(np.int64), self.score[keep]


def hard_chains(
    table: HitTable, layer_map: LayerMap, starts: np.ndarray, nodes: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, hits in flight order and scores of the chains that may be above the threshold."""
    nodes = nodes.astype(np.int64)
    sort_outward(starts, nodes, table.hit[:, R] ** 2 + table.hit[:, Z] ** 2)
    if not len(score):
        return starts, nodes, score
    ends = np.stack([starts[:-1], (starts[:-1] + starts[1:]) // 2, starts[1:] - 1])
    curvature, lever = track_curvatures(table.hit, *nodes[ends]).T
    keep = curvature <= LOOSE * layer_map.curvature_max[lever_bin(lever)]
    n_hits = np.diff(starts)
    offsets = np.concatenate([[0], np.cumsum(n_hits[keep])]).astype(np.int64)
    return offsets, nodes[np.repeat(keep, n_hits)], score[keep]


def complete_tracks(
    table: HitTable,
    layer_map: LayerMap,
    starts: np.ndarray,
    nodes: np.ndarray,
    score: np.ndarray,
    config: CompletionConfig,
) -> CompletedTracks:
    """Let tracks have the hits on their way; the longest first, of equals the one of better score.

    Args:
        table: all hits.
        layer_map: its map, with `resolution`.
        starts: (T+1,) offsets into `nodes`.
        nodes: rows of the table; each on one track at most.
        score: (T,) of the tracks.
        config: when a hit joins.
    """
    n_hits = np.diff(starts)
    n_tracks = len(n_hits)
    used = np.zeros(len(table), bool)
    used[nodes] = True
    owner = np.full(len(table), -1, np.int32)
    owner[nodes] = np.repeat(np.arange(n_tracks), n_hits)
    layers = layer_map.layers
    count, hits, summary = complete(
        table.hit, table.layer, table.module, table.cell_start, layers.barrel,
        layers.along.astype(np.float64), layers.across.astype(np.float64),
        layer_map.resolution.astype(np.float64), np.full(3, config.least_gain), config.chi2_max,
        used, owner, n_hits <= config.weak_hits, starts.astype(np.int64), nodes.astype(np.int32),
        np.lexsort((-score, -n_hits)).astype(np.int32), config.passes,
    )  # fmt: skip
    return CompletedTracks(count, hits, summary, score.astype(np.float32))


def kept_tracks(
    tracks: CompletedTracks, layer_map: LayerMap, config: CompletionConfig, judged: bool
) -> np.ndarray:
    """(T,) bool: tracks that are long, hard and, if `judged`, good enough.

    Raises:
        WeightsError: the map has weights of other features.
    """
    pt_min = float(layer_map.meta.get("pt_min", 1.0))
    keep = tracks.n_hits >= config.min_hits
    features = tracks.features(pt_min)
    keep &= features[:, 1] * config.softest < 1.0
    if judged and len(layer_map.quality):
        if len(layer_map.quality) != features.shape[1]:
            raise WeightsError(
                f"layer map: its quality of tracks has {len(layer_map.quality)} weights, expected "
                f"{features.shape[1]}; train the model anew with 'trkx train gnn'"
            )
        logit = features @ layer_map.quality.astype(np.float64)
        keep &= (logit > config.min_quality) | (tracks.n_hits < SHORT)
    return keep
