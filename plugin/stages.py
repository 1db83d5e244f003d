"""The three stages of track finding, as interfaces of one method each.

They mirror ACTS' `Stages.hpp`: graph construction, edge classification, track building.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import SpacePoints


@runtime_checkable
class GraphConstructor(Protocol):
    """Space points to graph."""

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float]) -> Graph: ...


@runtime_checkable
class EdgeClassifier(Protocol):
    """Graph to graph with scores, edges may be dropped."""

    def __call__(self, graph: Graph) -> Graph: ...


@runtime_checkable
class TrackBuilder(Protocol):
    """Graph to track candidates."""

    def __call__(self, graph: Graph) -> TrackCandidates: ...
