"""Error budget: which stage loses each target particle, and what each fake track is.

The stages are asked in the order in which they run, and a loss goes to the first that cannot be
made up for. Up to the graph, a particle is lost when its true edges no longer join more than half
of its hits. After it, the track builder is run again on better graphs: on true edges with perfect
scores, then on true edges with the scores of the network. What is found on the second but not in
the end was lost to other particles' edges and tracks.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trkx.algorithms.evaluation_edges import EventTruth
from trkx.algorithms.matching import TrackMatching, match_tracks
from trkx.algorithms.track_counts import TrackCounts
from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.graph import Graph
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.stages import TrackBuilder

LOSSES = {
    "no doublet": "true doublets join half of its hits at most",
    "no triplet": "true triplets join half of its hits at most",
    "short chain": "the cellular automaton left half of its hits at most",
    "too few hits": "the builder makes no track of true edges with perfect scores",
    "dropped": "the builder finds it, and drops it for its curvature or quality",
    "cut by score": "the builder makes no track of the true edges with their scores",
    "merged": "half of its hits or more are on tracks of other particles",
    "broken": "its own tracks hold half of its hits at most, each",
    "other": "none of these: its track holds too many hits of others",
}
"""Why a target is not found, in the order in which they are tried."""
FAKES = {
    "half": "pure: exactly half of the hits of a particle",
    "fragment": "pure: less than half of the hits of a particle",
    "mixture": "half of its hits at most are of one particle",
    "noise": "half of its hits at least are noise",
}
"""What a fake is; 'pure': more than half of its hits are of the particle."""
ETA_EDGES = (0.0, 1.0, 2.0, 3.0, 3.5, 4.0)
DISPLACED = 1.0  # mm; production radius above which a particle counts as displaced

_CERTAIN = 12.0  # logit of a perfect score


def joined_by_triplets(truth: EventTruth, graph: Graph) -> np.ndarray:
    """(P,) int64: most hits of each particle that triplets of its own edges join."""
    event = truth.event
    n_points, n_edges = max(len(event.space_points), 1), max(graph.n_edges, 1)
    source, target = graph.space_point[graph.edge_index]
    edge, particle = _particles_of_edges(event, source, target)
    key = particle * n_edges + edge  # ascending only within an edge
    order = np.argsort(key)
    key, edge, particle = key[order], edge[order], particle[order]
    first, second = graph.triplet_index
    count = np.bincount(edge, minlength=n_edges)
    by_edge = np.argsort(edge, kind="stable")
    start = np.concatenate([[0], np.cumsum(count)])
    triplet = np.repeat(np.arange(graph.n_triplets), count[first])
    within = np.arange(len(triplet)) - np.repeat(np.cumsum(count[first]) - count[first],
                                                 count[first])  # fmt: skip
    left = by_edge[start[first[triplet]] + within]
    wanted = particle[left] * n_edges + second[triplet]
    right = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    joins = key[right] == wanted if len(key) else np.zeros(0, bool)
    links = coo_array(
        (np.ones(joins.sum(), np.int8), (left[joins], right[joins])), shape=(len(key), len(key))
    )
    result = np.zeros(len(truth.target), np.int64)
    if len(key):
        _, label = connected_components(links, directed=False)
        ends = np.concatenate([source[edge], target[edge]])
        hits = np.unique(np.tile(label, 2).astype(np.int64) * n_points + ends)
        n_hits = np.bincount(hits // n_points)
        np.maximum.at(result, particle, n_hits[label])
    return result


def _particles_of_edges(
    event: LabelledEvent, source: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of an edge and a particle that both of its hits belong to."""
    n_points = max(len(event.space_points), 1)
    width = np.diff(event.offsets)
    count = width[source]
    edge = np.repeat(np.arange(len(source)), count)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    particle = event.particle[event.offsets[source[edge]] + within]
    members = np.unique(event.particle * n_points + np.repeat(np.arange(len(width)), width))
    both = np.isin(particle * n_points + target[edge], members)
    return edge[both], particle[both]


