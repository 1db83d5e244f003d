"""Figure of a pruning: speed, edge AUC and track efficiency against what was removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trkx.algorithms.report.style import BLUE, ORANGE, figure_style, new_figure, png

__all__ = ["write_pruning_figure"]

_PANELS = (
    ("speedup", "times as fast", lambda row: row["speedup"]),
    ("auc", "1 − edge AUC", lambda row: 1 - row["auc"]),
    ("efficiency", "track efficiency (%)", lambda row: 100 * row["efficiency"]),
)


def write_pruning_figure(path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """Write the curves of one or several contents of pruning.json as PNG.

    Raises:
        MissingExtraError: matplotlib or mplhep is not installed.
    """
    with figure_style():
        figure = new_figure(10.5, 3.6)
        for axes, (_, label, value) in zip(figure.subplots(1, 3), _PANELS, strict=True):
            for document, colour in zip(documents, (BLUE, ORANGE), strict=False):
                rows = document["rows"]
                axes.plot(
                    [100 * row["fraction"] for row in rows],
                    [value(row) for row in rows],
                    "o-",
                    color=colour,
                    label=f"by {document['by']}",
                )
            axes.set_xlabel("cost removed (%)")
            axes.set_ylabel(label)
            axes.legend()
        path.write_bytes(png(figure))
