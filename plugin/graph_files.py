"""Graphs in files: fed in or dumped after any stage, to compare with other implementations.

CSV files are those of ACTS' `CsvGnnGraphReader` and `CsvGnnGraphWriter`: one row per edge with
the rows of its two space points, and a weight, which is the edge score from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings

COLUMNS = ("edge0", "edge1", "weight")
_CERTAIN = 1e-15  # a weight of 1 or 0 becomes the logit of a finite score


def graph_file(folder: Path, name: str, event: int) -> Path:
    """The file of an event, as ACTS names it: event000000012-graph.csv."""
    return folder / f"event{event:09d}-{name}.csv"


def write_graph(graph: Graph, path: Path | str) -> None:
    """Write the edges of a graph, as rows of the event's space points, and their scores.

    Edges that no classifier has scored have weight 1.
    """
    edges = graph.space_point[graph.edge_index]
    weight = np.ones(graph.n_edges)
    if graph.edge_scores is not None:
        weight = 1.0 / (1.0 + np.exp(-graph.edge_scores.astype(np.float64)))
    table = np.column_stack([*edges, weight])
    np.savetxt(path, table, "%d,%d,%.17g", header=",".join(COLUMNS), comments="")


def read_edges(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Edges (2, E) int64 and weights (E,) float64 of a CSV file.

    Raises:
        StageError: no such file, other columns, or rows that are no numbers.
    """
    path = Path(path)
    try:
        with path.open() as file:
            header = [name.strip() for name in file.readline().split(",")]
            if tuple(header) != COLUMNS:
                raise StageError(
                    f"graph file {path}: columns {', '.join(header)}; expected "
                    f"{', '.join(COLUMNS)}, as ACTS' CsvGnnGraphWriter writes"
                )
            lines = file.readlines()
    except OSError as error:
        raise StageError(f"graph file {path}: {error.strerror}") from error
    try:
        table = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.zeros((0, 3))
        edges = table[:, :2].T.astype(np.int64)
    except (ValueError, IndexError) as error:
        raise StageError(f"graph file {path}: {error}; expected three numbers per row") from error
    if table.shape[1] != 3 or (edges != table[:, :2].T).any():
        raise StageError(f"graph file {path}: edge0 and edge1 must be rows of space points")
    return edges, table[:, 2]


def read_graph(
    path: Path | str, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)
) -> Graph:
    """The graph of an event from a CSV file; weights become scores.

    Raises:
        StageError: the file cannot be used, or names space points that are not there.
    """
    edges, weight = read_edges(path)
    try:
        graph = edge_graph(points, edges, beam_spot)
    except StageError as error:
        raise StageError(f"graph file {path}: {error}") from error
    n = np.int64(max(len(points), 1))

    def keys(index: np.ndarray) -> np.ndarray:
        return index.min(axis=0) * n + index.max(axis=0)

    # The graph has its edges once, outward and sorted: of an edge given twice, the higher weight.
    order = np.lexsort((weight, keys(edges)))
    key = keys(edges)[order]
    last = np.searchsorted(key, keys(graph.edge_index.astype(np.int64)), side="right") - 1
    score = np.clip(weight[order][last], _CERTAIN, 1 - _CERTAIN)
    return graph.with_scores(np.log(score / (1 - score)).astype(np.float32))


@dataclass(frozen=True)
class GraphFilesConfig:
    """Where the files are; `eventXXXXXXXXX-<name>.csv` each."""

    folder: str = "graphs"
    name: str = "graph"
    strip_volumes: tuple[int, ...] = ()  # see `SpacePoints.with_types`
    single_clusters: bool = False  # the same


class GraphFiles:
    """Reads graphs that another implementation made, instead of constructing them."""

    def __init__(
        self,
        folder: Path | str,
        name: str = "graph",
        strip_volumes: Sequence[int] = (),
        single_clusters: bool = False,
    ) -> None:
        """Read files of a folder; for the types of space points see `SpacePoints.with_types`."""
        self.folder = Path(folder)
        self.name = name
        self.strip_volumes, self.single_clusters = tuple(strip_volumes), single_clusters

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """The stage of a table of a pipeline file; its settings are `GraphFilesConfig`."""
        c = read_settings(GraphFilesConfig, settings, "graph_files")
        return cls(context.path(c.folder), c.name, c.strip_volumes, c.single_clusters)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Read the graph of the event `points.event`."""
        if points.event < 0:
            raise StageError("graph_files: the space points do not say which event they are of")
        points = points.with_types(self.strip_volumes, self.single_clusters)
        return read_graph(graph_file(self.folder, self.name, points.event), points, beam_spot)


class GraphDump:
    """Pipeline hook that writes the graph after every stage as CSV, named for the stage."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, stage: str, graph: Graph) -> None:
        write_graph(graph, graph_file(self.folder, stage, graph.event))
