"""An evaluation as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_COLUMNS = "{:<24}{:>12}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>9}"


def format_evaluation(document: Mapping[str, Any]) -> str:
    """Edges, scores, seconds and memory by stage, then tracks by stage and cut."""
    return "\n".join(line.rstrip() for line in _lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"pipeline {document['pipeline']['name']}, target {document['target']}, "
        f"{document['events']} events, {document['space_points']:,.0f} space points each"
    )
    yield ""
    yield _COLUMNS.format(
        "edges after", "per event", "eff. [%]", "all [%]", "pur. [%]", "all [%]", "AUC", "seconds",
        "MB",
    )  # fmt: skip
    for stage in document["stages"]:
        efficiency, purity = stage.get("efficiency", {}), stage.get("purity", {})
        auc = stage.get("auc", {}).get("target")
        yield _COLUMNS.format(
            stage["stage"],
            _text(stage.get("edges"), 1, 0),
            _text(efficiency.get("target"), 100, 2),
            _text(efficiency.get("all"), 100, 2),
            _text(purity.get("target"), 100, 2),
            _text(purity.get("all"), 100, 2),
            _text(auc, 1, 5),
            _text(stage["seconds"], 1, 3),
            _text(stage["peak_memory_mb"], 1, 0),
        )
    yield ""
    row = "{:<40}{:>12}{:>12}{:>12}{:>14}"
    yield row.format("tracks", "found [%]", "fakes [%]", "dupl. [%]", "reachable [%]")
    for stage in document["stages"]:
        for tracks in stage["tracks"].get("components", []):
            cut = "all edges" if tracks["cut"] is None else f"score > {tracks['cut']:g}"
            label = f"{stage['stage']}, components, {cut}"
            yield row.format(label, *_rates(tracks), _text(stage["reachable"], 100, 2))
        if "builder" in stage["tracks"]:
            yield row.format(stage["stage"], *_rates(stage["tracks"]["builder"]), "")


def _rates(tracks: Mapping[str, Any]) -> list[str]:
    return [_text(tracks[key], 100, 2) for key in ("efficiency", "fakes", "duplicates")]


def _text(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{scale * value:,.{digits}f}"
