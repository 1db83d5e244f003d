"""Is a production complete, and are its tracks as good as they must be?

    trkx simulate --events 8 --seed 1 --out part1
    trkx simulate --events 8 --seed 2 --out part2
    python examples/production_test.py part1 part2 --chunk 4 --out production

Goes through all events of all inputs in ranges of --chunk events, one job and one result folder
each, as a batch system would. A range whose folder is complete is not run again, so that an
interrupted production is resumed by the same command. Then it adds up all ranges. Exit code:

    0  complete, and within the limits
    1  complete, but a figure is outside its limit
    2  incomplete: a range failed or lacks files

With 200 pile-up collisions expect an efficiency near 0.99, fakes below 0.01 and more than 0.995
of the tracks fitted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from trkx.algorithms.job import runJob
from trkx.algorithms.job_config import JobConfig, finder_key, fits_while_finding
from trkx.algorithms.performance import load_performance
from trkx.io.errors import TrkxError
from trkx.io.event_files import EventFiles


@dataclass(frozen=True)
class Limits:
    """What the sum of all ranges must keep."""

    min_efficiency: float = 0.97  # particles of pT > 1 GeV
    max_fake_rate: float = 0.02
    max_duplicate_rate: float = 0.01
    min_fit_fraction: float = 0.995


@dataclass(frozen=True)
class Part:
    """One range of events of one input, and where its results go."""

    sample: Path
    first: int
    stop: int
    out: Path


def splitProduction(samples: list[Path], out: Path, chunk: int) -> list[Part]:
    """Cut the events of all samples into ranges."""
    parts = []
    for number, sample in enumerate(samples):
        with EventFiles.open(sample) as files:
            low, high = files.available
        for first in range(low, high, chunk):
            stop = min(first + chunk, high)
            parts.append(Part(sample, first, stop, out / f"part{number}_{first}_{stop}"))
    return parts


def missingFiles(part: Part, finder: str, fitter: str) -> list[str]:
    """Name what a complete range has and this one lacks; job.json is what a job writes last."""
    fit = "ckf" if fits_while_finding(finder) and fitter == "none" else fitter
    wanted = ["job.json", "performance.json", f"performance_{finder_key(finder)}.root"]
    if fit != "none":
        wanted.append(f"tracksummary_{finder_key(finder)}_{fit}.root")
    return [name for name in wanted if not (part.out / name).exists()]


def runProductionTest(
    parts: list[Part], finder: str = "gnn", fitter: str = "kf", threads: int = 1
) -> list[str]:
    """Run all ranges that are not complete; return what went wrong, nothing if all is well."""
    problems = []
    for part in parts:
        if missingFiles(part, finder, fitter):
            config = JobConfig(
                input=(part.sample,),
                out=part.out,
                finders=(finder,),
                fitters=(fitter,),
                events=(part.first, part.stop),
                threads=threads,
                force=True,
                report=False,
            )
            try:
                runJob(config)
            except TrkxError as error:
                problems.append(f"{part.out.name}: {error}")
                continue
        problems += [f"{part.out.name}: no {name}" for name in missingFiles(part, finder, fitter)]
        record = json.loads((part.out / "job.json").read_text())
        if record["events"]["n"] != part.stop - part.first:
            problems.append(f"{part.out.name}: {record['events']['n']} events")
    return problems


def checkLimits(parts: list[Part], finder: str, limits: Limits) -> list[str]:
    """Add up all ranges, print the figures, and return those outside their limits."""
    totals = dict.fromkeys(("found", "particles", "fakes", "duplicates", "tracks"), 0)
    fits = dict.fromkeys(("given", "fitted"), 0)
    for part in parts:
        figures = load_performance(part.out / "performance.json")["finders"][finder]
        target = figures["targets"]["pt1"]
        for name, key in (
            ("found", "n_found"),
            ("particles", "n_particles"),
            ("fakes", "n_fakes"),
            ("duplicates", "n_duplicates"),
            ("tracks", "n_tracks"),
        ):
            totals[name] += target[key]
        record = json.loads((part.out / "job.json").read_text())
        for counts in record["fits"][finder].values():
            fits["given"] += counts["found"]
            fits["fitted"] += counts["fitted"]
    checks = (
        ("efficiency", totals["found"], totals["particles"], limits.min_efficiency, True),
        ("fake rate", totals["fakes"], totals["tracks"], limits.max_fake_rate, False),
        (
            "duplicate rate",
            totals["duplicates"],
            totals["tracks"],
            limits.max_duplicate_rate,
            False,
        ),
        ("fitted tracks", fits["fitted"], fits["given"], limits.min_fit_fraction, True),
    )
    outside = []
    for name, passed, total, limit, is_minimum in checks:
        if total == 0:
            continue
        value = passed / total
        good = value >= limit if is_minimum else value <= limit
        line = f"{name} {value:.4f}, must be {'>=' if is_minimum else '<='} {limit}"
        print(f"{'ok ' if good else 'BAD'} {line}")
        if not good:
            outside.append(line)
    return outside


def main(argv: list[str] | None = None) -> int:
    """Run the production and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path, nargs="+", help="folders of `trkx simulate`")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--chunk", type=int, default=50, help="events per job")
    parser.add_argument("--finder", default="gnn")
    parser.add_argument("--fitter", default="kf")
    parser.add_argument("--threads", type=int, default=1, help="events in flight")
    parser.add_argument("--min-efficiency", type=float, default=Limits.min_efficiency)
    arguments = parser.parse_args(argv)
    parts = splitProduction(arguments.samples, arguments.out, arguments.chunk)
    problems = runProductionTest(parts, arguments.finder, arguments.fitter, arguments.threads)
    for problem in problems:
        print(f"incomplete: {problem}", file=sys.stderr)
    if problems:
        return 2
    limits = Limits(min_efficiency=arguments.min_efficiency)
    return 1 if checkLimits(parts, arguments.finder, limits) else 0


if __name__ == "__main__":
    sys.exit(main())
