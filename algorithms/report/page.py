"""report.html: a page that needs nothing but itself."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trkx.algorithms.event_display import EventDisplay
from trkx.algorithms.performance import validate_performance
from trkx.algorithms.report.event_plots import MIN_PT, event_figure
from trkx.algorithms.report.fit_plots import (
    has_fits,
    pull_figure,
    residual_figure,
    resolution_figure,
)
from trkx.algorithms.report.quality_plots import quality_figure
from trkx.algorithms.report.rate_plots import efficiency_figure, fakes_figure, reference_finder
from trkx.algorithms.report.style import data_uri, figure_style, png, pretty
from trkx.algorithms.report.summary import summary_html
from trkx.algorithms.report.time_plots import has_times, time_figure
from trkx.io.atomic import atomic_path


class Plot(NamedTuple):
    """One figure with its caption."""

    figure: Any
    caption: str
    wide: bool = True


def write_report(
    path: Path | str,
    document: Mapping[str, Any],
    display: EventDisplay | None = None,
    title: str = "trkx: track finding and fitting",
) -> Path:
    """Write the report; a killed job leaves no half file under the final name.

    Args:
        path: the HTML file.
        document: content of performance.json.
        display: an event to show.
        title: heading of the page.

    Raises:
        MissingExtraError: matplotlib or mplhep is not installed.
        PerformanceFormatError: `document` is not a performance.json.
    """
    path = Path(path)
    text = render_report(document, display, title)
    with atomic_path(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render_report(
    document: Mapping[str, Any],
    display: EventDisplay | None = None,
    title: str = "trkx: track finding and fitting",
) -> str:
    """The page as text; arguments as for `write_report`."""
    validate_performance(document)
    parts = [_head(title), f"<h1>{html.escape(title)}</h1>", summary_html(document)]
    with figure_style():
        for heading, plots in _sections(document, display):
            parts.append(f"<h2>{html.escape(heading)}</h2>\n<div class='plots'>")
            parts.extend(_figure_html(plot) for plot in plots)
            parts.append("</div>")
    parts.append(_definitions(document))
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def _sections(
    document: Mapping[str, Any], display: EventDisplay | None
) -> Iterator[tuple[str, Iterator[Plot]]]:
    if not document["finders"]:
        return
    for target, words in document["targets"].items():
        yield f"Efficiency, pT > {words['min_pt']:g} GeV", _efficiency_plots(document, target)
    first = next(iter(document["targets"]))
    yield "Fakes, duplicates and hit content", _track_plots(document, first)
    if has_fits(document):
        yield "Track fits", _fit_plots(document, first)
    if has_times(document):
        yield "Time", _time_plots(document)
    if display is not None and display.finders:
        yield "One event", _event_plots(display, list(document["finders"]))


def _efficiency_plots(document: Mapping[str, Any], target: str) -> Iterator[Plot]:
    rule = document["definitions"]["matching"]
    first = next(iter(document["targets"]))
    cuts = document["targets"][target]["cuts"]
    words = (
        f"Found target particles / target particles ({cuts}). A particle is found if {rule}. "
        "Error bars: 68% Clopper-Pearson."
    )
    ratio = (
        " Lower panel: ratio; its error bars take the finders as independent, though they see "
        "the same particles (the table above has the paired difference)."
    )
    for axis, what in (
        ("pt", "transverse momentum"),
        ("eta", "pseudorapidity"),
        ("phi", "azimuth"),
        ("production_radius", "distance of the production vertex from the z axis"),
        ("n_measurements", "number of measurements of the particle"),
        ("n_interactions", "number of proton interactions in the event"),
    ):
        # The other axes say little more for the second target.
        if target != first and axis not in ("pt", "eta", "production_radius"):
            continue
        if not _has_entries(document, target, axis):
            continue
        more = ratio if len(document["finders"]) > 1 else ""
        yield Plot(
            efficiency_figure(document, target, axis),
            f"Efficiency against {what}. {words}{more}",
            wide=False,
        )


def _track_plots(document: Mapping[str, Any], target: str) -> Iterator[Plot]:
    words = document["targets"][target]
    least = words["min_track_measurements"]
    rule = document["definitions"]["matching"]
    yield Plot(
        fakes_figure(document, target),
        f"Fakes (tracks that match no particle) and duplicates (surplus tracks on a matched "
        f"particle), both as a fraction of the tracks with at least {least} measurements, whatever "
        f"their momentum. A track matches if {rule}. Direction and pT are estimated from three "
        "hits of the track, the same way for every finder. Open triangles: 68% upper limits of "
        "bins with no entry.",
    )
    yield Plot(
        quality_figure(document, target),
        "Hit purity (fraction of a track's measurements that are its particle's) and completeness "
        "(fraction of the particle's measurements on the track) of the tracks that are the match "
        f"of a target particle: {words['cuts']}. Top: distribution; bottom: mean against the "
        "particle's pseudorapidity, with standard error.",
    )


def _fit_plots(document: Mapping[str, Any], target: str) -> Iterator[Plot]:
    cuts = document["targets"][target]["cuts"]
    which = (
        "Tracks that are the match (double majority) of a primary target particle "
        f"({cuts}; produced within 1 mm of the z axis), against the particle's exact helix at the "
        "beam line. Colour: finder; line: fitter."
    )
    core = "Core width: entries within three widths of the mean, iterated, corrected for the cut."
    yield Plot(resolution_figure(document, "eta"), f"Resolution against eta. {which} {core}")
    yield Plot(resolution_figure(document, "pt"), f"Resolution against pT. {which} {core}")
    yield Plot(pull_figure(document), f"Pulls, with their core widths. {which} {core}")
    yield Plot(residual_figure(document), f"Residuals, fitted minus true. {which}")


def _time_plots(document: Mapping[str, Any]) -> Iterator[Plot]:
    machine = document.get("machine", {})
    threads = machine.get("threads", 1)
    yield Plot(
        time_figure(document),
        "Median time per event and finder, by stage. Truth matching, reading and writing are not "
        f"in it; error bars from the scatter of events. {threads} event"
        f"{'s' if threads != 1 else ''} in flight, {machine.get('cpu') or 'unknown processor'}.",
    )


def _event_plots(display: EventDisplay, finders: Sequence[str]) -> Iterator[Plot]:
    # Two are enough to compare: the first and the one others are measured by.
    shown = dict.fromkeys([finders[0], reference_finder(finders)])
    for finder in (name for name in shown if name in display.finders):
        yield Plot(
            event_figure(display, finder),
            f"Event {display.number} with the tracks of {pretty(finder)} above {MIN_PT:g} GeV "
            "(pT from three hits), coloured by pT; tracks that match no particle by double "
            "majority are red. Left: across the beam; right: along it.",
        )


def _has_entries(document: Mapping[str, Any], target: str, axis: str) -> bool:
    for figures in document["finders"].values():
        data = figures["targets"][target]["histograms"]["efficiency"]["all"][axis]
        filled = sum(1 for total in data["total"] if total)
        # One bin only, as the pile-up of a single event, is no dependence.
        if filled > 1:
            return True
    return False


def _figure_html(plot: Plot) -> str:
    kind = "wide" if plot.wide else "narrow"
    alt = html.escape(plot.caption.partition(". ")[0], quote=True)
    return (
        f"<figure class='{kind}'><img alt='{alt}' src='{data_uri(png(plot.figure))}'>"
        f"<figcaption>{html.escape(plot.caption)}</figcaption></figure>"
    )


def _definitions(document: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{html.escape(name.replace('_', ' '))}</dt><dd>{html.escape(text)}</dd>"
        for name, text in document["definitions"].items()
    )
    facts: Sequence[tuple[str, Any]] = [
        ("created", document.get("created")),
        ("versions", ", ".join(f"{k} {v}" for k, v in document["versions"].items())),
        ("machine", ", ".join(f"{k} {v}" for k, v in document.get("machine", {}).items() if v)),
        ("input", document.get("input") or None),
        ("settings", document.get("settings") or None),
    ]
    more = "".join(
        f"<dt>{name}</dt><dd>{html.escape(_words(value))}</dd>" for name, value in facts if value
    )
    return f"<h2>Definitions and provenance</h2><dl>{rows}{more}</dl>"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        shown = ", ".join(_words(item) for item in value[:8])
        return shown + (f", … ({len(value)})" if len(value) > 8 else "")
    return str(value)


def _head(title: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1b1f23; background: #fff; margin: 0; }}
main {{ max-width: 1240px; margin: 0 auto; padding: 1.5rem; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .3rem; }}
h2 {{ font-size: 1.25rem; margin: 2.4rem 0 .8rem; border-bottom: 1px solid #d0d7de; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }}
th, td {{ padding: .28rem .8rem; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
thead th {{ border-bottom: 2px solid #1b1f23; }}
tbody tr.group td {{ font-weight: 600; padding-top: .9rem; border-bottom: 1px solid #d0d7de; }}
tbody tr:not(.group):hover {{ background: #f3f6f9; }}
td span {{ color: #6a737d; }}
.scroll {{ overflow-x: auto; }}
.plots {{ display: flex; flex-wrap: wrap; gap: 1.2rem; }}
figure {{ margin: 0; }}
figure.narrow {{ flex: 1 1 30rem; max-width: 600px; }}
figure.wide {{ flex: 1 1 100%; }}
img {{ width: 100%; height: auto; }}
figcaption {{ font-size: .85rem; color: #57606a; }}
dt {{ font-weight: 600; }} dd {{ margin: 0 0 .5rem 0; overflow-wrap: anywhere; }}
dl {{ font-size: .88rem; }}
.note {{ color: #57606a; font-size: .92rem; }}
</style></head><body><main>"""
