"""Binned rates of all finders in one panel: efficiencies with ratios, fakes and duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trkx.algorithms.metrics_statistics import clopper_pearson
from trkx.algorithms.report.style import axis_label, looks, new_figure, sample_words

# Bins with fewer entries are drawn, but do not set the range of the axis.
_MIN_ENTRIES = 50


def efficiency_figure(
    document: Mapping[str, Any], target: str, axis: str, subset: str = "all"
) -> Any:
    """Efficiency of all finders against one quantity, with ratios to the reference below."""
    finders = list(document["finders"])
    ratio = len(finders) > 1
    figure = new_figure(6.0, 5.2 if ratio else 4.2)
    if ratio:
        main, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        draw_efficiency(main, document, target, axis, subset)
        _draw_ratios(lower, document, target, axis, subset)
        main.set_xlabel("")
    else:
        main = figure.subplots()
        draw_efficiency(main, document, target, axis, subset)
    main.set_title(sample_words(document), loc="right", fontsize=10)
    return figure


def draw_efficiency(
    axes: Any,
    document: Mapping[str, Any],
    target: str,
    axis: str,
    subset: str = "all",
    legend: bool = True,
) -> None:
    """Draw the efficiencies of all finders into one panel."""
    lowest = 1.0
    finders = document["finders"]
    for position, (finder, look) in enumerate(looks(list(finders)).items()):
        data = finders[finder]["targets"][target]["histograms"]["efficiency"][subset][axis]
        rate = _Rate(data)
        _draw_points(axes, rate, look, position, len(finders), document["axes"][axis]["log"])
        solid = rate.total >= _MIN_ENTRIES
        if solid.any():
            lowest = min(lowest, float(np.min((rate.value - rate.below)[solid])))
    floor = _round_floor(lowest)
    set_efficiency_range(axes, floor, room=legend)
    axes.axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_ylabel("efficiency")
    _set_x(axes, document, axis, _span(document, target, axis, subset))
    if legend:
        axes.legend(loc="upper center", ncols=2 if len(finders) < 5 else 3)


def set_efficiency_range(axes: Any, floor: float, room: bool = True) -> None:
    """Show efficiencies from `floor` to 1, with `room` for a legend above but no ticks there."""
    from matplotlib.ticker import AutoMinorLocator

    axes.set_ylim(floor, 1 + (0.3 if room else 0.05) * (1 - floor))
    for step in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        count = int((1 - floor) / step + 1e-6)
        if count <= 6:
            break
    axes.set_yticks(1 - step * np.arange(count, -1, -1))
    axes.yaxis.set_minor_locator(AutoMinorLocator(5 if step in (0.005, 0.05) else 4))


def reference_finder(finders: Sequence[str]) -> str:
    """The finder others are divided by: a CKF if there is one, else the last."""
    for wanted in ("ckf", "ckf-best"):
        if wanted in finders:
            return wanted
    return next((name for name in finders if name.startswith("ckf")), finders[-1])


def fakes_figure(document: Mapping[str, Any], target: str) -> Any:
    """Fakes and duplicates against eta and pT."""
    figure = new_figure(9.6, 6.6)
    panels = figure.subplots(2, 2, sharey="row")
    for row, (kind, name) in enumerate((("fakes", "fake rate"), ("duplicates", "duplicate rate"))):
        for column, axis in enumerate(("eta", "pt")):
            _draw_fakes(panels[row][column], document, target, kind, axis)
        panels[row][0].set_ylabel(name)
    panels[0][0].legend(loc="upper center", ncols=2)
    panels[0][1].set_title(sample_words(document), loc="right", fontsize=10)
    return figure


def _draw_fakes(axes: Any, document: Mapping[str, Any], target: str, kind: str, axis: str) -> None:
    finders = document["finders"]
    lowest, highest = 1.0, 1e-3
    for position, (finder, look) in enumerate(looks(list(finders)).items()):
        data = _coarse(finders[finder]["targets"][target]["histograms"][kind][axis])
        rate = _Rate(data)
        log = document["axes"][axis]["log"]
        _draw_points(axes, rate, look, position, len(finders), log, rate.passed > 0)
        _draw_limits(axes, rate, look, position, len(finders), log)
        shown = rate.passed > 0
        if shown.any():
            lowest = min(lowest, float(rate.value[shown].min()))
        solid = rate.total >= 5 * _MIN_ENTRIES
        highest = max(highest, float((rate.value + rate.above)[solid].max(initial=0)))
    axes.set_ylim(max(min(lowest / 3, 1e-4), 1e-6), min(8 * highest, 20.0))
    axes.set_yscale("log")
    _set_x(axes, document, axis, None)


class _Rate:
    """Rate and Clopper-Pearson errors of each bin."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.edges = np.asarray(data["edges"], dtype=np.float64)
        self.passed = np.asarray(data["passed"], dtype=np.float64)
        self.total = np.asarray(data["total"], dtype=np.float64)
        self.value: NDArray[np.float64] = self.passed / np.maximum(self.total, 1)
        lower, upper = clopper_pearson(self.passed, self.total)
        self.below = np.maximum(self.value - lower, 0)
        self.above = np.maximum(upper - self.value, 0)

    def centres(self, log: bool) -> NDArray[np.float64]:
        low, high = self.edges[:-1], self.edges[1:]
        return np.sqrt(np.maximum(low, 1e-12) * high) if log else (low + high) / 2