@dataclass
class ErrorBudget:
    """Losses and fakes of one pipeline, added up over events."""

    pipeline: Pipeline
    pt_min: float = 1.0  # GeV, of target particles
    counts: TrackCounts = field(default_factory=TrackCounts)
    events: int = 0
    losses: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # loss, origin, |eta|
    targets: Counter[tuple[str, int]] = field(default_factory=Counter)  # origin, |eta| bin
    fakes: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, whose

    def add(self, event: LabelledEvent, beam_spot: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """Run the stages on one event.

        Returns:
            (P,) int64: index into `LOSSES` of each target that was lost, -1 for all others.
        """
        truth = EventTruth.of(event, self.pt_min)
        graph = self.pipeline.graph_constructor(event.space_points, beam_spot)
        scored = graph
        for classify in self.pipeline.edge_classifiers:
            scored = classify(scored)
        build = self.pipeline.track_builder
        candidates = build(scored)
        found = self.counts.add(event, candidates, self.pt_min)
        matching = _match(event, candidates)
        lost = truth.target & ~found
        loss = np.full(len(lost), -1, np.int64)

        def assign(number: int, test: np.ndarray) -> None:
            loss[lost & (loss < 0) & test] = number

        doublets, triplets = (self._with_min_hits(n, event, beam_spot, graph) for n in (2, 3))
        assign(0, ~truth.reachable(doublets))
        if triplets.n_triplets:
            assign(1, 2 * joined_by_triplets(truth, triplets) <= event.n_hits)
        assign(2, ~truth.reachable(graph))
        labels = label_graph(scored, event, self.pt_min)
        certain = (_CERTAIN * (2 * x - 1) for x in (labels.edge, labels.triplet))
        only_true = labels.edge > 0.5
        perfect = scored.with_scores(*certain).keep_edges(only_true)
        patient = _keeping_all(build)

        def found_by(builder: TrackBuilder, graph: Graph) -> np.ndarray:
            return _match(event, builder(graph)).found(len(event.pt))

        assign(3, ~found_by(patient, perfect))
        assign(4, found_by(patient, scored))
        assign(5, ~found_by(patient, scored.keep_edges(only_true)))
        own, others = _hits_on_tracks(event, candidates, matching)
        assign(6, 2 * others >= event.n_hits)
        assign(7, 2 * own <= event.n_hits)
        assign(8, lost)
        self._count(event, truth.target, loss)
        self._count_fakes(event, candidates, matching, truth.target)
        self.events += 1
        return loss

    def _with_min_hits(
        self, n: int, event: LabelledEvent, beam_spot: tuple[float, float], graph: Graph
    ) -> Graph:
        """The graph of chains of `n` hits, where the constructor has such a setting."""
        constructor: Any = self.pipeline.graph_constructor
        config: Any = getattr(constructor, "config", None)
        if not hasattr(config, "min_hits") or config.min_hits <= n:
            return graph
        other = copy.copy(constructor)
        try:
            other.config = replace(config, min_hits=n)
        except ValueError:  # a constructor that makes no edges without triplets
            return self._with_min_hits(n + 1, event, beam_spot, graph)
        return other(event.space_points, beam_spot)

    def _count(self, event: LabelledEvent, target: np.ndarray, loss: np.ndarray) -> None:
        radius = np.hypot(event.vertex[:, 0], event.vertex[:, 1])
        origin = np.where(radius > DISPLACED, "displaced", "prompt")
        eta_bin = np.searchsorted(ETA_EDGES, np.abs(event.eta), side="right") - 1
        names = list(LOSSES)
        for row in np.flatnonzero(target):
            place = str(origin[row]), int(eta_bin[row])
            self.targets[place] += 1
            if loss[row] >= 0:
                self.losses[names[loss[row]], *place] += 1

    def _count_fakes(
        self,
        event: LabelledEvent,
        candidates: TrackCandidates,
        matching: TrackMatching,
        target: np.ndarray,
    ) -> None:
        fake = (np.diff(candidates.offsets) >= 7) & (matching.particle < 0)
        signal = np.add.reduceat(
            np.append(np.diff(event.offsets)[candidates.hits] > 0, False).astype(np.int64),
            candidates.offsets[:-1],
        ) if len(candidates) else np.zeros(0, np.int64)  # fmt: skip
        for t in np.flatnonzero(fake):
            p, n = matching.majority_particle[t], matching.n_measurements[t]
            if 2 * signal[t] <= n:
                kind = "noise"
            elif 2 * matching.n_majority[t] <= n:
                kind = "mixture"
            elif 2 * matching.n_majority[t] == event.n_hits[p]:
                kind = "half"
            else:
                kind = "fragment"
            whose = "none"
            if p >= 0:
                soft = event.pt[p] <= self.pt_min
                whose = "target" if target[p] else "softer" if soft else "no target"
            self.fakes[kind, whose] += 1

    def summary(self) -> dict[str, Any]:
        """Plain numbers: rates of the pipeline, losses and fakes."""
        return {
            "events": self.events,
            "pt_min": self.pt_min,
            "tracks": {**self.counts.summary(), "counts": dict(vars(self.counts))},
            "eta_edges": list(ETA_EDGES),
            "targets": {
                origin: [self.targets[origin, k] for k in range(len(ETA_EDGES) - 1)]
                for origin in ("prompt", "displaced")
            },
            "losses": {
                name: {
                    origin: [self.losses[name, origin, k] for k in range(len(ETA_EDGES) - 1)]
                    for origin in ("prompt", "displaced")
                }
                for name in LOSSES
            },
            "fakes": {
                kind: {w: self.fakes[kind, w] for w in ("target", "softer", "no target", "none")}
                for kind in FAKES
            },
            "definitions": {"losses": LOSSES, "fakes": FAKES},
        }


def _match(event: LabelledEvent, candidates: TrackCandidates) -> TrackMatching:
    return match_tracks(
        candidates.offsets, candidates.hits, event.offsets, event.particle, len(event.pt)
    )


def _keeping_all(build: Any) -> Any:
    """The same track builder, which keeps soft tracks and does not judge them."""
    other = copy.copy(build)
    layer_map = getattr(build, "layer_map", None)
    if layer_map is not None:
        other.layer_map = replace(
            layer_map, curvature_max=layer_map.curvature_max + np.float32(1e9)
        )
    completion = getattr(build, "completion", None)
    if completion is not None:
        other.completion = replace(completion, min_quality=-np.inf, softest=0.0)
    if getattr(getattr(build, "config", None), "min_pt", 0):
        other.config = replace(build.config, min_pt=0.0)
    return other


def _hits_on_tracks(
    event: LabelledEvent, candidates: TrackCandidates, matching: TrackMatching
) -> tuple[np.ndarray, np.ndarray]:
    """(P,) hits on the best track that is mostly a particle's, and on tracks of others."""
    n = len(event.pt)
    own, others = np.zeros(n, np.int64), np.zeros(n, np.int64)
    track = np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))
    width = np.diff(event.offsets)[candidates.hits]
    first = event.offsets[candidates.hits]
    at = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width - first, width)
    particle, track = event.particle[at], np.repeat(track, width)
    mine = matching.majority_particle[track] == particle
    np.maximum.at(own, matching.majority_particle[matching.majority_particle >= 0],
                  matching.n_majority[matching.majority_particle >= 0])  # fmt: skip
    np.add.at(others, particle[~mine], 1)
    return own, others
