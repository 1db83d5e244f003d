"""Pruning of a trained interaction GNN, step by step: speed, edges and tracks against size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.evaluation_edges import EdgeCounts, EventTruth
from trkx.algorithms.evaluation_scores import ScoreSpectrum
from trkx.algorithms.stage_training import make_request, make_stage
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_events import open_events
from trkx.algorithms.training_file import TrainingFile
from trkx.io.errors import ConfigError
from trkx.plugin.errors import need

__all__ = ["SALIENCIES", "PruningConfig", "prune_and_measure"]

SALIENCIES = ("taylor", "magnitude")
_OWN_KEYS = ("format", "stage", "network", "sha256")  # of a card, not taken from the first one


MULTIPLE = 16  # channels; vector instructions take sixteen numbers at a time


@dataclass(frozen=True)
class PruningConfig:
    """How a network is pruned."""

    fractions: tuple[float, ...] = (0.3, 0.5, 0.65, 0.75)  # of the cost removed since the
    #   start; one step each
    by: str = "taylor"  # saliency, one of SALIENCIES
    epochs: int = 1  # of training after every step
    learning_rate: float = 1e-3  # at the beginning of each, falls to 0
    teacher: float = 0.5  # share of the unpruned network's scores in the labels of this training
    examples: int = 16  # graphs from which 'taylor' takes gradients

    def __post_init__(self) -> None:
        if self.by not in SALIENCIES:
            raise ConfigError(f"saliency is '{self.by}'; choose one of {', '.join(SALIENCIES)}")
        steps = (0.0, *self.fractions, 1.0)
        if any(a >= b for a, b in pairwise(steps)) or not self.fractions:
            raise ConfigError(
                f"fractions are {', '.join(map(str, self.fractions))}; give ascending numbers "
                "between 0 and 1"
            )
        if self.epochs < 1 or self.examples < 1 or not 0 <= self.teacher <= 1:
            raise ConfigError("epochs and examples must be at least 1, teacher from 0 to 1")


def prune_and_measure(
    file: TrainingFile,
    weights: Path,
    folder: Path,
    config: PruningConfig,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Prune, train a little, measure; again and again. A killed run goes on where it was.

    Args:
        file: the configuration that the network was trained with; its events are trained on,
            those of its [validation] are measured on.
        weights: of the trained network; the stages before it look for theirs in its folder.
        folder: for the weights after every step, 'pruned_30.safetensors' and so on.
        config: how.
        progress: show progress bars.
        say: takes a line for people.

    Returns:
        settings and a row per network: fraction removed, weights, cost, CPU seconds
        per event against those of the unpruned network in the same run, AUC, track figures.

    Raises:
        ConfigError: no interaction GNN, no [validation] or no track builder to measure with.
        TrkxError, TrackFindingError: files or devices that cannot be used.
    """
    need("lightning", "train", "pruning")
    from trkx.plugin.edge_network import make_network
    from trkx.plugin.pruning import cost, magnitude, prune, taylor
    from trkx.plugin.stage_weights import StageWeights
    from trkx.plugin.training import edge_stages
    from trkx.plugin.training.distillation import Distillation
    from trkx.plugin.training.fit import fit

    if file.stage != "interaction_gnn":
        raise ConfigError(f"networks of stage '{file.stage}' cannot be pruned")
    if file.validation is None or not file.after:
        raise ConfigError("pruning needs [validation] and [after.track_building] to measure with")
    opened = StageWeights.open(weights, file.stage)
    network: Any = opened.load_into(make_network(file.stage, opened.card["network"]))
    request = replace(make_request(file, weights.parent), work=folder / "work")
    request = replace(request, network=opened.card["network"])
    assert file.events is not None
    training, data = edge_stages.build(
        request, open_events(file.events, request.work / "events", file.fit.threads or 2)
    )
    card = training.card
    examples = data.at_epoch(0)
    ratio = float(np.mean([len(e.label) / max(len(e.x), 1) for e in _some(examples, 4)]))
    bench = _Bench(file, request)
    first, whole = network, cost(network.config, ratio)
    rows: list[dict[str, Any]] = []

    def note(removed: float, pruned: Any) -> None:
        row = {
            "fraction": removed,
            "cost": cost(pruned.config, ratio) / whole,
            "weights": sum(p.numel() for p in pruned.parameters()),
            "width": pruned.config.width,
            "edge_width": pruned.config.edge_width,
            "hidden": list(pruned.config.mlp_widths()),
            **bench.measure(pruned, first),
        }
        rows.append(row)
        say(
            f"{removed:4.0%} removed: {row['weights']} weights, {row['speedup']:.2f} times as "
            f"fast, edge AUC {row['auc']:.5f}, efficiency {row['efficiency']:.4f}, fakes "
            f"{row['fakes']:.4f}"
        )

    note(0.0, first)
    for number, fraction in enumerate(config.fractions):
        saliency = (
            magnitude(network)
            if config.by == "magnitude"
            else taylor(network, _some(examples, config.examples), _loss)
        )
        now = cost(network.config, ratio) / whole
        step = max(1 - (1 - fraction) / now, 0.0)
        network = prune(network, saliency, step, ratio, multiple=MULTIPLE)
        settings = replace(
            file.fit,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            schedule="cosine",
            max_minutes=0.0,
            seed=file.fit.seed + 1 + number,
        )
        tuned = fit(
            Distillation(network, settings, first, config.teacher),
            data,
            settings,
            request.work / f"step-{number + 1}",
            progress=progress,
            name=f"{fraction:.0%} pruned",
        )
        network = tuned.network
        note(fraction, network)
        about = {
            **{k: v for k, v in opened.card.items() if k not in _OWN_KEYS},
            **card,
            "pruning": {"by": config.by, **rows[-1]},
        }
        StageWeights.write(
            folder / f"pruned_{100 * fraction:.0f}",
            file.stage,
            network,
            network.config.to_dict(),
            about,
        )
    return {
        "schema": "trkx-pruning",
        "by": config.by,
        "epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "teacher": config.teacher,
        "validation_events": bench.n_events,
        "edges": bench.n_edges,
        "rows": rows,
    }


