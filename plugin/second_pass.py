"""Two passes: a graph of the hits that the tracks of another pipeline leave over.

The first pass takes what is easy, with narrow windows; on what is left, wider ones are affordable
and make fewer fakes. Its tracks travel with the graph, and every track builder hands them on
(`TrackCandidates.joined`), so that the second pass is an ordinary pipeline.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.stages import GraphConstructor


@dataclass(frozen=True)
class SecondPassConfig:
    """What comes first, what it keeps, and what the second pass is."""

    first: str = "fast"  # pipeline of the first pass, a name or a file
    taken_hits: int = 7  # hits of the shortest track of the first pass that keeps them
    constructor: str = "displaced"  # graph constructor of the second pass; settings that are not
    #   of this table are its own


class SecondPass:
    """Graph constructor on the hits that another pipeline leaves over."""

    def __init__(
        self, first: Pipeline, second: GraphConstructor, config: SecondPassConfig | None = None
    ) -> None:
        self.first = first
        self.second = second
        self.passes = config or SecondPassConfig()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `SecondPassConfig`, and settings of the constructor.

        Raises:
            StageError: the first pass has two passes itself.
        """
        # Not at the top: the registry and files of pipelines know this class by its name.
        from trkx.plugin.pipeline_file import PipelineFile
        from trkx.plugin.registry import find_stage

        own = {f.name for f in fields(SecondPassConfig)}
        config = read_settings(
            SecondPassConfig, {k: v for k, v in settings.items() if k in own}, "second_pass"
        )
        source = context.path(config.first)
        file = PipelineFile.read(source if source.is_file() else config.first)
        if "second_pass" in (file.graph_construction.stage, config.constructor):
            raise StageError(
                f"stage 'second_pass': first = '{config.first}' and constructor = "
                f"'{config.constructor}' must not be second passes themselves"
            )
        kind: Any = find_stage("graph_constructors", config.constructor).load()
        inner = {k: v for k, v in settings.items() if k not in own}
        return cls(
            file.build(context.device, context.target, context.model),
            kind.from_settings(inner, replace(context, stage=config.constructor)),
            config,
        )

    @property
    def config(self) -> Any:
        """Settings of the constructor of the second pass; None if it has none."""
        return getattr(self.second, "config", None)

    @config.setter
    def config(self, value: Any) -> None:
        second: Any = copy.copy(self.second)  # others may use it as well
        second.config = value
        self.second = second

    @property
    def layer_map(self) -> Any:
        """The map of the second pass; None if it has none."""
        return getattr(self.second, "layer_map", None)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Find tracks, and build the graph of the other hits."""
        found = self.first(points, beam_spot)
        n_hits = np.diff(found.offsets)
        free = np.ones(len(points), bool)
        free[found.hits[np.repeat(n_hits >= self.passes.taken_hits, n_hits)]] = False
        rows = np.flatnonzero(free)
        graph = self.second(points.take(rows), beam_spot)
        return replace(
            graph,
            n_space_points=len(points),
            space_point=rows[graph.space_point],
            found=found,
        )
