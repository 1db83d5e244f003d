"""`trkx train`: learn the layer map and train the network, from scratch, on simulated events."""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  trkx train --out models                     both targets from scratch: simulates its own events
  trkx train graph --input train --target pt1 --out models/mine
  trkx train gnn   --input train --target pt1 --out models/mine      goes on with that map
  trkx train score --input validation --out models/mine              scores for the model card
  trkx run --input sample --finder gnn --weights models/mine --out tracks

Events with seeds from 900000 on are for tests: never train on them.
"""

STAGES = ("all", "graph", "gnn", "score")
SEED = 1  # of the events that training simulates itself
VALIDATION_SEED, VALIDATION_EVENTS = 600000, 4
PT_MIN = {"pt1": 1.0, "pt05": 0.5}  # GeV


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "train",
        help="learn the layer map and the network from simulated events",
        description="Learn the layer map (graph construction) and train the interaction network. "
        "A model is a folder with map.npz, network.safetensors and card.json.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", nargs="?", default="all", choices=STAGES, help="what to train")
    parser.add_argument("--input", nargs="+", metavar="DIR", help="simulated events with truth")
    parser.add_argument("--out", required=True, metavar="DIR", help="model folder to write")
    parser.add_argument(
        "--target", choices=(*PT_MIN, "both"), default=None, help="pT of the tracks (default: both"
        " for 'all', else pt1)",
    )  # fmt: skip
    parser.add_argument("--events", type=int, default=40, help="events to train on (default 40)")
    parser.add_argument(
        "--map-events", type=int, default=40, help="events the map learns from (default 40)"
    )
    parser.add_argument("--epochs", type=int, default=10, help="passes over the events")
    parser.add_argument("--width", type=int, default=32, help="channels of the network")
    parser.add_argument("--steps", type=int, default=4, help="message-passing steps")
    parser.add_argument("--pileup", type=float, default=200, help="of the simulated events")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Train; returns 0."""
    targets = [args.target or "pt1"]
    if (args.stage == "all" and args.target in (None, "both")) or args.target == "both":
        targets = list(PT_MIN)
    if args.stage == "score":
        _score(Path(args.out), args.input or [_simulate_validation(args)])
        return 0
    n = max(args.events, args.map_events)
    inputs = args.input or [_simulate(args, "events", n, SEED)]
    for target in targets:
        folder = Path(args.out)
        if len(targets) > 1:
            folder = folder / f"generic_{target}"
        _train(args, inputs, target, folder)
        if args.stage == "all" and not args.input:
            _score(folder, [_simulate_validation(args)])
    return 0


def _simulate_validation(args: argparse.Namespace) -> str:
    return _simulate(args, "validation", VALIDATION_EVENTS, VALIDATION_SEED)


def _score(folder: Path, inputs: list[str]) -> None:
    """Find the tracks of validation events, and write how well into the model card."""
    from trkx.algorithms.labelled_events import labelled_events
    from trkx.io.event_files import EventFiles
    from trkx.plugin import load_pipeline
    from trkx.plugin.truth_metrics import TrackCounts
    from trkx.plugin.weights import Model

    model = Model.open(folder)
    files = EventFiles.open(inputs)
    scores: dict[str, Any] = {
        "rule": "double majority; charged, |eta| < 4, at least 7 measurements, above pt_min",
        "events": len(files),
        "input": [_input_provenance(Path(i)) for i in inputs],
    }
    for finder in ("gnn", "classical"):
        pipeline, counts = load_pipeline(finder, weights=folder), TrackCounts()
        for event in labelled_events(files):
            counts.add(event, pipeline(event.space_points), model.card["pt_min"])
        scores[finder] = {k: round(v, 5) for k, v in counts.summary().items()}
        scores[finder]["targets"] = counts.targets
        print(f"{finder}: {scores[finder]}")
    model.update_card(scores=scores)


