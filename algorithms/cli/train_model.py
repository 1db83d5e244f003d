"""`trkx train graph|gnn|all|score`: the layer map and the fast network, a model folder."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from trkx.algorithms.training_input import PT_MIN
from trkx.io.errors import ConfigError, OutputExistsError, TrkxError

SEED = 1  # of the events that training simulates itself
VALIDATION_SEED, VALIDATION_EVENTS = 600000, 4
QUALITY_EVENTS = 14  # the last ones, from which the quality of tracks is learned


def run(args: argparse.Namespace) -> int:
    """Train; returns 0.

    Raises:
        ConfigError: a bad value, or settings other than those an unfinished model began with.
        OutputExistsError: all models asked for are finished.
        TrkxError, TrackFindingError: the input, the output or the device cannot be used.
    """
    _check(args)
    folders = _folders(args)
    if args.stage in ("gnn", "score"):
        from trkx.plugin.weights import Model

        for folder in folders.values():
            Model.open(folder)  # says what is missing before anything is simulated
    if args.stage == "score":
        for folder in folders.values():
            _score(folder, args)
        return 0
    from trkx.algorithms.training_folder import existing_model, is_finished

    finished = [
        target
        for target, folder in folders.items()
        if not args.force and is_finished(existing_model(folder), args.stage)
    ]
    if len(finished) == len(folders):
        raise OutputExistsError(
            f"{args.out} holds a finished model already ({', '.join(finished)}). Pass --force to "
            "train it anew, or another folder."
        )
    for target, folder in folders.items():
        if target in finished:
            print(f"{target}: finished before, in {folder}; --force trains it anew")
            continue
        _train(args, target, folder)
        if args.stage == "all" and not args.input:
            _score(folder, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise unless the values of the options make sense and the device is there."""
    for name in ("events", "map_events", "epochs", "width", "steps", "threads"):
        if getattr(args, name) < 1:
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option} is {getattr(args, name)}; give at least 1")
    if not 0 <= args.pileup <= 1000:
        raise ConfigError(f"--pileup is {args.pileup}; give a mean between 0 and 1000")
    from trkx.algorithms.job import check_device

    check_device(args.device)


def _folders(args: argparse.Namespace) -> dict[str, Path]:
    """Model folder by target."""
    if args.target == "both" or (args.stage == "all" and args.target is None):
        return {target: args.out / f"generic_{target}" for target in PT_MIN}
    target = args.target
    if target is None and args.stage == "gnn":
        from trkx.plugin.weights import Model

        target = Model.open(args.out).card.get("target")
    return {target or "pt1": args.out}


def _score(folder: Path, args: argparse.Namespace) -> None:
    """Find the tracks of validation events, and write how well into the model card."""
    from trkx.algorithms.model_scores import score_model
    from trkx.plugin.weights import Model

    model = Model.open(folder)  # before simulating anything
    inputs = args.input if args.stage == "score" else None
    inputs = inputs or [_simulate(args, "validation", VALIDATION_EVENTS, VALIDATION_SEED)]
    for finder, scores in score_model(model, inputs).items():
        print(f"{finder}: {', '.join(f'{k} {v}' for k, v in scores.items())}")


