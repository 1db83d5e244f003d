"""Labels of hits on super-nodes: which super-node is to stand for which particle."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching


def best_matching(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray, n_rows: int, n_columns: int
) -> np.ndarray:
    """One-to-one matching of rows to columns of the largest total weight.

    Args:
        row, column: (K,) of each weight; weights of the same place add up.
        weight: (K,) positive.
        n_rows, n_columns: numbers of rows and columns.

    Returns:
        (n_rows,) int64 column of each row, -1: none.
    """
    matched = np.full(n_rows, -1, np.int64)
    if len(row) == 0:
        return matched
    # A full matching always exists when every row has a column of its own, of next to no weight.
    tiny = 1e-6 * float(weight.max())
    data = np.concatenate([weight, np.full(n_rows, tiny)])
    rows = np.concatenate([row, np.arange(n_rows)])
    columns = np.concatenate([column, n_columns + np.arange(n_rows)])
    table = coo_array((data, (rows, columns)), shape=(n_rows, n_columns + n_rows)).tocsr()
    left, right = min_weight_full_bipartite_matching(table, maximize=True)
    real = right < n_columns
    matched[left[real]] = right[real]
    return matched


def pair_labels(
    pairs: np.ndarray,
    score: np.ndarray,
    super_node: np.ndarray,
    offsets: np.ndarray,
    particle: np.ndarray,
    wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of pairs of hits and super-nodes.

    Particles and super-nodes are matched so that the scores of true pairs are largest in total;
    hits that were pooled into a super-node count for it half a point more, which tells apart
    fragments of a track when the network does not yet.

    Args:
        pairs: (2, K) rows of hits, and super-nodes.
        score: (K,) present probabilities.
        super_node: (N,) super-node each hit was pooled into, -1: none.
        offsets: (N+1,) into `particle`.
        particle: particles of the hits.
        wanted: (P,) bool, particles that are to have a super-node.

    Returns:
        (K,) float32 labels, 0 or 1, and (P,) super-node of each particle, -1: none.
    """
    hit, super_of_pair = pairs
    width = np.diff(offsets)
    n_particles, n_super = len(wanted), int(super_of_pair.max(initial=-1)) + 1
    pair = np.repeat(np.arange(len(hit)), width[hit])
    nth = np.arange(len(pair)) - np.repeat(np.cumsum(width[hit]) - width[hit], width[hit])
    of = particle[offsets[hit[pair]] + nth]
    keep = wanted[of]
    pair, of = pair[keep], of[keep]
    weight = score[pair] + 0.5 * (super_node[hit[pair]] == super_of_pair[pair]) + 1e-3
    matched = best_matching(of, super_of_pair[pair], weight, n_particles, n_super)
    labels = np.zeros(len(hit), np.float32)
    labels[pair[matched[of] == super_of_pair[pair]]] = 1.0
    return labels, matched
