"""The options that `trkx run` and `trkx compare` share."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from trkx.algorithms.job_config import DEVICES, STARTS, TARGETS, JobConfig, make_config
from trkx.algorithms.job_service import BACKENDS

COMPRESSIONS = ("none", "gzip", "deflate")
_NOT_SETTINGS = ("command", "config", "debug")


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`; those not given do not appear in the parsed result."""
    # Lets `--beam-spot -0.1,0.2` and `--events -1:2` (an error of its own) be values.
    parser._negative_number_matcher = re.compile(r"^-\.?\d")
    silent = argparse.SUPPRESS  # an option that is not given must not override --config
    add = parser.add_argument
    add(
        "--input",
        nargs="+",
        metavar="DIR",
        default=silent,
        help="folders written by `trkx simulate`, or files of theirs one by one",
    )
    add("--out", metavar="DIR", default=silent, help="folder for the results")
    add(
        "--pipeline",
        dest="pipelines",
        metavar="FILE|NAME",
        default=silent,
        help="pipeline files (TOML) of your own, or names of shipped ones, separated by commas; "
        "each is a finder, called by its name",
    )
    add(
        "--events",
        metavar="A:B",
        default=silent,
        help="event numbers A up to B-1 (default: all)",
    )
    add("--threads", type=int, metavar="N", default=silent, help="events in flight (default 1)")
    add(
        "--device",
        choices=DEVICES,
        default=silent,
        help="where the networks run (default cpu)",
    )
    add(
        "--target",
        choices=TARGETS,
        default=silent,
        help="lowest pT the finders aim at: pt1 = 1 GeV (default), pt05 = 0.5 GeV",
    )
    add(
        "--weights",
        metavar="DIR",
        default=silent,
        help="maps and networks of your own (from `trkx train`) instead of the shipped ones",
    )
    add(
        "--field",
        metavar="B",
        default=silent,
        help="field of the fits and the CKF: tesla along z (2); solenoid or solenoid:TESLA, as in "
        "the TrackML challenge; or a text file with a field map in r and z",
    )
    add(
        "--geometry",
        metavar="FILE",
        default=silent,
        help="tracking geometry as ACTS JSON (Gen3), to fit on (default: the GenericDetector)",
    )
    add(
        "--start",
        choices=STARTS,
        default=silent,
        help="start parameters of Kalman and global chi-square fits: circle (ACTS' estimate from "
        "space points), helix (a helix fit of the measurements), auto (default: circle where "
        "space points have one measurement each)",
    )
    add(
        "--beam-spot",
        metavar="X,Y",
        default=silent,
        help="where the beam line is, mm (0,0); for the finders on graphs and gnn+ckf",
    )
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with option names as keys; options on the command line win",
    )
    add(
        "--force",
        action="store_true",
        default=silent,
        help="replace results that --out holds already",
    )
    add(
        "--track-states",
        action="store_true",
        default=silent,
        help="also write trackstates_*.root: every state of every track",
    )
    add(
        "--no-report",
        dest="report",
        action="store_false",
        default=silent,
        help="do not write report.html",
    )
    _add_service_options(parser)


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    """Options of track finding by Triton servers."""
    group = parser.add_argument_group(
        "track finding by Triton servers (see `trkx serve`)",
        "The finders gnn, gnn+ckf and pipelines ask servers; nothing else of the job changes.",
    )
    silent = argparse.SUPPRESS
    add = group.add_argument
    add("--backend", choices=BACKENDS, default=silent, help="local (default) or triton")
    add("--url", metavar="URLS", default=silent, help="servers: grpc://host:8001,host2:8001")
    add("--timeout", type=float, metavar="S", default=silent, help="of one attempt (30 s)")
    add("--attempts", type=int, metavar="N", default=silent, help="before falling back (3)")
    add(
        "--fallback",
        metavar="NAMES",
        default=silent,
        help="what to do when a server fails, in this order: endpoint (another of --url), http "
        "(endpoints of the other protocol), server (start one on this machine), in-process; "
        "'' to fail (default endpoint,http,in-process)",
    )
    add("--compression", choices=COMPRESSIONS, default=silent, help="for far servers (none)")
    add(
        "--no-shared-memory",
        dest="shared_memory",
        action="store_false",
        default=silent,
        help="send events to servers on this machine as to others, not by shared memory",
    )
    add("--model-version", metavar="V", default=silent, help="of the servers' model (newest)")
    add(
        "--any-model",
        action="store_true",
        default=silent,
        help="use servers whose model is another than this job's as well",
    )
    add("--tls", metavar="DIR", default=silent, help="encrypt; certificates are in DIR")
    add(
        "--token-file",
        metavar="FILE",
        default=silent,
        help="file with the servers' token (or set TRKX_TOKEN)",
    )


def bound_library_threads() -> None:
    """Let numeric libraries use one thread each, unless the user has said otherwise.

    The events in flight use the cores already, and times are to be those of one core. Must be
    called before the libraries are loaded.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def config_from(args: argparse.Namespace, **defaults: object) -> JobConfig:
    """Build the job's settings from parsed options, the config file and the command's defaults.

    Raises:
        ConfigError: see `trkx.algorithms.job_config.make_config`.
    """
    options = {name: value for name, value in vars(args).items() if name not in _NOT_SETTINGS}
    return make_config(options, args.config, defaults)
