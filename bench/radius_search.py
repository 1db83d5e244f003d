"""Neighbour search in the embedding space: all methods, with and without mixed precision.

    python bench/radius_search.py --points 50000,165000
    python bench/radius_search.py --pipeline metric_learning --input SAMPLE   # a trained embedding

Without a pipeline the embedding is made up, see `embedding.py`. Times are CPU seconds on one core,
the least of some calls; those of a GPU, where there is one, are elapsed seconds, points and edges
staying on it. All rows find the same edges, which is checked. "Mixed" chooses candidates with
rounded distances and decides in double precision.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embedding import made_up_embedding
from table import markdown, measure, write

from trkx.plugin.radius_search import PRECISIONS, radius_search
from trkx.plugin.radius_search_torch import radius_search_tensor

CHOSEN = {"float64": "no", "float32": "float32", "float16": "float16"}


def trained_embedding(pipeline: str, folder: Path, event: int) -> np.ndarray:
    """(N, d) embedding of one event by the constructor of a pipeline."""
    from trkx.algorithms.labelled_events import labelled_events
    from trkx.io.event_files import EventFiles
    from trkx.plugin.load import load_pipeline

    constructor = load_pipeline(pipeline=pipeline, threads=1).graph_constructor
    one = next(iter(labelled_events(EventFiles.open(folder), event, event + 1)))
    return constructor.embed(one.space_points)


def row_of(method: str, precision: str, x: np.ndarray, radius: float, k: int) -> Callable:
    """One search, ready to be called."""
    return lambda: radius_search(x, radius, k, method, precision=precision)


def cuda_row(precision: str, x: torch.Tensor, radius: float, k: int) -> Callable:
    """One search on the GPU, until its edges are there."""

    def call() -> torch.Tensor:
        edges = radius_search_tensor(x, radius, k, precision=precision)
        torch.cuda.synchronize()
        return edges

    return call


def compare(x: np.ndarray, radius: float, k: int, repeats: int, without: set[str]) -> dict:
    """Times of all searches of the points `x`."""
    rows = {
        f"{method}, {precision}": row_of(method, precision, x, radius, k)
        for method, precisions in PRECISIONS.items()
        for precision in reversed(precisions)
        if method not in without
    }
    if torch.cuda.is_available():
        points = torch.from_numpy(x).cuda()
        for precision in reversed(PRECISIONS["torch"]):
            rows[f"torch cuda, {precision}"] = cuda_row(precision, points, radius, k)
    expected = rows["grid, float32"]()

    def same(name: str, found: np.ndarray | torch.Tensor) -> None:
        if not np.array_equal(expected, found.cpu() if isinstance(found, torch.Tensor) else found):
            raise SystemExit(f"{name} finds other edges than the grid")

    times = measure(rows, repeats, same)
    return {
        "points": len(x),
        "dimensions": x.shape[1],
        "radius": radius,
        "k": k,
        "edges": expected.shape[1],
        "seconds": times,
    }


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", default="50000,165000", help="of made-up embeddings")
    parser.add_argument("--radius", type=float, default=0.15)
    parser.add_argument("--k", type=int, default=500)
    parser.add_argument("--pipeline", help="pipeline whose constructor embeds, with --input")
    parser.add_argument("--input", type=Path, help="sample of events")
    parser.add_argument("--event", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without", default="", help="methods to leave out: faiss,...")
    parser.add_argument("--out", type=Path, default=Path(".bench/stages"))
    a = parser.parse_args()
    torch.set_num_threads(1)
    without = {m for m in a.without.split(",") if m}
    if a.pipeline:
        samples = [trained_embedding(a.pipeline, a.input, a.event)]
    else:
        samples = [made_up_embedding(int(n)) for n in a.points.split(",")]
    results, text = [], ""
    for x in samples:
        result = compare(x, a.radius, a.k, a.repeats, without)
        results.append(result)
        base = result["seconds"]["kdtree, float64"]["least"]
        lines = []
        for name, t in result["seconds"].items():
            method, precision = name.split(", ")
            lines.append(
                [method, CHOSEN[precision], f"{t['least']:.2f}", f"{base / t['least']:.2f}"]
            )
        per_point = result["edges"] / len(x)
        text += markdown(
            f"{len(x):,} points in {x.shape[1]} dimensions, {per_point:.0f} neighbours each",
            ["method", "mixed precision", "seconds", "times as fast as the k-d tree"],
            lines,
        )
        text += "\n"
    name = "radius_search_trained" if a.pipeline else "radius_search"
    write(a.out, name, {"embedding": a.pipeline or "made up", "tables": results}, text)


if __name__ == "__main__":
    main()
