"""All shipped pipelines on the same events, side by side: one table, one figure.

    python bench/chains.py --input .bench/sample --events 0:10 --out .bench/chains

evaluates each pipeline in a process of its own, pinned to one core and with one thread, and prints
efficiency, fakes, duplicates, edges, parameters, seconds per stage and peak memory as Markdown.
Rule: double majority; charged, pT > 1 GeV, |eta| < 4, at least 7 measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from trkx.plugin.pipeline_file import PipelineFile, shipped_pipelines
from trkx.plugin.weights import find_model

COLUMNS = (
    "pipeline",
    "efficiency [%]",
    "displaced [%]",
    "fakes [%]",
    "duplicates [%]",
    "edges made",
    "edges built on",
    "parameters",
    "graph [s]",
    "networks [s]",
    "building [s]",
    "all [s]",
    "memory [GB]",
)


def evaluate(pipeline: str, inputs: list[str], events: str, out: Path) -> dict[str, Any]:
    """Evaluate one pipeline; returns the content of evaluation.json."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    command = [sys.executable, "-m", "trkx.algorithms.cli.main", "evaluate"]
    command += ["--pipeline", pipeline, "--input", *inputs, "--events", events]
    command += ["--out", str(out), "--force", "--no-plots"]
    core = sorted(os.sched_getaffinity(0))[:1]
    subprocess.run(
        command,
        check=True,
        env=os.environ | threads,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
    )
    return dict(json.loads((out / "evaluation.json").read_text()))


def parameters(file: PipelineFile, target: str) -> int:
    """Trained weights of all networks of a pipeline."""
    from safetensors import safe_open

    paths = [
        (file.path.parent / str(stage.settings["weights"])).with_suffix(".safetensors")
        for stage in file.stages
        if "weights" in stage.settings
    ]
    if any(stage.stage == "fast" for stage in file.stages):
        paths.append(find_model(target).folder / "network.safetensors")
    total = 0
    for path in filter(Path.is_file, paths):
        with safe_open(path, "numpy") as weights:
            total += sum(weights.get_tensor(key).size for key in weights.keys())
    return total


def row(document: dict[str, Any], weights: int) -> dict[str, Any]:
    """One row of the table; rates in percent, seconds per event on one core."""
    stages = document["stages"]
    tracks = stages[-1]["tracks"]["builder"]
    counts = tracks["counts"]
    seconds = [stage["cpu_seconds"] for stage in stages]

    def error(rate: float, n: int) -> float:
        return 100 * (max(rate * (1 - rate), 1 / max(n, 1)) / max(n, 1)) ** 0.5

    return {
        "pipeline": document["pipeline"]["name"],
        "efficiency": 100 * tracks["efficiency"],
        "efficiency_error": error(tracks["efficiency"], counts["targets"]),
        "displaced": 100 * tracks["displaced"],
        "fakes": 100 * tracks["fakes"],
        "fakes_error": error(tracks["fakes"], counts["tracks"]),
        "duplicates": 100 * tracks["duplicates"],
        "edges_made": stages[0]["edges"],
        "edges_built_on": stages[-2]["edges"],
        "parameters": weights,
        "graph_seconds": seconds[0],
        "network_seconds": sum(seconds[1:-1]),
        "building_seconds": seconds[-1],
        "seconds": sum(seconds),
        "peak_memory_gb": max(stage["peak_memory_mb"] or 0 for stage in stages) / 1e3,
        "targets": counts["targets"],
        "events": document["events"],
        "space_points": document["space_points"],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for r in rows:
        cells = (
            r["pipeline"],
            f"{r['efficiency']:.2f} ± {r['efficiency_error']:.2f}",
            f"{r['displaced']:.1f}",
            f"{r['fakes']:.2f} ± {r['fakes_error']:.2f}",
            f"{r['duplicates']:.2f}",
            f"{r['edges_made']:,.0f}",
            f"{r['edges_built_on']:,.0f}",
            f"{r['parameters']:,}",
            f"{r['graph_seconds']:.2f}",
            f"{r['network_seconds']:.2f}",
            f"{r['building_seconds']:.2f}",
            f"{r['seconds']:.2f}",
            f"{r['peak_memory_gb']:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Efficiency and fakes against seconds per event."""
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.5, 6), sharex=True)
    for r in rows:
        top.errorbar(r["seconds"], r["efficiency"], r["efficiency_error"], fmt="o")
        top.annotate(
            r["pipeline"], (r["seconds"], r["efficiency"]), (6, 4), textcoords="offset points"
        )
        bottom.errorbar(r["seconds"], max(r["fakes"], 1e-3), r["fakes_error"], fmt="o")
        bottom.annotate(
            r["pipeline"], (r["seconds"], r["fakes"]), (6, 4), textcoords="offset points"
        )
    top.set_ylabel("efficiency [%]")
    bottom.set_ylabel("fakes [%]")
    bottom.set_xlabel("seconds per event, one core")
    bottom.set_xscale("log")
    top.margins(x=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", required=True, help="simulated events")
    parser.add_argument("--events", default="0:10", help="event numbers A:B (0:10)")
    parser.add_argument(
        "--pipelines", help="names or files, separated by commas (default: shipped)"
    )
    parser.add_argument("--target", default="pt1")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for chains.json, .md and .png"
    )
    args = parser.parse_args()
    names = args.pipelines.split(",") if args.pipelines else sorted(shipped_pipelines())
    rows = []
    for name in names:
        document = evaluate(name, args.input, args.events, args.out / Path(name).stem)
        rows.append(row(document, parameters(PipelineFile.read(name), args.target)))
        print(
            f"{name}: {rows[-1]['efficiency']:.2f}% in {rows[-1]['seconds']:.2f} s", file=sys.stderr
        )
    (args.out / "chains.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = markdown(rows)
    (args.out / "chains.md").write_text(text)
    print(text, end="")
    draw(rows, args.out / "chains.png")


if __name__ == "__main__":
    main()
