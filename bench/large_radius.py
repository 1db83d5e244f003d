"""Tracks of displaced decays: efficiency against production radius and |d0|, fakes and time.

    trkx simulate --process hnl --multiplicity 50 --pt 5:50 --pileup 200 --events 10 \\
        --seed 602001 --out .bench/hnl
    trkx simulate --process v0 --multiplicity 50 --pt 1:20 --pileup 200 --events 10 \\
        --seed 602002 --out .bench/v0
    python bench/large_radius.py --input .bench/hnl .bench/v0 --out .bench/large_radius

runs all finders in one job per sample, on one thread, and prints a table for each, writes
large_radius.json, .md and .png, and says which stage of the pipeline `large_radius` loses the
particles that it does not find. Rule: double majority; charged, pT > 1 GeV, |eta| < 4, at least 7
measurements; fakes among tracks of at least 7. |d0| is that of the helix at production.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.error_budget import LOSSES, ErrorBudget
from trkx.algorithms.job import JobResult, runJob
from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.labelled_events import labelled_event
from trkx.algorithms.metrics_statistics import Rate, clopper_pearson
from trkx.algorithms.metrics_truth import PT1, EventTruth
from trkx.io.event_files import EventFiles
from trkx.plugin import load_pipeline

FINDERS = "fast,large_radius,ckf-best"
RADII = (0.0, 1.0, 10.0, 30.0, 60.0, 100.0, 150.0, 200.0, 300.0)  # mm
IMPACTS = (0.0, 1.0, 3.0, 10.0, 20.0, 40.0, 80.0, 150.0, 300.0)  # mm
CENTRAL = (10.0, 100.0)  # mm; production radii that the aim is set for
MM_PER_GEV = 1.0 / 0.299792458e-3  # radius of curvature times field over pT


def impact_parameters(particles: Mapping[str, Any], field: float = 2.0) -> np.ndarray:
    """(P,) |d0| in mm: least distance of each particle's helix from the z axis."""
    px, py, vx, vy, q = (np.asarray(particles[c], float) for c in ("px", "py", "vx", "vy", "q"))
    pt = np.maximum(np.hypot(px, py), 1e-9)
    radius = MM_PER_GEV * pt / field / np.where(q == 0, 1, q)
    # A positive particle turns clockwise in a field along z.
    centre = np.hypot(vx + radius * py / pt, vy - radius * px / pt)
    straight = np.abs(vx * py - vy * px) / pt
    return np.where(q == 0, straight, np.abs(centre - np.abs(radius)))


def truth_of(files: EventFiles, number: int) -> tuple[EventTruth, np.ndarray, np.ndarray]:
    """Truth of an event, and production radius and |d0| of its targets."""
    event = files.read(number, truth=True)
    truth = EventTruth.from_event(event)
    selected = PT1.select(truth)
    return (
        truth,
        truth.production_radius[selected],
        impact_parameters(event.particles)[selected],
    )


def row(result: JobResult, finder: str, radius: np.ndarray, impact: np.ndarray) -> dict[str, Any]:
    """Figures of one finder; `radius` and `impact` are those of all targets, event by event."""
    assert result.collector is not None
    figures = result.collector.finders[finder].targets["pt1"]
    found = np.concatenate(
        [
            np.unpackbits(bits, count=n).astype(bool)
            for _, (n, bits) in sorted(figures.found.items())
        ]
    )
    central = (radius > CENTRAL[0]) & (radius < CENTRAL[1])
    part = Rate(int(found[central].sum()), int(central.sum()))
    return {
        "finder": finder,
        "efficiency": figures.efficiency["all"].rate.value,
        "primaries": figures.efficiency["primaries"].rate.value,
        "central": part.value,
        "central_interval": part.interval,
        "fakes": figures.fake_rate.value,
        "fakes_interval": figures.fake_rate.interval,
        "duplicates": figures.duplicate_rate.value,
        "tracks": figures.n_tracks / result.n_events,
        "seconds": result.times[f"{finder}:finding"].seconds,
        "radius": histogram(radius, found, RADII),
        "impact": histogram(impact[central], found[central], IMPACTS),
    }


def histogram(
    values: np.ndarray, found: np.ndarray, edges: tuple[float, ...]
) -> dict[str, list[Any]]:
    """Particles and found particles in bins."""
    return {
        "edges": list(edges),
        "particles": np.histogram(values, edges)[0].tolist(),
        "found": np.histogram(values[found], edges)[0].tolist(),
    }


def losses(files: EventFiles, numbers: list[int]) -> dict[str, int]:
    """Stage of `large_radius` → targets of `CENTRAL` radii that it loses."""
    budget = ErrorBudget(load_pipeline("large_radius"))
    constructor: Any = budget.pipeline.graph_constructor
    lost: Counter[str] = Counter()
    for number in numbers:
        event = labelled_event(files.read(number, truth=True))
        stage = budget.add(event)
        found = constructor.first(event.space_points)
        taken = np.zeros(len(event.space_points), bool)
        n_hits = np.diff(found.offsets)
        taken[found.hits[np.repeat(n_hits >= constructor.passes.taken_hits, n_hits)]] = True
        hits = np.repeat(taken, np.diff(event.offsets))
        on_tracks = np.bincount(event.particle, hits, minlength=len(event.pt))
        radius = np.hypot(event.vertex[:, 0], event.vertex[:, 1])
        for p in np.flatnonzero((stage >= 0) & (radius > CENTRAL[0]) & (radius < CENTRAL[1])):
            half = 2 * on_tracks[p] >= event.n_hits[p]
            lost["taken by the first pass" if half else list(LOSSES)[stage[p]]] += 1
    return dict(lost.most_common())