def _simulate(args: argparse.Namespace, name: str, n: int, seed: int) -> str:
    """Simulate `n` events beside the models, once."""
    from trkx.algorithms.cli.main import main

    folder = args.out / name
    if not (folder / "measurements.root").exists():
        command = ["simulate", "--events", str(n), "--pileup", str(args.pileup)]
        code = main([*command, "--seed", str(seed), "--out", str(folder)])
        if code != 0:
            raise SystemExit(code)
    return str(folder)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("trkx", "numpy", "numba", "torch", "pyacts"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a map needs no torch
            continue
    return found


def _train(args: argparse.Namespace, target: str, folder: Path) -> None:
    """Train one target into one folder."""
    from trkx.algorithms.training_folder import (
        check_same,
        drop_checkpoints,
        existing_model,
        make_folder,
    )
    from trkx.algorithms.training_input import input_provenance, open_training_events
    from trkx.plugin.errors import need
    from trkx.plugin.weights import Model

    need("numba", "local", "training")
    if args.stage != "graph":
        need("torch", "local", "training")
        need("safetensors", "local", "training")
        need("lightning", "train", "training")
    inputs = args.input or [
        _simulate(args, "events", max(args.events, args.map_events), SEED),
    ]
    files = open_training_events(inputs)
    make_folder(folder)
    if args.force:
        drop_checkpoints(folder)
    about: dict[str, Any] = {
        "detector": "generic" if args.geometry is None else args.geometry.stem,
        "target": target,
        "pt_min": PT_MIN[target],
        "versions": _versions(),
        "training_input": input_provenance(inputs),
    }
    model = None if args.force else existing_model(folder)
    if args.stage == "gnn":
        model = Model.open(folder)
        learned_for = model.card.get("target", target)
        if learned_for != target:
            raise ConfigError(
                f"the map in {folder} was learned for target {learned_for!r}, not {target!r}; "
                "leave out --target, or learn another map with `trkx train graph`"
            )
        layer_map = model.layer_map()
    elif model is not None and args.stage == "all":
        # The map of a training that was stopped, which its checkpoints are for.
        _warn_fewer(files, args.map_events, "learns the map from")
        map_events = min(args.map_events, len(files))
        settings = {
            "target": target,
            "map_events": map_events,
            "map_input": about["training_input"],
        }
        check_same(folder, model.card, settings)
        layer_map = model.layer_map()
        print(f"{target}: goes on with the layer map in {folder}")
    else:
        layer_map, model = _learn_map(args, files, folder, about)
    if args.stage == "graph":
        return
    assert model is not None
    card = {k: v for k, v in model.card.items() if k not in ("sha256", "format", "scores")}
    _train_network(args, files, folder, layer_map, card | about)


def _warn_fewer(files: Any, wanted: int, verb: str) -> None:
    if len(files) < wanted:
        print(f"{verb} the {len(files)} events there are, not {wanted}")


def _learn_map(
    args: argparse.Namespace, files: Any, folder: Path, about: dict[str, Any]
) -> tuple[Any, Any]:
    """Learn the layers and the map, write them, and return the map and the model."""
    from dataclasses import asdict

    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.module_frames import framesOf
    from trkx.algorithms.training_folder import drop_checkpoints, write_model
    from trkx.plugin.layer_map_learning import LayerMapConfig, learn_layer_map
    from trkx.plugin.layers import learn_layers

    _warn_fewer(files, args.map_events, "learns the map from")
    n_events = min(args.map_events, len(files))
    start = time.time()
    first = list(labelled_events(files, 0, min(n_events, 4)))
    layers = learn_layers(first, framesOf(first, args.geometry))
    config = LayerMapConfig(pt_min=0.95 * about["pt_min"])
    layer_map = learn_layer_map(labelled_events(files, 0, n_events), layers, config, about)
    drop_checkpoints(folder)  # of a network on another map
    card = about | {
        "map_config": asdict(config),
        "map_events": n_events,
        "map_input": about["training_input"],
        "map_seconds": round(time.time() - start, 1),
    }
    model = write_model(folder, layer_map, None, card)
    pairs = len(layer_map.pair_inner)
    print(f"{about['target']}: layer map with {pairs} layer pairs → {folder}")
    return layer_map, model


def _train_network(
    args: argparse.Namespace, files: Any, folder: Path, layer_map: Any, about: dict[str, Any]
) -> None:
    """Train the network on a map, or go on with that, and write the whole model."""
    from dataclasses import asdict

    import torch

    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.training_folder import (
        CHECKPOINTS,
        check_same,
        checkpoint,
        drop_checkpoints,
        write_model,
    )
    from trkx.plugin.interaction_network_config import InteractionNetworkConfig
    from trkx.plugin.layer_map_graph import LayerMapGraph
    from trkx.plugin.load import graph_config
    from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network

    torch.set_num_threads(args.threads)
    _warn_fewer(files, args.events, "trains on")
    began = time.time()
    training = TrainingConfig(
        epochs=args.epochs, width=args.width, steps=args.steps, pt_min=0.9 * about["pt_min"]
    )
    settings = {
        "training_config": asdict(training),
        "training_events": min(args.events, len(files)),
        "training_input": about["training_input"],
    }
    begun = checkpoint(folder)
    note = folder / CHECKPOINTS / "settings.json"
    if begun is not None:
        check_same(folder, _read_note(note), settings)
        print(f"{about['target']}: goes on from {begun}")
    else:
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps(settings))
    dataset = GraphDataset(
        labelled_events(files, 0, args.events),
        LayerMapGraph(layer_map, graph_config()),
        training.pt_min,
        training.displaced_weight,
    )
    first = dataset[0]
    network = InteractionNetworkConfig(
        edge_features=first[0].shape[1],
        triplet_features=first[2].shape[1],
        layer_pairs=len(layer_map.pair_inner),
        width=args.width,
        steps=args.steps,
    )
    start = _start(args, network, about)
    try:
        trained = train_network(
            dataset,
            network,
            training,
            start=start,
            device=args.device,
            checkpoint_dir=str(folder / CHECKPOINTS),
            progress=not args.quiet and sys.stderr.isatty(),
        )
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, UnpicklingError) as error:
        if begun is None:
            raise
        raise TrkxError(
            f"cannot go on from {begun}: {str(error).splitlines()[0]}. Remove {begun.parent} to "
            "train the network anew."
        ) from error
    about = about | settings | {"training_seconds": round(time.time() - began, 1)}
    write_model(folder, layer_map, trained, about)
    write_model(folder, _with_quality(files, folder, layer_map, about), trained, about)
    drop_checkpoints(folder)
    weights = sum(p.numel() for p in trained.parameters())
    print(f"{about['target']}: network of {weights} weights → {folder}")


def _start(args: argparse.Namespace, network: Any, about: dict[str, Any]) -> Any:
    """The network that the training begins with, noted in the card; None: a random one."""
    if args.start is None:
        return None
    from trkx.plugin.weights import Model

    model = Model.open(args.start)
    known = model.network()
    if known.config != network:
        raise ConfigError(
            f"--start {args.start}: its network has the shape {known.config}, wanted is {network}; "
            "pass its --width and --steps, and a map of as many layer pairs"
        )
    about["started_from"] = model.card["sha256"]["network.safetensors"]
    return known


def _with_quality(files: Any, folder: Path, layer_map: Any, about: dict[str, Any]) -> Any:
    """The map, which tells by their quality the tracks that the model in `folder` finds."""
    from dataclasses import replace

    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.track_quality import learn_quality
    from trkx.plugin import load_pipeline

    events = labelled_events(files, max(len(files) - QUALITY_EVENTS, 0), len(files))
    pipeline = load_pipeline("gnn", weights=folder, target=about["target"])
    quality = learn_quality(events, pipeline, about["pt_min"])
    return replace(layer_map, quality=quality)


def _read_note(path: Path) -> dict[str, Any]:
    """Settings of the training that wrote the checkpoints beside `path`; empty: not known."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
