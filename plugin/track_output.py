"""From chains of nodes to track candidates: the last step of every track builder."""

from __future__ import annotations

import numpy as np

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.component_kernels import sort_outward
from trkx.plugin.free_triplets import median_curvatures
from trkx.plugin.geometry_kernels import CX, CY, N_COLUMNS, R, X, Y, track_curvatures
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap, lever_bin

FIELD = 2.0  # T, in which curvatures are pT


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
    min_pt: float = 0.0,
) -> TrackCandidates:
    """Order the hits of every track outward, and drop tracks below the pT threshold.

    Softer tracks are built all the same, so that their hits do not make fakes. Tracks that an
    earlier pass found come first.

    Args:
        graph: the graph.
        layer_map: its map, which has a threshold of its own.
        starts: (T+1,) offsets into `nodes`.
        nodes: nodes of the tracks.
        score: (T,) score of each track.
        min_pt: GeV; the threshold of graphs that no layer map goes with, 0: nothing is dropped.
    """
    n_hits = np.diff(starts)
    r, z = graph.node_features[:, 0], graph.node_features[:, 2]
    nodes = nodes.astype(np.int64)
    sort_outward(starts, nodes, r * r + z * z)
    has_map = layer_map is not None and graph.table is not None
    keep = np.ones(len(n_hits), bool)
    if len(n_hits) and (has_map or min_pt > 0):
        ends = np.stack([starts[:-1], (starts[:-1] + starts[1:]) // 2, starts[1:] - 1])
        first, middle, last = nodes[ends]
        if layer_map is not None and graph.table is not None:
            curvature, lever = track_curvatures(graph.table.hit, first, middle, last).T
            if len(layer_map.free):  # the beam line tells nothing of displaced tracks
                curvature = median_curvatures(graph.table.hit, np.asarray(starts), nodes)
            keep = curvature <= layer_map.curvature_max[lever_bin(lever)]
        else:
            hit = _positions(graph, np.concatenate([first, middle, last]))
            curvature, lever = track_curvatures(hit, *np.arange(len(hit)).reshape(3, -1)).T
            keep = curvature <= curvature_limit(min_pt, lever)
    if keep.all():
        kept_nodes, offsets = nodes, np.asarray(starts, np.int64)
    else:
        kept_nodes = nodes[np.repeat(keep, n_hits)]
        offsets = np.concatenate([[0], np.cumsum(n_hits[keep])]).astype(np.int64)
    candidates = TrackCandidates(
        n_space_points=graph.n_space_points,
        offsets=offsets,
        hits=graph.space_point[kept_nodes],
        scores=score[keep].astype(np.float32),
    )
    return candidates if graph.found is None else graph.found.joined(candidates)


def curvature_limit(min_pt: float, lever: np.ndarray) -> np.ndarray:
    """(T,) largest curvature, 1/mm, of tracks that may have `min_pt`, GeV, in the field of 2 T.

    The allowance for resolution falls with the lever arm `lever` (T,), mm, as the limits do that
    layer maps have learned: 24% at 50 mm, 10% at 600 mm.
    """
    return 0.3e-3 * FIELD / min_pt * (1.05 + 1.3 / np.sqrt(np.maximum(lever, 32.0)))


def _positions(graph: Graph, nodes: np.ndarray) -> np.ndarray:
    """Rows of `nodes` as in a hit table, with the columns that curvatures need."""
    r, phi = graph.node_features[nodes, 0], graph.node_features[nodes, 1]
    hit = np.zeros((len(nodes), N_COLUMNS), np.float32)
    hit[:, X], hit[:, Y], hit[:, R] = r * np.cos(phi), r * np.sin(phi), r
    r2 = np.maximum(r * r, np.float32(1e-6))
    hit[:, CX], hit[:, CY] = hit[:, X] / r2, hit[:, Y] / r2
    return hit
