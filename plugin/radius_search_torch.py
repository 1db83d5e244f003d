"""Fixed-radius neighbour search in pure torch, on the device where the points are.

FRNN's idea: a grid of cells one radius wide on the axes along which the points spread most, the
points sorted by cell, and for each query the points of the cells around its own. Inside a cell
points are sorted along one more axis, so that a query looks at a run of each cell only. Distances
in single or half precision leave out what is farther than the radius and their rounding; the rest
is computed as `radius_search` defines it.

References: FRNN, Xue, https://github.com/lxxue/FRNN; Lazar et al., J. Phys. Conf. Ser. 2438,
012008 (2023), arXiv:2202.06929.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from trkx.plugin.errors import StageError
from trkx.plugin.radius_search import check_limits

GRID_AXES = 3
MAX_CELLS = 256  # along an axis
PAIRS = {"cpu": 1 << 18, "cuda": 1 << 26}  # candidates at once: in the cache, in memory
PRECISIONS = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16}


def radius_search_tensor(
    points: Tensor,
    radius: float,
    k: int,
    queries: Tensor | None = None,
    precision: str = "float32",
) -> Tensor:
    """`radius_search` for a tensor: same edges, on the device of `points`.

    Args:
        points: (N, d) float32, finite.
        radius: neighbours are at this distance or nearer.
        k: the most neighbours of a query.
        queries: (Q,) int64 rows to search around; None: all.
        precision: of the distances that leave out candidates: 'float16', 'float32', 'float64'.

    Returns:
        (2, E) int64.

    Raises:
        StageError: a bad radius, k or precision, points that are not finite.
    """
    check_limits(radius, k)
    if precision not in PRECISIONS:
        raise StageError(f"no precision '{precision}'; choose one of {', '.join(PRECISIONS)}")
    n = len(points)
    device = points.device
    rows = torch.arange(n, device=device) if queries is None else queries
    if n == 0 or len(rows) == 0 or k == 0:
        return torch.zeros((2, 0), dtype=torch.int64, device=device)
    if not bool(torch.isfinite(points).all()):
        raise StageError("radius search: there are points that are not finite")
    grid = _Grid(points, float(radius), PRECISIONS[precision])
    visit = torch.sort(grid.rank[rows]).values
    found = [_chunk(grid, part, float(radius), int(k)) for part in grid.chunks(visit)]
    query = torch.cat([f[0] for f in found])
    neighbour = torch.cat([f[1] for f in found])
    # Back into the order in which the queries were given.
    number = torch.empty_like(grid.rank)
    number[grid.rank[rows]] = torch.arange(len(rows), device=device)
    order = torch.argsort(number[query], stable=True)
    return torch.stack([grid.order[query[order]], neighbour[order]])


def search(
    x: np.ndarray, rows: np.ndarray, radius: float, k: int, precision: str = "float32"
) -> np.ndarray:
    """See `radius_search`; on the processor."""
    edges = radius_search_tensor(torch.from_numpy(x), radius, k, torch.from_numpy(rows), precision)
    return edges.numpy()


class _Grid:
    """Points in the order of their cells."""

    def __init__(self, points: Tensor, radius: float, dtype: torch.dtype) -> None:
        n, d = points.shape
        x = points.double()
        self.columns = list(x.T.contiguous())
        x = x - x.mean(dim=0)
        y = x @ torch.linalg.eigh(x.T @ x)[1].flip(1)
        n_axes = min(GRID_AXES, d - 1)
        cells = [self._cells(y[:, axis], radius) for axis in range(n_axes)]
        self.shape = [int(c.max()) + 1 for c in cells]
        cell = torch.zeros(n, dtype=torch.int64, device=points.device)
        for c, size in zip(cells, self.shape, strict=True):
            cell = cell * size + c
        z = y[:, n_axes] - y[:, n_axes].min()
        order = torch.argsort(z)
        self.order = order[torch.argsort(cell[order], stable=True)]
        self.rank = torch.empty_like(self.order)
        self.rank[self.order] = torch.arange(n, device=points.device)
        self.cells = [c[self.order] for c in cells]
        self.z = z[self.order]
        largest = float(y.abs().max())
        if dtype == torch.float16 and largest > 1000 * radius:
            dtype = torch.float32
        self.y = (y[self.order] / radius).to(dtype)
        # Rounding of two coordinates and their difference, of the sum, and of y itself.
        eps, single = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
        self.slack = 1.1 * d**0.5 * eps * (largest + 2 * radius)
        self.slack += (
            (8 + 2 * d) * (single if dtype != torch.float64 else eps) * (d**0.5 * largest + radius)
        )
        # One sorted key for cell and run: cells are farther apart than runs are long.
        self.span = float(self.z.max()) + 4 * (radius + self.slack)
        self.key = cell[self.order].double() * self.span + self.z
        self.reach = radius + self.slack
        rounding = self.key[-1:].abs().max() * torch.finfo(torch.float64).eps * 4
        self.run = self.reach + float(rounding)

    @staticmethod
    def _cells(y: Tensor, radius: float) -> Tensor:
        """(N,) int64 cells; the outermost hold the stragglers, so that few cost no memory."""
        ordered = torch.sort(y).values
        low, high = (float(ordered[int(q * (len(y) - 1))]) for q in (0.001, 0.999))
        width = max(radius * 1.001, (high - low) / MAX_CELLS, torch.finfo(torch.float32).tiny)
        n = min(int((high - low) / width) + 1, MAX_CELLS)
        return ((y - low) / width).clamp(0, n - 1).long()

    def runs(self, visit: Tensor) -> tuple[Tensor, Tensor]:
        """First candidate and number of candidates (Q, 3^axes) of queries, in sorted order."""
        begin, count = [], []
        z = self.z[visit]
        for step in itertools.product((0, 1, -1), repeat=len(self.shape)):
            cell = torch.zeros_like(visit)
            inside = torch.ones_like(visit, dtype=torch.bool)
            for c, size, s in zip(self.cells, self.shape, step, strict=True):
                moved = c[visit] + s
                inside &= (moved >= 0) & (moved < size)
                cell = cell * size + moved
            key = cell.double() * self.span + z
            first = torch.searchsorted(self.key, key - self.run)
            last = torch.searchsorted(self.key, key + self.run, right=True)
            begin.append(first)
            count.append(torch.where(inside, last - first, 0))
        return torch.stack(begin, 1), torch.stack(count, 1)

    def chunks(self, visit: Tensor):
        """Queries with their runs, so many at once that their candidates fit."""
        limit = PAIRS["cuda" if visit.is_cuda else "cpu"]
        for part in torch.split(visit, 1 << 16):
            begin, count = self.runs(part)
            ends = torch.cumsum(count.sum(1), 0)
            at, done = 0, 0
            while at < len(part):
                stop = int(torch.searchsorted(ends, torch.tensor(done + limit, device=ends.device)))
                stop = max(stop, at + 1)
                yield part[at:stop], begin[at:stop], count[at:stop]
                done, at = int(ends[stop - 1]), stop


def _chunk(
    grid: _Grid, part: tuple[Tensor, Tensor, Tensor], radius: float, k: int
) -> tuple[Tensor, Tensor]:
    """Queries by their place in the grid, and rows of their neighbours, nearest first."""
    visit, begin, count = part
    count = count.flatten()
    total = torch.cumsum(count, 0)
    shift = begin.flatten() - (total - count)
    candidate = torch.repeat_interleave(shift, count)
    candidate += torch.arange(len(candidate), device=candidate.device)
    query = torch.repeat_interleave(visit, part[2].sum(1))
    difference = grid.y[candidate] - grid.y[query]
    if difference.dtype == torch.float16:
        difference = difference.float()
    near = (difference * difference).sum(1) <= (grid.reach / radius) ** 2
    near &= candidate != query
    query, candidate = query[near], candidate[near]
    row, neighbour = grid.order[query], grid.order[candidate]
    distance = torch.zeros(len(row), dtype=torch.float64, device=row.device)
    for column in grid.columns:
        step = column[row] - column[neighbour]
        distance += step * step
    inside = distance <= radius * radius
    query, neighbour, distance = query[inside], neighbour[inside], distance[inside]
    order = torch.argsort(neighbour)
    order = order[torch.argsort(distance[order], stable=True)]
    order = order[torch.argsort(query[order], stable=True)]
    query, neighbour = query[order], neighbour[order]
    start = torch.searchsorted(query, query)
    first = torch.arange(len(query), device=query.device) - start < k
    return query[first], neighbour[first]
