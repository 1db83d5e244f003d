"""Fixed-radius neighbour search with at most k neighbours, by exchangeable exact methods.

Metric learning joins points that lie close together in its embedding space. All methods return
the same edges: the squared distance is the sum over the dimensions, in order, of the squared
differences of the float32 coordinates in double precision; whatever a method computes faster is
only used to leave out pairs that this sum would leave out too.
"""

from __future__ import annotations

import importlib

import numpy as np

from trkx.plugin.errors import StageError

METHODS = {  # method → module with `search(points, rows, radius, k)`
    "grid": "trkx.plugin.radius_search_grid",
    "kdtree": "trkx.plugin.radius_search_kdtree",
    "faiss": "trkx.plugin.radius_search_faiss",
    "torch": "trkx.plugin.radius_search_torch",
}

# Precisions of the distances that leave out candidates, the usual one first. Edges are the same.
PRECISIONS = {
    "grid": ("float32", "float64"),
    "torch": ("float32", "float16", "float64"),
    "kdtree": ("float64",),
    "faiss": ("float32",),
}


def radius_search(
    points: np.ndarray,
    radius: float,
    k: int,
    method: str = "grid",
    queries: np.ndarray | None = None,
    precision: str | None = None,
) -> np.ndarray:
    """For each query its at most `k` nearest neighbours within `radius`.

    The edges are directed: j may be among the k nearest of i without the reverse. A pair that
    list each other is there twice; `edge_graph` keeps it once.

    Args:
        points: (N, d) float32, finite; dimensionless coordinates of an embedding space.
        radius: neighbours are at this distance or nearer.
        k: the most neighbours of a query; of equally near points those of lower row win. A point
            is not its own neighbour, duplicates of it are.
        method: 'grid' (compiled, the fastest on a core), 'kdtree' (scipy), 'faiss' (brute force by
            matrix products) or 'torch' (see `radius_search_tensor` for tensors on a GPU).
        queries: (Q,) rows of `points` to search around, each once; None: all.
        precision: what candidates are chosen with, see `PRECISIONS`; None: the first of these.

    Returns:
        (2, E) int64: query rows and neighbour rows, by query in the order given, nearest first.

    Raises:
        StageError: no such method, a bad radius or k, points that are not finite.
        MissingExtraError: the method's library is not installed.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995; Lazar et al.,
    J. Phys. Conf. Ser. 2438, 012008 (2023), arXiv:2202.06929 (published timings).
    """
    if method not in METHODS:
        raise StageError(f"no search method '{method}'; choose one of {', '.join(METHODS)}")
    check_limits(radius, k)
    known = PRECISIONS[method]
    if precision is not None and precision not in known:
        raise StageError(
            f"search method '{method}' has no precision '{precision}'; choose one of "
            f"{', '.join(known)}"
        )
    chosen = {"precision": precision or known[0]} if len(known) > 1 else {}
    x = np.ascontiguousarray(points, np.float32)
    if x.ndim != 2:
        raise StageError(f"radius search: points have shape {x.shape}; expected (N, d)")
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise StageError(
            f"radius search: {bad.sum()} of {len(x)} points are not finite, the first in row "
            f"{int(bad.argmax())}; look for NaN in the features or weights of the embedding"
        )
    rows = np.arange(len(x)) if queries is None else np.asarray(queries, np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= len(x)):
        raise StageError(
            f"radius search: queries name rows {rows.min()} to {rows.max()} of {len(x)} points"
        )
    if len(x) == 0 or len(rows) == 0 or k == 0:
        return np.zeros((2, 0), np.int64)
    search = importlib.import_module(METHODS[method]).search
    return search(x, rows, float(radius), int(k), **chosen)


def check_limits(radius: float, k: int) -> None:
    """Raise StageError for a radius or k that no search can work with."""
    if not (np.isfinite(radius) and radius > 0):
        raise StageError(f"radius search: the radius is {radius}; expected a positive number")
    if k < 0 or int(k) != k:
        raise StageError(f"radius search: k is {k}; expected the largest number of neighbours")
