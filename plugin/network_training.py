"""Training of the interaction network with PyTorch Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from trkx.plugin.edge_labels import GraphLabels, label_graph
from trkx.plugin.graph import Graph
from trkx.plugin.interaction_network import InteractionNetwork, InteractionNetworkConfig
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.stages import GraphConstructor


@dataclass(frozen=True)
class TrainingConfig:
    """Optimisation of the network."""

    epochs: int = 10  # passes over the training graphs
    learning_rate: float = 3e-3  # peak of a one-cycle schedule
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest gradient norm
    width: int = 32
    steps: int = 4
    pt_min: float = 0.9  # GeV; softer particles weigh less
    displaced_weight: float = 3.0  # of true edges of displaced particles
    seed: int = 1


Example = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def to_example(graph: Graph, labels: GraphLabels) -> Example:
    """Tensors of one graph: network inputs (4) and labels with weights (4)."""
    arrays = (
        graph.edge_features,
        graph.edge_pair.astype(np.int16),
        graph.triplet_features,
        graph.triplet_index.astype(np.int32),
        labels.edge,
        labels.edge_weight,
        labels.triplet,
        labels.triplet_weight,
    )
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)  # type: ignore[return-value]


class GraphDataset(Dataset[Example]):
    """Graphs of simulated events, built once and kept in memory."""

    def __init__(
        self,
        events: Iterable[LabelledEvent],
        constructor: GraphConstructor,
        pt_min: float,
        displaced_weight: float = 1.0,
    ) -> None:
        self.examples = []
        for event in events:
            graph = constructor(event.space_points, (0.0, 0.0))
            labels = label_graph(graph, event, pt_min, displaced_weight=displaced_weight)
            self.examples.append(to_example(graph, labels))

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class NetworkTraining(LightningModule):
    """Binary cross entropy on edges and triplets, one event per step, one-cycle schedule."""

    def __init__(self, network: InteractionNetworkConfig, config: TrainingConfig) -> None:
        super().__init__()
        self.network = InteractionNetwork(network)
        self.config = config

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        edges, pair, triplets, index, y, w, ty, tw = batch
        e, t = self.network(edges, pair.long(), triplets, index.long())
        edge_loss = (binary_cross_entropy_with_logits(e, y, reduction="none") * w).sum() / w.sum()
        triplet = binary_cross_entropy_with_logits(t, ty, reduction="none")
        loss = edge_loss + (triplet * tw).sum() / tw.sum().clamp(min=1)
        self.log("loss", loss, prog_bar=True, batch_size=1)
        return loss

    def configure_optimizers(self):  # type: ignore[override]
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.config.learning_rate, total_steps=steps, pct_start=0.1
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def train_network(
    dataset: GraphDataset,
    network: InteractionNetworkConfig,
    config: TrainingConfig,
    device: str = "cpu",
    checkpoint_dir: str | None = None,
    progress: bool = True,
    start: InteractionNetwork | None = None,
) -> InteractionNetwork:
    """Train a network on a set of graphs.

    Args:
        dataset: training graphs.
        network: shape of the network.
        config: optimisation.
        device: 'cpu' or 'cuda'.
        checkpoint_dir: folder for a checkpoint after every epoch; a run that finds one there
            goes on from it. None: no checkpoints.
        progress: show a progress bar.
        start: a network of the same shape whose weights the training starts from.
    """
    from pathlib import Path

    from lightning.pytorch import Trainer, seed_everything
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch.utils.data import DataLoader

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it advertises at INFO
    seed_everything(config.seed, verbose=False)
    module = NetworkTraining(network, config)
    if start is not None:
        module.network.load_state_dict(start.state_dict())
    callbacks, resume = [], None
    if checkpoint_dir is not None:
        # Without a quantity to monitor, the one best checkpoint is the newest.
        callbacks = [ModelCheckpoint(dirpath=checkpoint_dir, save_last=True, save_top_k=1)]
        last = Path(checkpoint_dir) / "last.ckpt"
        resume = str(last) if last.exists() else None
    trainer = Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if device.startswith("cuda") else "cpu",
        devices=1,
        gradient_clip_val=config.clip,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=checkpoint_dir is not None,
        enable_progress_bar=progress,
        enable_model_summary=False,
    )
    loader = DataLoader(
        dataset,
        batch_size=None,
        shuffle=True,
        generator=torch.Generator().manual_seed(config.seed),
    )
    with warnings.catch_warnings():
        # Lightning's own deprecated calls into torch, and its advice on loader workers.
        warnings.simplefilter("ignore")
        trainer.fit(module, loader, ckpt_path=resume)
    return module.network.eval()
