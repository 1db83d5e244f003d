"""The figures of performance.json as a table for the terminal, finders side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

WIDTH = 100  # characters
_LABEL_WIDTH = 34
_COLUMN_WIDTH = 16

Row = tuple[str, Callable[[Mapping[str, Any]], str]]


def format_table(document: Mapping[str, Any], finders: Sequence[str] | None = None) -> str:
    """Return the table, at most 100 characters wide; many finders go to several blocks.

    Args:
        document: content of performance.json.
        finders: which finders, in which order; default all.
    """
    names = list(document["finders"]) if finders is None else list(finders)
    if not names:
        return "no finders\n"
    per_block = (WIDTH - _LABEL_WIDTH) // _COLUMN_WIDTH
    lines = list(_header(document))
    for start in range(0, len(names), per_block):
        block = names[start : start + per_block]
        lines.append("")
        lines.extend(_block(document, block))
    lines.extend(_footer(document))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _header(document: Mapping[str, Any]) -> Iterator[str]:
    events = document["events"]
    text = f"{events['n_events']} event{'s' if events['n_events'] != 1 else ''}"
    hits = events.get("n_measurements") or []
    if hits:
        text += f", {sum(hits) / len(hits):,.0f} measurements each"
    threads = document.get("machine", {}).get("threads", 1)
    text += f", {threads} event{'s' if threads != 1 else ''} in flight"
    yield text


class Group(NamedTuple):
    """Rows under one heading; each row is a label and one text per finder, "" if unknown."""

    title: str
    rows: list[tuple[str, list[str]]]


def table_groups(document: Mapping[str, Any], finders: Sequence[str]) -> list[Group]:
    """All figures as text, for the terminal and for the report."""
    figures = [document["finders"][name] for name in finders]
    aimed_at = document.get("settings", {}).get("target")
    groups = []
    for target, words in document["targets"].items():
        # Half of the particles are out of reach of a finder that aims higher.
        note = "" if aimed_at in (None, target) else f" (the finders aimed at {aimed_at})"
        title = f"pT > {words['min_pt']:g} GeV{note}"
        groups.append(Group(title, _filled(_target_rows(target), figures)))
    for fitter in dict.fromkeys(fitter for figure in figures for fitter in figure["fits"]):
        groups.append(Group(f"fit: {fitter}", _filled(_fit_rows(fitter), figures)))
    clocks = {f["seconds_per_event"]["clock"] for f in figures if f["seconds_per_event"]}
    if clocks:
        title = f"seconds per event ({' / '.join(sorted(clocks))} time)"
        groups.append(Group(title, _filled(_time_rows(), figures)))
    return groups


def _filled(
    rows: Sequence[Row], figures: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[str]]]:
    result = [(label, [cell(figure) for figure in figures]) for label, cell in rows]
    return [(label, cells) for label, cells in result if any(cells)]


def _block(document: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    yield " " * _LABEL_WIDTH + "".join(f"{_clip(name):>{_COLUMN_WIDTH}}" for name in names)
    yield "-" * (_LABEL_WIDTH + _COLUMN_WIDTH * len(names))
    for group in table_groups(document, names):
        yield group.title
        for label, cells in group.rows:
            values = "".join(f"{text or '-':>{_COLUMN_WIDTH}}" for text in cells)
            yield f"  {label:<{_LABEL_WIDTH - 2}}{values}"


def _target_rows(target: str) -> list[Row]:
    def percent(*keys: str) -> Callable[[Mapping[str, Any]], str]:
        def cell(figure: Mapping[str, Any]) -> str:
            values = figure["targets"].get(target, {})
            for key in keys[:-1]:
                values = values.get(key, {})
            return _percent(values.get(keys[-1]), values.get(f"{keys[-1]}_error"))

        return cell

    return [
        ("efficiency [%]", percent("efficiency")),
        ("  primaries", percent("primaries", "efficiency")),
        ("  displaced (r > 1 mm)", percent("displaced", "efficiency")),
        ("fakes [%]", percent("fake_rate")),
        ("duplicates [%]", percent("duplicate_rate")),
        ("hit purity [%]", percent("purity")),
        ("hit completeness [%]", percent("completeness")),
    ]


def _fit_rows(fitter: str) -> list[Row]:
    def fit(figure: Mapping[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] = figure["fits"].get(fitter, {})
        return result

    def width(name: str, scale: float, digits: int) -> Callable[[Mapping[str, Any]], str]:
        def cell(figure: Mapping[str, Any]) -> str:
            value = fit(figure).get("resolutions", {}).get(name, {})
            return _number(value.get("width"), value.get("width_error"), scale, digits)

        return cell

    def pull(figure: Mapping[str, Any]) -> str:
        pulls = fit(figure).get("pulls", {})
        widths = [p["width"] for p in pulls.values() if p["width"] is not None]
        return f"{min(widths):.2f} to {max(widths):.2f}" if widths else ""

    def fraction(figure: Mapping[str, Any]) -> str:
        values = fit(figure)
        return _percent(values.get("fit_fraction"), values.get("fit_fraction_error"))

    return [
        ("tracks fitted [%]", fraction),
        ("σ(d0) [µm]", width("d0", 1000, 1)),
        ("σ(z0) [µm]", width("z0", 1000, 1)),
        ("σ(q/p) / (q/p) [%]", width("qop_relative", 100, 2)),
        ("pull widths, d0 z0 φ θ q/p", pull),
    ]


def _time_rows() -> list[Row]:
    def seconds(key: str) -> Callable[[Mapping[str, Any]], str]:
        def cell(figure: Mapping[str, Any]) -> str:
            times = figure["seconds_per_event"] or {}
            return _number(times.get(key), times.get(f"{key}_error"), 1, 3)

        return cell

    return [
        ("finding", seconds("finding")),
        ("fitting", seconds("fitting")),
        ("total", seconds("total")),
    ]


def _footer(document: Mapping[str, Any]) -> Iterator[str]:
    aimed_at = document.get("settings", {}).get("target")
    yield ""
    for comparison in document["comparisons"]:
        for target, values in comparison["targets"].items():
            if aimed_at not in (None, target):
                continue
            yield (
                f"{comparison['first']} - {comparison['second']} on the same particles, {target}: "
                f"{100 * values['difference']:+.3f} ± {100 * values['error']:.3f} points of "
                "efficiency"
            )
    if document["comparisons"]:
        yield ""
    yield from _wrap(f"Matching: {document['definitions']['matching']}.")
    for target, words in document["targets"].items():
        yield from _wrap(f"{target}: {words['cuts']}.")
    memory = document.get("peak_memory_mb")
    if memory:
        yield f"Peak memory: {memory:,.0f} MB."


def _wrap(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH)


def _percent(value: float | None, error: float | None) -> str:
    return _number(value, error, 100, 2)


def _number(value: float | None, error: float | None, scale: float, digits: int) -> str:
    if value is None:
        return ""
    text = f"{scale * value:.{digits}f}"
    return text if error is None else f"{text} ± {scale * error:.{digits}f}"


def _clip(name: str) -> str:
    return name if len(name) < _COLUMN_WIDTH else name[: _COLUMN_WIDTH - 2] + "…"
