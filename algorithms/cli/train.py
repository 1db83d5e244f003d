"""`trkx train`: learn maps and train networks, from scratch, on simulated events."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trkx.algorithms.job_config import DEVICES, TARGETS
from trkx.io.errors import ConfigError

EPILOG = """\
models of the default finder:
  trkx train --out models                     both targets from scratch: simulates its own events
  trkx train graph --input train --target pt1 --out models/mine
  trkx train gnn   --input train --target pt1 --out models/mine      goes on with that map
  trkx train score --input validation --out models/mine              scores for the model card
  trkx run --input sample --finder gnn --weights models/mine --out tracks

single stages, as a configuration file says (examples/training has one for each):
  trkx train metric_learning --config metric_learning.toml --out models/mine
  trkx train filter --config filter.toml --out models/mine --set optimisation.epochs=3

What is finished is refused unless --force is given; a training that was stopped is gone on with
by the same command, from its last checkpoint.
Events with seeds from 900000 on are for tests: never train on them.
"""

MODEL_STAGES = ("all", "graph", "gnn", "score")
# As trkx.plugin.training.stages has them; named here because help is to be quick.
CONFIGURED_STAGES = (
    "metric_learning",
    "filter",
    "interaction_gnn",
    "attention_gnn",
    "heterogeneous_gnn",
    "hierarchical",
    "module_map",
)


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "train",
        help="learn the maps and networks of all stages from simulated events",
        description="Learn maps and train networks from simulated events: the models of the "
        "default finder\n(a folder with map.npz, network.safetensors and card.json), or any "
        "single stage.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "stage",
        nargs="?",
        default="all",
        choices=(*MODEL_STAGES, *CONFIGURED_STAGES),
        metavar="STAGE",
        help="of a model: graph: the map; gnn: the network on that map; all (default): both; "
        "score: find the tracks of validation events and note in the card how well. Single stages: "
        + ", ".join(CONFIGURED_STAGES),
    )
    add(
        "--input",
        nargs="+",
        metavar="DIR",
        help="simulated events with truth (default: simulates its own in --out)",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="folder to write to")
    add("--quiet", action="store_true", help="no progress bars")
    add("--force", action="store_true", help="train anew what --out holds already")

    stage = parser.add_argument_group("single stages")
    stage.add_argument("--config", type=Path, metavar="FILE", help="what to train, and how (TOML)")
    stage.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="changes",
        help="change a setting of the file, such as optimisation.epochs=3; may be repeated",
    )

    model = parser.add_argument_group("models of the default finder")
    add = model.add_argument
    add(
        "--target",
        choices=(*TARGETS, "both"),
        help="pT of the tracks (default: both for 'all', that of the map for 'gnn', else pt1); "
        "both: one folder each in --out",
    )
    add("--events", type=int, default=40, metavar="N", help="events to train on (default 40)")
    add(
        "--map-events",
        type=int,
        default=40,
        metavar="N",
        help="events the map learns from (default 40)",
    )
    add(
        "--geometry",
        type=Path,
        metavar="FILE",
        help="of a detector of your own: its tracking geometry as ACTS JSON (Gen3), for cluster "
        "shapes; without it, they are not used there",
    )
    add(
        "--start",
        type=Path,
        metavar="DIR",
        help="begin with the network of that model instead of random weights",
    )
    add("--epochs", type=int, default=10, metavar="N", help="passes over the events (default 10)")
    add("--width", type=int, default=32, metavar="N", help="channels of the network (default 32)")
    add("--steps", type=int, default=4, metavar="N", help="message-passing steps (default 4)")
    add(
        "--pileup",
        type=float,
        default=200,
        metavar="MU",
        help="of the events it simulates (default 200)",
    )
    add("--device", choices=DEVICES, default="cpu", help="where the network trains (default cpu)")
    add("--threads", type=int, default=2, metavar="N", help="threads of torch (default 2)")
    parser.set_defaults(model_defaults={a.dest: a.default for a in model._group_actions})


def run(args: argparse.Namespace) -> int:
    """Train; returns 0.

    Raises:
        ConfigError: a bad value, or settings other than those an unfinished model began with.
        OutputExistsError: all that is asked for is finished.
        TrkxError, TrackFindingError: the input, the output or the device cannot be used.
    """
    if args.stage in MODEL_STAGES:
        if args.config is not None or args.changes:
            raise ConfigError(
                f"--config and --set are for single stages ({', '.join(CONFIGURED_STAGES)}), not "
                f"for '{args.stage}'"
            )
        from trkx.algorithms.cli import train_model

        return train_model.run(args)
    return _train_stage(args)


def _train_stage(args: argparse.Namespace) -> int:
    import sys

    if args.config is None:
        raise ConfigError(
            f"stage '{args.stage}' needs a configuration: give --config FILE; examples/training "
            "has one for each stage"
        )
    for name, default in args.model_defaults.items():
        if getattr(args, name) != default:
            raise ConfigError(
                f"--{name.replace('_', '-')} is not for stage '{args.stage}': give it in --config, "
                "or with --set"
            )
    from trkx.algorithms.stage_training import train_stage
    from trkx.algorithms.training_file import TrainingFile

    file = TrainingFile.read(args.config, args.stage, args.changes, args.input)
    progress = not args.quiet and sys.stderr.isatty()
    train_stage(file, args.out, force=args.force, progress=progress)
    return 0
