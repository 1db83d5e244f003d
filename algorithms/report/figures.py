"""The figures for README and notes, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trkx.algorithms.event_display import EventDisplay
from trkx.algorithms.report.event_plots import event_figure
from trkx.algorithms.report.rate_plots import draw_efficiency, set_efficiency_range
from trkx.algorithms.report.style import figure_style, new_figure, png, sample_words
from trkx.algorithms.report.time_plots import draw_totals, has_times


def write_figures(
    directory: Path | str,
    document: Mapping[str, Any],
    display: EventDisplay | None = None,
    finder: str | None = None,
    target: str | None = None,
) -> list[Path]:
    """Write `efficiency_and_time.png` and, with an event, `event_display.png`.

    Args:
        directory: where to; made if it is not there.
        document: content of performance.json.
        display: the event to show.
        finder: whose tracks the event display shows; default the first.
        target: default the first.

    Returns:
        the files written.

    Raises:
        MissingExtraError: matplotlib or mplhep is not installed.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with figure_style():
        images = {"efficiency_and_time.png": png(overview_figure(document, target), dpi=160)}
        if display is not None and display.finders:
            names = list(display.finders)
            shown = finder if finder is not None and finder in names else names[0]
            images["event_display.png"] = png(event_figure(display, shown), dpi=150)
    paths = []
    for name, content in images.items():
        path = directory / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def overview_figure(document: Mapping[str, Any], target: str | None = None) -> Any:
    """Efficiency against pT and eta, and seconds per event, all finders in each panel."""
    target = target or next(iter(document["targets"]))
    timed = has_times(document)
    figure = new_figure(14.0 if timed else 9.6, 4.3)
    panels = figure.subplots(1, 3 if timed else 2)
    draw_efficiency(panels[0], document, target, "pt")
    draw_efficiency(panels[1], document, target, "eta")
    low = min(panels[0].get_ylim()[0], panels[1].get_ylim()[0])
    for axes in panels[:2]:
        set_efficiency_range(axes, low)
    panels[1].get_legend().remove()
    panels[1].set_title(sample_words(document), loc="right", fontsize=10)
    if timed:
        draw_totals(panels[2], document)
    return figure
