"""A graph from space points and edges: what constructors without layers or triplets return."""

from __future__ import annotations

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.node_features import point_features
from trkx.plugin.space_points import SpacePoints


def edge_graph(
    points: SpacePoints,
    edge_index: np.ndarray,
    beam_spot: tuple[float, float] = (0.0, 0.0),
) -> Graph:
    """Direct edges outward, drop what is no edge, sort, and attach node features.

    Self-loops are dropped, an edge given twice or in both directions is kept once.

    Args:
        points: N space points, the nodes.
        edge_index: (2, E) integer rows of `points`, in any direction and order.
        beam_spot: x and y of the beam line, mm.

    Raises:
        StageError: an index out of range.
    """
    features, names = point_features(points, beam_spot)
    _, module = np.unique(points.geometry_id, return_inverse=True)
    return graph_of(features, names, module, edge_index)


def graph_of(
    features: np.ndarray, names: tuple[str, ...], module: np.ndarray, edge_index: np.ndarray
) -> Graph:
    """The same from node features (N, F) that begin with r, phi, z, and modules (N,)."""
    n = len(features)
    edges = np.asarray(edge_index, np.int64)
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise StageError(f"edges have shape {edges.shape}; expected (2, E)")
    if edges.size and (edges.min() < 0 or edges.max() >= n):
        raise StageError(
            f"edges name rows {edges.min()} to {edges.max()}, but there are {n} space points"
        )
    distance = features[:, 0].astype(np.float64) ** 2 + features[:, 2].astype(np.float64) ** 2
    rank = np.empty(n, np.int64)
    rank[np.argsort(distance, kind="stable")] = np.arange(n)
    inner, outer = np.sort(rank[edges], axis=0)  # by rank: unique, and outward
    key = np.unique(inner * n + outer)  # sorted by the inner node: chains come in order
    back = np.argsort(rank)
    inner, outer = key // max(n, 1), key % max(n, 1)
    keep = inner != outer
    index = np.stack([back[inner[keep]], back[outer[keep]]])
    return graph_as_given(features, names, module, index)


def graph_as_given(
    features: np.ndarray, names: tuple[str, ...], module: np.ndarray, edge_index: np.ndarray
) -> Graph:
    """A graph of edges (2, E) that are directed outward already, and stay in their order."""
    n, n_edges = len(features), edge_index.shape[1]
    return Graph(
        n_space_points=n,
        space_point=np.arange(n, dtype=np.int64),
        module=module.astype(np.int32),
        node_features=features,
        edge_index=edge_index.astype(np.int32),
        edge_pair=np.zeros(n_edges, np.int64),
        edge_features=np.zeros((n_edges, 0), np.float32),
        feature_names=names,
    )
