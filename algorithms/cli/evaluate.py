"""`trkx evaluate`: what each stage of a pipeline keeps, loses and costs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trkx.algorithms.cli.job_options import bound_library_threads
from trkx.algorithms.job_config import DEVICES, TARGETS

DESCRIPTION = """\
Run a pipeline stage by stage on simulated events and hold each stage against the truth: edge
efficiency and purity (of target particles and of all), numbers of edges, score distributions, ROC
curves and their areas, tracks after each stage (connected components above several cuts, and the
track builder), seconds and peak memory. Written as evaluation.json and, with matplotlib, as plots.
"""

EPILOG = """\
examples:
  trkx evaluate --pipeline fast --input sample --out evaluation
  trkx evaluate --pipeline mine.toml --input sample --events 0:5 --out evaluation
  trkx evaluate --pipeline fast --target pt05 --cuts 0.2,0.5,0.8 --input sample --out evaluation

The results, in --out: evaluation.json (with the definition of every figure), edges.png,
scores.png, roc.png, tracks.png, resources.png.
"""

RESULTS = ("evaluation.json", "edges.png", "scores.png", "roc.png", "tracks.png", "resources.png")


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="what each stage of a pipeline keeps, loses and costs",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--pipeline",
        metavar="NAME|FILE",
        default="fast",
        help="a shipped pipeline or a pipeline file of your own (default fast)",
    )
    add("--input", nargs="+", metavar="DIR", required=True, help="folders of `trkx simulate`")
    add("--out", type=Path, metavar="DIR", required=True, help="folder for the results")
    add("--events", metavar="A:B", default=":", help="event numbers A up to B-1 (default: all)")
    add(
        "--target",
        choices=TARGETS,
        help="target particles: pt1 = 1 GeV, pt05 = 0.5 GeV (default: what the pipeline is for)",
    )
    add("--device", choices=DEVICES, default="cpu", help="where the networks run (default cpu)")
    add("--threads", type=int, metavar="N", default=1, help="threads of the networks (default 1)")
    add("--weights", metavar="DIR", help="a model of `trkx train` instead of the shipped one")
    add(
        "--cuts",
        metavar="A,B,…",
        help="edge scores (0 to 1) above which connected components are counted as tracks "
        "(default 0.1,0.3,0.5,0.7,0.9,0.97)",
    )
    add("--beam-spot", metavar="X,Y", default="0,0", help="where the beam line is, mm (0,0)")
    add("--force", action="store_true", help="replace results that --out holds already")
    add("--no-plots", dest="plots", action="store_false", help="write evaluation.json only")


def run(args: argparse.Namespace) -> int:
    """Evaluate the pipeline that `args` names."""
    bound_library_threads()
    import json

    from tqdm import tqdm

    from trkx.algorithms.evaluation import evaluate_pipeline
    from trkx.algorithms.evaluation_table import format_evaluation
    from trkx.algorithms.job import check_device
    from trkx.algorithms.job_config import parse_beam_spot
    from trkx.algorithms.job_output import result_folder
    from trkx.algorithms.labelled_events import labelled_event
    from trkx.algorithms.training_input import input_provenance
    from trkx.plugin.pipeline_file import PipelineFile

    file = PipelineFile.read(args.pipeline)
    cuts = parse_cuts(args.cuts)
    beam_spot = parse_beam_spot(args.beam_spot)
    check_device(args.device)
    files, numbers = open_events(args.input, args.events)
    with files, result_folder(args.out, args.force, RESULTS) as folder:
        bar = tqdm(total=len(numbers), unit="event", desc=file.name, disable=None)
        document = evaluate_pipeline(
            file,
            ((number, labelled_event(files.read(number, truth=True))) for number in numbers),
            target=args.target,
            device=args.device,
            threads=args.threads,
            weights=args.weights,
            cuts=cuts,
            beam_spot=beam_spot,
            progress=bar.update,
        )
        bar.close()
        document["input"] = [
            {"path": path, "provenance": made}
            for path, made in zip(args.input, input_provenance(args.input), strict=True)
        ]
        (folder / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")
        if args.plots:
            _write_plots(folder, document)
    print(format_evaluation(document), end="")
    names = ", ".join(name for name in RESULTS if (args.out / name).exists())
    print(f"in {args.out}: {names}")
    return 0


def open_events(inputs: list[str], events: str) -> tuple[Any, list[int]]:
    """Open files with truth; returns them and the event numbers asked for.

    Raises:
        InputError: there is no truth.
        ConfigError: no range of events.
        EventRangeError: events that are not there.
    """
    from trkx.algorithms.event_inputs import open_inputs as open_files
    from trkx.algorithms.job import event_range
    from trkx.algorithms.job_config import parse_event_range
    from trkx.io.errors import InputError

    wanted = parse_event_range(events)
    files = open_files(inputs, wanted)
    if not (files.has_truth and files.has_measurements):
        raise InputError(
            f"an evaluation needs truth, which {', '.join(inputs)} does not have; add "
            "measurements.root and particles.root of the same events"
        )
    first, stop = event_range(files, wanted)
    return files, [number for number in files.numbers if first <= number < stop]


def parse_cuts(text: str | None) -> tuple[float, ...]:
    """Read `A,B,…` into ascending cuts on the edge score; None: the default ones.

    Raises:
        ConfigError: something that is no number from 0 to below 1.
    """
    from trkx.algorithms.evaluation import CUTS
    from trkx.io.errors import ConfigError

    if text is None:
        return CUTS
    try:
        cuts = sorted({float(part) for part in text.split(",")})
    except ValueError:
        cuts = []
    if not cuts or not all(0 <= cut < 1 for cut in cuts):
        raise ConfigError(
            f"cuts: {text!r} are no cuts on the edge score; write numbers from 0 to below 1, such "
            "as 0.5,0.9"
        )
    return tuple(cuts)


def _write_plots(folder: Path, document: dict[str, Any]) -> None:
    # Without matplotlib there are the figures as numbers.
    from trkx.io.errors import MissingExtraError

    try:
        from trkx.algorithms.report.evaluation_plots import write_evaluation_figures

        write_evaluation_figures(folder, document)
    except (MissingExtraError, ModuleNotFoundError) as error:
        print(f"no plots: {error}")
