"""Training of the hierarchical GNN: embedding by a hinge loss, assignment by cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from trkx.plugin.edge_network import EdgeNetworkClassifier
from trkx.plugin.hierarchical_builder import (
    STAGE,
    HierarchicalBuilder,
    HierarchicalBuilderConfig,
    HierarchicalInputs,
)
from trkx.plugin.hierarchical_gnn import HierarchicalGnn, HierarchicalGnnConfig
from trkx.plugin.hierarchical_pooling import nearest
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
from trkx.plugin.stage_settings import read_settings
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.training.example_chunks import ExampleChunks
from trkx.plugin.training.hierarchical_examples import (
    HierarchicalDataConfig,
    HierarchicalExample,
    HierarchicalMaker,
    StepGraph,
    draw,
    n_edges,
)
from trkx.plugin.training.hierarchical_matching import pair_labels
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings
from trkx.plugin.training.stages import Events, TrainingRequest, card_of

_QUERIES = 1500  # hits whose nearest neighbours are looked at in one step
_NEIGHBOURS = 16  # of each


def embedding_loss(
    embedding: Tensor, step: StepGraph, margin: float, rng: np.random.Generator
) -> Tensor:
    """Hinge loss: pulls hits of one particle together, pushes others to at least `margin`.

    Pairs are those of edges, random ones of the same particle, and the nearest neighbours in the
    present embedding of some hits, which are the hardest negatives. Distances are between unit
    vectors, 0 to 2.
    """

    def squared(pairs: np.ndarray) -> Tensor:
        index = torch.from_numpy(pairs).to(embedding.device)
        return ((embedding[index[0]] - embedding[index[1]]) ** 2).sum(dim=1)

    def hinge(pairs: np.ndarray) -> tuple[Tensor, Tensor]:
        d2, same = squared(pairs), torch.from_numpy(step.same(pairs)).to(embedding.device)
        apart = torch.relu(margin - (d2[~same] + 1e-9).sqrt()) ** 2
        return _mean(d2[same]), _mean(apart)

    edge_pull, edge_push = hinge(step.graph.edge_index.astype(np.int64))
    query = rng.integers(0, max(len(embedding), 1), min(len(embedding), _QUERIES))
    fixed = embedding.detach()
    index = torch.from_numpy(query).to(embedding.device)
    near = nearest(fixed[index], fixed, _NEIGHBOURS).cpu().numpy()
    near = np.stack([query[near[0]], near[1]])
    near_pull, near_push = hinge(near[:, near[0] != near[1]])
    pull = _mean(squared(_same_pairs(step, rng)))
    return pull + edge_pull + 2 * edge_push + near_pull + 4 * near_push


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.sum()


def _same_pairs(step: StepGraph, rng: np.random.Generator) -> np.ndarray:
    """(2, K) int64 random pairs of hits of one particle, about two per hit."""
    node = np.repeat(np.arange(len(step.offsets) - 1), np.diff(step.offsets))
    order = np.lexsort((rng.random(len(node)), step.particle))
    node, particle = node[order], step.particle[order]
    pairs = []
    for apart in (1, 2):
        same = particle[apart:] == particle[:-apart]
        pairs.append(np.stack([node[:-apart][same], node[apart:][same]]))
    return np.concatenate(pairs, axis=1)


class HierarchicalTraining(StageTraining):
    """Embedding and assignment together, on another part of an event at every step."""

    card: dict[str, Any]

    def __init__(
        self, network: nn.Module, settings: FitSettings, data: HierarchicalDataConfig
    ) -> None:
        super().__init__(network, settings)
        self.data = data
        self.inputs = HierarchicalInputs(data.features, data.scales, data.edge_features)

    def draw(self, batch: HierarchicalExample) -> tuple[StepGraph, np.random.Generator]:
        """The graph of this step: what torch's generator, seeded at every step, makes of it."""
        rng = np.random.default_rng(int(torch.randint(1 << 31, ())))
        host = HierarchicalExample(*(part.cpu() for part in batch))
        return draw(host, self.data, rng), rng

    def training_step(self, batch: HierarchicalExample, batch_idx: int) -> Tensor:
        step, rng = self.draw(batch)
        network: Any = self.network
        x, position, index, attributes = self.inputs.tensors(step.graph, batch.node.device)
        flat = network.embed_hits(x, position, index, attributes)
        loss = embedding_loss(flat.embedding, step, self.data.margin, rng)
        super_node = network.cluster(flat.embedding.detach(), index)
        if self.step >= self.data.warm_up:
            output = network.assign(flat, super_node, position, index)
            label, _ = pair_labels(
                output.pairs.cpu().numpy(),
                torch.sigmoid(output.logits.detach()).cpu().numpy(),
                super_node.cpu().numpy(),
                step.offsets,
                step.particle,
                step.wanted,
            )
            if len(label):
                target = torch.from_numpy(label).to(output.logits)
                assignment = binary_cross_entropy_with_logits(output.logits, target)
                loss = loss + self.data.assignment * assignment
        return self.mean_over_processes(loss, torch.ones_like(loss))


