"""The trainer of all stages that score edges: filter, interaction, attention, heterogeneous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from trkx.plugin.edge_features import EDGE_FEATURES, edge_features
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.edge_network import (
    EdgeNetworkClassifier,
    EdgeNetworkClassifierConfig,
    make_network,
)
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.stage_settings import read_settings
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.training.edge_training import EdgeTraining, GraphExample, join_graphs, n_edges
from trkx.plugin.training.example_chunks import ExampleChunks
from trkx.plugin.training.sectors import SectorEvents
from trkx.plugin.training.stages import Events, TrainingRequest, card_of


@dataclass(frozen=True)
class EdgeDataConfig:
    """What edge networks read and what they are taught: table [data] of a configuration."""

    features: tuple[str, ...] = ("r", "cos_phi", "sin_phi", "z", "eta")  # of nodes
    scales: tuple[float, ...] = (1000.0, 1.0, 1.0, 1000.0, 4.0)  # what they are divided by
    edge_features: tuple[str, ...] = EDGE_FEATURES  # none for networks that read none
    edge_scales: tuple[float, ...] = ()  # none: those of `edge_features`
    label_pt: float = 0.0  # GeV; true edges of softer particles weigh less; 0: 0.9 times the target
    soft_weight: float = 0.2  # their weight
    focal: float = 0.0  # exponent of the focal loss; 0: cross entropy
    positive: float = 1.0  # further weight of true edges
    sectors: int = 1  # in azimuth, that an event is cut into: more and smaller steps

    def __post_init__(self) -> None:
        if len(self.features) != len(self.scales):
            raise ValueError(
                f"{len(self.features)} features, but {len(self.scales)} scales; give one for each"
            )
        if self.sectors < 1:
            raise ValueError(f"sectors is {self.sectors}; give at least 1")


class GraphMaker:
    """Makes the labelled example of an event from the graph of the stages before."""

    def __init__(self, request: TrainingRequest, config: EdgeDataConfig) -> None:
        self.request, self.config = request, config
        self.notes = {"extent": {"r": 0.0, "z": 0.0}}  # of the detector, mm

    def __call__(self, event: LabelledEvent) -> GraphExample:
        points, known = event.space_points, self.notes["extent"]
        known["r"] = max(known["r"], float(np.hypot(points.x, points.y).max(initial=0.0)))
        known["z"] = max(known["z"], float(np.abs(points.z).max(initial=0.0)))
        return self.example(self.request.graph(event.space_points), event)

    def example(self, graph: Graph, event: LabelledEvent) -> GraphExample:
        """The example of a graph; hits on no edge teach nothing and are left out."""
        c = self.config
        graph = graph.without_isolated_nodes()
        labels = label_graph(
            graph, event, c.label_pt or 0.9 * self.request.pt_min, other_weight=c.soft_weight
        )
        return GraphExample(
            x=torch.from_numpy(graph.features(c.features, c.scales)),
            edge_index=torch.from_numpy(np.ascontiguousarray(graph.edge_index)),
            edge_attr=torch.from_numpy(
                edge_features(graph, c.edge_features, c.edge_scales or None)
            ),
            label=torch.from_numpy(labels.edge),
            weight=torch.from_numpy(labels.edge_weight),
        )


def build(
    request: TrainingRequest, events: Events
) -> tuple[EdgeTraining, ExampleChunks[GraphExample]]:
    """The training of an edge network, and its graphs.

    Raises:
        StageError: bad settings, or no stages before.
    """
    config = _config(request)
    if request.before is None:
        raise StageError(f"training '{request.stage}' needs the stages before it, in [before]")
    shape = {
        "node_features": len(config.features),
        "edge_features": len(config.edge_features),
        **request.network,
    }
    torch.manual_seed(request.fit.seed)
    network = make_network(request.stage, shape)
    training = EdgeTraining(network, request.fit, config.focal, config.positive)
    data = ExampleChunks(
        SectorEvents(events, config.sectors) if config.sectors > 1 else events,
        GraphMaker(request, config),
        request.work / "examples",
        GraphExample,
        n_edges,
        join_graphs,
        key=request.key,
        keep=events.keep,
    )
    training.card = {**_inputs(config), **data.notes}
    return training, data


def finish(training: EdgeTraining, request: TrainingRequest) -> StageWeights:
    """Write the weights and their card."""
    shape: Any = training.network.config
    about = card_of(request, **training.card)
    return StageWeights.write(request.out, request.stage, training.network, shape.to_dict(), about)


def as_stage(network: nn.Module, request: TrainingRequest) -> EdgeNetworkClassifier:
    """The classifier with a network that is being trained."""
    config = read_settings(EdgeNetworkClassifierConfig, request.settings, request.stage)
    return EdgeNetworkClassifier(network, _inputs(_config(request)), config, request.context.device)


def _config(request: TrainingRequest) -> EdgeDataConfig:
    return read_settings(EdgeDataConfig, request.data, f"{request.stage}, [data]")


def _inputs(config: EdgeDataConfig) -> Mapping[str, Any]:
    """What a card says that the network reads."""
    inputs: dict[str, Any] = {
        "features": list(config.features),
        "scales": list(config.scales),
        "edge_features": list(config.edge_features),
    }
    if config.edge_scales:
        inputs["edge_scales"] = list(config.edge_scales)
    return inputs
