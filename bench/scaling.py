"""Cost of track finding against the number of hits, for pile-up from 20 to 300.

    python bench/scaling.py --events 4 --out .bench/scaling

simulates events of each pile-up (seeds of the test range), finds their tracks on one core, and fits
seconds = constant x hits^exponent to all events, for the whole and for each stage.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from table import markdown, write

PILEUPS = (20, 60, 100, 140, 200, 300)
SEED = 900400


def exponent(hits: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Exponent of a power law and its error, by least squares of the logarithms."""
    x, y = np.log(hits), np.log(seconds)
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=4, help="of each pile-up")
    parser.add_argument("--pipelines", default="fast")
    parser.add_argument("--target", default="pt1")
    parser.add_argument("--out", type=Path, default=Path(".bench/scaling"))
    args = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")  # before numeric libraries are loaded
    from trkx.algorithms.cli.main import main as trkx
    from trkx.io.event_files import EventFiles
    from trkx.plugin.load import load_pipeline
    from trkx.plugin.space_points import SpacePoints

    samples = {mu: args.out / f"sample_mu{mu}" for mu in PILEUPS}
    for number, (mu, folder) in enumerate(samples.items()):
        if not (folder / "spacepoints.root").exists():
            command = ["simulate", "--events", args.events, "--pileup", mu, "--seed", SEED + number]
            if trkx([str(a) for a in (*command, "--out", folder)]) != 0:
                raise SystemExit(f"no events with a pile-up of {mu}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    rows, result = [], {}
    for name in args.pipelines.split(","):
        pipeline = load_pipeline(pipeline=name, target=args.target, threads=1)
        hits, times, cells = [], {"all": []}, []
        for folder in samples.values():
            with EventFiles.open(folder) as files:
                for number in files.numbers[: args.events]:
                    columns = files.read(number, truth=False).space_points
                    points = SpacePoints.from_columns(columns)
                    start = time.process_time()
                    stages = pipeline(points).timing
                    times["all"].append(time.process_time() - start)
                    hits.append(len(points))
                    for stage, seconds in stages.items():
                        times.setdefault(stage, []).append(seconds)
            last = slice(-args.events, None)
            cells.append(f"{np.median(times['all'][last]):.3f} ({np.median(hits[last]):,.0f})")
        fits = {k: exponent(np.array(hits), np.array(v)) for k, v in times.items()}
        shown = ", ".join(f"{k} {p:.2f} ± {e:.2f}" for k, (p, e) in fits.items())
        rows.append([name, *cells, shown])
        result[name] = {"hits": hits, "seconds": times, "exponents": fits}
    heads = ["pipeline", *(f"μ = {mu}: s (hits)" for mu in PILEUPS), "exponent of hits"]
    write(args.out, "scaling", result, markdown("Cost against hits, one core", heads, rows))


if __name__ == "__main__":
    main()
