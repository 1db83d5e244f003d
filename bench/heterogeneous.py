"""Heterogeneous against homogeneous networks on the same graphs, where strips have two clusters.

    trkx simulate --events 120 --pileup 60 --seed 110001 --strips stereo --out train
    trkx simulate --events 8 --pileup 60 --seed 610001 --strips stereo --out validation
    python bench/heterogeneous.py --train train --validation validation --work comparison

The graph is that of a layer map learned from the same events: every doublet that is on a triplet.
All networks but one have the same width, all have the same steps and training, six edge features,
and weights of their own in every step. What they read of a node is

    hom4     the space point: r, phi, z, eta
    hom12    these of the space point and of both clusters; a pixel has its own ones three times
    het      the same twelve, by a heterogeneous network
    het-pad  the same, zeros for the second cluster of a pixel
    wide12   hom12, so much wider that it has as many weights as het, and takes twice its time

Edges: true ones are of target particles; those of softer particles are left out ("masked"). Purity
is given at the score that keeps 99% of the true edges of that kind. Strip edges join two strips.
A network that is trained, or half trained, in --work is gone on with.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from trkx.algorithms.detector import buildGenericDetector
from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.module_frames import moduleFrames
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_input import open_training_events
from trkx.plugin.edge_features import EDGE_FEATURES, edge_features
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.edge_network import make_network
from trkx.plugin.graph import Graph
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layer_map_graph import LayerMapGraph, LayerMapGraphConfig
from trkx.plugin.layer_map_learning import LayerMapConfig, learn_layer_map
from trkx.plugin.layers import learn_layers
from trkx.plugin.node_features import GNN4ITK_FEATURES, GNN4ITK_SCALES
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.training.checkpoints import Progress
from trkx.plugin.training.edge_training import EdgeTraining, GraphExample, join_graphs, n_edges
from trkx.plugin.training.examples import MemoryExamples
from trkx.plugin.training.fit import fit
from trkx.plugin.training.settings import FitSettings
from trkx.plugin.walkthrough import Walkthrough

FEATURES, SCALES = (*GNN4ITK_FEATURES, "is_strip"), (*GNN4ITK_SCALES, 1.0)
PT_MIN = 1.0  # GeV
KEEP = 0.99
# Name: stage, columns of FEATURES, width in units of --width, further shape.
NETWORKS = {
    "hom4": ("interaction_gnn", 4, 1.0, {"recurrent": False}),
    "het": ("heterogeneous_gnn", 13, 1.0, {"together": 0.5}),
    "hom12": ("interaction_gnn", 12, 1.0, {"recurrent": False}),
    "het-pad": ("heterogeneous_gnn", 13, 1.0, {"together": 0.5, "padded": 4}),
    "wide12": ("interaction_gnn", 12, 1.77, {"recurrent": False}),
}


def layer_map(path: Path, folder: str) -> LayerMap:
    """The map in `path`, or one learned from the events in `folder`."""
    if not path.exists():
        files = open_training_events([folder])
        first = list(labelled_events(files, 0, 10))
        layers = learn_layers(first, moduleFrames(buildGenericDetector()[1]))
        learned = learn_layer_map(
            labelled_events(files, 0, 80), layers, LayerMapConfig(pt_min=PT_MIN)
        )
        learned.save(path)
    return LayerMap.load(path)


def graphs(
    folder: str, constructor: LayerMapGraph, n: int | None
) -> Iterator[tuple[LabelledEvent, Graph, GraphExample]]:
    """Events, their graphs, and these as examples with all features."""
    for event in labelled_events(open_training_events([folder]), 0, n):
        graph = constructor(event.space_points)
        labels = label_graph(graph, event, PT_MIN)
        arrays = (
            graph.features(FEATURES, SCALES),
            graph.edge_index.astype(np.int64),
            edge_features(graph),
            labels.edge,
            labels.edge_weight,
        )
        yield event, graph, GraphExample(*map(torch.from_numpy, arrays))


def area_under_curve(scores: np.ndarray, true: np.ndarray) -> float:
    """Probability that a true edge scores above a false one."""
    rank = np.empty(len(scores))
    rank[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    n_true, n_false = true.sum(), (~true).sum()
    return float((rank[true].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def edge_figures(scores: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """What is quoted of a kind of edges."""
    kept = scores >= np.quantile(scores[true], 1 - KEEP)
    return {
        "edges": len(true),
        "purity_before": float(true.mean()),
        "auc": area_under_curve(scores, true),
        "purity": float(true[kept].mean()),
        "efficiency_half": float((scores[true] > 0).mean()),
        "purity_half": float(true[scores > 0].mean()),
    }


@torch.inference_mode()
def evaluate(network: torch.nn.Module, columns: int, args: argparse.Namespace) -> dict:
    """Edges and tracks of the validation events."""
    parts, counts, seconds, n = [], TrackCounts(), 0.0, 0
    for event, graph, example in graphs(args.validation, args.constructor, None):
        start = time.process_time()
        x = example.x[:, :columns].contiguous()
        scores = network(x, example.edge_index, example.edge_attr).numpy()
        seconds, n = seconds + time.process_time() - start, n + 1
        counts.add(event, Walkthrough()(graph.with_scores(scores)), PT_MIN)
        strip = example.x[:, -1].numpy() > 0
        parts.append(
            np.stack(
                [
                    scores,
                    example.label.numpy(),
                    example.weight.numpy(),
                    strip[graph.edge_index].sum(axis=0),
                ]
            )
        )
    scores, label, weight, strips = np.concatenate(parts, axis=1)
    wanted = (label == 0) | (weight == 1)
    kinds = {"all": wanted, "pixel": wanted & (strips == 0), "strip": wanted & (strips == 2)}
    edges = {k: edge_figures(scores[m], label[m] > 0) for k, m in kinds.items()}
    return {"edges": edges, "tracks": counts.summary(), "cpu_seconds": seconds / n}


def train(name: str, seed: int, examples: list[GraphExample], args: argparse.Namespace) -> None:
    """Train a network, or go on with it, and evaluate it when it is finished."""
    stage, columns, wider, shape = NETWORKS[name]
    folder = args.work / f"{name}-w{args.width}-n{args.events}-e{args.epochs}-s{seed}"
    settings = FitSettings(
        epochs=args.epochs, learning_rate=3e-3, seed=seed, threads=1, max_minutes=args.minutes
    )
    torch.manual_seed(seed)
    shape = {
        "node_features": columns,
        "edge_features": len(EDGE_FEATURES),
        "width": round(wider * args.width),
        "steps": 4,
        **shape,
    }
    training = EdgeTraining(make_network(stage, shape), settings)
    cut = [e._replace(x=e.x[:, :columns].contiguous()) for e in examples]
    data = MemoryExamples(cut, n_edges, join_graphs)
    network = fit(training, data, settings, folder, progress=False).network
    if Progress.read(folder).finished:
        figures = evaluate(network, columns, args)
        figures |= {"network": name, "seed": seed}
        figures["weights"] = sum(p.numel() for p in network.parameters())
        folder.with_suffix(".json").write_text(json.dumps(figures, indent=1))


def table(folder: Path) -> None:
    """Print the figures of all networks that are finished."""
    print(
        f"{'network':8} {'seed':>4} {'weights':>8} | {'AUC':>7} {'strips':>7} | "
        f"{'purity':>7} {'pixels':>7} {'strips':>7} | {'eff.':>6} {'fakes':>6} {'CPU s':>6}"
    )
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    for f in sorted(found, key=lambda f: (list(NETWORKS).index(f["network"]), f["seed"])):
        every, pixel, strip = (f["edges"][k] for k in ("all", "pixel", "strip"))
        print(
            f"{f['network']:8} {f['seed']:4} {f['weights']:8} | {every['auc']:7.4f} "
            f"{strip['auc']:7.4f} | {every['purity']:7.2%} {pixel['purity']:7.2%} "
            f"{strip['purity']:7.2%} | {f['tracks']['efficiency']:6.2%} "
            f"{f['tracks']['fakes']:6.2%} {f['cpu_seconds']:6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", required=True, metavar="DIR")
    parser.add_argument("--validation", required=True, metavar="DIR")
    parser.add_argument("--work", required=True, type=Path, metavar="DIR")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=0.0, help="per network; 0: no limit")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    learned = layer_map(args.work / "map.npz", args.train)
    args.constructor = LayerMapGraph(learned, LayerMapGraphConfig(min_hits=3))
    examples = [e for _, _, e in graphs(args.train, args.constructor, args.events)]
    for seed in args.seeds:
        for name in args.networks:
            train(name, seed, examples, args)
    table(args.work)


if __name__ == "__main__":
    main()
