"""Components and junctions on torch tensors, wherever these are: the graph never leaves the device.

The functions equal their compiled counterparts for the processor: same labels, same choices.
"""

from __future__ import annotations

import torch
from torch import Tensor


def connected_labels(edge_index: Tensor, n_nodes: int, mask: Tensor | None = None) -> Tensor:
    """(N,) int64 component of every node on the edges of `mask`, numbered by lowest nodes.

    Every node points to a node of its component, at first itself; edges and the pointers' own
    pointers lower it until nothing changes, which takes a number of steps that grows with the
    logarithm of the nodes.

    Args:
        edge_index: (2, E) int64.
        n_nodes: number of nodes.
        mask: (E,) bool, edges that connect; None: all.

    References: FastSV, Zhang, Azad and Hu, SIAM PP 46 (2020), arXiv:1910.05971.
    """
    if mask is not None:
        edge_index = edge_index[:, mask]
    a = torch.cat([edge_index[0], edge_index[1]])
    b = torch.cat([edge_index[1], edge_index[0]])
    parent = torch.arange(n_nodes, device=edge_index.device)
    grand = parent
    while True:
        lower = grand[b]
        parent = parent.scatter_reduce(0, parent[a], lower, "amin")
        parent = parent.scatter_reduce(0, a, lower, "amin")
        parent = torch.minimum(parent, grand)
        latest = parent[parent]
        if torch.equal(latest, grand):
            break
        grand = latest
    is_root = parent == torch.arange(n_nodes, device=parent.device)
    return (torch.cumsum(is_root, 0) - 1)[parent]


def first_best(index: Tensor, score: Tensor, size: int) -> Tensor:
    """(size,) int64: for each value of `index` (E,) the row of its largest score, of equal ones
    the first; E where there is none."""
    n = len(score)
    best = torch.full((size,), -torch.inf, dtype=score.dtype, device=score.device)
    best = best.scatter_reduce(0, index, score, "amax")
    row = torch.arange(n, device=score.device)
    row = torch.where(score == best[index], row, n)
    none = torch.full((size,), n, dtype=torch.int64, device=score.device)
    return none.scatter_reduce(0, index, row, "amin")


def remove_junctions(
    edge_index: Tensor, scores: Tensor, n_nodes: int, mask: Tensor | None = None
) -> Tensor:
    """(E,) bool: the edges that both their nodes keep; see `junction_removal.remove_junctions`."""
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    row = torch.arange(edge_index.shape[1], device=scores.device)
    keep = torch.ones_like(row, dtype=torch.bool) if mask is None else mask
    for end in edge_index:
        keep = keep & (first_best(end, scores, n_nodes)[end] == row)
    return keep
