"""Histograms that are filled event by event and merged: counts, ratios and profiles.

Memory is bounded by the number of bins. Values outside the edges (or not finite) are left out; the
last bin includes its upper edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Axis:
    """One binned quantity."""

    name: str  # key in performance.json
    label: str  # for plots, in matplotlib's mathtext
    unit: str  # "" if dimensionless
    edges: tuple[float, ...]  # bin edges, rising
    log: bool = False  # drawn on a logarithmic axis

    @property
    def n_bins(self) -> int:
        return len(self.edges) - 1


def linear(start: float, stop: float, bins: int) -> tuple[float, ...]:
    """Edges of `bins` equal bins."""
    return tuple(np.linspace(start, stop, bins + 1).round(10).tolist())


class Counts:
    """A histogram of counts."""

    def __init__(self, edges: ArrayLike) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)
        self.values = np.zeros(len(self.edges) - 1, dtype=np.int64)

    def fill(self, values: ArrayLike) -> None:
        self.values += _count(values, self.edges)

    def merge(self, other: Counts) -> None:
        _same_edges(self.edges, other.edges)
        self.values += other.values

    def to_dict(self) -> dict[str, Any]:
        return {"edges": self.edges.tolist(), "counts": self.values.tolist()}


class Ratio:
    """How many of the entries of each bin passed."""

    def __init__(self, edges: ArrayLike) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)
        self.passed = np.zeros(len(self.edges) - 1, dtype=np.int64)
        self.total = np.zeros_like(self.passed)

    def fill(self, values: ArrayLike, passed: NDArray[np.bool_]) -> None:
        """Count `values`, shape (N,), and those of them where `passed`, shape (N,)."""
        values = np.asarray(values, dtype=np.float64)
        self.total += _count(values, self.edges)
        self.passed += _count(values[passed], self.edges)

    def merge(self, other: Ratio) -> None:
        _same_edges(self.edges, other.edges)
        self.passed += other.passed
        self.total += other.total

    def to_dict(self) -> dict[str, Any]:
        return {
            "edges": self.edges.tolist(),
            "passed": self.passed.tolist(),
            "total": self.total.tolist(),
        }


class Profile:
    """Mean of a second quantity in each bin of a first."""

    def __init__(self, edges: ArrayLike) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)
        self.entries = np.zeros(len(self.edges) - 1, dtype=np.int64)
        self.sums = np.zeros(len(self.entries))
        self.squares = np.zeros(len(self.entries))

    def fill(self, values: ArrayLike, quantity: ArrayLike) -> None:
        values = np.asarray(values, dtype=np.float64)
        quantity = np.asarray(quantity, dtype=np.float64)
        self.entries += _count(values, self.edges)
        self.sums += _count(values, self.edges, quantity)
        self.squares += _count(values, self.edges, quantity**2)

    def merge(self, other: Profile) -> None:
        _same_edges(self.edges, other.edges)
        self.entries += other.entries
        self.sums += other.sums
        self.squares += other.squares

    def mean(self) -> NDArray[np.float64]:
        """Mean per bin, NaN where a bin is empty."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.entries

    def error(self) -> NDArray[np.float64]:
        """Standard error of the mean per bin, NaN where a bin is empty."""
        with np.errstate(invalid="ignore"):
            variance = self.squares / self.entries - self.mean() ** 2
            return np.sqrt(np.maximum(variance, 0.0) / self.entries)

    def to_dict(self) -> dict[str, Any]:
        return {
            "edges": self.edges.tolist(),
            "entries": self.entries.tolist(),
            "mean": none_for_nan(self.mean()),
            "error": none_for_nan(self.error()),
        }


class Mean:
    """Mean of a quantity, with its standard error."""

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self.squares = 0.0

    def fill(self, values: ArrayLike) -> None:
        values = np.asarray(values, dtype=np.float64)
        self.n += values.size
        self.total += float(values.sum())
        self.squares += float((values**2).sum())

    def merge(self, other: Mean) -> None:
        self.n += other.n
        self.total += other.total
        self.squares += other.squares

    @property
    def value(self) -> float:
        return self.total / self.n if self.n else float("nan")

    @property
    def error(self) -> float:
        if not self.n:
            return float("nan")
        return float(np.sqrt(max(self.squares / self.n - self.value**2, 0.0) / self.n))


def none_for_nan(values: ArrayLike) -> list[float | None]:
    """A list for JSON, which knows no NaN."""
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values, dtype=np.float64)]


def _count(values: ArrayLike, edges: NDArray, weights: NDArray | None = None) -> NDArray:
    values = np.asarray(values, dtype=np.float64)
    bins = np.searchsorted(edges, values, side="right") - 1
    bins[values == edges[-1]] = len(edges) - 2
    inside = (bins >= 0) & (bins < len(edges) - 1) & np.isfinite(values)
    kept = None if weights is None else weights[inside]
    return np.bincount(bins[inside], weights=kept, minlength=len(edges) - 1)


def _same_edges(ours: NDArray, theirs: NDArray) -> None:
    if not np.array_equal(ours, theirs):
        raise ValueError(f"cannot merge histograms with {len(ours)} and {len(theirs)} other edges")
