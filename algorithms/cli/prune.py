"""`trkx prune`: make a trained interaction GNN smaller and faster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trkx.algorithms.cli.job_options import bound_library_threads

DESCRIPTION = """\
Remove the least useful channels of a trained interaction GNN, in steps: rows and columns of its
matrices really go, and after every step it is trained a little further. Written are the weights
after every step, and pruning.json and pruning.png with speed, edge AUC and track efficiency
against what was removed.
"""

EPILOG = """\
example:
  trkx train interaction_gnn --config interaction_gnn.toml --out models
  trkx prune models/interaction_gnn --config interaction_gnn.toml --validation val --out pruned

The configuration is the one of the training. A run that was stopped goes on with the same command.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "prune",
        help="make a trained interaction GNN smaller and faster",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("weights", type=Path, metavar="WEIGHTS", help="file of the trained network")
    add("--config", type=Path, required=True, metavar="FILE", help="of its training (TOML)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    add("--input", nargs="+", metavar="DIR", help="events to train on (default: of the file)")
    add(
        "--validation",
        nargs="+",
        metavar="DIR",
        help="events to measure on (default: [validation] of the file)",
    )
    add(
        "--fractions",
        default="0.3,0.5,0.65,0.75",
        metavar="A,B,…",
        help="shares of the cost (multiplications and memory traffic) removed after each step "
        "(default 0.3,0.5,0.65,0.75)",
    )
    add(
        "--by",
        choices=("taylor", "magnitude"),
        default="taylor",
        help="what tells useful channels: weights times gradients (taylor, default), or weights",
    )
    add("--epochs", type=int, default=1, metavar="N", help="of training after each step (1)")
    add("--learning-rate", type=float, default=1e-3, metavar="X", help="of it (default 0.001)")
    add(
        "--teacher",
        type=float,
        default=0.5,
        metavar="X",
        help="share of the unpruned network's scores in the labels of it (default 0.5)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="changes",
        help="change a setting of the file, such as events=50; may be repeated",
    )
    add("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Prune the network that `args` names.

    Raises:
        ConfigError: a bad setting.
        TrkxError, TrackFindingError: the input or the output cannot be used.
    """
    bound_library_threads()
    import json

    from trkx.algorithms.pruning_study import PruningConfig, prune_and_measure
    from trkx.algorithms.training_file import TrainingFile
    from trkx.io.errors import ConfigError

    try:
        fractions = tuple(float(part) for part in args.fractions.split(","))
    except ValueError:
        raise ConfigError(f"fractions: {args.fractions!r}; write numbers, as 0.3,0.5") from None
    config = PruningConfig(fractions, args.by, args.epochs, args.learning_rate, args.teacher)
    changes = list(args.changes)
    if args.validation:
        changes.append(f"validation.input={json.dumps(args.validation)}")
    file = TrainingFile.read(args.config, "interaction_gnn", changes, args.input)
    args.out.mkdir(parents=True, exist_ok=True)
    result = prune_and_measure(file, args.weights, args.out, config, progress=not args.quiet)
    (args.out / "pruning.json").write_text(json.dumps(result, indent=1) + "\n")
    try:
        from trkx.algorithms.report.pruning_plot import write_pruning_figure

        write_pruning_figure(args.out / "pruning.png", [result])
    except ModuleNotFoundError as error:
        print(f"no figure: {error}")
    print(f"in {args.out}: weights, pruning.json")
    return 0
