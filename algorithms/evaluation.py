"""Evaluation of a pipeline stage by stage: edges, scores, tracks, seconds and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms import evaluation_edges, evaluation_resources, evaluation_scores
from trkx.algorithms.evaluation_edges import EdgeCounts, EventTruth, graph_key
from trkx.algorithms.evaluation_resources import StageUse
from trkx.algorithms.evaluation_scores import ScoreSpectrum
from trkx.algorithms.performance import library_versions, plain
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_input import PT_MIN
from trkx.plugin import Pipeline, load_pipeline
from trkx.plugin.errors import StageError, TrackFindingError
from trkx.plugin.graph import Graph
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.space_points import LabelledEvent

__all__ = ["CUTS", "PipelineEvaluation", "evaluate_pipeline"]

CUTS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
"""Scores above which edges connect components, where nothing else is asked for."""

DEFINITIONS = {
    **evaluation_edges.DEFINITIONS,
    **evaluation_scores.DEFINITIONS,
    **evaluation_resources.DEFINITIONS,
    "targets": "charged, |eta| < 4, at least 7 measurements, pT above pt_min (GeV)",
    "tracks": "by double majority: more than 50% of the track's hits are the particle's, and the "
    "track has more than 50% of the particle's hits. efficiency: target particles found / target "
    "particles; fakes and duplicates: of tracks with at least 7 hits. 'components': connected "
    "components of at least 5 hits of the edges above 'cut' (null: of all edges); 'builder': the "
    "track builder's",
}


@dataclass
class StageFigures:
    """What is known of one stage, summed over events."""

    stage: str  # name in the registry
    table: str  # of the pipeline file
    use: StageUse = field(default_factory=StageUse)
    edges: EdgeCounts = field(default_factory=EdgeCounts)
    scores: ScoreSpectrum | None = None  # of classifiers
    components: dict[float | None, TrackCounts] = field(default_factory=dict)  # by cut
    builder: TrackCounts | None = None  # of the track builder


class PipelineEvaluation:
    """Runs a pipeline stage by stage on labelled events and adds up what each one does."""

    def __init__(
        self,
        pipeline: Pipeline,
        stages: Sequence[str] | None = None,
        pt_min: float = 1.0,
        cuts: Sequence[float] = CUTS,
        beam_spot: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Prepare an evaluation.

        Args:
            pipeline: the pipeline, warmed up.
            stages: names of its stages in their order; None: those of their classes.
            pt_min: GeV, of target particles.
            cuts: probabilities above which edges connect components.
            beam_spot: x and y of the beam line, mm.
        """
        self.pipeline, self.pt_min, self.cuts = pipeline, pt_min, tuple(cuts)
        self.beam_spot, self.n_events, self.n_points = beam_spot, 0, 0
        classifiers = list(pipeline.edge_classifiers)
        objects = [pipeline.graph_constructor, *classifiers, pipeline.track_builder]
        names = list(stages or [type(stage).__name__ for stage in objects])
        tables = ["graph_construction", *["edge_classification"] * len(classifiers)]
        self.stages = [
            StageFigures(name, table)
            for name, table in zip(names, [*tables, "track_building"], strict=True)
        ]
        for figures in self.stages[1:-1]:
            figures.scores = ScoreSpectrum()
        self.stages[-1].builder = TrackCounts()

    def add(self, event: LabelledEvent) -> None:
        """Run all stages on one event."""
        self.n_events += 1
        self.n_points += len(event.space_points)
        if len(event.space_points) == 0:
            return
        truth = EventTruth.of(event, self.pt_min)
        first, *classifiers, last = self.stages
        with first.use.measure():
            graph = self.pipeline.graph_constructor(event.space_points, self.beam_spot)
        kinds = first.edges.add(truth, graph)
        self._components(first, event, graph)
        for figures, classify in zip(classifiers, self.pipeline.edge_classifiers, strict=True):
            before = graph
            with figures.use.measure():
                graph = classify(before)
            assert figures.scores is not None
            figures.scores.add(scores_of(classify, before, graph), kinds, figures.stage)
            kinds = figures.edges.add(truth, graph)
            self._components(figures, event, graph)
        with last.use.measure():
            candidates = self.pipeline.track_builder(graph)
            candidates = self.pipeline.resolve(candidates, event.space_points)
        assert last.builder is not None
        last.builder.add(event, candidates, self.pt_min)

    def _components(self, figures: StageFigures, event: LabelledEvent, graph: Graph) -> None:
        from trkx.plugin.connected_components import (
            ConnectedComponents,
            ConnectedComponentsConfig,
        )

        cuts: tuple[float | None, ...] = self.cuts
        if graph.edge_scores is None:
            graph, cuts = graph.with_scores(np.zeros(graph.n_edges, np.float32)), (None,)
        for cut in cuts:
            build = ConnectedComponents(ConnectedComponentsConfig(score_cut=cut or 0.0))
            counts = figures.components.setdefault(cut, TrackCounts())
            counts.add(event, build(graph), self.pt_min)

    def summary(self) -> dict[str, Any]:
        """The content of evaluation.json but for what says where it comes from."""
        return {
            "pt_min": self.pt_min,
            "events": self.n_events,
            "space_points": self.n_points / max(self.n_events, 1),
            "stages": [self._stage(figures) for figures in self.stages],
        }

    def _stage(self, figures: StageFigures) -> dict[str, Any]:
        found: dict[str, Any] = {"stage": figures.stage, "table": figures.table}
        found |= figures.use.summary()
        if figures.builder is not None:
            return found | {"tracks": {"builder": _tracks(figures.builder)}}
        found |= figures.edges.summary(self.n_events)
        if figures.scores is not None:
            found |= figures.scores.summary()
        components = [{"cut": cut, **_tracks(c)} for cut, c in figures.components.items()]
        return found | {"tracks": {"components": components}}


