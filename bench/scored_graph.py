"""A scored graph for timings: chains of true tracks, and random edges between their layers."""

from __future__ import annotations

import numpy as np

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import SpacePoints

LAYERS = np.array([35, 70, 115, 170, 260, 360, 500, 660, 820, 1020], np.float32)  # mm


def made_up_graph(n_edges: int, n_tracks: int = 17_000, seed: int = 1) -> Graph:
    """A graph of `n_edges` edges, with scores as a good classifier gives them.

    Args:
        n_edges: true edges, nine a track, and as many random ones.
        n_tracks: 17,000 make the 165,000 space points of an event of 200 pile-up interactions.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    phi = rng.uniform(-np.pi, np.pi, n_tracks)[:, None] + rng.choice([-1, 1], (n_tracks, 1)) * (
        3e-4 / rng.uniform(0.5, 5.0, (n_tracks, 1)) * LAYERS
    )
    z = rng.normal(0, 50, (n_tracks, 1)) + rng.uniform(-2, 2, (n_tracks, 1)) * LAYERS
    r = np.broadcast_to(LAYERS, phi.shape)
    hit = np.arange(phi.size).reshape(phi.shape)
    true = np.stack([hit[:, :-1].ravel(), hit[:, 1:].ravel()])
    # A random edge joins neighbouring layers at similar azimuth, as graph construction leaves it.
    n_random = int(1.1 * max(n_edges - true.shape[1], 0))
    at = rng.integers(0, len(LAYERS) - 1, n_random)
    order = np.argsort(phi % (2 * np.pi), axis=0)
    rank = rng.integers(0, n_tracks, n_random)
    step = rng.integers(-50, 51, n_random)
    random = np.stack(
        [order[rank, at] * len(LAYERS) + at, order[(rank + step) % n_tracks, at + 1]
         * len(LAYERS) + at + 1]
    )  # fmt: skip
    points = SpacePoints(
        x=(r * np.cos(phi)).ravel().astype(np.float32),
        y=(r * np.sin(phi)).ravel().astype(np.float32),
        z=z.ravel().astype(np.float32),
        geometry_id=(np.tile(np.arange(len(LAYERS)), n_tracks) + 100 * (hit.ravel() % 997)).astype(
            np.uint64
        ),
    )
    graph = edge_graph(points, np.concatenate([true, random], axis=1))
    a, b = graph.edge_index
    is_true = (b - a == 1) & (a // len(LAYERS) == b // len(LAYERS))
    score = np.where(is_true, rng.normal(5, 2, len(a)), rng.normal(-5, 2.2, len(a)))
    keep = np.ones(len(a), bool)
    drop = rng.permutation(np.nonzero(~is_true)[0])[: max(len(a) - n_edges, 0)]
    keep[drop] = False
    return graph.with_scores(score.astype(np.float32)).keep_edges(keep)
