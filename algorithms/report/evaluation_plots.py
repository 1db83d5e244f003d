"""Figures of an evaluation: edges, scores, ROC curves, tracks, seconds and memory by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.report.style import BLUE, GREY, ORANGE, PALETTE, figure_style, new_figure, png

__all__ = ["write_evaluation_figures"]


def write_evaluation_figures(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    """Write the figures of an evaluation as PNG files.

    Args:
        folder: where to; it exists.
        document: content of evaluation.json.

    Returns:
        the files written.

    Raises:
        MissingExtraError: matplotlib or mplhep is not installed.
    """
    with figure_style():
        figures = {"edges": edge_figure(document), "tracks": track_figure(document)}
        figures["resources"] = resource_figure(document)
        classifiers = [s for s in document["stages"] if "roc" in s]
        if classifiers:
            figures["scores"] = score_figure(classifiers)
            figures["roc"] = roc_figure(classifiers)
        paths = []
        for name, figure in figures.items():
            path = folder / f"{name}.png"
            path.write_bytes(png(figure))
            paths.append(path)
    return paths


def edge_figure(document: Mapping[str, Any]) -> Any:
    """Edge efficiency and purity, and the number of edges, after each stage."""
    stages = [s for s in document["stages"] if "edges" in s]
    figure = new_figure(9.6, 4.0)
    left, right = figure.subplots(1, 2)
    place = np.arange(len(stages))
    for name, key, part, style in (
        ("efficiency, targets", "efficiency", "target", "o-"),
        ("efficiency, all", "efficiency", "all", "o--"),
        ("purity, targets", "purity", "target", "s-"),
        ("purity, all", "purity", "all", "s--"),
    ):
        colour = BLUE if key == "efficiency" else ORANGE
        values = [_number(stage[key][part]) for stage in stages]
        left.plot(place, values, style, color=colour, label=name)
    left.set_ylim(0, 1.05)
    left.set_ylabel("share")
    left.legend()
    edges = [_number(stage["edges"]) for stage in stages]
    right.bar(place, edges, color=BLUE, width=0.6)
    if max(edges, default=0) > 0:
        right.set_yscale("log")
    right.set_ylabel("edges per event")
    for axes in (left, right):
        axes.set_xticks(place, [stage["stage"] for stage in stages])
        axes.tick_params(axis="x", which="minor", bottom=False, top=False)
        axes.set_xlim(-0.5, len(stages) - 0.5)
    return figure


def score_figure(stages: Sequence[Mapping[str, Any]]) -> Any:
    """Distribution of the scores of each classifier, by kind of edge."""
    figure = new_figure(5.4 * len(stages), 4.0)
    panels = np.atleast_1d(figure.subplots(1, len(stages)))
    labels = {"false": "of no particle", "other": "of other particles", "target": "of targets"}
    for axes, stage in zip(panels, stages, strict=True):
        scores = stage["scores"]
        for (kind, label), colour in zip(labels.items(), (GREY, ORANGE, BLUE), strict=True):
            axes.stairs(scores[kind], scores["edges"], color=colour, label=label, linewidth=1.5)
        if any(sum(scores[kind]) for kind in labels):
            axes.set_yscale("log")
        axes.set_xlabel("score (logit)")
        axes.set_ylabel("edges")
        axes.set_title(stage["stage"], loc="left")
        axes.legend()
    return figure


def roc_figure(stages: Sequence[Mapping[str, Any]]) -> Any:
    """ROC curve of each classifier: edges of targets against edges of no particle."""
    figure = new_figure(5.6, 4.6)
    axes = figure.subplots()
    for stage, colour in zip(stages, _colours(len(stages)), strict=True):
        for what, style in (("target", "-"), ("all", "--")):
            curve, auc = stage["roc"][what], stage["auc"][what]
            area = "unknown" if auc is None else f"{auc:.5f}"
            label = f"{stage['stage']}, {what}: AUC {area}"
            axes.plot(curve["false"], curve["signal"], style, color=colour, label=label)
    axes.set_xscale("symlog", linthresh=1e-4)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("share of false edges kept")
    axes.set_ylabel("share of true edges kept")
    axes.legend(loc="lower right")
    return figure


def track_figure(document: Mapping[str, Any]) -> Any:
    """Efficiency and fakes of connected components above cuts, and of the track builder."""
    *stages, last = document["stages"]
    figure = new_figure(9.6, 4.0)
    panels = figure.subplots(1, 2)
    for axes, key in zip(panels, ("efficiency", "fakes"), strict=True):
        for stage, colour in zip(stages, _colours(len(stages)), strict=True):
            components = stage["tracks"]["components"]
            cuts = [0.0 if c["cut"] is None else c["cut"] for c in components]
            label = f"components after {stage['stage']}"
            axes.plot(cuts, [c[key] for c in components], "o-", color=colour, label=label)
        builder = last["tracks"]["builder"][key]
        axes.axhline(builder, color="black", linestyle="--", label=last["stage"])
        axes.set_xlabel("cut on the edge score")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("track efficiency")
    panels[1].set_ylabel("fake tracks / tracks")
    panels[0].legend()
    return figure


def resource_figure(document: Mapping[str, Any]) -> Any:
    """Seconds and peak memory of each stage."""
    stages = document["stages"]
    figure = new_figure(9.6, 1.4 + 0.45 * len(stages))
    panels = figure.subplots(1, 2)
    for axes, key, label in zip(
        panels,
        ("seconds", "peak_memory_mb"),
        ("seconds per event (wall clock)", "peak resident memory [MB]"),
        strict=True,
    ):
        values = [_number(stage[key]) for stage in stages]
        axes.barh(range(len(stages)), np.nan_to_num(values), color=BLUE, height=0.6)
        axes.set_yticks(range(len(stages)), [stage["stage"] for stage in stages])
        axes.tick_params(axis="y", which="both", length=0)
        axes.set_ylim(len(stages) - 0.5, -0.5)
        axes.set_xlabel(label)
    return figure


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _colours(n: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(n)]
