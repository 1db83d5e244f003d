"""How many true edges a graph has, and how many of its edges are true: counts over events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trkx.plugin.graph import Graph
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.truth_edges import any_shared_particle, crossings, true_doublets

DEFINITIONS = {
    "true_edges": "pairs of hits of one charged particle on consecutive layers that it crosses, "
    "in the order of their distance from its vertex; several hits of one crossing (overlapping "
    "modules) give a pair each; 'target': of target particles, 'all': of all charged particles",
    "efficiency": "true edges that the graph has, in either direction / true edges",
    "step_efficiency": "steps from one layer crossing to the next with at least one true edge in "
    "the graph / steps",
    "purity": "'all': edges whose hits share a particle / edges; 'target': edges whose hits share "
    "a target particle / edges; of several shared particles the one of highest pT counts",
    "reachable": "target particles more than half of whose hits are joined by edges between hits "
    "of that particle / target particles: what a perfect continuation could find",
}
FALSE, OTHER, TARGET = 0, 1, 2
"""Kinds of edges: of no particle, of a particle that is no target, of a target particle."""


@dataclass(frozen=True)
class EventTruth:
    """Truth of one event, as graphs are held against it."""

    event: LabelledEvent
    target: np.ndarray  # (P,) bool, target particles
    key: np.ndarray  # (K,) int64, true edges as unordered pairs of hits, see `pair_key`
    particle: np.ndarray  # (K,) int64, whose
    step: np.ndarray  # (K,) int64, step of its particle, numbered over the event

    @classmethod
    def of(cls, event: LabelledEvent, pt_min: float) -> EventTruth:
        """True edges of the charged particles of an event; targets are above `pt_min`, GeV."""
        points = event.space_points
        volume, layer, _ = split_geometry_id(points.geometry_id)
        c = crossings(event, (volume << 12) | layer, event.charge != 0)
        pairs, particle = true_doublets(c)
        # A hit is on one crossing of a particle: look the crossing of each first hit up.
        n = max(len(points), 1)
        member = c.particle * n + c.hit
        order = np.argsort(member)
        found = order[np.searchsorted(member[order], particle * n + pairs[0])]
        _, step = np.unique(particle * 4096 + c.crossing[found], return_inverse=True)
        return cls(event, event.targets(pt_min), pair_key(pairs[0], pairs[1], n), particle, step)

    def kinds(self, graph: Graph) -> np.ndarray:
        """(E,) int64: FALSE, OTHER or TARGET of each edge of a graph."""
        source, target = graph.space_point[graph.edge_index]
        particle = any_shared_particle(self.event, source, target)
        if len(self.target) == 0:
            return np.zeros(graph.n_edges, np.int64)
        of_target = self.target[np.maximum(particle, 0)]
        return np.where(particle < 0, FALSE, np.where(of_target, TARGET, OTHER))

    def reachable(self, graph: Graph) -> np.ndarray:
        """(P,) bool: target particles more than half of whose hits the graph joins."""
        event, n = self.event, max(len(self.event.space_points), 1)
        hit = np.repeat(np.arange(len(event.space_points)), np.diff(event.offsets))
        member = np.unique((event.particle * n + hit)[self.target[event.particle]])
        first, second = self._member_edges(graph, member, n)
        size = len(member)
        links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(size, size))
        joined = np.zeros(len(self.target), np.int64)
        if size:
            _, label = connected_components(links, directed=False)
            np.maximum.at(joined, member // n, np.bincount(label)[label])
        return self.target & (2 * joined > event.n_hits)

    def _member_edges(
        self, graph: Graph, member: np.ndarray, n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges between hits of one target particle, as rows of `member`."""
        event = self.event
        source, target = graph.space_point[graph.edge_index]
        count = np.diff(event.offsets)[source]
        edge = np.repeat(np.arange(len(source)), count)
        within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        particle = event.particle[event.offsets[source[edge]] + within]
        ends = []
        for side in (source, target):
            key = particle * n + side[edge]
            row = np.minimum(np.searchsorted(member, key), max(len(member) - 1, 0))
            ends.append(np.where(member[row] == key, row, -1) if len(member) else key * 0 - 1)
        both = (ends[0] >= 0) & (ends[1] >= 0)
        return ends[0][both], ends[1][both]


def pair_key(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    """(E,) int64: one number for each unordered pair of rows below `n`."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    return low.astype(np.int64) * n + high


def graph_key(graph: Graph) -> np.ndarray:
    """(E,) int64: key of the pair of space points of each edge."""
    source, target = graph.space_point[graph.edge_index]
    return pair_key(source, target, max(graph.n_space_points, 1))


@dataclass
class EdgeCounts:
    """Sums over events, of the graph after one stage."""

    nodes: int = 0
    edges: int = 0
    triplets: int = 0
    target_edges: int = 0  # edges of target particles
    other_edges: int = 0  # edges of other particles
    true: int = 0  # true edges of all charged particles
    true_found: int = 0
    true_target: int = 0
    true_target_found: int = 0
    steps: int = 0
    steps_found: int = 0
    steps_target: int = 0
    steps_target_found: int = 0
    targets: int = 0
    targets_reachable: int = 0

    def add(self, truth: EventTruth, graph: Graph) -> np.ndarray:
        """Count one event; returns (E,), the kind of each edge."""
        kinds = truth.kinds(graph)
        self.nodes += graph.n_nodes
        self.edges += graph.n_edges
        self.triplets += graph.n_triplets
        self.target_edges += int((kinds == TARGET).sum())
        self.other_edges += int((kinds == OTHER).sum())
        found = np.isin(truth.key, graph_key(graph))
        of_target = truth.target[truth.particle]
        self.true += len(found)
        self.true_found += int(found.sum())
        self.true_target += int(of_target.sum())
        self.true_target_found += int((found & of_target).sum())
        n_steps = int(truth.step.max(initial=-1)) + 1
        step_found = np.zeros(n_steps, bool)
        step_found[truth.step[found]] = True
        step_target = np.zeros(n_steps, bool)
        step_target[truth.step[of_target]] = True
        self.steps += n_steps
        self.steps_found += int(step_found.sum())
        self.steps_target += int(step_target.sum())
        self.steps_target_found += int((step_found & step_target).sum())
        self.targets += int(truth.target.sum())
        self.targets_reachable += int(truth.reachable(graph).sum())
        return kinds

    def summary(self, n_events: int) -> dict[str, Any]:
        """Rates, and numbers per event; None where there is nothing to divide by."""
        return {
            "nodes": ratio(self.nodes, n_events),
            "edges": ratio(self.edges, n_events),
            "triplets": ratio(self.triplets, n_events),
            "efficiency": {
                "target": ratio(self.true_target_found, self.true_target),
                "all": ratio(self.true_found, self.true),
            },
            "step_efficiency": {
                "target": ratio(self.steps_target_found, self.steps_target),
                "all": ratio(self.steps_found, self.steps),
            },
            "purity": {
                "target": ratio(self.target_edges, self.edges),
                "all": ratio(self.target_edges + self.other_edges, self.edges),
            },
            "reachable": ratio(self.targets_reachable, self.targets),
            "counts": dict(vars(self)),
        }


def ratio(part: float, whole: float) -> float | None:
    """Their ratio, None for a whole of 0."""
    return part / whole if whole else None
