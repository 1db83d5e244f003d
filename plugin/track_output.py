"""From chains of nodes to track candidates: the last step of every track builder."""

from __future__ import annotations

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.geometry_kernels import track_curvatures
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap, lever_bin


def overlap_search(graph: Graph, layer_map: LayerMap | None) -> tuple:
    """What `attach_overlaps` needs of the graph and the map, preceded by whether to use it.

    Without a map, or without the hit table, kernels get empty arrays of the same types.
    """
    table = graph.table
    if layer_map is None or table is None:
        ints = np.zeros(graph.n_nodes, np.int32)
        return (
            False, np.zeros((0, 1), np.float32), ints, graph.module, np.zeros(0, np.float32),
            ints, np.zeros(0, np.bool_), np.zeros((0, 2), np.float32),
            np.zeros((0, 3, 3), np.float32),
        )  # fmt: skip
    layers = layer_map.layers
    return (
        True, table.hit, table.layer, table.module, table.sign, table.cell_start,
        layers.barrel, layers.along, layer_map.overlaps,
    )  # fmt: skip


def make_candidates(
    graph: Graph,
    layer_map: LayerMap | None,
    starts: np.ndarray,
    nodes: np.ndarray,
    score: np.ndarray,
) -> TrackCandidates:
    """Order the hits of every track outward, and drop tracks below the map's pT threshold.

    Softer tracks are built all the same, so that their hits do not make fakes.

    Args:
        graph: the graph.
        layer_map: its map; None: nothing is dropped.
        starts: (T+1,) offsets into `nodes`.
        nodes: nodes of the tracks.
        score: (T,) score of each track.
    """
    n_hits = np.diff(starts)
    track = np.repeat(np.arange(len(n_hits)), n_hits)
    r, z = graph.node_features[nodes, 0], graph.node_features[nodes, 2]
    nodes = nodes[np.lexsort((r * r + z * z, track))]
    keep = np.ones(len(n_hits), bool)
    if layer_map is not None and graph.table is not None and len(n_hits):
        first, last = nodes[starts[:-1]], nodes[starts[1:] - 1]
        middle = nodes[(starts[:-1] + starts[1:]) // 2]
        curvature, lever = track_curvatures(graph.table.hit, first, middle, last).T
        keep = curvature <= layer_map.curvature_max[lever_bin(lever)]
    return TrackCandidates(
        n_space_points=graph.n_space_points,
        offsets=np.concatenate([[0], np.cumsum(n_hits[keep])]).astype(np.int64),
        hits=graph.space_point[nodes[keep[track]]],
        scores=score[keep].astype(np.float32),
    )
