"""The batches of a whole training, from any step on: what Lightning iterates over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.training.batching import Step, count_steps, plan_epoch
from trkx.plugin.training.examples import only_one
from trkx.plugin.training.settings import FitSettings


class Loader:
    """Batches of one process for steps `first` to the last, as a function of the step's number.

    A training that goes on at a step therefore sees exactly what it would have seen.

    Args:
        data: `Examples`, or something whose `at_epoch(epoch)` returns those of an epoch.
        settings: how many edges, batches and epochs.
        steps_per_epoch: of a training that goes on; 0: what the first epoch's examples ask for.
    """

    def __init__(self, data: Any, settings: FitSettings, steps_per_epoch: int = 0) -> None:
        self.data, self.settings = data, settings
        self.first = 0
        self.rank: Callable[[], int] = lambda: 0  # known only when the processes have met
        self.steps_per_epoch = steps_per_epoch or self._count()

    def _count(self) -> int:
        examples = self._examples(0)
        if len(examples) == 0:
            raise StageError("there is nothing to train on: no event gave an example")
        s = self.settings
        return count_steps(_sizes(examples), s.batches, s.batch_edges)

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def __len__(self) -> int:
        return self.total_steps - self.first

    def _examples(self, epoch: int) -> Any:
        return self.data.at_epoch(epoch) if hasattr(self.data, "at_epoch") else self.data

    def _plan(self, examples: Any, epoch: int) -> list[Step]:
        s = self.settings
        return plan_epoch(
            _sizes(examples),
            s.batches,
            s.batch_edges,
            seed=(s.seed, epoch),
            balance=s.balance,
            n_steps=self.steps_per_epoch,
        )

    def __iter__(self) -> Iterator[Any]:
        per_rank = self.settings.batches // self.settings.ranks
        low = self.rank() * per_rank
        plan: list[Step] = []
        planned, examples = -1, None
        for step in range(self.first, self.total_steps):
            epoch, at = divmod(step, self.steps_per_epoch)
            if epoch != planned:
                examples = self._examples(epoch)
                plan, planned = self._plan(examples, epoch), epoch
            mine = plan[at][low : low + per_rank]
            rows = [row for batch in mine for row in batch]
            yield collate(examples, rows)


def _sizes(examples: Any) -> np.ndarray:
    """What batches are balanced by; plain sequences do not know it."""
    return np.asarray(getattr(examples, "sizes", np.ones(len(examples))))


def collate(examples: Any, rows: list[int]) -> Any:
    """The batch of some rows; of plain sequences, which cannot join examples, one row."""
    join = getattr(examples, "collate", only_one)
    return join([examples[row] for row in rows])
