"""What all trainings share: optimiser, learning rate, and means over all processes."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from trkx.plugin.training.settings import FitSettings


class StageTraining(LightningModule):
    """Base of the trainings: a network, AdamW, and a schedule over all steps.

    A training writes `training_step(batch, batch_idx) -> loss`, where a batch is what the
    `collate` of its examples made. Random numbers come from torch's default generator: `fit` seeds
    it anew at every step, so that a training that goes on draws the same ones.

    Attributes:
        network: the network; its weights are what is trained.
        settings: how.
        total_steps: steps of the whole training; set by `fit`.
        step: steps done; set by `fit`, also after going on from a checkpoint (Lightning's own
            `global_step` counts from 0 then).
        epoch: passes over the examples that are complete; set by `fit`.
        card: what the card of the weights says beside the training; set by whoever builds this.
    """

    def __init__(self, network: nn.Module, settings: FitSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.total_steps = 1
        self.step = 0
        self.epoch = 0
        self.card: dict[str, Any] = {}

    def on_epoch(self, epoch: int) -> None:
        """Called before the first step of each pass over the examples; does nothing here."""

    def configure_optimizers(self):  # type: ignore[override]
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay
        )
        total = max(self.total_steps, 2)
        schedule: torch.optim.lr_scheduler.LRScheduler
        if s.schedule == "one_cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=s.learning_rate, total_steps=total + 1, pct_start=0.1
            )
        elif s.schedule == "cosine":
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
        else:
            schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def mean_over_processes(self, total: Tensor, weight: Tensor, name: str = "loss") -> Tensor:
        """The mean total/weight over the batches of all processes, as a loss, and logged.

        The gradients of data-parallel processes are averaged; divided by the mean weight, their
        average is exactly the gradient of the mean over all batches, as if one process had them.

        Args:
            total: scalar, weighted sum over this process's batch.
            weight: scalar, sum of its weights.
            name: under which the mean is logged.

        Returns:
            scalar to go backward from.
        """
        ranks = self._trainer.world_size if self._trainer is not None else 1
        sums = torch.stack([total.detach().float(), weight.detach().float()])
        if ranks > 1:
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")  # type: ignore[assignment]
        norm = sums[1].clamp(min=torch.finfo(torch.float32).tiny)
        if self._trainer is not None:
            self.log(name, sums[0] / norm, prog_bar=True, batch_size=1)
        if not math.isfinite(float(sums[0])):
            raise FloatingPointError(
                f"the {name} became {float(sums[0])} at step {self.step}; lower learning_rate, or "
                "look for extreme values in the features"
            )
        loss = total * (ranks / norm)
        if ranks > 1:
            # Data-parallel training waits for the gradient of every weight, but a loss may not
            # reach all: an empty graph, or the edge update of a last layer.
            loss = loss + 0 * torch.stack([p.sum() for p in self.parameters()]).sum()
        return loss
