"""The summary table at the top of the report."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from trkx.algorithms.performance_table import Group, table_groups
from trkx.algorithms.report.style import describe_input, pretty


def summary_html(document: Mapping[str, Any]) -> str:
    """The figures of all finders side by side, and the differences between them."""
    finders = list(document["finders"])
    if not finders:
        return "<p>No finder was run.</p>"
    head = "".join(f"<th>{html.escape(pretty(name))}</th>" for name in finders)
    body = "".join(_group_html(group, len(finders)) for group in table_groups(document, finders))
    return (
        f"<p class='note'>{html.escape(_sample(document))}</p><div class='scroll'><table>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{_comparisons_html(document)}"
    )


def _group_html(group: Group, columns: int) -> str:
    rows = f"<tr class='group'><td colspan='{columns + 1}'>{html.escape(group.title)}</td></tr>"
    for label, cells in group.rows:
        indent = "&emsp;" if label.startswith(" ") else ""
        values = "".join(f"<td>{_cell(text)}</td>" for text in cells)
        rows += f"<tr><td>{indent}{html.escape(label.strip())}</td>{values}</tr>"
    return rows


def _cell(text: str) -> str:
    value, plus_minus, error = html.escape(text or "–").partition(" ± ")
    return f"{value} <span>± {error}</span>" if plus_minus else value


def _comparisons_html(document: Mapping[str, Any]) -> str:
    items = []
    for comparison in document["comparisons"]:
        first, second = pretty(comparison["first"]), pretty(comparison["second"])
        for target, values in comparison["targets"].items():
            items.append(
                f"<li>{html.escape(first)} − {html.escape(second)}, "
                f"{html.escape(document['targets'][target]['cuts'].split(',')[1].strip())}: "
                f"{100 * values['difference']:+.3f} ± {100 * values['error']:.3f} points of "
                f"efficiency ({values['only_first']} particles only by the first, "
                f"{values['only_second']} only by the second)</li>"
            )
    if not items:
        return ""
    return "<p>On the same particles:</p><ul>" + "".join(items) + "</ul>"


def _sample(document: Mapping[str, Any]) -> str:
    events = document["events"]
    text = f"{events['n_events']} events"
    hits = events.get("n_measurements") or []
    if hits:
        text += f", {sum(hits) / len(hits):,.0f} measurements each on average"
    described = describe_input(document)
    rule = document["definitions"]["matching"]
    return f"{described + ': ' if described else ''}{text}. A track matches a particle if {rule}."