def _draw_points(
    axes: Any,
    rate: _Rate,
    look: Any,
    position: int,
    count: int,
    log: bool,
    shown: NDArray[np.bool_] | None = None,
) -> None:
    if shown is None:
        shown = rate.total > 0
    axes.errorbar(
        _places(rate, position, count, log)[shown],
        rate.value[shown],
        yerr=[rate.below[shown], rate.above[shown]],
        fmt=look.marker,
        color=look.colour,
        label=look.label,
        capsize=0,
    )


def _draw_limits(axes: Any, rate: _Rate, look: Any, position: int, count: int, log: bool) -> None:
    """Bins without an entry have an upper limit only."""
    shown = (rate.passed == 0) & (rate.total >= _MIN_ENTRIES)
    x = _places(rate, position, count, log)[shown]
    axes.plot(x, rate.above[shown], "v", color=look.colour, fillstyle="none", markersize=3.5)


def _places(rate: _Rate, position: int, count: int, log: bool) -> NDArray[np.float64]:
    """Finders stand side by side within a bin, so that error bars do not hide each other."""
    shift = (position - (count - 1) / 2) * 0.12
    if log:
        width: NDArray[np.float64] = rate.edges[1:] / np.maximum(rate.edges[:-1], 1e-12)
        return rate.centres(True) * width**shift
    return rate.centres(False) + shift * np.diff(rate.edges)


def _draw_ratios(
    axes: Any, document: Mapping[str, Any], target: str, axis: str, subset: str
) -> None:
    finders = document["finders"]
    reference = reference_finder(list(finders))

    def rate_of(finder: str) -> _Rate:
        return _Rate(finders[finder]["targets"][target]["histograms"]["efficiency"][subset][axis])

    base = rate_of(reference)
    style = looks(list(finders))
    spread = 0.002
    for position, finder in enumerate(finders):
        if finder == reference:
            continue
        rate = rate_of(finder)
        shown = (rate.total > 0) & (base.total > 0) & (base.passed > 0)
        ratio = _Rate.__new__(_Rate)
        ratio.edges, ratio.total = rate.edges, np.where(shown, rate.total, 0)
        safe = np.where(shown, base.value, 1.0)
        ratio.value = rate.value / safe
        relative = base.below / safe
        ratio.below = np.hypot(rate.below / safe, ratio.value * relative)
        ratio.above = np.hypot(rate.above / safe, ratio.value * relative)
        log = document["axes"][axis]["log"]
        _draw_points(axes, ratio, style[finder], position, len(finders), log)
        solid = shown & (rate.total >= _MIN_ENTRIES)
        if solid.any():
            spread = max(spread, float(np.abs(ratio.value - 1)[solid].max()))
    axes.axhline(1.0, color=style[reference].colour, linewidth=1.0, zorder=0)
    half = min(1.6 * spread, 1.0)
    axes.set_ylim(1 - half, 1 + half)
    axes.set_ylabel(f"ratio to\n{style[reference].label}", fontsize=10)
    _set_x(axes, document, axis, _span(document, target, axis, subset))


def _span(
    document: Mapping[str, Any], target: str, axis: str, subset: str
) -> tuple[float, float] | None:
    """The edges between which some finder has entries."""
    low, high = np.inf, -np.inf
    for figures in document["finders"].values():
        data = figures["targets"][target]["histograms"]["efficiency"][subset][axis]
        filled = np.flatnonzero(np.asarray(data["total"]) > 0)
        if len(filled):
            low = min(low, data["edges"][filled[0]])
            high = max(high, data["edges"][filled[-1] + 1])
    return (low, high) if high > low else None


def _set_x(
    axes: Any, document: Mapping[str, Any], axis: str, span: tuple[float, float] | None
) -> None:
    axes.set_xlabel(axis_label(document, axis))
    if not np.isfinite(axes.dataLim.minposx):
        return  # No points: a logarithmic axis would not know where to begin.
    if document["axes"][axis]["log"]:
        axes.set_xscale("log")
        plain_log_ticks(axes)
    if axis == "production_radius":
        axes.set_xscale("symlog", linthresh=0.1, linscale=0.5)
        plain_log_ticks(axes)
    if span is not None:
        axes.set_xlim(*span)


def plain_log_ticks(axes: Any) -> None:
    """Write 1, 2, 5, 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _round_floor(lowest: float) -> float:
    """Lower end of an efficiency axis, a little below the lowest point."""
    missing = max(1.0 - lowest, 0.004) * 1.3
    for step in (0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7):
        if missing <= step:
            return 1.0 - step
    return 0.0


def _coarse(data: Mapping[str, Any]) -> dict[str, Any]:
    """Halve the number of bins until 20 are left: rare tracks need wide bins."""
    edges, passed, total = (np.asarray(data[key]) for key in ("edges", "passed", "total"))
    while len(passed) > 20 and len(passed) % 2 == 0:
        edges = edges[::2]
        passed, total = (counts.reshape(-1, 2).sum(axis=1) for counts in (passed, total))
    return {"edges": edges, "passed": passed, "total": total}
