"""Track builders on a graph of a million scored edges.

    python bench/track_building.py --edges 1000000

The graph is made up, see `scored_graph.py`: 17,000 tracks and random edges. Times are CPU
milliseconds on one core, the least and the median of some calls, from scored graph to candidates;
the torch forms go from tensors to labels, on a GPU, where there is one, in elapsed time. "scipy" is
how components were found before: the baseline of the last column.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scored_graph import made_up_graph
from table import markdown, measure, write

from trkx.plugin import device_components
from trkx.plugin.components_and_walkthrough import ComponentsAndWalkthrough
from trkx.plugin.connected_components import (
    ConnectedComponents,
    ConnectedComponentsConfig,
    probabilities,
)
from trkx.plugin.device_walkthrough import walkthrough_labels
from trkx.plugin.graph import Graph
from trkx.plugin.walkthrough import Walkthrough, WalkthroughConfig

CUT = 0.5


def by_scipy(graph: Graph) -> tuple:
    """Components of at least five hits, and their hits by distance, by scipy and numpy."""
    mask = probabilities(graph, "bench") > CUT
    a, b = graph.edge_index[:, mask]
    n = graph.n_nodes
    matrix = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    label = connected_components(matrix, directed=False)[1]
    keep = np.bincount(label) >= 5
    node = np.nonzero(keep[label])[0]
    r, z = graph.node_features[node, 0], graph.node_features[node, 2]
    return node[np.lexsort((r * r + z * z, label[node]))], np.bincount(label[node])


def torch_rows(graph: Graph, device: str) -> dict[str, Callable]:
    """The torch forms, with the graph on the device already."""
    edges = torch.from_numpy(graph.edge_index.astype(np.int64)).to(device)
    p = torch.from_numpy(probabilities(graph, "bench")).to(device)
    module = torch.from_numpy(graph.module.astype(np.int64)).to(device)
    n = graph.n_nodes

    def done(result: object) -> object:
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    def junctions() -> object:
        keep = device_components.remove_junctions(edges, p, n, p > CUT)
        return done(device_components.connected_labels(edges, n, keep))

    return {
        f"components, torch {device}": lambda: done(
            device_components.connected_labels(edges, n, p > CUT)
        ),
        f"junction removal, torch {device}": junctions,
        f"walkthrough, torch {device}": lambda: done(walkthrough_labels(edges, p, module)),
    }


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(".bench/stages"))
    a = parser.parse_args()
    torch.set_num_threads(1)
    graph = made_up_graph(a.edges)
    components = ConnectedComponents(ConnectedComponentsConfig(score_cut=CUT))
    chains = ConnectedComponents(ConnectedComponentsConfig(score_cut=CUT, junction_removal=True))
    walk, union = Walkthrough(), ComponentsAndWalkthrough()
    longest = Walkthrough(WalkthroughConfig(paths="longest"))
    bare = Walkthrough(WalkthroughConfig(attach_cut=1.0))
    rows: dict[str, Callable] = {
        "components, scipy": lambda: by_scipy(graph),
        "components": lambda: components(graph),
        "components after junction removal": lambda: chains(graph),
        "walkthrough": lambda: walk(graph),
        "walkthrough, no hits beside the paths": lambda: bare(graph),
        "walkthrough, longest paths": lambda: longest(graph),
        "components and walkthrough": lambda: union(graph),
        **torch_rows(graph, "cpu"),
    }
    if torch.cuda.is_available():
        rows |= torch_rows(graph, "cuda")
    times = measure(rows, a.repeats)
    base = times["components, scipy"]["least"]
    text = markdown(
        f"{graph.n_edges:,} edges between {graph.n_nodes:,} hits",
        ["builder", "ms", "median ms", "times the scipy components"],
        [
            [
                name,
                f"{1e3 * t['least']:.0f}",
                f"{1e3 * t['median']:.0f}",
                f"{t['least'] / base:.2f}",
            ]
            for name, t in times.items()
        ],
    )
    result = {"edges": graph.n_edges, "nodes": graph.n_nodes, "seconds": times}
    write(a.out, "track_building", result, text)


if __name__ == "__main__":
    main()
