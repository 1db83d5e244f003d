"""The histograms of performance.json as ROOT files, one per finder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.performance_histograms import (
    efficiency_histograms,
    profile_histograms,
    residual_histograms,
    width_histograms,
)
from trkx.io.histograms import Efficiency, Histogram, write_histograms


def finder_histograms(document: Mapping[str, Any], finder: str) -> dict[str, Any]:
    """Return all histograms of a finder by name.

    Folders are the targets (`pt1/trackeff_vs_eta`) and the fits (`kf/res_d0`); names within are
    those of ACTS' performance writers.
    """
    histograms: dict[str, Any] = {}
    figures = document["finders"][finder]
    for target in figures["targets"]:
        for name, (passed, total, edges) in efficiency_histograms(document, finder, target).items():
            histograms[f"{target}/{name}"] = Efficiency(passed, total, edges)
        for name, values in profile_histograms(document, finder, target).items():
            histograms[f"{target}/{name}"] = _with_errors(*values)
    for fitter in figures["fits"]:
        for name, (counts, edges) in residual_histograms(document, finder, fitter).items():
            histograms[f"{fitter}/{name}"] = Histogram(counts, edges)
        for name, values in width_histograms(document, finder, fitter).items():
            histograms[f"{fitter}/{name}"] = _with_errors(*values)
    return histograms


def _with_errors(values: np.ndarray, errors: np.ndarray, edges: np.ndarray) -> Histogram:
    # An empty bin has no mean; a histogram has no way to say so but 0 ± 0.
    return Histogram(np.nan_to_num(values), edges, variances=np.nan_to_num(errors) ** 2)


def write_finder_histograms(document: Mapping[str, Any], finder: str, path: Path) -> Path:
    """Write `performance_<finder>.root`.

    Args:
        document: content of performance.json.
        finder: which one.
        path: the file.
    """
    provenance = {"finder": finder, "settings": document["settings"]}
    return write_histograms(path, finder_histograms(document, finder), provenance=provenance)
