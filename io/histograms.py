"""Histograms to ROOT files, readable by uproot and ROOT, on uproot.

uproot cannot write TEfficiency: an efficiency `name` becomes three histograms, `name_passed` and
`name_total`, of which ROOT makes it again with `TEfficiency(passed, total)`, and `name`, the
ratio, whose errors are half the length of the 68.3% Wilson interval.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from uproot.writing import identify

from trkx.io.atomic import atomic_path
from trkx.io.errors import ConfigError, OutputError

__all__ = ["Efficiency", "Histogram", "ProfileHistogram", "wilson_half_width", "write_histograms"]


@dataclass(frozen=True)
class Histogram:
    """Counts, or other contents, in bins of one or two quantities.

    Attributes:
        values: shape (N,) or (N, M).
        edges: N + 1 bin edges, or a pair of these and M + 1 edges.
        variances: of the contents, same shape; None: the contents are counts.
        title: ROOT's title: `what;x axis;y axis`.
    """

    values: np.ndarray
    edges: Any
    variances: np.ndarray | None = None
    title: str = ""


@dataclass(frozen=True)
class Efficiency:
    """How many entries of each bin passed, in bins of one or two quantities.

    Attributes:
        passed: shape (N,) or (N, M).
        total: same shape.
        edges: N + 1 bin edges, or a pair of these and M + 1 edges.
        title: ROOT's title: `what;x axis;y axis`.
    """

    passed: np.ndarray
    total: np.ndarray
    edges: Any
    title: str = ""


@dataclass(frozen=True)
class ProfileHistogram:
    """Mean of a quantity in bins of another.

    Attributes:
        entries: shape (N,), number of entries.
        sums: shape (N,), sum of the quantity.
        squares: shape (N,), sum of its squares.
        edges: N + 1 bin edges.
        title: ROOT's title: `what;x axis;y axis`.
    """

    entries: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    edges: Any
    title: str = ""


def write_histograms(
    path: str | os.PathLike[str],
    histograms: Mapping[str, Any],
    force: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write histograms to a ROOT file, which appears when it is complete.

    Args:
        path: the file.
        histograms: by name; `/` in a name makes folders. Each is one of the classes here, or
            has the same attributes (`edges` with `values`; with `passed` and `total`; with
            `entries`, `sums` and `squares`), or is what NumPy's `histogram` and `histogram2d`
            return, or a `hist` or `boost_histogram` object.
        force: replace a file that is there.
        provenance: stored as JSON in the file, under `provenance`.

    Returns:
        the path.

    Raises:
        OutputExistsError, OutputError: the file cannot be written.
        ConfigError: something is not a histogram, or its edges and contents do not match.
    """
    objects: dict[str, Any] = {}
    for name, histogram in histograms.items():
        for key, value in _writable(name, histogram).items():
            if key in objects:
                raise ConfigError(f"two histograms are called '{key}'; rename one of them")
            objects[key] = value
    with atomic_path(path, force) as temporary:
        try:
            with uproot.recreate(temporary) as file:
                if provenance is not None:
                    file["provenance"] = json.dumps(dict(provenance), sort_keys=True)
                for key, value in objects.items():
                    file[key] = value
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error}; is the disk full?") from error
    return Path(path)


