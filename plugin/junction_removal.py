"""Junction removal: what is left of a graph when every node keeps one edge in and one out."""

from __future__ import annotations

import numpy as np

from trkx.plugin.component_kernels import best_edge_mask


def remove_junctions(
    edge_index: np.ndarray, scores: np.ndarray, n_nodes: int, mask: np.ndarray | None = None
) -> np.ndarray:
    """(E,) bool: the edges that both their nodes keep.

    Every node keeps its best edge outward and its best edge inward; an edge stays when it is the
    best one of its source and of its target. All components are simple chains then.

    Args:
        edge_index: (2, E) int, source and target.
        scores: (E,) logits or probabilities; of equal ones the first edge is the better one.
        n_nodes: number of nodes.
        mask: (E,) bool, edges to look at; None: all.

    References: `CudaTrackBuilding` of ACTS, https://github.com/acts-project/acts/pull/4223.
    """
    if mask is None:
        mask = np.ones(edge_index.shape[1], bool)
    return best_edge_mask(edge_index[0], edge_index[1], mask, scores, n_nodes)
