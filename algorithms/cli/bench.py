"""`trkx bench`: measure on this machine what the documentation quotes."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from trkx.algorithms.job_config import TARGETS

EPILOG = """\
examples:
  trkx bench service --input sample --out bench
  trkx bench service --input sample --models exatrkxcpu,exatrkx      custom against ensemble
  trkx bench service --input sample --concurrency 1,2,4 --instances 1,2 --json
  trkx bench service --input sample --check 40     is it the same, all models and both protocols?
"""
MODELS = ("trkx", "exatrkxcpu", "exatrkx")


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure throughput and overhead on this machine",
        description="Measure how many events per second a Triton server finds tracks in, against "
        "events in flight and\nprocesses per model, beside the same pipeline without a server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", choices=("service",), help="what to measure")
    add("--input", nargs="+", required=True, metavar="DIR", help="simulated events")
    add("--events", type=int, default=10, metavar="N", help="events to use (default 10)")
    add(
        "--models",
        default="trkx",
        metavar="NAMES",
        help=f"of {', '.join(MODELS)} (default trkx); beside each the pipeline that it runs, in "
        "processes without a service",
    )
    add("--repeat", type=int, default=1, metavar="N", help="times each is sent (default 1)")
    add("--pipeline", default="fast", metavar="NAME|FILE", help="what finds the tracks (fast)")
    add("--target", choices=TARGETS, default="pt1", help="lowest pT: 1 GeV (default) or 0.5 GeV")
    add("--concurrency", default="1,2,4,8,16", metavar="LIST", help="events in flight")
    add("--instances", default="1,2,3,4", metavar="LIST", help="processes per model")
    add(
        "--check",
        type=int,
        default=0,
        metavar="N",
        help="instead: compare the results of N events with those of this process, all models",
    )
    add("--out", type=Path, metavar="DIR", help="folder for service.json and service.png")
    add("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Measure, and print or write the results; servers end with it, also where it is told to."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _run(args)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> int:
    from trkx.algorithms.cli.job_options import bound_library_threads

    bound_library_threads()  # before numeric libraries are loaded
    if args.check:
        return _check(args)
    from trkx.algorithms.service_bench import ServiceBench, read_points
    from trkx.algorithms.service_bench_report import draw, format_results

    bench = ServiceBench(
        points=read_points(args.input, args.events),
        pipeline=args.pipeline,
        target=args.target,
        models=_models(args.models),
        concurrency=_numbers("--concurrency", args.concurrency),
        instances=_numbers("--instances", args.instances),
        repeat=args.repeat,
    )
    results = bench.run()
    print(results.as_text() if args.json else format_results(results), end="")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "service.json").write_text(results.as_text())
        draw(results, args.out / "service.png")
    return 0


def _check(args: argparse.Namespace) -> int:
    """Compare results; 1 where one differs."""
    import json
    from dataclasses import asdict

    from trkx.algorithms.service_check import check_service, format_agreement

    rows = check_service(args.input, args.check, args.pipeline, args.target)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print(format_agreement(rows), end="")
    return int(any(row.differing for row in rows))


def _models(text: str) -> tuple[str, ...]:
    """Names of models from a comma-separated list."""
    from trkx.io.errors import ConfigError

    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in MODELS:
            raise ConfigError(f"--models: no '{name}' to measure; choose of {', '.join(MODELS)}")
    return names


def _numbers(option: str, text: str) -> tuple[int, ...]:
    """Positive whole numbers from a comma-separated list."""
    from trkx.io.errors import ConfigError

    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ConfigError(f"{option} is {text!r}; give positive whole numbers, such as 1,2,4")
    return found
