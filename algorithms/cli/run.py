"""`trkx run`: find and fit tracks with one finder."""

from __future__ import annotations

import argparse
from typing import Any

from trkx.algorithms.cli.job_options import add_job_options, bound_library_threads, config_from
from trkx.algorithms.job_config import FINDERS, FITTERS

DESCRIPTION = """\
Find tracks in every event of the input, fit them, write them and say how good they are.

finders:
  gnn           graph, edge network, track building (the point of this project)
  classical     the same graph without a network
  ckf           ACTS' combinatorial Kalman filter, tuned; also ckf-best (the same),
                ckf-balanced and ckf-fast
  gnn+ckf       GNN tracks as seeds of the CKF, which completes them
  truth         the true hits of each particle: what a perfect finder would hand to the fit
  fast, …       any shipped pipeline by its name (gnn is fast); `trkx stages` lists them
fitters:
  kf            ACTS' Kalman fit
  gx2f          ACTS' global chi-square fit
  helix         helices with scattering, thousands at once; needs no tracking geometry
  none          no fit: proto tracks only (CKF tracks keep the CKF's own fit)
CKF finders fit while they find; --fitter then adds a refit of their tracks.
"""

EPILOG = """\
examples:
  trkx run --input sample --finder gnn --fitter kf --out tracks
  trkx run --input sample --finder ckf-fast --events 0:10 --threads 2 --out ckf
  trkx run --input sample --finder gnn --fitter none --labels labels --out proto
  trkx run --input sample --pipeline mine.toml --out mine
  trkx run --input sample --pipeline mine.toml --dump-graphs graphs --out mine
  trkx run --config job.toml --out again

a pipeline file (`trkx stages` lists the stages; what else a table holds are their settings):
  name = "mine"
  [graph_construction]
  stage = "layer_map"
  [[edge_classification]]
  stage = "fast"
  [track_building]
  stage = "viterbi"
  min_hits = 4

a config file:
  input = "sample"
  finder = "gnn"
  fitter = "gx2f"
  events = "0:10"

The results, in --out: tracksummary_*.root, performance_*.root, performance.json,
report.html, timing.csv, job.json (docs/outputs.md explains each).
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "run",
        help="find and fit tracks with one finder",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    silent = argparse.SUPPRESS
    parser.add_argument(
        "--finder",
        dest="finders",
        metavar="NAME",
        default=silent,
        help=", ".join(FINDERS) + ", or a shipped pipeline (default gnn, unless there is a "
        "--pipeline)",
    )
    parser.add_argument(
        "--fitter",
        dest="fitters",
        metavar="NAME",
        default=silent,
        help=", ".join(FITTERS) + " (default kf; for CKF finders none)",
    )
    parser.add_argument(
        "--labels",
        metavar="DIR",
        default=silent,
        help="also write labels, one integer per measurement in input order (-1: on no track), "
        "event by event as .npy",
    )
    parser.add_argument(
        "--submission",
        metavar="FILE",
        default=silent,
        help="also write the tracks as a submission of the TrackML challenge (event_id, hit_id, "
        "track_id; .csv or .csv.gz), which `trkx score` takes",
    )
    parser.add_argument(
        "--dump-graphs",
        metavar="DIR",
        default=silent,
        help="also write the graph after every stage, as CSV files of ACTS' CsvGnnGraphWriter: "
        "event000000000-graph_construction.csv, …",
    )
    add_job_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the job that `args` asks for."""
    bound_library_threads()
    from trkx.algorithms.job import runJob

    runJob(config_from(args, finders="gnn"), command="run")
    return 0
