"""`trkx stages`: the stages that pipelines are made of, and the pipelines that are shipped."""

from __future__ import annotations

import argparse
import json
from typing import Any

DESCRIPTION = """\
List what pipelines are made of: graph constructors, edge classifiers and track builders, with the
package that each comes from and the extra that it needs. Other packages add stages of their own
with entry points (examples/own_stage is a worked one). Then list the shipped pipelines, which are
finders of `trkx run` and `trkx compare`.
"""

EPILOG = """\
examples:
  trkx stages                            all of them
  trkx stages --pipeline fast            the file of a shipped pipeline, to start your own from
  trkx stages --pipeline fast > my.toml
  trkx stages --json                     for programs
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "stages",
        help="list stages and shipped pipelines",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--pipeline", metavar="NAME|FILE", help="check a pipeline file and print it"
    )


def run(args: argparse.Namespace) -> int:
    """Print stages and pipelines."""
    if args.pipeline is not None:
        from trkx.plugin.pipeline_file import PipelineFile

        print(PipelineFile.read(args.pipeline).path.read_text(encoding="utf-8"), end="")
        return 0
    listing = stage_listing()
    if args.json:
        print(json.dumps(listing, indent=2))
        return 0
    for kind, entries in listing["stages"].items():
        print(kind.replace("_", " "))
        for entry in entries:
            extra = f", needs trkx[{entry['extra']}]" if entry["extra"] else ""
            print(f"  {entry['name']:<28} {entry['summary']} ({entry['from']}{extra})")
    print("pipelines")
    for pipeline in listing["pipelines"]:
        print(f"  {pipeline['name']:<28} {pipeline['description']} ({pipeline['target']})")
        print(f"  {'':<28} {' → '.join(pipeline['stages'])}")
    return 0


def stage_listing() -> dict[str, Any]:
    """Stages by kind and shipped pipelines, as plain values."""
    from trkx.plugin.pipeline_file import PipelineFile, shipped_pipelines
    from trkx.plugin.registry import KINDS, stage_entries

    files = [PipelineFile.read(name) for name in shipped_pipelines()]
    return {
        "stages": {
            kind: [
                {
                    "name": entry.name,
                    "summary": entry.summary(),
                    "from": entry.origin,
                    "class": entry.target,
                    "extra": entry.extra,
                }
                for entry in stage_entries(kind)
            ]
            for kind in KINDS
        },
        "pipelines": [
            {
                "name": file.name,
                "description": file.description,
                "target": ", ".join(file.targets),
                "stages": [table.stage for table in file.stages],
            }
            for file in files
        ],
    }