def markdown(sample: str, rows: list[dict[str, Any]], lost: dict[str, int]) -> str:
    """Tables of one sample."""
    events = rows[0]
    low, high = CENTRAL
    lines = [
        f"{sample}: {events['events']} events, {sum(events['radius']['particles'])} targets, "
        f"{sum(events['impact']['particles'])} with production radius {low:g} to {high:g} mm",
        "",
        f"| finder | all [%] | primaries [%] | {low:g}–{high:g} mm [%] | fakes [%] | "
        "duplicates [%] | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        below, above = (100 * x for x in r["central_interval"])
        lines.append(
            f"| {r['finder']} | {100 * r['efficiency']:.2f} | {100 * r['primaries']:.2f} | "
            f"{100 * r['central']:.1f} ({below:.1f}–{above:.1f}) | {100 * r['fakes']:.2f} | "
            f"{100 * r['duplicates']:.2f} | {r['seconds']:.2f} |"
        )
    for name, title in (("radius", "production radius [mm]"), ("impact", "abs(d0) [mm], central")):
        edges = rows[0][name]["edges"]
        bins = [f"{a:g}–{b:g}" for a, b in pairwise(edges)]
        lines += ["", f"| {title} | " + " | ".join(bins) + " |", "|---" * len(edges) + "|"]
        lines.append("| particles | " + " | ".join(map(str, rows[0][name]["particles"])) + " |")
        for r in rows:
            pairs = zip(r[name]["found"], r[name]["particles"], strict=True)
            cells = [f"{100 * found / n:.1f}" if n else "" for found, n in pairs]
            lines.append(f"| {r['finder']} [%] | " + " | ".join(cells) + " |")
    if lost:
        lines += ["", "Lost by large_radius at these radii: "]
        lines[-1] += ", ".join(f"{stage} {n}" for stage, n in lost.items())
    return "\n".join(lines) + "\n"


def draw(samples: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Efficiency against radius and |d0|, a row of panels for each sample."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        len(samples), 2, figsize=(10, 3.6 * len(samples)), squeeze=False, sharey=True
    )
    axes = (("radius", "production radius [mm]"), ("impact", r"$|d_0|$ [mm], radius 10–100 mm"))
    for (sample, rows), line in zip(samples.items(), panels, strict=True):
        for (name, label), panel in zip(axes, line, strict=True):
            for r, marker in zip(rows, "os^vDP", strict=False):
                edges = np.array(r[name]["edges"])
                n, found = np.array(r[name]["particles"]), np.array(r[name]["found"])
                some = n > 0
                rate = found[some] / n[some]
                low, high = clopper_pearson(found[some], n[some])
                at = 0.5 * (edges[1:] + edges[:-1])[some]
                error = 100 * np.maximum([rate - low, high - rate], 0)
                panel.errorbar(at, 100 * rate, error, fmt=f"{marker}-", lw=1, label=r["finder"])
            panel.set_xscale("symlog", linthresh=10)
            panel.set_xlim(0, 300)
            panel.set_xlabel(label)
            panel.set_title(sample)
            panel.grid(alpha=0.3)
        line[0].set_ylabel("efficiency [%]")
        line[0].set_ylim(0, 102)
    panels[0, 0].legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", type=Path, required=True, help="simulated events")
    parser.add_argument("--finders", default=FINDERS, help=f"default {FINDERS}")
    parser.add_argument("--events", default=":", help="event numbers A:B (default all)")
    parser.add_argument("--budget-events", type=int, default=2, help="for the losses (2)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    args = parser.parse_args()
    samples, budgets, text = {}, {}, ""
    for sample in args.input:
        config = JobConfig(
            input=(sample,),
            out=args.out / sample.name,
            finders=args.finders,
            fitters="none",  # type: ignore[arg-type]  # converted
            events=args.events,
            report=False,
            force=True,
        )
        result = runJob(config, command="compare")
        files = EventFiles.open([str(sample)])
        numbers = [n for n in files.numbers if result.events[0] <= n < result.events[1]]
        radius, impact = (
            np.concatenate(column)
            for column in zip(*(truth_of(files, n)[1:] for n in numbers), strict=True)
        )
        rows = [row(result, f, radius, impact) | {"events": len(numbers)} for f in config.finders]
        budgets[sample.name] = losses(files, numbers[: args.budget_events])
        samples[sample.name] = rows
        text += markdown(sample.name, rows, budgets[sample.name]) + "\n"
    document = {"samples": samples, "losses": budgets}
    (args.out / "large_radius.json").write_text(json.dumps(document, indent=1) + "\n")
    (args.out / "large_radius.md").write_text(text)
    print(text, end="")
    draw(samples, args.out / "large_radius.png")


if __name__ == "__main__":
    main()
