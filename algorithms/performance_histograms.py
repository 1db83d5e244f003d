"""Histograms of performance.json under the names that ACTS' performance writers give them.

Binnings are those of performance.json, wider in eta than ACTS' (the acceptance ends at 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# ACTS' name of an axis by ours.
_AXES = {"eta": "eta", "phi": "phi", "pt": "pT", "z0": "z0", "production_radius": "prodR"}

Passed = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def efficiency_histograms(
    document: Mapping[str, Any], finder: str, target: str = "pt1"
) -> dict[str, Passed]:
    """Efficiencies and ratios of `RootPatternRecognitionPerformanceWriter`.

    Returns:
        name → (passed, total, edges): `trackeff_vs_eta`, `_phi`, `_pT`, `_z0`, `_prodR`;
        `fakeRatio_vs_eta`, …; `duplicationRatio_vs_eta`, ….
    """
    histograms = document["finders"][finder]["targets"][target]["histograms"]
    groups = (
        ("trackeff", histograms["efficiency"]["all"]),
        ("fakeRatio", histograms["fakes"]),
        ("duplicationRatio", histograms["duplicates"]),
    )
    return {
        f"{prefix}_vs_{_AXES[axis]}": tuple(  # type: ignore[misc]
            np.asarray(data[key], dtype=np.float64) for key in ("passed", "total", "edges")
        )
        for prefix, group in groups
        for axis, data in group.items()
        if axis in _AXES
    }


def profile_histograms(
    document: Mapping[str, Any], finder: str, target: str = "pt1"
) -> dict[str, Passed]:
    """Mean hit purity and completeness.

    Returns:
        name → (mean, error of the mean, edges): `purity_vs_eta`, `completeness_vs_pT`, …; NaN in
        empty bins.
    """
    quality = document["finders"][finder]["targets"][target]["histograms"]["quality"]
    return {
        f"{name}_vs_{_AXES[axis]}": (
            _numbers(data["mean"]),
            _numbers(data["error"]),
            np.asarray(data["edges"], dtype=np.float64),
        )
        for name, group in quality.items()
        for axis, data in group.items()
        if axis in _AXES
    }


def residual_histograms(
    document: Mapping[str, Any], finder: str, fitter: str
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Residuals and pulls of `RootTrackParameterPerformanceWriter`.

    Returns:
        name → (counts, edges): `res_d0`, `res_z0`, `res_phi`, `res_theta`, `res_qop`, `pull_d0`, …
    """
    fit = document["finders"][finder]["fits"][fitter]
    return {
        f"{prefix}_{name}": (
            np.asarray(data["counts"], dtype=np.float64),
            np.asarray(data["edges"], dtype=np.float64),
        )
        for prefix, group in (
            ("res", fit["residual_histograms"]),
            ("pull", fit["pull_histograms"]),
        )
        for name, data in group.items()
    }


def width_histograms(document: Mapping[str, Any], finder: str, fitter: str) -> dict[str, Passed]:
    """Core means and widths in bins of eta and pT.

    Returns:
        name → (value, error, edges): `reswidth_d0_vs_eta`, `resmean_d0_vs_pT`,
        `pullwidth_d0_vs_eta`, …; NaN where a bin has too few tracks.
    """
    fit = document["finders"][finder]["fits"][fitter]
    result = {}
    for prefix, group in (("res", fit["resolutions_vs"]), ("pull", fit["pulls_vs"])):
        for axis, binned in group.items():
            edges = np.asarray(binned["edges"], dtype=np.float64)
            for name, core in binned.items():
                if name == "edges":
                    continue
                for kind in ("mean", "width"):
                    values, errors = _numbers(core[kind]), _numbers(core[f"{kind}_error"])
                    result[f"{prefix}{kind}_{name}_vs_{_AXES[axis]}"] = (values, errors, edges)
    return result


def _numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
