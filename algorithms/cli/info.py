"""`trkx info`: say what a ROOT file or a folder of them holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Say what ROOT files hold: events, hits per event, columns with types and units, the share of noise,
and where the files come from (versions, seed, settings, command). Works for the files of
`trkx simulate` and `trkx run`, and for those of ACTS' own writers.
"""

EPILOG = """\
examples:
  trkx info sample                       all files of a folder
  trkx info sample/measurements.root     one file
  trkx info sample --columns             every column with its type and unit
  trkx info sample --json                for programs
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "info",
        help="say what a file holds",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|DIR")
    parser.add_argument(
        "--columns", action="store_true", help="list the columns of folders too, not of files only"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what `args.paths` hold."""
    from trkx.io.summary import find_root_files, summarize_file

    summaries = []
    for path in args.paths:
        columns = args.columns or not path.is_dir()
        summaries += [(summarize_file(found), columns) for found in find_root_files(path)]
    if args.json:
        print(json.dumps([_as_json(summary) for summary, _ in summaries], indent=2))
        return 0
    shown: dict[str, Any] | None = None
    for summary, columns in summaries:
        print(f"{summary.path}  ({summary.size / 1e6:.1f} MB)")
        for tree in summary.trees:
            _print_tree(tree, columns)
        for name, kind in summary.others:
            print(f"  {kind} {name}")
        record = summary.provenance
        if record is None:
            print("  provenance: none stored")
        elif shown is not None and _common(record) == _common(shown):
            print("  provenance: as above")
        else:
            _print_provenance(record)
            shown = record
    return 0


def _common(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "units"}


def _print_tree(tree: Any, columns: bool) -> None:
    line = f"  tree {tree.name}: {tree.entries} entries"
    if tree.events is not None and len(tree.events):
        first, last = tree.events[0], tree.events[-1]
        line += f", {len(tree.events)} events ({first} to {last})"
    print(line)
    if tree.rows is not None and len(tree.rows):
        rows = tree.rows
        print(f"    per event: min {rows.min()}, mean {rows.mean():.1f}, max {rows.max()}")
    if tree.noise_share is not None:
        print(f"    noise (no particle): {100 * tree.noise_share:.2f}%")
    if columns:
        width = max(len(name) for name, _, _ in tree.columns)
        for name, kind, unit in tree.columns:
            print(f"    {name:<{width}}  {kind:<12} {unit}".rstrip())


def _print_provenance(record: dict[str, Any]) -> None:
    print("  provenance:")
    for key, value in record.items():
        if key == "units":
            continue
        if isinstance(value, dict):
            value = ", ".join(
                f"{name} {_flat(item)}" for name, item in value.items() if item is not None
            )
        print(f"    {key}: {value}")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {item}" for name, item in value.items()) + ")"
    return str(value)


def _as_json(summary: Any) -> dict[str, Any]:
    return {
        "path": str(summary.path),
        "bytes": summary.size,
        "trees": {
            tree.name: {
                "entries": tree.entries,
                "events": None if tree.events is None else tree.events.tolist(),
                "rows_per_event": None if tree.rows is None else tree.rows.tolist(),
                "noise_share": tree.noise_share,
                "columns": {
                    name: {"type": kind, "unit": unit} for name, kind, unit in tree.columns
                },
            }
            for tree in summary.trees
        },
        "others": dict(summary.others),
        "provenance": summary.provenance,
    }
