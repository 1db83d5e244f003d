"""Graphs that the hierarchical GNN trains on, thinned, turned and robbed of edges at every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trkx.plugin.connected_components import probabilities
from trkx.plugin.edge_features import EDGE_FEATURES
from trkx.plugin.graph import Graph
from trkx.plugin.particle_sample import ParticleSample, sample_particles
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.training.stages import TrainingRequest

COLUMNS = ("r", "phi", "z", "size0", "size1")  # of a node, that the features follow from


@dataclass(frozen=True)
class HierarchicalDataConfig:
    """What the network reads and is taught: table [data] of a configuration."""

    features: tuple[str, ...] = ("r", "cos_phi", "sin_phi", "z", "eta", "size0", "size1")
    scales: tuple[float, ...] = (500.0, 1.0, 1.0, 1000.0, 2.0, 4.0, 4.0)  # divisors of features
    edge_features: tuple[str, ...] = EDGE_FEATURES
    small_events: bool = True  # of the particles above the target's pT alone, see
    #   `particle_sample`; False: the events as they are
    noise: float = 0.15  # share of the hits of small events
    edge_cut: float = 0.0  # as of the builder: edges scored lower before are dropped
    fraction: tuple[float, ...] = (0.2, 0.5)  # range of the share of particles in one step
    removed: tuple[float, ...] = (0.0, 0.55)  # range of the share of edges removed in one step
    wanted_hits: int = 4  # of a particle that is to become a track
    warm_up: int = 80  # steps in which the embedding alone is trained
    margin: float = 0.5  # distance that hits of different particles are pushed apart to
    assignment: float = 5.0  # weight of the assignment's loss, against that of the embedding
    start: str = ""  # weights to start from, beside `out`; '': from scratch
    flat: bool = False  # train the flat interaction GNN it is compared with, on the same graphs

    def __post_init__(self) -> None:
        if len(self.features) != len(self.scales):
            raise ValueError(
                f"{len(self.features)} features, but {len(self.scales)} scales; give one for each"
            )
        for name in ("fraction", "removed"):
            value = getattr(self, name)
            if len(value) != 2 or not 0 <= value[0] <= value[1] <= 1:
                raise ValueError(f"{name} is {value}; expected a range within 0 to 1")


class HierarchicalExample(NamedTuple):
    """One graph with its truth."""

    node: Tensor  # (N, 5) float32, COLUMNS
    edge_index: Tensor  # (2, E) int32
    offsets: Tensor  # (N+1,) int64 into `particle`
    particle: Tensor  # particles of the nodes, numbered from 0
    charged: Tensor  # (P,) bool, particles that may become tracks


def n_edges(example: HierarchicalExample) -> int:
    """What batches are balanced by."""
    return example.edge_index.shape[1]


def subset_truth(
    offsets: np.ndarray, particle: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The jagged truth of some rows: offsets and particles."""
    width = np.diff(offsets)[rows]
    new = np.concatenate([[0], np.cumsum(width)]).astype(np.int64)
    index = np.arange(new[-1]) + np.repeat(offsets[rows] - new[:-1], width)
    return new, particle[index]


class HierarchicalMaker:
    """Makes the example of an event from the graph of the stages before."""

    def __init__(self, request: TrainingRequest, config: HierarchicalDataConfig) -> None:
        self.request, self.config = request, config

    def __call__(self, event: LabelledEvent) -> HierarchicalExample:
        c = self.config
        if c.small_events:
            sample = ParticleSample(1.0, self.request.pt_min, noise=c.noise)
            event = sample_particles(event, len(event.pt), sample)
        graph = self.request.graph(event.space_points)
        if c.edge_cut > 0:
            graph = graph.keep_edges(probabilities(graph, "training") >= c.edge_cut)
            graph = graph.without_isolated_nodes()
        offsets, rows = subset_truth(event.offsets, event.particle, graph.space_point)
        kinds, particle = np.unique(rows, return_inverse=True)
        arrays = (
            graph.features(COLUMNS),
            graph.edge_index.astype(np.int32),
            offsets,
            particle.astype(np.int64),
            event.charge[kinds] != 0,
        )
        return HierarchicalExample(
            *(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        )


@dataclass(frozen=True)
class StepGraph:
    """The graph of one training step, and its truth."""

    graph: Graph
    offsets: np.ndarray  # (N+1,) int64 into `particle`
    particle: np.ndarray  # int64
    wanted: np.ndarray  # (P,) bool, particles that are to become tracks

    def same(self, index: np.ndarray) -> np.ndarray:
        """(K,) bool: whether both nodes of pairs (2, K) are of one particle."""
        count = np.diff(self.offsets)
        a, b = index
        found = np.zeros(len(a), bool)
        for i in range(min(int(count.max(initial=0)), 3)):  # more are very rare
            for j in range(min(int(count.max(initial=0)), 3)):
                at = np.flatnonzero((count[a] > i) & (count[b] > j))
                both = self.offsets[a[at]] + i, self.offsets[b[at]] + j
                found[at] |= self.particle[both[0]] == self.particle[both[1]]
        return found


def _graph(example: HierarchicalExample) -> Graph:
    n, edges = len(example.node), example.edge_index.numpy()
    return Graph(
        n_space_points=n,
        space_point=np.arange(n),
        module=np.zeros(n, np.int32),
        node_features=example.node.numpy(),
        edge_index=edges,
        edge_pair=np.zeros(edges.shape[1], np.int64),
        edge_features=np.zeros((edges.shape[1], 0), np.float32),
        feature_names=COLUMNS,
    )


def turned(graph: Graph, rng: np.random.Generator) -> Graph:
    """The graph rotated about the beam line by any angle, and mirrored in φ and in z or not."""
    columns = graph.node_features.copy()
    phi, z = (graph.feature_names.index(name) for name in ("phi", "z"))
    angle = rng.choice([-1.0, 1.0]) * columns[:, phi] + rng.uniform(0, 2 * np.pi)
    columns[:, phi] = (angle + np.pi) % (2 * np.pi) - np.pi
    columns[:, z] *= rng.choice([-1.0, 1.0])
    return replace(graph, node_features=columns)


def remove_edges(graph: Graph, share: float, rng: np.random.Generator) -> Graph:
    """The graph without a random share of its edges; all nodes stay."""
    return graph.keep_edges(rng.random(graph.n_edges) >= share)


def draw(
    example: HierarchicalExample, config: HierarchicalDataConfig, rng: np.random.Generator
) -> StepGraph:
    """A step's graph: the hits of some particles and as much of the noise, turned, edges removed.

    Particles of fewer than `wanted_hits` hits on the graph are not wanted.
    """
    offsets, particle = example.offsets.numpy(), example.particle.numpy()
    charged = example.charged.numpy()
    share = rng.uniform(config.fraction[0], config.fraction[1])
    drawn = rng.random(len(charged)) < share
    width = np.diff(offsets)
    node = np.repeat(np.arange(len(width)), width)
    kept = drawn[particle]
    count = np.bincount(node[kept], minlength=len(width))
    keep = np.where(width > 0, count > 0, rng.random(len(width)) < share)
    graph = turned(_graph(example).keep_nodes(keep), rng)
    graph = remove_edges(graph, rng.uniform(config.removed[0], config.removed[1]), rng)
    particle = particle[kept]
    hits = np.bincount(particle, minlength=len(charged))
    return StepGraph(
        graph,
        np.concatenate([[0], np.cumsum(count[keep])]).astype(np.int64),
        particle,
        charged & (hits >= config.wanted_hits),
    )
