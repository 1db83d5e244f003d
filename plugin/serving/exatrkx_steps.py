"""The models of the ensemble `exatrkx`: embed, frnn, filter, applyfilter, gnn and wcc.

Names and tensors are those of exatrkx-service. What its models do not know, and ours do, comes as
one more, optional input: frnn gets the hits, to direct edges outward and list each once, and wcc
gets them, so that there is a label for every hit and not only up to the last one on an edge.
Hits without edges, and events without edges or hits, are nothing special.

References: arXiv:2402.09633.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from trkx.plugin.edge_network import EdgeNetworkClassifierConfig, logit
from trkx.plugin.errors import SpacePointError
from trkx.plugin.exatrkx_graph import features_graph, given_graph
from trkx.plugin.metric_learning import MetricLearningConfig
from trkx.plugin.pipeline_file import PipelineFile, StageTable
from trkx.plugin.radius_search import radius_search
from trkx.plugin.serving.backend import answer_each, given, instance_device, model_parameters
from trkx.plugin.serving.exatrkx_tensors import STEPS, StepTensors, example_inputs
from trkx.plugin.serving.tensors import read_tensor
from trkx.plugin.stage_settings import read_settings


class Step(ABC):
    """One model of the ensemble."""

    name: str  # of the model

    def initialize(self, args: dict[str, str]) -> None:
        """Make the part of the pipeline that the model's configuration names, and run it once."""
        parameters = model_parameters(args)
        self.file = PipelineFile.read(parameters["pipeline"])
        self.target, self.device = parameters["target"], instance_device(args)
        self.tensors: StepTensors = STEPS[self.name]
        self.prepare()
        # Kernels are compiled at their first call, or read from the cache: not in the first event.
        self.run(*example_inputs(self.name, int(parameters["dimensions"])).values())

    def make(self, table: StageTable) -> Any:
        """A stage of the pipeline."""
        return self.file.make_stage(table, self.device, self.target)

    @abstractmethod
    def prepare(self) -> None:
        """Load what the step needs."""

    @abstractmethod
    def run(self, *inputs: Any) -> np.ndarray:
        """The output for inputs in the order of the configuration; optional ones may be None."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request by itself."""
        return answer_each(requests, self._answer)

    def _answer(self, request: Any) -> dict[str, np.ndarray]:
        inputs = [
            read_tensor(request, t.name) if t.optional else given(request, t.name)
            for t in self.tensors.inputs
        ]
        return {self.tensors.output.name: self.run(*inputs)}


class Embed(Step):
    """FEATURES (N, 3) → where the hits lie (N, d)."""

    name = "embed"

    def prepare(self) -> None:
        self.stage = self.make(self.file.graph_construction)

    def run(self, features: np.ndarray) -> np.ndarray:
        found = self.stage.embed_features(features)
        return found.reshape(len(features), self.stage.network.config.dimensions)


class Frnn(Step):
    """Where the hits lie (N, d), and FEATURES or None → edges (2, E)."""

    name = "frnn"

    def prepare(self) -> None:
        settings = self.file.graph_construction.settings
        self.config = read_settings(MetricLearningConfig, settings, "exatrkx")

    def run(self, embedded: np.ndarray, features: np.ndarray | None) -> np.ndarray:
        if features is None:
            features = np.zeros((len(embedded), 3), np.float32)
        if len(features) != len(embedded):
            raise SpacePointError(
                f"INPUT0 has {len(embedded)} hits, INPUT1 has {len(features)}; give the same ones"
            )
        c = self.config
        pairs = radius_search(embedded, c.radius, c.k, c.search)
        return features_graph(features, pairs).edge_index.astype(np.int64)


class EdgeScores(Step):
    """FEATURES (N, 3), edges (2, E) → one logit per edge."""

    number: int  # of the edge classifier in the pipeline

    def prepare(self) -> None:
        self.stage = self.make(self.file.edge_classification[self.number])

    def run(self, features: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return self.stage.scores(given_graph(features, edges))


class Filter(EdgeScores):
    """The logits are (E, 1)."""

    name = "filter"
    number = 0

    def run(self, features: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return super().run(features, edges)[:, None]


class ApplyFilter(Step):
    """Logits (E, 1), edges (2, E) → the edges that the filter keeps (2, E')."""

    name = "applyfilter"

    def prepare(self) -> None:
        settings = self.file.edge_classification[0].settings
        cut = read_settings(EdgeNetworkClassifierConfig, settings, "filter").cut
        self.least = logit(cut) if cut > 0 else -np.inf

    def run(self, scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
        _check_scores(scores[:, 0], edges)
        return edges[:, scores[:, 0] >= self.least]


class Gnn(EdgeScores):
    """The logits are (E,)."""

    name = "gnn"
    number = 1


class Wcc(Step):
    """Edges (2, E), logits (E,), and FEATURES or None → labels (N,).

    Without FEATURES the hits are those up to the last one on an edge.
    """

    name = "wcc"

    def prepare(self) -> None:
        self.stage = self.make(self.file.track_building)

    def run(self, edges: np.ndarray, scores: np.ndarray, features: np.ndarray | None) -> np.ndarray:
        if features is None:
            features = np.zeros((int(edges.max(initial=-1)) + 1, 3), np.float32)
        _check_scores(scores, edges)
        graph = given_graph(features, edges).with_scores(scores)
        return self.stage(graph.without_isolated_nodes()).labels


def _check_scores(scores: np.ndarray, edges: np.ndarray) -> None:
    if len(scores) != edges.shape[1]:
        raise SpacePointError(f"{len(scores)} scores for {edges.shape[1]} edges; give one for each")
