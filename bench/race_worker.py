"""One finder of the race, in this process: physics, seconds per stage, peak memory as JSON."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from race import CKF

from trkx.algorithms.job_config import parse_event_range
from trkx.algorithms.training_input import PT_MIN

STAGES = {"graph_construction": "graph", "track_building": "building"}  # others are networks


def external(source: str) -> Callable[[dict[str, np.ndarray]], Any]:
    """The function that 'FILE.py:function' names."""
    file, _, name = source.rpartition(":")
    spec = importlib.util.spec_from_file_location("external_finder", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"external finder '{source}': expected FILE.py:function")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def hit_columns(points: Any) -> dict[str, np.ndarray]:
    """Space points as an external finder gets them."""
    bits = points.geometry_id
    fields = {"volume": (56, 8), "layer": (36, 12), "module": (8, 20)}  # first bit, number of bits
    places = {
        name: (bits >> np.uint64(first)).astype(np.int64) & ((1 << n) - 1)
        for name, (first, n) in fields.items()
    }
    columns = {n: getattr(points, n) for n in ("x", "y", "z", "geometry_id", "size0", "size1")}
    return {**columns, **places}


def candidates(labels: Any, points: Any) -> Any:
    """Candidates of one label per space point."""
    from trkx.plugin.candidates import TrackCandidates

    labels = np.asarray(labels)
    if labels.shape != (len(points),):
        raise SystemExit(f"external finder: {labels.shape} labels for {len(points)} space points")
    hits = np.flatnonzero(labels >= 0)
    hits = hits[np.argsort(labels[hits], kind="stable")]
    _, counts = np.unique(labels[hits], return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return TrackCandidates(len(points), offsets, hits, np.ones(len(counts), np.float32))


def interval(k: int, n: int) -> tuple[float | None, float]:
    """A rate and its binomial error."""
    if n == 0:
        return None, 0.0
    p = k / n
    return p, math.sqrt(max(p * (1 - p), 1 / n / 4) / n)


def spread(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def run_in_loop(args: argparse.Namespace) -> dict[str, Any]:
    """A pipeline of the plugin, or an external finder, event by event."""
    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.track_counts import TrackCounts
    from trkx.io.event_files import EventFiles

    name, _, source = args.finder.partition("=")
    if source:
        function = external(source)
    else:
        from trkx.plugin.load import load_pipeline

        pipeline = load_pipeline(name, args.target, threads=args.cores)
    first, stop = parse_event_range(args.events)
    counts, seconds, events = TrackCounts(), {}, 0
    pt_min = PT_MIN[args.target]
    with EventFiles.open(args.input) as files:
        for event in labelled_events(files, first or 0, stop):
            points = event.space_points
            columns = hit_columns(points) if source else {}
            clock = time.process_time if args.cores == 1 else time.perf_counter
            start = clock()
            if source:
                labels = function(columns)
                whole = clock() - start
                found, stages = candidates(labels, points), {}
            else:
                found = pipeline(points)
                whole, stages = clock() - start, found.timing
            parts = {"finding": whole}
            for stage, value in stages.items():
                key = STAGES.get(stage, "networks")
                parts[key] = parts.get(key, 0.0) + value
            for key, value in parts.items():
                seconds.setdefault(key, []).append(value)
            counts.add(event, found, pt_min)
            events += 1
    primaries = counts.found - counts.displaced_found, counts.targets - counts.displaced
    return {
        "finder": name,
        "events": events,
        "targets": counts.targets,
        "efficiency": interval(counts.found, counts.targets),
        "primaries": interval(*primaries),
        "displaced": interval(counts.displaced_found, counts.displaced),
        "fakes": interval(counts.fakes, counts.tracks),
        "duplicates": interval(counts.duplicates, counts.tracks),
        "purity": counts.purity / max(counts.matched, 1),
        "completeness": counts.completeness / max(counts.matched, 1),
        "seconds": {key: spread(values) for key, values in seconds.items()},
    }


def run_in_sequencer(args: argparse.Namespace) -> dict[str, Any]:
    """A combinatorial Kalman filter in ACTS' event loop."""
    from trkx.algorithms.job import runJob
    from trkx.algorithms.job_config import JobConfig
    from trkx.algorithms.performance import load_performance

    out = args.out.parent / "job"
    config = JobConfig(
        input=tuple(args.input), out=out, finders=(args.finder,), events=args.events,
        target=args.target, threads=args.cores, report=False,
    )  # fmt: skip
    runJob(config)
    document = load_performance(out / "performance.json")
    finder = document["finders"][args.finder]
    figures, n = finder["targets"][args.target], finder["n_events"]
    stage = finder["seconds_per_event"]["stages"]["finding"]
    seconds = {key: stage[key] for key in ("median", "min", "max")}
    rates = {
        "fakes": interval(figures["n_fakes"], figures["n_tracks"]),
        "duplicates": interval(figures["n_duplicates"], figures["n_tracks"]),
    }
    for key in ("primaries", "displaced"):
        rates[key] = interval(figures[key]["n_found"], figures[key]["n_particles"])
    return {
        "finder": args.finder,
        "events": n,
        "targets": figures["n_particles"],
        "efficiency": interval(figures["n_found"], figures["n_particles"]),
        **rates,
        "purity": figures["purity"],
        "completeness": figures["completeness"],
        "seconds": {"finding": seconds},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--finder", required=True)
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--events", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = run_in_sequencer(args) if args.finder in CKF else run_in_loop(args)
    found["cores"] = args.cores
    found["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    args.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