def _simulate(args: argparse.Namespace, name: str, n: int, seed: int) -> str:
    """Simulate `n` events beside the models, once."""
    from trkx.algorithms.cli.main import main

    folder = Path(args.out) / name
    if not (folder / "measurements.root").exists():
        command = ["simulate", "--events", str(n), "--pileup", str(args.pileup)]
        code = main([*command, "--seed", str(seed), "--out", str(folder)])
        if code != 0:
            raise SystemExit(code)
    return str(folder)


def _provenance(args: argparse.Namespace, inputs: list[str]) -> dict[str, Any]:
    packages = ("trkx", "numpy", "numba", "torch", "pyacts")
    return {
        "versions": {p: version(p) for p in packages} | {"python": platform.python_version()},
        "training_input": [_input_provenance(Path(i)) for i in inputs],
        "training_events": args.events,
        "map_events": args.map_events,
    }


def _input_provenance(path: Path) -> Any:
    from trkx.io.provenance import read_provenance

    try:
        return read_provenance(path / "measurements.root")
    except Exception:  # files of other programs carry none
        return None


def _train(args: argparse.Namespace, inputs: list[str], target: str, folder: Path) -> None:
    """Train one target into one folder."""
    from dataclasses import asdict

    from trkx.algorithms.labelled_events import labelled_events
    from trkx.io.event_files import EventFiles
    from trkx.plugin.errors import need
    from trkx.plugin.weights import Model

    need("numba", "local", "training")
    from trkx.plugin.layer_map_graph import LayerMapGraph
    from trkx.plugin.layer_map_learning import LayerMapConfig

    pt_min = PT_MIN[target]
    files = EventFiles.open(inputs)
    about: dict[str, Any] = {
        "detector": "generic",
        "target": target,
        "pt_min": pt_min,
        **_provenance(args, inputs),
    }
    if args.stage in ("all", "graph"):
        start = time.time()
        config = LayerMapConfig(pt_min=0.95 * pt_min)
        layer_map = _learn_map(files, args.map_events, config, about)
        about["map_config"] = asdict(config)
        about["map_seconds"] = round(time.time() - start, 1)
        model = Model.write(folder, layer_map, None, about)
        print(f"{target}: layer map with {len(layer_map.pair_inner)} layer pairs → {folder}")
        if args.stage == "graph":
            return
    else:
        model = Model.open(folder)
        layer_map = model.layer_map()
        about = {k: v for k, v in model.card.items() if k not in ("sha256", "format")} | about
    need("torch", "local", "training")
    need("lightning", "train", "training")
    import torch

    from trkx.plugin.interaction_network import InteractionNetworkConfig
    from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network

    torch.set_num_threads(args.threads)
    start = time.time()
    training = TrainingConfig(
        epochs=args.epochs, width=args.width, steps=args.steps, pt_min=0.9 * pt_min
    )
    dataset = GraphDataset(
        labelled_events(files, 0, args.events), LayerMapGraph(layer_map), training.pt_min
    )
    first = dataset[0]
    network = InteractionNetworkConfig(
        edge_features=first[0].shape[1],
        triplet_features=first[2].shape[1],
        layer_pairs=len(layer_map.pair_inner),
        width=args.width,
        steps=args.steps,
    )
    trained = train_network(
        dataset,
        network,
        training,
        device=args.device,
        checkpoint_dir=str(folder / "checkpoints"),
        progress=not args.quiet,
    )
    about["training_config"] = asdict(training)
    about["training_seconds"] = round(time.time() - start, 1)
    Model.write(folder, layer_map, trained, about)
    print(f"{target}: network of {sum(p.numel() for p in trained.parameters())} weights → {folder}")


def _learn_map(files: Any, n_events: int, config: Any, about: dict[str, Any]) -> Any:
    """Learn the layers and the map from the first `n_events` events."""
    from trkx.algorithms.detector import buildGenericDetector
    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.module_frames import moduleFrames
    from trkx.plugin.layer_map_learning import learn_layer_map
    from trkx.plugin.layers import learn_layers

    _, tracking_geometry = buildGenericDetector()
    first = list(labelled_events(files, 0, min(n_events, 4)))
    layers = learn_layers(first, moduleFrames(tracking_geometry))
    return learn_layer_map(labelled_events(files, 0, n_events), layers, config, about)
