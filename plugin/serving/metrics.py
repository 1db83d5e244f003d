"""Our own Prometheus metrics, beside those that Triton counts by itself."""

from __future__ import annotations

from typing import Any

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.graph import Graph

_FAMILIES = {
    "events": "Events whose tracks were found",
    "space_points": "Space points of these events",
    "edges": "Edges of their graphs, after graph construction",
    "tracks": "Track candidates found",
    "stage_seconds": "Seconds spent in each stage",
}


class ModelMetrics:
    """Counters of one model; instances of a model add to the same ones."""

    def __init__(self, model: str) -> None:
        """Register the counters with the server."""
        import triton_python_backend_utils as pb

        self._families = {
            name: pb.MetricFamily(
                name=f"trkx_{name}_total", description=text, kind=pb.MetricFamily.COUNTER
            )
            for name, text in _FAMILIES.items()
        }
        self._model = model
        self._metrics: dict[tuple[str, str], Any] = {}

    def add(self, name: str, value: float, stage: str = "") -> None:
        """Add to a counter; `stage` becomes a label."""
        key = (name, stage)
        if key not in self._metrics:
            labels = {"model": self._model} | ({"stage": stage} if stage else {})
            self._metrics[key] = self._families[name].Metric(labels=labels)
        self._metrics[key].increment(value)

    def count_edges(self, stage: str, graph: Graph) -> None:
        """Hook of a pipeline."""
        if stage == "graph_construction":
            self.add("edges", graph.n_edges)

    def count(self, found: TrackCandidates) -> None:
        """Add one event."""
        self.add("events", 1)
        self.add("space_points", found.n_space_points)
        self.add("tracks", len(found))
        for stage, seconds in found.timing.items():
            self.add("stage_seconds", seconds, stage)
