"""Which track builder for a graph: all builders on the scored graphs of one pipeline.

    python bench/builders.py --pipeline metric_learning --input SAMPLE --events 4

Graphs are made and scored by the pipeline; the builders have the thresholds of its own one, where
they have the same ones. Tracks are counted as everywhere: targets are charged particles of pT > 1
GeV, |eta| < 4 and seven measurements; double majority; fakes among the tracks of seven hits or
more. Milliseconds are CPU time per event.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
from table import markdown, write

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.io.event_files import EventFiles
from trkx.plugin.components_and_walkthrough import (
    ComponentsAndWalkthrough,
    ComponentsAndWalkthroughConfig,
)
from trkx.plugin.connected_components import ConnectedComponents, ConnectedComponentsConfig
from trkx.plugin.load import load_pipeline
from trkx.plugin.walkthrough import Walkthrough, WalkthroughConfig

CUTS = (0.5, 0.9, 0.98)


def builders(like: WalkthroughConfig, layer_map: object) -> dict[str, Callable]:
    """All builders, with the thresholds of `like`."""
    rows: dict[str, Callable] = {}
    for cut in CUTS:
        config = ConnectedComponentsConfig(cut, like.min_hits, min_pt=like.min_pt)
        rows[f"components above {cut}"] = ConnectedComponents(config, layer_map)
    config = ConnectedComponentsConfig(like.walk_cut, like.min_hits, True, like.min_pt)
    rows["components after junction removal"] = ConnectedComponents(config, layer_map)
    # Thresholds of the GNN4ITk results of CTD 2023.
    published = WalkthroughConfig(0.01, 0.1, 0.6, "longest", 1.0, 5, 5, 1, like.min_pt)
    rows["walkthrough as published"] = Walkthrough(published, layer_map)
    bare = dataclasses.replace(like, attach_cut=1.0)
    rows["walkthrough, no hits beside the paths"] = Walkthrough(bare, layer_map)
    rows["walkthrough"] = Walkthrough(like, layer_map)
    union = ComponentsAndWalkthroughConfig(**dataclasses.asdict(like))
    rows["components and walkthrough"] = ComponentsAndWalkthrough(union, layer_map)
    return rows


def main() -> None:
    """Build the graphs once, then the tracks in every way; print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pipeline", default="metric_learning")
    parser.add_argument("--input", type=Path, required=True, help="sample of events")
    parser.add_argument("--events", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(".bench/stages"))
    a = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load_pipeline(pipeline=a.pipeline, threads=1)
    own = pipeline.track_builder
    like = own.config if isinstance(own, Walkthrough) else WalkthroughConfig()
    rows = builders(like, getattr(own, "layer_map", None))
    if not isinstance(own, Walkthrough):
        rows[f"{type(own).__name__}, its own"] = own
    counts = {name: TrackCounts() for name in rows}
    seconds = dict.fromkeys(rows, 0.0)
    n_events, n_edges = 0, 0
    for event in labelled_events(EventFiles.open(a.input), 0, a.events):
        graph = pipeline.graph_constructor(event.space_points)
        for classifier in pipeline.edge_classifiers:
            graph = classifier(graph)
        for name, build in rows.items():
            if n_events == 0:
                build(graph)  # compiles
            start = time.process_time()
            candidates = build(graph)
            seconds[name] += time.process_time() - start
            counts[name].add(event, candidates, 1.0)
        n_events += 1
        n_edges += graph.n_edges
    summaries = {name: c.summary() for name, c in counts.items()}
    text = markdown(
        f"{a.pipeline}, {a.input.name}: {n_events} events of {n_edges // n_events:,} scored edges",
        ["builder", "efficiency", "displaced", "fakes", "purity", "completeness", "ms"],
        [
            [name]
            + [
                f"{100 * s[key]:.2f}%"
                for key in ("efficiency", "displaced", "fakes", "purity", "completeness")
            ]
            + [f"{1e3 * seconds[name] / n_events:.0f}"]
            for name, s in summaries.items()
        ],
    )
    result = {
        "pipeline": a.pipeline,
        "sample": a.input.name,
        "events": n_events,
        "walkthrough": dataclasses.asdict(like),
        "seconds per event": {name: s / n_events for name, s in seconds.items()},
        "scores": summaries,
    }
    write(a.out, f"builders_{a.pipeline}_{a.input.name}", result, text)


if __name__ == "__main__":
    main()
