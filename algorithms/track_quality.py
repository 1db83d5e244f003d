"""Learn what a track that matches no particle looks like: the quality in a layer map."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from trkx.algorithms.matching import match_tracks
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import LabelledEvent

DISPLACED_WEIGHT = 3.0  # of tracks of displaced particles, which are rare


def learn_quality(events: Iterable[LabelledEvent], pipeline: Pipeline, pt_min: float) -> np.ndarray:
    """Weights (F,) float32 of `LayerMap.quality`; (0,) where there is nothing to learn from.

    Tracks of targets are told from tracks that match nothing; those that match other particles
    are left out, as they do no harm.

    Args:
        events: simulated events.
        pipeline: finds their tracks; its builder is 'viterbi' with a map.
        pt_min: GeV, of targets.
    """
    from trkx.plugin.completion import SHORT, complete_tracks, hard_chains
    from trkx.plugin.completion_learning import fit_quality
    from trkx.plugin.edge_labels import DISPLACED
    from trkx.plugin.viterbi import ViterbiTrackBuilder

    build = pipeline.track_builder
    assert isinstance(build, ViterbiTrackBuilder) and build.layer_map is not None
    layer_map = build.layer_map
    chains = copy.copy(build)
    chains.config = replace(build.config, complete=False)
    # All chains, whatever their curvature.
    anything = np.full_like(layer_map.curvature_max, np.inf)
    chains.layer_map = replace(layer_map, curvature_max=anything)
    features, good, weight = [], [], []
    for event in events:
        graph = pipeline.graph_constructor(event.space_points, (0.0, 0.0))
        for classify in pipeline.edge_classifiers:
            graph = classify(graph)
        table = graph.table
        assert table is not None
        found = chains(graph)
        node = np.empty(len(table), np.int64)
        node[table.row] = np.arange(len(table))
        starts, nodes, score = hard_chains(
            table, layer_map, found.offsets, node[found.hits], found.scores
        )
        tracks = complete_tracks(table, layer_map, starts, nodes, score, build.completion)
        offsets, hits, _ = tracks.chains(np.ones(len(tracks.n_hits), bool))
        matching = match_tracks(
            offsets, table.row[hits], event.offsets, event.particle, len(event.pt)
        )
        target = event.targets(pt_min)
        radius = np.hypot(event.vertex[:, 0], event.vertex[:, 1])
        matched = matching.particle >= 0
        row = np.maximum(matching.particle, 0)
        use = (tracks.n_hits >= SHORT) & (~matched | target[row])
        features.append(tracks.features(pt_min)[use])
        good.append(matched[use])
        displaced = matched & (radius[row] > DISPLACED)
        weight.append(np.where(displaced, DISPLACED_WEIGHT, 1.0)[use])
    y = np.concatenate(good)
    if y.all() or not y.any():
        return np.zeros(0, np.float32)
    return fit_quality(np.concatenate(features), y, np.concatenate(weight))
