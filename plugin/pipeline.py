"""The pipeline: stages in order, their times, and hooks between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stages import EdgeClassifier, GraphConstructor, TrackBuilder

Hook = Callable[[str, Graph], None]  # stage name, the graph after it
Resolver = Callable[[TrackCandidates, SpacePoints], TrackCandidates]


@dataclass(frozen=True)
class Pipeline:
    """Graph constructor, edge classifiers and track builder.

    A pipeline has no state per event: one may be called from several threads.
    """

    graph_constructor: GraphConstructor
    edge_classifiers: Sequence[EdgeClassifier]
    track_builder: TrackBuilder
    hooks: Sequence[Hook] = ()
    meta: dict[str, object] = field(default_factory=dict)  # provenance of map and weights
    shared_clusters: Resolver | None = None  # takes clusters from all but the best of their tracks

    def __call__(
        self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)
    ) -> TrackCandidates:
        """Find the tracks of one event.

        Args:
            points: N space points; none is an ordinary event without tracks.
            beam_spot: x and y of the beam line, mm.

        Returns:
            Candidates whose `timing` holds the seconds of every stage.
        """
        if len(points) == 0:
            return TrackCandidates.empty()
        found = self.find_in(
            lambda: replace(self.graph_constructor(points, beam_spot), event=points.event)
        )
        return self.resolve(found, points)

    def resolve(self, candidates: TrackCandidates, points: SpacePoints) -> TrackCandidates:
        """The tracks of `points` after clusters that several share were given to the best."""
        if self.shared_clusters is None:
            return candidates
        start = time.perf_counter()
        resolved = self.shared_clusters(candidates, points)
        seconds = {"shared_clusters": time.perf_counter() - start}
        return replace(resolved, timing=candidates.timing | seconds)

    def find_in(self, make_graph: Callable[[], Graph]) -> TrackCandidates:
        """The same, with a graph that is made by other means than from space points."""
        timing: dict[str, float] = {}
        clock = time.perf_counter

        def after(stage: str, graph: Graph, start: float) -> float:
            timing[stage] = clock() - start
            for hook in self.hooks:
                hook(stage, graph)
            return clock()  # hooks are not part of any stage's time

        now = clock()
        graph = make_graph()
        now = after("graph_construction", graph, now)
        for number, classify in enumerate(self.edge_classifiers):
            graph = classify(graph)
            suffix = "" if len(self.edge_classifiers) == 1 else f"_{number + 1}"
            now = after(f"edge_classification{suffix}", graph, now)
        candidates = self.track_builder(graph)
        timing["track_building"] = clock() - now
        return replace(candidates, timing=timing)
