"""Truth labels and loss weights of a graph's edges and triplets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.plugin.graph import Graph
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.truth_edges import any_shared_particle

DISPLACED = 1.0  # mm; production radius above which a particle counts as displaced


@dataclass(frozen=True)
class GraphLabels:
    """Labels (0 or 1) and weights of E edges and T triplets, float32."""

    edge: np.ndarray
    edge_weight: np.ndarray
    triplet: np.ndarray
    triplet_weight: np.ndarray


def label_graph(
    graph: Graph,
    event: LabelledEvent,
    pt_min: float,
    other_weight: float = 0.2,
    displaced_weight: float = 1.0,
) -> GraphLabels:
    """An edge is true when both hits are of one particle, a triplet when all three are.

    Args:
        graph: the graph of the event.
        event: its truth.
        pt_min: GeV; true edges of softer particles, or with fewer than 6 hits, count less.
        other_weight: their weight.
        displaced_weight: weight of true edges of the others that are made more than 1 mm from the
            beam line, which are rare.
    """
    source, target = graph.space_point[graph.edge_index]
    particle = any_shared_particle(event, source, target)
    wanted = event.targets(pt_min, eta_max=4.2, hits_min=6)
    edge = particle >= 0
    displaced = np.hypot(event.vertex[:, 0], event.vertex[:, 1]) > DISPLACED
    weight = np.where(wanted, np.where(displaced, displaced_weight, 1.0), other_weight)
    edge_weight = np.where(edge, weight[np.maximum(particle, 0)], 1.0)
    a, b = graph.triplet_index
    triplet = edge[a] & (particle[a] == particle[b])
    triplet_weight = np.where(triplet, edge_weight[a], 1.0)
    return GraphLabels(
        edge.astype(np.float32),
        edge_weight.astype(np.float32),
        triplet.astype(np.float32),
        triplet_weight.astype(np.float32),
    )