def _tracks(counts: TrackCounts) -> dict[str, Any]:
    return {**counts.summary(), "counts": dict(vars(counts))}


def scores_of(classify: Any, before: Graph, after: Graph) -> np.ndarray:
    """(E,) logits of all edges of `before`; -inf for those that the classifier dropped.

    Edge networks are asked for the scores of the edges they dropped, too.

    Raises:
        StageError: the classifier gave no scores.
    """
    if after.edge_scores is None:
        raise StageError(f"{type(classify).__name__}: gave no edge scores; it is no classifier")
    if after.n_edges != before.n_edges and callable(getattr(classify, "scores", None)):
        return np.asarray(classify.scores(before))
    scores = np.full(before.n_edges, -np.inf, np.float64)
    key, kept = graph_key(before), graph_key(after)
    order = np.argsort(key)
    scores[order[np.searchsorted(key[order], kept)]] = after.edge_scores
    return scores


def evaluate_pipeline(
    file: PipelineFile,
    events: Iterable[tuple[int, LabelledEvent]],
    target: str | None = None,
    device: str = "cpu",
    threads: int | None = 1,
    weights: Path | str | None = None,
    cuts: Sequence[float] = CUTS,
    beam_spot: tuple[float, float] = (0.0, 0.0),
    progress: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Evaluate a pipeline file on labelled events.

    Args:
        file: the pipeline.
        events: number and truth of each.
        target: 'pt1' or 'pt05'; None: the default of the file.
        device: 'cpu' or 'cuda'.
        threads: threads of torch.
        weights: a model folder instead of the shipped one.
        cuts: probabilities above which edges connect components.
        beam_spot: x and y of the beam line, mm.
        progress: called after each event.

    Returns:
        the content of evaluation.json.

    Raises:
        TrackFindingError: of the stages; names the event.
    """
    target = file.check_target(target)
    pipeline = load_pipeline(
        pipeline=file.path, target=target, device=device, threads=threads, weights=weights
    )
    names = [table.stage for table in file.stages]
    evaluation = PipelineEvaluation(pipeline, names, PT_MIN[target], cuts, beam_spot)
    for number, event in events:
        try:
            evaluation.add(event)
        except TrackFindingError as error:
            raise type(error)(f"{file.where}, event {number}: {error}") from error
        progress()
    settings: Mapping[str, Any] = {
        "device": device,
        "threads": threads,
        "weights": weights,
        "beam_spot": beam_spot,
    }
    document = {
        "schema": "trkx-evaluation",
        "schema_version": 1,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pipeline": {
            "name": file.name,
            "description": file.description,
            "file": file.path.name,
            "stages": [{"stage": t.stage, **t.settings} for t in file.stages],
        },
        "target": target,
        "settings": settings,
        "definitions": DEFINITIONS,
        "versions": library_versions(),
        **evaluation.summary(),
    }
    result: dict[str, Any] = plain(document)
    return result
