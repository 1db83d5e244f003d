"""Where a pipeline loses its targets, and what its fakes are.

    python bench/error_budget.py --pipeline fast --input SAMPLE --events 0:16

Losses by stage, prompt and displaced (production radius above 1 mm), and by |eta|; fakes by kind
and by whose hits they are made of. See `trkx.algorithms.error_budget` for the definitions.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from table import markdown, write

from trkx.algorithms.error_budget import ETA_EDGES, FAKES, LOSSES, ErrorBudget
from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.training_input import PT_MIN
from trkx.io.event_files import EventFiles
from trkx.plugin.load import load_pipeline

WHOSE = ("target", "softer", "no target", "none")


def report(name: str, found: dict[str, Any]) -> str:
    """Losses and fakes as two tables."""
    bins = [f"{a:g}–{b:g}" for a, b in itertools.pairwise(ETA_EDGES)]
    tracks, targets = found["tracks"], found["targets"]
    prompt, displaced = sum(targets["prompt"]), sum(targets["displaced"])
    rows = []
    for loss in LOSSES:
        n = found["losses"][loss]
        by_eta = [a + b for a, b in zip(n["prompt"], n["displaced"], strict=True)]
        rows.append([loss, str(sum(n["prompt"])), str(sum(n["displaced"])), *map(str, by_eta)])
    total = [a + b for a, b in zip(targets["prompt"], targets["displaced"], strict=True)]
    rows.append(["of targets", f"{prompt:,}", f"{displaced:,}", *(f"{n:,}" for n in total)])
    heads = ["lost by", "prompt", "displaced", *(f"|η| {b}" for b in bins)]
    text = markdown(f"{name}: targets lost, {found['events']} events", heads, rows) + "\n"
    rows = [[kind, *(str(found["fakes"][kind][w]) for w in WHOSE)] for kind in FAKES]
    heads = ["fakes", "of a target", "of a softer particle", "of another", "of none"]
    text += markdown(f"{name}: fakes among {tracks['counts']['tracks']:,} tracks", heads, rows)
    rates = ("efficiency", "displaced", "fakes", "duplicates", "purity", "completeness")
    return text + "\n" + ", ".join(f"{r} {100 * tracks[r]:.2f}%" for r in rates) + "\n"


def main() -> None:
    """Parse the command line, run the stages on all events, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pipeline", default="fast", help="name or file (fast)")
    parser.add_argument("--target", help="pt1 or pt05 (the first of the pipeline)")
    parser.add_argument("--input", nargs="+", required=True, help="simulated events")
    parser.add_argument("--events", default="0:4", help="event numbers A:B (0:4)")
    parser.add_argument("--out", type=Path, default=Path(".bench/error_budget"))
    a = parser.parse_args()
    pipeline = load_pipeline(pipeline=a.pipeline, target=a.target, threads=1)
    budget = ErrorBudget(pipeline, PT_MIN[str(pipeline.meta["target"])])
    first, _, stop = a.events.partition(":")
    for event in labelled_events(EventFiles.open(a.input), int(first), int(stop)):
        budget.add(event)
    found = budget.summary()
    name = Path(a.pipeline).stem
    write(a.out, name, found, report(name, found))


if __name__ == "__main__":
    main()
