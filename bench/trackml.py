"""How well does trkx do on real events of the TrackML challenge?

    python bench/trackml.py --input DIR
    TRKX_TRACKML_DIR=DIR python bench/trackml.py --pipeline trackml_pt05 --pt-min 0.5

Finds the tracks of every event of DIR with shipped weights, counts them by double majority (rules
in algorithms/trackml_evaluation.py: only pixel hits count where the truth covers only those), fits
them with the Kalman filter, and scores them. Times are CPU seconds, one thread. The shipped weights
learned from simulated events; docs/trackml.md says what was read off the real ones before.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.field_estimate import field_scale
from trkx.algorithms.magnetic_field import FIELD_HELP, namedField
from trkx.algorithms.trackml_chain import find_tracks, fit_tracks
from trkx.algorithms.trackml_evaluation import RULES, count_tracks, share
from trkx.algorithms.trackml_input import TrackMLInput
from trkx.algorithms.trackml_score import score_event
from trkx.io.errors import InputError, TrkxWarning
from trkx.io.trackml_event import TrackMLEvent
from trkx.io.trackml_files import TrackMLFiles
from trkx.plugin import load_pipeline

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def measure(
    folder: Path, files: TrackMLFiles, number: int, pipeline: Any, args: Any
) -> dict[str, Any]:
    """All figures of one event."""
    event = files.read(number)
    with TrackMLInput.open(folder, (number, number + 1)) as events:
        found = find_tracks(events, number, event.hits["hit_id"], pipeline)
        if args.repeat:
            found = find_tracks(events, number, event.hits["hit_id"], pipeline)
    result: dict[str, Any] = {
        "event": number,
        "hits": event.n_hits,
        "tracks": len(found.offsets) - 1,
        "seconds": found.seconds,
    }
    for rule in RULES:
        try:
            counts = count_tracks(event, found.offsets, found.hits, args.pt_min, rule)
        except InputError:
            continue
        result[rule] = asdict(counts) | {
            "efficiency": counts.efficiency,
            "efficiency_primaries": share(counts.primaries_found, counts.primaries),
            "fake_rate": counts.fake_rate,
        }
    with suppress(InputError):
        result["field_scale"] = asdict(field_scale(event, namedField(args.field)))
    result["score"] = score(event, found.offsets, found.hits)
    if not args.no_fit:
        with tempfile.TemporaryDirectory(prefix="trkx-trackml-") as scratch:
            fit = fit_tracks(folder, number, found, namedField(args.field), Path(scratch))
        reduced = fit.chi2 / np.maximum(fit.ndf, 1)
        result["fit"] = {
            "fitted": fit.counts.fitted,
            "fraction": share(fit.counts.fitted, fit.counts.found),
            "seconds": fit.seconds,
            "chi2_per_ndf": dict(
                zip(map(str, QUANTILES), np.quantile(reduced, QUANTILES), strict=True)
            ),
            "chi2_per_ndf_mean": float(reduced.mean()),
        }
        if args.values:
            args.values.parent.mkdir(parents=True, exist_ok=True)
            np.savez(f"{args.values}-{number}.npz", chi2=fit.chi2, ndf=fit.ndf, qop=fit.qop)
    return result


def score(event: TrackMLEvent, offsets: np.ndarray, hits: np.ndarray) -> dict[str, Any] | None:
    """The official score, by the weights of the file or of the hits that the truth covers."""
    track = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    try:
        return asdict(score_event(event, event.hits["hit_id"][hits], track))
    except InputError:
        return None


def table(result: dict[str, Any], pt_min: float) -> str:
    """The figures as text."""
    stages = ", ".join(f"{name} {value:.3f}" for name, value in result["seconds"].items())
    lines = [
        f"event {result['event']}: {result['hits']} hits, {result['tracks']} tracks",
        f"  CPU seconds: {stages}, together {sum(result['seconds'].values()):.3f}",
    ]
    for rule in RULES:
        if rule not in result:
            continue
        r = result[rule]
        lines.append(
            f"  {rule} hits, pT > {pt_min} GeV: efficiency {percent(r['efficiency'])} "
            f"({r['found']} of {r['targets']}), primaries {percent(r['efficiency_primaries'])}; "
            f"fakes {percent(r['fake_rate'])} ({r['fakes']} of {r['tracks']}), "
            f"duplicates {r['duplicates']}"
        )
    if result["score"]:
        s = result["score"]
        lines.append(
            f"  score {s['score']:.4f} on {s['n_truth_hits']} of {s['n_hits']} hits "
            f"(weights: {s['weights']})"
        )
    if "field_scale" in result:
        f = result["field_scale"]
        lines.append(
            f"  true field over that of the fit: {f['scale']:.4f} ± {f['error']:.4f} (true momenta)"
        )
    if "fit" in result:
        f = result["fit"]
        quantiles = ", ".join(f"{q}: {v:.2f}" for q, v in f["chi2_per_ndf"].items())
        lines.append(
            f"  Kalman fit: {percent(f['fraction'])} of the tracks in {f['seconds']:.3f} CPU s; "
            f"chi2/ndf quantiles {quantiles}; mean {f['chi2_per_ndf_mean']:.2f}"
        )
    return "\n".join(lines)


def percent(value: tuple[float, float]) -> str:
    """A share with its error."""
    return f"{100 * value[0]:.2f} ± {100 * value[1]:.2f}%"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--input", type=Path, help="folder with the events (default: TRKX_TRACKML_DIR)")
    add("--events", help="numbers, such as 1,21000 (default: all)")
    add("--pipeline", default="trackml", help="shipped pipeline or file (default: trackml)")
    add("--target", help="of a pipeline with several")
    add("--pt-min", type=float, default=1.0, help="threshold of the targets in GeV (1)")
    add("--field", default="solenoid", help=f"for the fit: {FIELD_HELP} (default: solenoid)")
    add("--no-fit", action="store_true", help="find tracks only")
    add("--repeat", action="store_true", help="find twice, and keep the second time")
    add("--values", type=Path, help="also write chi2, ndf and q/p of each track to files so named")
    add("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    folder = args.input or os.environ.get("TRKX_TRACKML_DIR")
    if not folder:
        parser.error("no events: pass --input DIR, or set TRKX_TRACKML_DIR")
    warnings.simplefilter("ignore", TrkxWarning)  # truth of pixels only is what the rule is for
    files = TrackMLFiles.open(folder)
    numbers = [int(n) for n in args.events.split(",")] if args.events else files.numbers
    pipeline = load_pipeline(pipeline=args.pipeline, target=args.target, threads=1)
    results = []
    for number in numbers:
        results.append(measure(Path(folder), files, number, pipeline, args))
        print(table(results[-1], args.pt_min), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
