"""Fixed-radius neighbour search on a grid, on one core.

The grid lies on the two principal axes along which the points spread most; in a cell the points
are sorted along the third. The candidates of a query are then nine runs of consecutive points,
whose distances in all dimensions the compiler turns into vector instructions. Distances in single
precision leave out what is farther than the radius and their rounding; the rest is computed as
`radius_search` defines it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from trkx.plugin.radius_search_kernels import JIT, keep_nearest

MAX_CELLS = 256  # along an axis
BLOCK = 64  # distances computed together


@dataclass(frozen=True)
class Grid:
    """N points in the order of their cells."""

    y: np.ndarray  # (max(d, 3), N), coordinates on the principal axes, in the order of cells
    order: np.ndarray  # (N,) int64, row of each of them
    start: np.ndarray  # (n0 * n1 + 1,) int64, first point of each cell
    shape: tuple[int, int]
    slack: float  # distances on the grid are wrong by at most this


def make_grid(x: np.ndarray, radius: float, dtype: type) -> Grid:
    """Sort the points (N, d) into cells at least a radius wide."""
    n, d = x.shape
    centred = x.astype(np.float64)
    centred -= centred.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    y = np.zeros((max(d, 3), n), dtype)
    y[:d] = (centred @ axes[:, ::-1]).T
    cells = [_cells(y[axis], radius) for axis in (0, 1)]
    shape = (int(cells[0].max()) + 1, int(cells[1].max()) + 1)
    cell = cells[0] * shape[1] + cells[1]
    order = np.lexsort((y[2], cell))
    largest = float(np.sqrt((y.astype(np.float64) ** 2).sum(axis=0).max()))
    return Grid(
        np.ascontiguousarray(y[:, order]),
        order,
        np.searchsorted(cell[order], np.arange(shape[0] * shape[1] + 1)),
        shape,
        # Rounding of two coordinates, their difference, its square and the sum.
        (8 + 2 * d) * float(np.finfo(dtype).eps) * max(largest, radius),
    )


def _cells(y: np.ndarray, radius: float) -> np.ndarray:
    """(N,) int64 cells; the outermost hold the stragglers, so that few points cost no memory."""
    low, high = np.quantile(y, [0.001, 0.999])
    width = max(radius * 1.001, (high - low) / MAX_CELLS, np.finfo(np.float32).tiny)
    n = min(int((high - low) / width) + 1, MAX_CELLS)
    return np.clip((y - low) / width, 0, n - 1).astype(np.int64)


@njit(**JIT)
def _search(x, y, order, start, n0, n1, position, radius, slack, k, block):
    """Counts (Q,) and neighbours, of queries at `position` of the grid's order."""
    d = len(y)
    count = np.zeros(len(position), np.int64)
    found = np.empty(max(len(position), 1) * min(k, 16) + k, np.int64)
    total = 0
    capacity = 2 * k + 1024
    near = np.empty(capacity, np.int64)
    distance = np.empty(capacity, np.float64)
    sums = np.empty(block, y.dtype)
    for q in range(len(position)):
        p = position[q]
        row = order[p]
        cell = np.searchsorted(start, p, side="right") - 1
        a, b = cell // n1, cell % n1
        limit = radius * radius
        reach = radius + slack
        size = 0
        for turn in range(9):
            # The query's own cell first: where k limits, it shrinks the reach at once.
            c0 = a + (0, 0, 0, 1, 1, 1, -1, -1, -1)[turn]
            c1 = b + (0, 1, -1, 0, 1, -1, 0, 1, -1)[turn]
            if c0 < 0 or c0 >= n0 or c1 < 0 or c1 >= n1:
                continue
            begin, end = start[c0 * n1 + c1], start[c0 * n1 + c1 + 1]
            z = y[2, begin:end]
            end = begin + np.searchsorted(z, y[2, p] + reach, side="right")
            begin += np.searchsorted(z, y[2, p] - reach, side="left")
            for at in range(begin, end, block):
                m = min(block, end - at)
                for i in range(m):
                    sums[i] = 0
                for axis in range(d):
                    centre = y[axis, p]
                    for i in range(m):
                        difference = y[axis, at + i] - centre
                        sums[i] += difference * difference
                reach2 = y.dtype.type(reach * reach)
                any_near = 0
                for i in range(m):
                    any_near += sums[i] <= reach2
                if any_near == 0:
                    continue
                if size + m > capacity:
                    size = keep_nearest(near, distance, size, k)
                    if size == k:
                        limit = distance[k - 1]
                        reach = np.sqrt(limit) + slack
                        reach2 = y.dtype.type(reach * reach)
                for i in range(m):
                    if sums[i] > reach2 or at + i == p:
                        continue
                    j = order[at + i]
                    exact = 0.0
                    for axis in range(x.shape[1]):
                        difference = np.float64(x[row, axis]) - np.float64(x[j, axis])
                        exact += difference * difference
                    if exact <= limit:
                        near[size] = j
                        distance[size] = exact
                        size += 1
        size = keep_nearest(near, distance, size, k)
        if total + size > len(found):
            grown = np.empty(2 * len(found) + size, np.int64)
            grown[:total] = found[:total]
            found = grown
        found[total : total + size] = near[:size]
        count[q] = size
        total += size
    return count, found[:total]


def search(
    x: np.ndarray, rows: np.ndarray, radius: float, k: int, precision: str = "float32"
) -> np.ndarray:
    """See `radius_search`; `precision` of the distances that leave out candidates."""
    grid = make_grid(x, radius, np.float64 if precision == "float64" else np.float32)
    back = np.empty(len(x), np.int64)
    back[grid.order] = np.arange(len(x))
    position = back[rows]
    visit = np.argsort(position)  # neighbouring queries share their candidates in the cache
    count, neighbour = _search(
        x, grid.y, grid.order, grid.start, *grid.shape, position[visit], radius, grid.slack,
        min(k, len(x)), BLOCK,
    )  # fmt: skip
    first = np.empty(len(rows), np.int64)
    first[visit] = np.cumsum(count) - count
    size = np.empty(len(rows), np.int64)
    size[visit] = count
    step = np.arange(len(neighbour)) - np.repeat(np.cumsum(size) - size, size)
    return np.stack([np.repeat(rows, size), neighbour[np.repeat(first, size) + step]])
