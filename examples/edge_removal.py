"""How many tracks survive when edges of the graph are missing?

    trkx simulate --events 8 --pileup 200 --seed 600000 --out sample
    python examples/edge_removal.py sample --out edge_removal

Cuts events of about 1,000 particles and 12,000 space points from each event, builds their graphs
with the layer map, removes 0 to 50% of the edges at random, and finds tracks three ways: with the
hierarchical GNN, with a flat interaction GNN (trained with or without removed edges) followed by
connected components, and with connected components of the true edges, which no flat network can
surpass. Prints a table, and writes edge_removal.json and edge_removal.png.

An efficiency is the share of charged particles above 1 GeV with |eta| < 4 and at least 7
measurements that a track matches by double majority; fakes are the share of tracks of at least 7
hits that match no particle. Published for the hierarchical GNN on its own graphs, with 5
measurements asked for (arXiv:2303.01640): 98.55% and 1.23% with all edges, 92.79% and 7.31% with
half of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.io.event_files import EventFiles
from trkx.plugin.connected_components import ConnectedComponents, ConnectedComponentsConfig
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.edge_network import EdgeNetworkClassifier
from trkx.plugin.graph import Graph
from trkx.plugin.hierarchical_builder import HierarchicalBuilder
from trkx.plugin.layer_map_graph import LayerMapGraph
from trkx.plugin.particle_sample import ParticleSample, sample_particles
from trkx.plugin.pipeline_file import SHIPPED_PIPELINES
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.stage_settings import StageContext

PT_MIN = 1.0  # GeV
REMOVED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
PUBLISHED = {0.0: (0.9855, 0.0123), 0.5: (0.9279, 0.0731)}  # efficiency and fakes by share
MIN_HITS = 5  # of a track, for all methods
FLAT_CUT = 0.8  # of edges; the best for the flat networks on validation events, of 0.3 to 0.95
SETTINGS = {"weights": "small_events", "candidates": 14, "score_cut": 0.1, "min_hits": MIN_HITS}
Finder = Callable[[Graph, LabelledEvent], object]


def makeFinders(models: Path) -> dict[str, Finder]:
    """Track finding on a graph, by name; `models` is a folder with the weights."""
    context = StageContext(folder=models)
    components = ConnectedComponents(ConnectedComponentsConfig(FLAT_CUT, MIN_HITS))
    finders: dict[str, Finder] = {}
    builder = HierarchicalBuilder.from_settings(SETTINGS, context)
    finders["hierarchical"] = lambda graph, event: builder(graph)
    for name, weights in (("flat", "flat"), ("flat, trained with removal", "flat_removed")):
        if context.path(weights).with_suffix(".json").exists():
            classify = EdgeNetworkClassifier.from_settings({"weights": weights}, context)
            finders[name] = lambda graph, event, classify=classify: components(classify(graph))
    finders["true edges"] = lambda graph, event: components(
        graph.with_scores(20 * label_graph(graph, event, PT_MIN).edge - 10)
    )
    return finders


def runEdgeRemoval(
    inputs: Sequence[Path | str],
    models: Path = SHIPPED_PIPELINES / "hierarchical",
    removed: Sequence[float] = REMOVED,
    events: int | None = None,
    sample: ParticleSample | None = None,
) -> dict[str, dict[float, dict[str, float]]]:
    """Efficiency, fakes and more, by finder and share of edges removed.

    Args:
        inputs: folders of simulated events.
        models: folder with the weights.
        removed: shares of edges.
        events: how many events; None: all.
        sample: which particles of an event.
    """
    constructor = LayerMapGraph.from_settings({"min_hits": 2}, StageContext())
    finders = makeFinders(models)
    counts = {name: {share: TrackCounts() for share in removed} for name in finders}
    files = EventFiles.open(inputs)
    for number, whole in enumerate(labelled_events(files, 0, events)):
        event = sample_particles(whole, number, sample)
        graph = constructor(event.space_points)
        # One order for all shares: what is missing at 10% is missing at 20% as well.
        order = np.random.default_rng(number).random(graph.n_edges)
        for share in removed:
            left = graph.keep_edges(order >= share)
            for name, find in finders.items():
                counts[name][share].add(event, find(left, event), PT_MIN)
    return {
        name: {share: {**c.summary(), "targets": c.targets} for share, c in by_share.items()}
        for name, by_share in counts.items()
    }


def table(found: dict[str, dict[float, dict[str, float]]]) -> str:
    """The figures as lines of text, in percent."""
    shares = list(next(iter(found.values())))
    lines = [f"{'edges removed':<34}" + "".join(f"{share:>8.0%}" for share in shares)]
    for figure in ("efficiency", "fakes"):
        for name, by_share in found.items():
            values = "".join(f"{100 * by_share[share][figure]:>8.2f}" for share in shares)
            lines.append(f"{figure:<10} {name:<23}" + values)
    return "\n".join(lines)


def draw(found: dict[str, dict[float, dict[str, float]]], path: Path) -> None:
    """Efficiency and fakes against the share of edges removed."""
    from trkx.algorithms.report.style import PALETTE, figure_style, new_figure, png

    with figure_style():
        figure = new_figure(9, 4)
        for number, what in enumerate(("efficiency", "fakes")):
            panel = figure.add_subplot(1, 2, number + 1)
            for (name, by_share), colour in zip(found.items(), PALETTE, strict=False):
                shares = [100 * share for share in by_share]
                values = [100 * figures[what] for figures in by_share.values()]
                panel.plot(shares, values, "o-", color=colour, label=name)
            points = [100 * pair[number] for pair in PUBLISHED.values()]
            panel.plot([100 * share for share in PUBLISHED], points, "k*", label="published")
            panel.set_xlabel("edges removed (%)")
            panel.set_ylabel(f"{what} (%)")
        panel.legend()
        path.write_bytes(png(figure))


def main(argv: list[str] | None = None) -> None:
    """Run the study, print the table, and write JSON and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path, nargs="+", help="folders of `trkx simulate`")
    parser.add_argument("--models", type=Path, default=SHIPPED_PIPELINES / "hierarchical")
    parser.add_argument("--events", type=int, help="how many events (default: all)")
    parser.add_argument("--out", type=Path, default=Path("edge_removal"), help="folder")
    arguments = parser.parse_args(argv)
    found = runEdgeRemoval(arguments.samples, arguments.models, events=arguments.events)
    print(table(found))
    arguments.out.mkdir(parents=True, exist_ok=True)
    about = {"particles": "pT > 1 GeV, |eta| < 4, >= 7 measurements", "rule": "double majority"}
    text = json.dumps({**about, "published": PUBLISHED, "found": found}, indent=2)
    (arguments.out / "edge_removal.json").write_text(text + "\n")
    draw(found, arguments.out / "edge_removal.png")


if __name__ == "__main__":
    main()
