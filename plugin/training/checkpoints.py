"""Checkpoints of a training: everything it needs to go on as if it had not been stopped."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule, Trainer

from trkx.plugin.errors import StageError
from trkx.plugin.training.examples import write_atomic
from trkx.plugin.training.settings import FitSettings

LAST = "last.ckpt"
REPORT = "fit.json"


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0  # steps done
    steps_per_epoch: int = 0
    total_steps: int = 0
    seconds: float = 0.0  # of all runs
    finished: bool = False  # all epochs done, or stopped early; False: may go on
    stopped_early: bool = False
    loss: float = float("nan")  # of the last step
    best_score: float = float("-inf")  # on validation events
    best_epoch: int = 0  # after which it was reached
    scores: list[dict[str, float]] = field(default_factory=list)  # each with 'epoch'

    @property
    def epochs(self) -> float:
        """Passes over the examples that are done."""
        return self.step / max(self.steps_per_epoch, 1)

    def summary(self) -> dict[str, Any]:
        """What a card says of it: epochs, steps, seconds, loss, scores."""
        about: dict[str, Any] = {
            "epochs": round(self.epochs, 3),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(self.loss, 6),
            "finished": self.finished,
        }
        if self.scores:
            about |= {"scores": self.scores, "best_epoch": self.best_epoch}
        return about

    @classmethod
    def read(cls, folder: Path) -> Self:
        """How far the training in `folder` is; nothing done where there is none."""
        try:
            return cls(**json.loads((folder / REPORT).read_text()))
        except (OSError, ValueError, TypeError):
            return cls()


def save_checkpoint(
    folder: Path,
    trainer: Trainer,
    module: LightningModule,
    progress: Progress,
    best: Mapping[str, torch.Tensor] | None,
    settings: FitSettings,
) -> None:
    """Write `last.ckpt`, and `fit.json` for people."""
    state = {
        "module": module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
        "precision": trainer.precision_plugin.state_dict(),
        "progress": asdict(progress),
        "best": None if best is None else dict(best),
        "settings": settings.fixed(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(folder / LAST, buffer.getvalue())
    write_atomic(folder / REPORT, json.dumps(asdict(progress), indent=1).encode())


def load_checkpoint(folder: Path, settings: FitSettings) -> dict[str, Any] | None:
    """Read the last checkpoint, None: there is none. Nothing in it is executed.

    Raises:
        StageError: it cannot be read, or is of a training with other settings.
    """
    path = folder / LAST
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        begun = state["settings"]
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise StageError(
            f"cannot go on from {path}: {str(error).splitlines()[0]}. Remove it to train anew."
        ) from error
    for name, now in settings.fixed().items():
        if begun.get(name) != now:
            raise StageError(
                f"{path} is of a training with {name} = {begun.get(name)!r}, not {now!r}. Give the "
                "same settings to go on, or remove it to train anew."
            )
    return state


def restore_optimizers(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put the states of optimizers, schedules and gradient scaler back; at the start of `fit`."""
    for optimizer, saved in zip(trainer.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    for config, saved in zip(trainer.lr_scheduler_configs, state["schedulers"], strict=True):
        config.scheduler.load_state_dict(saved)
    trainer.precision_plugin.load_state_dict(state["precision"])
