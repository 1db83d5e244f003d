"""Training of a small edge network that also learns from the scores of a larger one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trkx.plugin.substepping import score_edges
from trkx.plugin.training.edge_training import EdgeTraining, GraphExample
from trkx.plugin.training.settings import FitSettings


class Distillation(EdgeTraining):
    """Cross entropy against a mixture of the truth and a teacher's probabilities.

    References: Hinton et al., arXiv:1503.02531.
    """

    def __init__(
        self, network: nn.Module, settings: FitSettings, teacher: nn.Module, share: float = 0.5
    ) -> None:
        """Train `network`; `share` of the labels are probabilities of the trained `teacher`."""
        super().__init__(network, settings)
        self.share = share
        self._teacher = (teacher.eval(),)  # a tuple: its weights are not of this module

    def training_step(self, batch: GraphExample, batch_idx: int) -> Tensor:
        if self.share > 0:
            attributes = batch.edge_attr if batch.edge_attr.shape[1] else None
            teacher = self._teacher[0].to(batch.x.device)
            logits = score_edges(teacher, batch.x, batch.edge_index.long(), attributes)
            soft = torch.sigmoid(logits).clone()
            batch = batch._replace(label=batch.label + self.share * (soft - batch.label))
        return super().training_step(batch, batch_idx)
