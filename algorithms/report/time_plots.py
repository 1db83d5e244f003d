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
    looks,
    new_figure,
    pretty,
    sample_words,
)

_PARTS = (BLUE, CYAN, PURPLE, OLIVE, SLATE, ORANGE, BROWN, DARK_ORANGE, GREY, RED)
_SMALL = 0.01  # of the longest bar: parts below go to "other"


def has_times(document: Mapping[str, Any]) -> bool:
    """Whether any finder was timed."""
    return any(figures["seconds_per_event"] for figures in document["finders"].values())


def time_figure(document: Mapping[str, Any]) -> Any:
    """One bar per finder, divided into the parts of finding, then the fit."""
    rows = sum(1 for f in document["finders"].values() if f["seconds_per_event"])
    figure = new_figure(9.6, 1.7 + 0.55 * rows)
    axes = figure.subplots()
    draw_times(axes, document)
    axes.set_title(sample_words(document), loc="right", fontsize=10)
    return figure


def draw_times(axes: Any, document: Mapping[str, Any]) -> None:
    """Draw one bar per finder with all its stages into one panel."""
    timed = _timed(document)
    longest = _longest(timed)
    colours: dict[str, str] = {}
    for row, times in enumerate(timed.values()):
        left = 0.0
        for name, seconds in _pieces(times, longest):
            new = name not in colours
            colour = _colour(name, colours)
            axes.barh(
                row, seconds, left=left, height=0.62, color=colour, label=name if new else None
            )
            left += seconds
        _write_total(axes, row, times, longest)
    _finish(axes, timed, longest)
    axes.figure.legend(loc="outside lower center", ncols=5, fontsize=9)


def draw_totals(axes: Any, document: Mapping[str, Any]) -> None:
    """Draw finding and fitting of each finder, in the finder's colour, into one panel."""
    from matplotlib.patches import Patch

    timed = _timed(document)
    longest = _longest(timed)
    styles = looks(list(document["finders"]))
    for row, (finder, times) in enumerate(timed.items()):
        fitting = times["fitting"] or 0.0
        finding = times["total"] - fitting
        colour = styles[finder].colour
        axes.barh(row, finding, height=0.62, color=colour)
        axes.barh(row, fitting, left=finding, height=0.62, color=colour, alpha=0.4)
        _write_total(axes, row, times, longest)
    _finish(axes, timed, longest)
    handles = [Patch(color="0.35", label="finding"), Patch(color="0.35", alpha=0.4, label="fit")]
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2
    )


def _timed(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        finder: figures["seconds_per_event"]
        for finder, figures in document["finders"].items()
        if figures["seconds_per_event"]
    }


def _longest(timed: Mapping[str, Mapping[str, Any]]) -> float:
    """The end of the longest bar and its error bar."""
    ends = (times["total"] + (times["total_error"] or 0.0) for times in timed.values())
    return max(ends, default=0.0) or 1.0


def _write_total(axes: Any, row: int, times: Mapping[str, Any], longest: float) -> None:
    total, error = times["total"], times["total_error"] or 0.0
    if error:
        axes.errorbar(total, row, xerr=error, color="black", capsize=2, linewidth=1.0)
    place = total + error + 0.012 * longest
    axes.text(place, row, f"{total:.2f} s", va="center", ha="left", fontsize=10)


def _finish(axes: Any, timed: Mapping[str, Mapping[str, Any]], longest: float) -> None:
    axes.set_yticks(range(len(timed)), [pretty(finder) for finder in timed])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(timed) - 0.5, -0.5)
    axes.set_xlim(0, 1.18 * longest)
    names = {"cpu": "CPU", "wall": "wall-clock"}
    clocks = sorted({names.get(times["clock"], times["clock"]) for times in timed.values()})
    axes.set_xlabel(f"{' / '.join(clocks)} time per event [s]")


def _pieces(times: Mapping[str, Any], longest: float) -> list[tuple[str, float]]:
    """Named pieces that add up to the total."""
    fitting = times["fitting"] or 0.0
    finding = times["total"] - fitting
    named = {
        name.removeprefix("finding: "): stage["median"]
        for name, stage in times["stages"].items()
        if name.startswith("finding: ")
    }
    pieces = [(n, s) for n, s in named.items() if s > _SMALL * longest]
    rest = finding - sum(seconds for _, seconds in pieces)
    if rest < -0.05 * finding:
        # Wall time of the parts beside CPU time of the whole: the parts say nothing here.
        pieces, rest = [], finding
    pieces.append(("other finding" if pieces else "finding", rest))
    pieces.append(("fitting", fitting))
    return [(name, seconds) for name, seconds in pieces if seconds > 0]


def _colour(name: str, used: dict[str, str]) -> str:
    fixed = {"finding": "#6f8796", "other finding": "#b8c4cc", "fitting": "#dedede"}
    if name not in used:
        taken = len([n for n in used if n not in fixed])
        used[name] = fixed.get(name) or _PARTS[taken % len(_PARTS)]
    return used[name]
