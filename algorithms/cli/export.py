"""`trkx export`: the networks of a pipeline as TorchScript or ONNX, for ACTS' GNN plugin."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trkx.algorithms.cli.job_options import bound_library_threads
from trkx.algorithms.job_config import TARGETS

FORMATS = ("torchscript", "onnx")

DESCRIPTION = """\
Write every network of a pipeline (embedding, filter, GNNs) as a file that ACTS' C++ GNN plugin
reads: TorchMetricLearning, TorchEdgeClassifier, OnnxEdgeClassifier. Each file is run on a toy event
and must give the network's own scores to 1e-5. README.md says what to write into ACTS'
configuration; export.json says the same for programs; pipeline.toml runs the files in trkx.
"""

EPILOG = """\
examples:
  trkx export --pipeline metric_learning --format torchscript --out exported
  trkx export --pipeline mine.toml --format onnx --out exported
  trkx run --input sample --pipeline exported/pipeline.toml --out check
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "export",
        help="the networks of a pipeline as TorchScript or ONNX, for ACTS' GNN plugin",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--pipeline",
        metavar="NAME|FILE",
        required=True,
        help="a shipped pipeline or a pipeline file of your own",
    )
    add("--format", choices=FORMATS, default="torchscript", help="default torchscript")
    add("--out", type=Path, metavar="DIR", required=True, help="folder for the files")
    add("--target", choices=TARGETS, help="of the pipeline, where it has several")
    add("--force", action="store_true", help="replace an export that --out holds already")


def run(args: argparse.Namespace) -> int:
    """Export the pipeline that `args` names."""
    bound_library_threads()
    from trkx.algorithms.job_output import result_folder
    from trkx.plugin.export_pipeline import FILES, export_pipeline
    from trkx.plugin.pipeline_file import PipelineFile

    file = PipelineFile.read(args.pipeline)
    with result_folder(args.out, args.force, FILES) as folder:
        result = export_pipeline(file, folder, args.format, args.target, final=args.out)
    for network in result.networks:
        print(f"{network.file:<32} differs from the network by {network.difference:.1e}")
        for note in network.notes:
            print(f"  note: {note}")
    for note in result.notes:
        print(f"note: {note}")
    print(f"in {args.out}: export.json, pipeline.toml; README.md is the configuration for ACTS")
    return 0
