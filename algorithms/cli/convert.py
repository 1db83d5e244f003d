"""`trkx convert`: events from one format to another."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from trkx.io.errors import ConfigError

DESCRIPTION = """\
Convert events of the TrackML challenge to ROOT files, or back. Nothing is lost: a round trip
brings back every column of every file, value by value.

to ROOT (--to root): OUT is a folder with
  spacepoints.root, measurements.root, particles.root   as `trkx simulate` writes them, on the
                     modules of ACTS' GenericDetector; clusters are made of the cells
  trackml.root       all that the challenge's files hold, which --to trackml reads
to TrackML (--to trackml): OUT is a folder with event000000000-hits.csv, -cells.csv,
  -particles.csv and -truth.csv of each event, or a zip archive of them (OUT ends in .zip)

to Athena (--to athena): OUT is a ROOT file with the tree GNN4ITk, of a sample of `trkx simulate`;
  examples/athena_true_types.py makes one of ROOT's own types of it (docs/itk.md)

IN is a folder or zip archive of the challenge's files (.csv or .csv.gz), such files one by one, a
folder that this command wrote, or a sample of `trkx simulate`, which becomes TrackML files without
cells. Cells, particles and truth may be missing.
"""

EPILOG = """\
examples:
  trkx convert train_sample.zip sample                    ROOT files of all events
  trkx convert train_1 sample --events 1000:1010          of ten of them
  trkx convert sample back.zip                            and back
  trkx convert sample back --gzip
  trkx convert sample Dump_GNN4Itk.root --to athena       simulated events as an Athena dump

`trkx run --input` takes the challenge's files as they are (docs/trackml.md).
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "convert",
        help="events from one format to another",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", type=Path, metavar="IN", nargs="+", help="what to convert")
    add("out", type=Path, metavar="OUT", help="folder, or for TrackML a zip archive")
    add(
        "--to",
        choices=("root", "trackml", "athena"),
        help="format to write (default: trackml for folders that this command wrote and for OUT "
        "that ends in .zip, else root)",
    )
    add("--events", metavar="A:B", default=":", help="event numbers A up to B-1 (default: all)")
    add("--gzip", action="store_true", help="write .csv.gz in place of .csv")
    add("--force", action="store_true", help="replace results that OUT holds already")


def run(args: argparse.Namespace) -> int:
    """Convert what `args` name."""
    if args.to == "athena":
        return _to_athena(args)
    from tqdm import tqdm

    from trkx.algorithms.job_config import parse_event_range
    from trkx.algorithms.trackml_convert import (
        choose_events,
        root_from_trackml,
        trackml_from_root,
    )
    from trkx.io.provenance import make_provenance
    from trkx.io.trackml_files import TrackMLFiles, is_trackml

    files: Any = _simulated(args.input) or TrackMLFiles.open(args.input)
    numbers = choose_events(files, parse_event_range(args.events))
    archive = args.out.suffix == ".zip"
    to = args.to
    if to is None:
        to = "trackml" if archive or not all(map(is_trackml, args.input)) else "root"
    if to == "root" and not isinstance(files, TrackMLFiles):
        raise ConfigError(f"{files.label} holds ROOT files already; choose --to trackml or athena")
    if to == "root" and (archive or args.gzip):
        raise ConfigError(
            "--to root writes ROOT files into a folder; a zip archive and --gzip go with "
            "--to trackml"
        )
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(total=len(numbers), unit="event", desc="convert", disable=None) as bar:
        if to == "trackml":
            trackml_from_root(files, numbers, args.out, args.gzip, args.force, bar.update)
        else:
            provenance = make_provenance(
                shlex.join(["trkx", *sys.argv[1:]]),
                {"input": [path.name for path in args.input], "events": len(numbers)},
                seed=-1,
                source="TrackML challenge",
            )
            root_from_trackml(files, numbers, args.out, provenance, args.force, bar.update)
    print(f"{len(numbers)} events -> {args.out}")
    return 0


def _simulated(inputs: list[Path]) -> Any:
    """Samples of trkx that were not made of TrackML events; None: TrackML events."""
    from trkx.algorithms.trackml_export import ExportedEvents
    from trkx.io.event_files import EventFiles
    from trkx.io.input_files import KINDS
    from trkx.io.trackml_files import ROOT_FILE

    for path in inputs:
        names = {item.name for item in path.iterdir()} if path.is_dir() else set()
        if ROOT_FILE in names or not names & {f"{kind}.root" for kind in KINDS}:
            return None
    return ExportedEvents(EventFiles.open(inputs), ", ".join(map(str, inputs)))


def _to_athena(args: argparse.Namespace) -> int:
    """Write a dump of the events that `args` name."""
    from tqdm import tqdm

    from trkx.algorithms.athena_convert import athena_provenance, write_athena
    from trkx.algorithms.job import event_range
    from trkx.algorithms.job_config import parse_event_range
    from trkx.io.event_sources import open_events

    if args.gzip:
        raise ConfigError("--gzip goes with --to trackml; ROOT files are compressed as they are")
    inputs = [str(path) for path in args.input]
    with open_events(inputs) as files:
        first, stop = event_range(files, parse_event_range(args.events))
        numbers = [number for number in files.numbers if first <= number < stop]
        made = athena_provenance(inputs, shlex.join(["trkx", *sys.argv[1:]]))
        with tqdm(total=len(numbers), unit="event", desc="convert", disable=None) as bar:
            write_athena(files, numbers, args.out, made, args.force, bar.update)
    print(f"{len(numbers)} events -> {args.out}")
    return 0