class FlatTraining(HierarchicalTraining):
    """The flat interaction GNN on the same graphs: cross entropy of edges."""

    def training_step(self, batch: HierarchicalExample, batch_idx: int) -> Tensor:
        step, _ = self.draw(batch)
        x, _, index, attributes = self.inputs.tensors(step.graph, batch.node.device)
        logits = self.network(x, index, attributes)
        label = torch.from_numpy(step.same(step.graph.edge_index.astype(np.int64))).to(logits)
        loss = binary_cross_entropy_with_logits(logits, label)
        return self.mean_over_processes(loss, torch.ones_like(loss))


def build(
    request: TrainingRequest, events: Events
) -> tuple[HierarchicalTraining, ExampleChunks[HierarchicalExample]]:
    """The training, and its graphs.

    Raises:
        StageError: bad settings, or no stages before.
        WeightsError: the weights to start from cannot be used.
    """
    config = _config(request)
    shape: dict[str, Any] = {
        "node_features": len(config.features),
        "edge_features": len(config.edge_features),
        **request.network,
    }
    torch.manual_seed(request.fit.seed)
    training: HierarchicalTraining
    if config.flat:
        flat = InteractionGnn(read_settings(InteractionGnnConfig, shape, "interaction_gnn"))
        training = FlatTraining(flat, request.fit, config)
    else:
        network = HierarchicalGnn(read_settings(HierarchicalGnnConfig, shape, STAGE))
        if config.start:
            StageWeights.open(request.context.path(config.start), STAGE).load_into(network)
        training = HierarchicalTraining(network, request.fit, config)
    data = ExampleChunks(
        events,
        HierarchicalMaker(request, config),
        request.work / "examples",
        HierarchicalExample,
        n_edges,
        key=request.key,
    )
    return training, data


def finish(training: HierarchicalTraining, request: TrainingRequest) -> StageWeights:
    """Write the weights and their card; those of the flat network are of 'interaction_gnn'."""
    shape: Any = training.network.config
    stage = "interaction_gnn" if training.data.flat else STAGE
    about = card_of(request, **_inputs(training.data))
    return StageWeights.write(request.out, stage, training.network, shape.to_dict(), about)


def as_stage(network: Any, request: TrainingRequest) -> Any:
    """The stage with a network that is being trained."""
    config, device = _config(request), request.context.device
    if config.flat:
        return EdgeNetworkClassifier(network, _inputs(config), device=device)
    use = read_settings(HierarchicalBuilderConfig, request.settings, STAGE)
    return HierarchicalBuilder(network, _inputs(config), use, device)


def _config(request: TrainingRequest) -> HierarchicalDataConfig:
    return read_settings(HierarchicalDataConfig, request.data, f"{request.stage}, [data]")


def _inputs(config: HierarchicalDataConfig) -> dict[str, Any]:
    """What a card says that the network reads."""
    names = ("features", "scales", "edge_features")
    return {name: list(getattr(config, name)) for name in names}
