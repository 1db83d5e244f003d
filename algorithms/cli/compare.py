"""`trkx compare`: several finders side by side on the same events."""

from __future__ import annotations

import argparse
from typing import Any

from trkx.algorithms.cli.job_options import add_job_options, bound_library_threads, config_from
from trkx.algorithms.job_config import FINDERS, FITTERS

DESCRIPTION = f"""\
Run several finders in one job on the same events, measure them by the same rule (double
majority) and overlay them: a table here, performance.json, report.html and ROOT histograms.

finders: {", ".join(FINDERS)},
  and every shipped pipeline by its name (`trkx stages` lists them)
fitters: {", ".join(FITTERS)}

The times in the table are CPU seconds per event of one core as long as --threads is 1.
"""

EPILOG = """\
examples:
  trkx compare --input sample --finders gnn,classical,ckf --fitters kf,gx2f --out comparison
  trkx compare --input sample --finders gnn,ckf-best,ckf-fast --events 0:5 --out quick
  trkx compare --input sample --finders fast,ckf-best --pipeline a.toml,b.toml --out stages
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "compare",
        help="several finders side by side on the same events",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    silent = argparse.SUPPRESS
    parser.add_argument(
        "--finders",
        metavar="A,B,…",
        default=silent,
        help="finders, separated by commas (default gnn,ckf, unless there is a --pipeline)",
    )
    parser.add_argument(
        "--fitters",
        metavar="A,B,…",
        default=silent,
        help="fitters, separated by commas (default kf)",
    )
    add_job_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the comparison that `args` asks for."""
    bound_library_threads()
    from trkx.algorithms.job import runJob

    runJob(config_from(args, finders="gnn,ckf", fitters="kf"), command="compare")
    return 0
