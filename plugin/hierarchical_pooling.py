"""Pooling of hits into super-nodes by a Gaussian-mixture cut on the similarity of edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

BINS = 1024  # of the similarity distribution that the mixture is fitted to
_SPLITS = 40  # rounds in which large components lose edges
MIN_EDGES = 32  # fewer say nothing of a distribution
_CLAMP = 1 - 1e-6  # cosine similarities are brought inside (-1, 1) by


@dataclass(frozen=True)
class TwoGaussians:
    """A mixture of two normal distributions in one dimension, the lower mean first."""

    weight: tuple[float, float]
    mean: tuple[float, float]
    sigma: tuple[float, float]

    def crossing(self, log_odds: float = 0.0) -> float | None:
        """Where the upper component becomes exp(`log_odds`) times as likely as the lower.

        Returns:
            the solution between the two means; None: there is none.
        """
        (w0, w1), (m0, m1), (s0, s1) = self.weight, self.mean, self.sigma
        # The logarithm of the ratio of two normal densities is a parabola a x² + b x + c.
        a = 0.5 / s0**2 - 0.5 / s1**2
        b = m1 / s1**2 - m0 / s0**2
        c = 0.5 * (m0 / s0) ** 2 - 0.5 * (m1 / s1) ** 2 + math.log(w1 * s0 / (w0 * s1)) - log_odds
        roots = np.roots([a, b, c]) if abs(a) > 1e-12 else np.array([-c / b])
        inside = [float(x.real) for x in roots if abs(x.imag) < 1e-12 and m0 < x.real < m1]
        return inside[0] if inside else None


def fit_two_gaussians(values: np.ndarray, steps: int = 200) -> TwoGaussians | None:
    """Fit a mixture of two normal distributions by expectation and maximisation.

    The values are binned first, so that the fit takes the same time for any number of them.

    Args:
        values: (E,) finite.
        steps: most iterations.

    Returns:
        the mixture; None: too few values, or all the same.
    """
    if len(values) < MIN_EDGES or np.ptp(values) < 1e-6:
        return None
    count, edge = np.histogram(values, BINS)
    x = 0.5 * (edge[1:] + edge[:-1])
    share = count / count.sum()
    floor = edge[1] - edge[0]  # components narrower than a bin would collapse onto one value
    mean = np.quantile(values, [0.1, 0.9])
    sigma = np.full(2, max(float(np.std(values)) / 2, floor))
    weight = np.full(2, 0.5)
    for _ in range(steps):
        density = weight[:, None] / sigma[:, None]
        density = density * np.exp(-0.5 * ((x - mean[:, None]) / sigma[:, None]) ** 2)
        of = density / np.maximum(density.sum(axis=0), 1e-300) * share
        total = np.maximum(of.sum(axis=1), 1e-12)
        before, mean = mean, (of * x).sum(axis=1) / total
        variance = (of * (x - mean[:, None]) ** 2).sum(axis=1) / total
        sigma, weight = np.sqrt(np.maximum(variance, floor**2)), total / total.sum()
        if np.abs(mean - before).max() < 1e-6:
            break
    low, high = np.argsort(mean)
    return TwoGaussians(
        (float(weight[low]), float(weight[high])),
        (float(mean[low]), float(mean[high])),
        (float(sigma[low]), float(sigma[high])),
    )


def edge_similarity(embedding: Tensor, index: Tensor) -> Tensor:
    """(E,) artanh of the cosine similarity of the two ends of every edge.

    Args:
        embedding: (N, D) of unit length.
        index: (2, E) int64.
    """
    left, right = embedding.index_select(0, index[0]), embedding.index_select(0, index[1])
    return torch.atanh((left * right).sum(1).clamp(-_CLAMP, _CLAMP))


def similarity_cut(similarity: np.ndarray, log_odds: float, otherwise: float) -> float:
    """The cut of one event: where the two components of its edges cross.

    Args:
        similarity: (E,) of `edge_similarity`.
        log_odds: how much likelier the upper component must be, natural logarithm.
        otherwise: the cut where a mixture of two does not describe the edges.
    """
    mixture = fit_two_gaussians(similarity)
    crossing = None if mixture is None else mixture.crossing(log_odds)
    return otherwise if crossing is None else crossing


def _components(index: np.ndarray, mask: np.ndarray, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) component of every node on the edges of `mask`, and the size of each component."""
    a, b = index[:, mask]
    matrix = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n_nodes, n_nodes))
    component = connected_components(matrix, directed=False)[1]
    return component, np.bincount(component, minlength=1)


