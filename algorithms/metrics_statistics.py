"""Statistical uncertainties of rates and means, and the width of a core with tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

# The central 68.27% of a Gaussian: one standard deviation to each side.
ONE_SIGMA = 0.682689492137086

# Standard deviation of a unit Gaussian that is cut at three sigma.
_TRUNCATED_AT_3_SIGMA = 0.98658

# Half the interquartile range of a unit Gaussian.
_HALF_IQR = 0.674490


def clopper_pearson(
    passed: ArrayLike, total: ArrayLike, level: float = ONE_SIGMA
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limit of a rate, by the exact central interval (ROOT's default).

    Args:
        passed: number of successes, any shape.
        total: number of trials, same shape; no trials give the interval (0, 1).
        level: coverage, at least reached for every true rate.

    References:
        Clopper and Pearson, Biometrika 26, 404 (1934).
    """
    k = np.asarray(passed, dtype=np.float64)
    n = np.asarray(total, dtype=np.float64)
    tail = (1.0 - level) / 2.0
    with np.errstate(invalid="ignore"):
        lower = np.where(k > 0, special.betaincinv(np.maximum(k, 1e-9), n - k + 1, tail), 0.0)
        upper = np.where(k < n, special.betaincinv(k + 1, np.maximum(n - k, 1e-9), 1.0 - tail), 1.0)
    return lower, upper


@dataclass(frozen=True)
class Rate:
    """A fraction with its statistical uncertainty; `value` is NaN if there were no trials."""

    passed: int
    total: int

    @property
    def value(self) -> float:
        return self.passed / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """68.27% Clopper-Pearson interval."""
        lower, upper = clopper_pearson(self.passed, self.total)
        return float(lower), float(upper)

    @property
    def error(self) -> float:
        """Half the width of `interval`."""
        lower, upper = self.interval
        return (upper - lower) / 2.0


@dataclass(frozen=True)
class Core:
    """Centre and width of the Gaussian core of a distribution.

    All are NaN if there are too few entries. `iqr_width` is the interquartile range divided by that
    of a unit Gaussian, a second estimate that needs no iteration.
    """

    mean: float
    mean_error: float
    width: float
    width_error: float
    iqr_width: float
    n: int  # finite entries, tails included
    tail_fraction: float  # entries further than 3 widths from the mean; 0.0027 for a Gaussian


def core_width(values: ArrayLike, min_entries: int = 10) -> Core:
    """Mean and width of the core, from what lies within three widths of the mean, iterated.

    Starts from median and interquartile range, and corrects the width for the cut, so that a
    Gaussian sample gives its standard deviation. Errors are those of a Gaussian core.

    Args:
        values: any shape; entries that are not finite are left out.
        min_entries: with fewer entries the result is NaN.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    nan = float("nan")
    if len(sample) < min_entries:
        return Core(nan, nan, nan, nan, nan, len(sample), nan)
    low, mean, high = np.quantile(sample, [0.25, 0.5, 0.75])
    iqr_width = width = (high - low) / (2.0 * _HALF_IQR)
    inside = np.ones(len(sample), dtype=bool)
    for _ in range(50):
        inside = np.abs(sample - mean) <= 3.0 * width
        core = sample[inside]
        new_mean, new_width = core.mean(), core.std() / _TRUNCATED_AT_3_SIGMA
        converged = abs(new_width - width) <= 1e-6 * width
        mean, width = new_mean, new_width
        if converged:
            break
    n_core = int(inside.sum())
    return Core(
        mean=float(mean),
        mean_error=float(width / np.sqrt(n_core)),
        width=float(width),
        width_error=float(width / np.sqrt(2.0 * n_core)),
        iqr_width=float(iqr_width),
        n=len(sample),
        tail_fraction=1.0 - n_core / len(sample),
    )
