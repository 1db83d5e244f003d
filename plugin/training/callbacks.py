"""What happens around the steps of a training: checkpoints, scores, logs and the progress bar."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor, nn

from trkx.plugin.errors import need
from trkx.plugin.training.checkpoints import Progress, restore_optimizers, save_checkpoint
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings

Score = Callable[[nn.Module], Mapping[str, float]]
"""Validation of a network: figures by name, the first of which is to be as high as possible, such
as the track efficiency."""


class StepKeeper(Callback):
    """Counts steps and epochs, seeds every step, scores, checkpoints, and stops in time."""

    def __init__(
        self,
        settings: FitSettings,
        folder: Path,
        progress: Progress,
        state: Mapping[str, Any] | None,
        score: Score | None,
    ) -> None:
        self.settings, self.folder, self.progress = settings, folder, progress
        self.state, self.score = state, score
        self.best: Mapping[str, Tensor] | None = None if state is None else state["best"]
        self._seconds_before = progress.seconds
        self._start = self._saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: StageTraining) -> None:  # type: ignore[override]
        if self.state is not None:
            restore_optimizers(trainer, self.state)

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, pl_module: StageTraining, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.step % self.progress.steps_per_epoch == 0:
            pl_module.epoch = pl_module.step // self.progress.steps_per_epoch
            pl_module.on_epoch(pl_module.epoch)
        # Every step has its own random numbers: going on from a checkpoint repeats them.
        torch.manual_seed(
            (self.settings.seed * 1_000_003 + pl_module.step) * 1009 + trainer.global_rank
        )

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: StageTraining, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        p, s = self.progress, self.settings
        pl_module.step += 1
        p.step = pl_module.step
        p.loss = float(trainer.callback_metrics.get("loss", math.nan))
        now = time.monotonic()
        p.seconds = self._seconds_before + now - self._start
        epoch_done = p.step % p.steps_per_epoch == 0
        last = p.step >= p.total_steps
        if epoch_done:
            pl_module.epoch = p.step // p.steps_per_epoch
            due = pl_module.epoch % s.score_epochs == 0 or last
            if self.score is not None and due and trainer.is_global_zero:
                self._score(pl_module)
        p.finished = last or p.stopped_early
        out_of_time = s.max_minutes > 0 and now - self._start > 60 * s.max_minutes
        stop = p.stopped_early or out_of_time
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if (
            *(epoch_done, last, stop),
            now - self._saved > 60 * s.checkpoint_minutes,
            s.checkpoint_steps > 0 and p.step % s.checkpoint_steps == 0,
        ) != (False,) * 5:
            self._saved = now
            if trainer.is_global_zero:
                save_checkpoint(self.folder, trainer, pl_module, p, self.best, s)
        if stop:
            trainer.should_stop = True

    def _score(self, module: StageTraining) -> None:
        assert self.score is not None
        p = self.progress
        # A copy: scoring may move the network to another device, or freeze it.
        network = copy.deepcopy(module.network).eval()
        with torch.no_grad():
            found = {name: float(value) for name, value in self.score(network).items()}
        for name, value in found.items():
            module.log(name, value, prog_bar=True, rank_zero_only=True)
        p.scores.append({"epoch": module.epoch, **found})
        first = next(iter(found.values()))
        if first > p.best_score:
            p.best_score, p.best_epoch = first, module.epoch
            state = module.network.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in state.items()}
        waited = (module.epoch - p.best_epoch) // self.settings.score_epochs
        p.stopped_early = 0 < self.settings.patience <= waited


class Log(Callback):
    """Writes loss, learning rate and scores to `metrics.csv` or for TensorBoard."""

    def __init__(self, settings: FitSettings, folder: Path, progress: Progress) -> None:
        self.settings, self.progress = settings, progress
        self.path = folder / "metrics.csv"
        self._columns: list[str] = []
        self._board: Any = None
        if settings.logger == "tensorboard":
            need("tensorboard", "train", "logger 'tensorboard'")
            from lightning.pytorch.loggers import TensorBoardLogger

            self._board = TensorBoardLogger(
                folder, name="", version="tensorboard", purge_step=progress.step + 1
            )
        elif progress.step and self.path.exists():
            self._forget_after(progress.step)
        else:
            self.path.unlink(missing_ok=True)

    def _forget_after(self, step: int) -> None:
        """Drop lines later than the checkpoint: these steps are done again."""
        with open(self.path, newline="") as file:
            rows = list(csv.reader(file))
        self._columns = rows[0] if rows else []
        kept = [row for row in rows[1:] if row and row[0].isdigit() and int(row[0]) <= step]
        with open(self.path, "w", newline="") as file:
            csv.writer(file).writerows([self._columns, *kept])

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: StageTraining, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        p = self.progress
        if not trainer.is_global_zero:
            return
        if pl_module.step % self.settings.log_steps and pl_module.step % p.steps_per_epoch:
            return
        values = {
            "step": p.step,
            "epoch": round(p.epochs, 3),
            "seconds": round(p.seconds, 2),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            **{name: float(value) for name, value in trainer.callback_metrics.items()},
        }
        if self._board is not None:
            self._board.log_metrics(values, p.step)
            self._board.save()
            return
        new = [name for name in values if name not in self._columns]
        if new:
            self._add_columns(new)
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(values)

    def _add_columns(self, names: list[str]) -> None:
        rows: list[list[str]] = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = list(csv.reader(file))[1:]
        self._columns = [*self._columns, *names]
        with open(self.path, "w", newline="") as file:
            csv.writer(file).writerows(
                [self._columns, *(row + [""] * (len(self._columns) - len(row)) for row in rows)]
            )


class Bar(TQDMProgressBar):
    """Progress over all steps of all epochs, with loss and validation scores."""

    def __init__(self, progress: Progress, name: str) -> None:
        super().__init__(leave=True)
        self.progress, self.name = progress, name

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        bar = self.train_progress_bar
        bar.total = self.progress.total_steps
        bar.initial = bar.n = self.progress.step
        bar.set_description(self.name)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: StageTraining, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bar = self.train_progress_bar
        bar.n = self.progress.step
        bar.set_postfix(self.get_metrics(trainer, pl_module))  # refreshes as well

    def get_metrics(self, trainer: Trainer, pl_module: StageTraining) -> dict[str, Any]:  # type: ignore[override]
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {"epoch": f"{self.progress.epochs:.1f}", **shown}