def _split_large(
    index: np.ndarray, similarity: np.ndarray, mask: np.ndarray, n_nodes: int, max_size: int
) -> np.ndarray:
    """(E,) bool: `mask` without the least similar edges of components above `max_size`."""
    mask = mask.copy()
    for _ in range(_SPLITS):
        component, size = _components(index, mask, n_nodes)
        inside = np.flatnonzero(mask & (size[component[index[0]]] > max_size))
        if len(inside) == 0:
            break
        # A fifth of each component's edges at a time, at least one.
        of = component[index[0, inside]]
        order = inside[np.lexsort((similarity[inside], of))]
        of = component[index[0, order]]
        first = np.concatenate([[True], of[1:] != of[:-1]])
        start = np.maximum.accumulate(np.where(first, np.arange(len(of)), 0))
        share = np.bincount(of, minlength=len(size)) * 0.2
        mask[order[np.arange(len(of)) - start < np.maximum(share[of], 1)]] = False
    return mask


def pool(
    index: np.ndarray,
    similarity: np.ndarray,
    cut: float,
    n_nodes: int,
    min_size: int,
    max_size: int = 1 << 30,
    lower_cuts: Sequence[float] = (),
) -> np.ndarray:
    """Super-nodes: the connected components of the edges above the cut.

    Args:
        index: (2, E) rows of nodes.
        similarity: (E,) of the edges.
        cut: edges above it join their ends.
        n_nodes: number of nodes.
        min_size: smaller components make no super-node.
        max_size: larger components lose their least similar edges until they fall apart.
        lower_cuts: cuts, descending, for edges between nodes that are in no super-node yet.

    Returns:
        (N,) int64 super-node of every node, numbered from 0, -1: in none.
    """
    super_node, n = np.full(n_nodes, -1, np.int64), 0
    for threshold in (cut, *lower_cuts):
        free = super_node < 0
        mask = (similarity > threshold) & free[index[0]] & free[index[1]]
        if n_nodes == 0 or not mask.any():
            continue
        mask = _split_large(index, similarity, mask, n_nodes, max_size)
        component, size = _components(index, mask, n_nodes)
        large = size >= max(min_size, 2)
        number = np.where(large, n + np.cumsum(large) - 1, -1)
        super_node = np.where(free, number[component], super_node)
        n += int(large.sum())
    return super_node


def centroids(embedding: Tensor, super_node: Tensor, n: int) -> Tensor:
    """(n, D) mean embedding of the nodes of each super-node, of unit length."""
    member = (super_node >= 0).nonzero().squeeze(1)
    sums = embedding.new_zeros((n, embedding.shape[1]))
    sums = sums.index_add(0, super_node[member], embedding.index_select(0, member))
    return torch.nn.functional.normalize(sums, dim=1)


@torch.no_grad()
def nearest(query: Tensor, target: Tensor, k: int, first: Tensor | None = None) -> Tensor:
    """Pairs of every query with its `k` nearest targets by cosine similarity.

    Args:
        query: (N, D) of unit length.
        target: (M, D) of unit length.
        k: fewer where there are fewer targets.
        first: (N,) int64 target that comes first whatever its similarity, -1: none.

    Returns:
        (2, K) int64: rows of queries, ascending, and of targets, the nearest first.
    """
    k = min(k, len(target))
    if k <= 0 or len(query) == 0:
        return torch.zeros((2, 0), dtype=torch.int64, device=query.device)
    rows = max(1, (1 << 23) // len(target))  # 32 MiB of similarities at a time
    found = []
    for start in range(0, len(query), rows):
        near = query[start : start + rows] @ target.T
        if first is not None:
            own = first[start : start + rows]
            has = (own >= 0).nonzero().squeeze(1)
            near[has, own[has]] = 2.0
        found.append(near.topk(k, dim=1).indices)
    right = torch.cat(found)
    left = torch.arange(len(query), device=query.device).repeat_interleave(k)
    return torch.stack([left, right.reshape(-1)])
