"""Hit purity and completeness of the matched tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trkx.algorithms.report.style import axis_label, looks, new_figure, sample_words


def quality_figure(document: Mapping[str, Any], target: str) -> Any:
    """Distributions of purity and completeness, and their means against eta."""
    figure = new_figure(9.6, 6.6)
    panels = figure.subplots(2, 2)
    for column, name in enumerate(("purity", "completeness")):
        _draw_distribution(panels[0][column], document, target, name)
        _draw_profile(panels[1][column], document, target, name)
    panels[0][0].legend(loc="upper left")
    panels[0][1].set_title(sample_words(document), loc="right", fontsize=10)
    return figure


def _draw_distribution(axes: Any, document: Mapping[str, Any], target: str, name: str) -> None:
    finders = document["finders"]
    for finder, look in looks(list(finders)).items():
        quality = finders[finder]["targets"][target]["histograms"]["quality"][name]
        counts = np.asarray(quality["distribution"]["counts"], dtype=np.float64)
        fractions = counts / max(counts.sum(), 1.0)
        edges = quality["distribution"]["edges"]
        axes.stairs(fractions, edges, color=look.colour, label=look.label)
    # Range before scale: without tracks there is none to scale to.
    axes.set_ylim(1e-5, 20)
    axes.set_yscale("log")
    axes.set_xlim(0.45, 1.0)
    axes.set_xlabel(f"hit {name} of a track")
    axes.set_ylabel("fraction of tracks")


def _draw_profile(axes: Any, document: Mapping[str, Any], target: str, name: str) -> None:
    finders = document["finders"]
    lowest = 1.0
    for finder, look in looks(list(finders)).items():
        profile = finders[finder]["targets"][target]["histograms"]["quality"][name]["eta"]
        edges = np.asarray(profile["edges"])
        mean = np.array([np.nan if v is None else v for v in profile["mean"]], dtype=np.float64)
        error = np.array([np.nan if v is None else v for v in profile["error"]], dtype=np.float64)
        solid = np.isfinite(mean)
        if solid.any():
            lowest = min(lowest, float(mean[solid].min()))
        axes.errorbar(
            ((edges[1:] + edges[:-1]) / 2)[solid],
            mean[solid],
            yerr=error[solid],
            fmt=look.marker,
            color=look.colour,
            label=look.label,
        )
    axes.set_ylim(1 - 1.3 * max(1 - lowest, 0.004), 1 + 0.1 * max(1 - lowest, 0.004))
    axes.axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel(axis_label(document, "eta"))
    axes.set_ylabel(f"mean hit {name}")