def _some(examples: Any, count: int) -> list[Any]:
    return [examples[row] for row in range(min(count, len(examples)))]


def _loss(network: Any, example: Any) -> Any:
    from trkx.plugin.training.edge_training import edge_loss

    attributes = example.edge_attr if example.edge_attr.shape[1] else None
    logits = network(example.x, example.edge_index.long(), attributes)
    return edge_loss(logits, example.label, example.weight) / example.weight.sum()


class _Bench:
    """Validation events with their graphs, on which all networks are measured."""

    def __init__(self, file: TrainingFile, request: Any) -> None:
        assert file.validation is not None
        from trkx.plugin.training import edge_stages

        self.request, self.as_stage = request, edge_stages.as_stage
        *self.classifiers, self.builder = [make_stage(s, request.context) for s in file.after]
        events = open_events(file.validation, request.work / "validation", file.fit.threads or 2)
        self.events = [(event, request.graph(event.space_points)) for event in events]
        self.truth = [EventTruth.of(event, request.pt_min) for event, _ in self.events]
        self.n_events = len(self.events)
        self.n_edges = sum(graph.n_edges for _, graph in self.events) / self.n_events

    def measure(self, network: Any, first: Any) -> dict[str, Any]:
        """Figures of a network; times beside those of the first one, taken in turns."""
        stage, reference = (self.as_stage(n, self.request) for n in (network, first))
        counts, spectrum = TrackCounts(), ScoreSpectrum()
        for (event, graph), truth in zip(self.events, self.truth, strict=True):
            spectrum.add(stage.scores(graph), EdgeCounts().add(truth, graph))
            graph = stage(graph)
            for classify in self.classifiers:
                graph = classify(graph)
            counts.add(event, self.builder(graph), self.request.pt_min)
        inputs = [stage.inputs(graph) for _, graph in self.events]
        times = np.array(
            [[_seconds(s.network, inputs) for s in (stage, reference)] for _ in range(3)]
        )
        own, other = times.min(axis=0) / self.n_events
        return {
            "cpu_seconds": float(own),
            "speedup": float(other / own),
            "auc": spectrum.auc("all"),
            "auc_target": spectrum.auc("target"),
            **{k: v for k, v in counts.summary().items() if k != "displaced"},
            "targets": counts.targets,
            "found": counts.found,
        }


def _seconds(network: Any, inputs: Sequence[Any]) -> float:
    from trkx.plugin.substepping import score_edges

    start = time.process_time()
    for x, index, attr in inputs:
        score_edges(network, x, index, attr)
    return time.process_time() - start
