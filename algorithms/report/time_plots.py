"""Bars of seconds per event, by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trkx.algorithms.report.style import (
    BLUE,
    BROWN,
    CYAN,
    DARK_ORANGE,
    GREY,
    OLIVE,
    ORANGE,
    PURPLE,
    RED,
    SLATE,
    new_figure,
    pretty,
    sample_words,
)

_FITTING = "#d9d9d9"
_PARTS = (BLUE, CYAN, PURPLE, OLIVE, SLATE, ORANGE, BROWN, DARK_ORANGE, GREY, RED)
_SMALL = 0.02  # of the longest bar: parts below go to "other"


def has_times(document: Mapping[str, Any]) -> bool:
    """Whether any finder was timed."""
    return any(figures["seconds_per_event"] for figures in document["finders"].values())


def time_figure(document: Mapping[str, Any]) -> Any:
    """One bar per finder, divided into the parts of finding, then the fit."""
    rows = sum(1 for f in document["finders"].values() if f["seconds_per_event"])
    figure = new_figure(9.6, 1.9 + 0.55 * rows)
    axes = figure.subplots()
    draw_times(axes, document)
    axes.set_title(sample_words(document), loc="right", fontsize=10)
    return figure


def draw_times(axes: Any, document: Mapping[str, Any], parts: bool = True) -> None:
    """Draw the bars into one panel; with `parts` False only finding and fitting."""
    timed = {
        finder: figures["seconds_per_event"]
        for finder, figures in document["finders"].items()
        if figures["seconds_per_event"]
    }
    longest = max((times["total"] for times in timed.values()), default=1.0) or 1.0
    colours: dict[str, str] = {}
    for row, times in enumerate(timed.values()):
        left = 0.0
        for name, seconds in _pieces(times, parts, longest):
            colour = _colour(name, colours)
            label = name if name not in axes.get_legend_handles_labels()[1] else None
            axes.barh(row, seconds, left=left, height=0.62, color=colour, label=label)
            left += seconds
        error = times["total_error"]
        if error:
            axes.errorbar(left, row, xerr=error, color="black", capsize=2, linewidth=1.0)
        axes.text(
            left + (error or 0.0) + 0.012 * longest,
            row,
            f"{left:.2f} s",
            va="center",
            ha="left",
            fontsize=10,
        )
    axes.set_yticks(range(len(timed)), [pretty(finder) for finder in timed])
    axes.tick_params(axis="y", which="both", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.16 * longest)
    clocks = sorted({times["clock"] for times in timed.values()})
    clock = {"cpu": "CPU", "wall": "wall-clock"}
    words = " / ".join(clock.get(name, name) for name in clocks)
    axes.set_xlabel(f"{words} time per event [s]")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.28 if parts else -0.16), ncols=4, fontsize=9
    )


def _pieces(times: Mapping[str, Any], parts: bool, longest: float) -> list[tuple[str, float]]:
    """Named pieces that add up to the total."""
    fitting = times["fitting"] or 0.0
    finding = times["total"] - fitting
    pieces: list[tuple[str, float]] = []
    if parts:
        named = {
            name.removeprefix("finding: "): stage["median"]
            for name, stage in times["stages"].items()
            if name.startswith("finding: ")
        }
        pieces = [(n, s) for n, s in named.items() if s > _SMALL * longest and s <= finding]
        rest = finding - sum(seconds for _, seconds in pieces)
        if rest < 0:
            pieces, rest = [], finding
        pieces.append(("other finding" if pieces else "finding", rest))
    else:
        pieces = [("finding", finding)]
    if fitting:
        pieces.append(("fitting", fitting))
    return [(name, seconds) for name, seconds in pieces if seconds > 0]


def _colour(name: str, used: dict[str, str]) -> str:
    fixed = {"finding": BLUE, "other finding": "#b8c4cc", "fitting": _FITTING}
    if name not in used:
        taken = len([n for n in used if n not in fixed])
        used[name] = fixed.get(name) or _PARTS[taken % len(_PARTS)]
    return used[name]