def wilson_half_width(passed: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Half the length of the 68.3% Wilson score interval of passed / total.

    Not zero where all or none passed, as sqrt(p (1 - p) / n) would be; 0 where `total` is 0.

    References: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    passed, total = np.asarray(passed, np.float64), np.asarray(total, np.float64)
    n = np.where(total > 0, total, 1.0)
    p = passed / n
    half = np.sqrt(p * (1 - p) / n + 1 / (4 * n**2)) / (1 + 1 / n)
    return np.where(total > 0, half, 0.0)


def _writable(name: str, histogram: Any) -> dict[str, Any]:
    title = getattr(histogram, "title", "") or ""
    if hasattr(histogram, "axes"):
        return {name: histogram}
    edges = getattr(histogram, "edges", None)
    if edges is not None and hasattr(histogram, "passed") and hasattr(histogram, "total"):
        passed = np.asarray(histogram.passed, np.float64)
        total = np.asarray(histogram.total, np.float64)
        ratio = passed / np.where(total > 0, total, 1.0)
        variance = wilson_half_width(passed, total) ** 2
        return {
            name: _counts(name, ratio, edges, variance, title),
            f"{name}_passed": _counts(name, passed, edges, None, title),
            f"{name}_total": _counts(name, total, edges, None, title),
        }
    if edges is not None and all(hasattr(histogram, k) for k in ("entries", "sums", "squares")):
        return {name: _profile(name, histogram, title)}
    if edges is not None and hasattr(histogram, "values"):
        variances = getattr(histogram, "variances", None)
        return {name: _counts(name, histogram.values, edges, variances, title)}
    if isinstance(histogram, Sequence) and len(histogram) in (2, 3):
        values, *axes = histogram
        return {name: _counts(name, values, axes if len(axes) == 2 else axes[0], None, title)}
    raise ConfigError(
        f"'{name}' is not a histogram but a {type(histogram).__name__}; expected Histogram, "
        "Efficiency, ProfileHistogram, a (values, edges) pair, or a hist object"
    )


def _counts(name: str, values: Any, edges: Any, variances: Any | None, title: str) -> Any:
    contents = np.asarray(values, dtype=np.float64)
    if contents.ndim not in (1, 2):
        raise ConfigError(f"'{name}' has {contents.ndim} axes, expected 1 or 2")
    axes = [np.asarray(e, np.float64) for e in (edges if contents.ndim == 2 else [edges])]
    shape = tuple(len(axis) - 1 for axis in axes)
    if shape != contents.shape:
        raise ConfigError(f"'{name}' has contents of shape {contents.shape} for bins {shape}")
    weights = contents if variances is None else np.asarray(variances, dtype=np.float64)
    what, axis_titles = _split_title(title)
    padded = np.pad(contents, 1)
    sumw2 = None if variances is None else np.pad(weights, 1).T.ravel()
    centers = [(axis[1:] + axis[:-1]) / 2 for axis in axes]
    along_x = contents if contents.ndim == 1 else contents.sum(axis=1)
    common = {
        "fName": None,
        "fTitle": what,
        "fEntries": float(contents.sum()),
        "fTsumw": float(contents.sum()),
        "fTsumw2": float(weights.sum()),
        "fTsumwx": float((along_x * centers[0]).sum()),
        "fTsumwx2": float((along_x * centers[0] ** 2).sum()),
        "fSumw2": sumw2,
        "fXaxis": _axis("xaxis", axes[0], axis_titles[0]),
        "fYaxis": _axis("yaxis", axes[1] if len(axes) == 2 else None, axis_titles[1]),
    }
    if contents.ndim == 1:
        return identify.to_TH1x(data=padded, **common)
    along_y = contents.sum(axis=0)
    return identify.to_TH2x(
        # ROOT's bin number runs over x first.
        data=padded.T.ravel(),
        fTsumwy=float((along_y * centers[1]).sum()),
        fTsumwy2=float((along_y * centers[1] ** 2).sum()),
        fTsumwxy=float((contents * centers[0][:, None] * centers[1]).sum()),
        **common,
    )


def _profile(name: str, profile: Any, title: str) -> Any:
    edges = np.asarray(profile.edges, dtype=np.float64)
    entries, sums, squares = (
        np.asarray(getattr(profile, k), np.float64) for k in ("entries", "sums", "squares")
    )
    if not len(entries) == len(sums) == len(squares) == len(edges) - 1:
        raise ConfigError(
            f"'{name}' has {len(entries)} entries, {len(sums)} sums and {len(squares)} squares "
            f"for {len(edges) - 1} bins"
        )
    what, axis_titles = _split_title(title)
    centers = (edges[1:] + edges[:-1]) / 2
    return identify.to_TProfile(
        fName=None,
        fTitle=what,
        data=np.pad(sums, 1),
        fEntries=float(entries.sum()),
        fTsumw=float(entries.sum()),
        fTsumw2=float(entries.sum()),
        fTsumwx=float((entries * centers).sum()),
        fTsumwx2=float((entries * centers**2).sum()),
        fTsumwy=float(sums.sum()),
        fTsumwy2=float(squares.sum()),
        fSumw2=np.pad(squares, 1),
        fBinEntries=np.pad(entries, 1),
        fBinSumw2=np.zeros(0),
        fXaxis=_axis("xaxis", edges, axis_titles[0]),
        fYaxis=_axis("yaxis", None, axis_titles[1]),
    )


def _split_title(title: str) -> tuple[str, tuple[str, str]]:
    what, x, y, *_ = (*title.split(";"), "", "")
    return what, (x, y)


def _axis(name: str, edges: np.ndarray | None, title: str) -> Any:
    if edges is None:
        edges = np.array([0.0, 1.0])
    widths = np.diff(edges)
    uniform = np.allclose(widths, widths[0], rtol=1e-9, atol=0)
    return identify.to_TAxis(
        fName=name,
        fTitle=title,
        fNbins=len(edges) - 1,
        fXmin=float(edges[0]),
        fXmax=float(edges[-1]),
        fXbins=None if uniform else np.asarray(edges, dtype=np.float64),
    )
