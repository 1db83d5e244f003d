"""Graph construction from nothing but r, phi and z, scaled as in the contract of exatrkx-service.

A published service gets its hits as FEATURES (N, 3) float32: r / 1000 mm, phi / pi, z / 1000 mm.
Everything here is a function of these numbers, also where the hits are at hand with more digits,
so that a service finds the same tracks as the job itself, to the last label.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from trkx.plugin.edge_graph import graph_as_given, graph_of
from trkx.plugin.errors import SpacePointError
from trkx.plugin.graph import Graph
from trkx.plugin.metric_learning import MetricLearning
from trkx.plugin.node_features import point_features, select_features
from trkx.plugin.radius_search import radius_search
from trkx.plugin.space_points import SpacePoints

FEATURES = ("r", "phi", "z")  # mm, rad, mm
FEATURE_SCALES = (1000.0, math.pi, 1000.0)  # they are divided by


def scaled_features(points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(N, 3) float32: FEATURES of space points, around the beam line."""
    return select_features(*point_features(points, beam_spot), FEATURES, FEATURE_SCALES)


def unscaled(features: np.ndarray) -> np.ndarray:
    """(N, 3) float32: r (mm), phi (rad) and z (mm) of FEATURES.

    Raises:
        SpacePointError: another shape, values that are not finite, or a radius below 0.
    """
    if features.ndim != 2 or features.shape[1] != len(FEATURES):
        raise SpacePointError(
            f"FEATURES has shape {features.shape}; expected (N, 3): r / 1000 mm, phi / pi, "
            "z / 1000 mm"
        )
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise SpacePointError(
            f"FEATURES: {int(bad.sum())} of {len(features)} rows are NaN or infinite, the first "
            f"is row {int(bad.argmax())}; remove these hits first"
        )
    if (features[:, 0] < 0).any():
        raise SpacePointError(
            f"FEATURES: row {int((features[:, 0] < 0).argmax())} has a radius below 0; columns "
            "are r, phi, z"
        )
    return features * np.asarray(FEATURE_SCALES, np.float32)


def features_graph(features: np.ndarray, edges: np.ndarray) -> Graph:
    """A graph on FEATURES: edges directed outward, sorted, each once; (2, E) rows in any order."""
    return graph_of(unscaled(features), FEATURES, _own_modules(features), edges)


def given_graph(features: np.ndarray, edges: np.ndarray) -> Graph:
    """A graph on FEATURES whose edges keep their order; those that go inward are turned round.

    Raises:
        SpacePointError: edges of another shape, or to hits that are not there.
    """
    edges = np.asarray(edges)
    n = len(features)
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise SpacePointError(f"edges have shape {edges.shape}; expected (2, E)")
    if edges.size and (edges.min() < 0 or edges.max() >= n):
        raise SpacePointError(
            f"edges name hits {edges.min()} to {edges.max()}, but there are {n} hits"
        )
    columns = unscaled(features)
    distance = columns[:, 0].astype(np.float64) ** 2 + columns[:, 2].astype(np.float64) ** 2
    a, b = edges
    outward = np.where(distance[a] > distance[b], edges[::-1], edges)
    return graph_as_given(columns, FEATURES, _own_modules(features), outward)


def _own_modules(features: np.ndarray) -> np.ndarray:
    """Nobody says which modules the hits are on: each is taken for the only one of its own."""
    return np.arange(len(features))


class ExatrkxGraph(MetricLearning):
    """Metric learning on scaled r, phi and z alone: no modules, no cuts on the geometry of pairs.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995; for the service,
    arXiv:2402.09633.
    """

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Make the graph of one event."""
        graph = self.graph(scaled_features(points, beam_spot))
        return replace(graph, event=points.event)

    def graph(self, features: np.ndarray) -> Graph:
        """The graph of an event that comes as FEATURES."""
        return features_graph(features, self.neighbours(self.embed_features(features)))

    def embed(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """(N, d) float32: where the hits lie in the embedding space."""
        return self.embed_features(scaled_features(points, beam_spot))

    def embed_features(self, features: np.ndarray) -> np.ndarray:
        """The same for FEATURES."""
        return self.embed_columns(unscaled(features), FEATURES)

    def neighbours(self, embedded: np.ndarray) -> np.ndarray:
        """(2, E) int64: hits within the radius of each other, both ways."""
        c = self.config
        return radius_search(embedded, c.radius, c.k, c.search)
