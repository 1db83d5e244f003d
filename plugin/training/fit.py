"""Run a training: from scratch, or on from its last checkpoint, in one process or many."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from trkx.plugin.errors import DeviceError
from trkx.plugin.network_classifier import torch_device
from trkx.plugin.training.callbacks import Bar, Log, Score, StepKeeper
from trkx.plugin.training.checkpoints import REPORT, Progress, load_checkpoint
from trkx.plugin.training.examples import write_atomic
from trkx.plugin.training.loader import Loader
from trkx.plugin.training.module import StageTraining
from trkx.plugin.training.settings import FitSettings

Module = TypeVar("Module", bound=StageTraining)


def fit(
    module: Module,
    data: Any,
    settings: FitSettings,
    folder: Path | str,
    progress: bool = True,
    score: Score | None = None,
    name: str = "train",
) -> Module:
    """Train a module, or go on with the training that `folder` holds.

    A run that was killed at any moment goes on from its last checkpoint and ends with the weights
    it would have had: batches and random numbers are functions of the number of the step. One
    that is finished is loaded and returned.

    With several processes (`settings.processes` per node, on `settings.nodes`) Lightning starts
    the same command again for each, so that the script must come here in each of them; all but
    the first end here. `folder` must be the same for all of them.

    Args:
        module: what to train; its weights are overwritten by those of a checkpoint.
        data: `Examples`, or something whose `at_epoch(epoch)` returns those of an epoch, or a
            plain sequence of batches of one.
        settings: how.
        folder: for `last.ckpt`, `fit.json` (see `Progress.read`) and logs; made if needed.
        progress: show a progress bar.
        score: scores the network on validation events after epochs; the weights with the highest
            first figure are those returned. None: the last ones are.
        name: of the progress bar.

    Raises:
        StageError: the checkpoint cannot be read, or is of a training with other settings.
        DeviceError: there is no such device.
        FloatingPointError: the loss became NaN or infinite.
    """
    from lightning.pytorch import Trainer
    from lightning.pytorch.strategies import DDPStrategy

    for chatty in ("lightning.pytorch", "lightning.fabric"):  # they advertise at INFO
        logging.getLogger(chatty).setLevel(logging.ERROR)
    device = torch_device(settings.device)
    if device.type == "cuda" and torch.cuda.device_count() < settings.processes:
        raise DeviceError(
            f"{settings.processes} processes were asked for, but there are "
            f"{torch.cuda.device_count()} CUDA devices, one for each process; lower processes"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = load_checkpoint(folder, settings)
    done = Progress() if state is None else Progress(**state["progress"])
    loader = Loader(data, settings, done.steps_per_epoch)
    done.steps_per_epoch, done.total_steps = loader.steps_per_epoch, loader.total_steps
    module.total_steps, module.step = loader.total_steps, done.step
    module.epoch = done.step // loader.steps_per_epoch
    loader.first = done.step
    if state is not None:
        module.load_state_dict(state["module"])
    if not done.finished:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        keeper = StepKeeper(settings, folder, done, state, score)
        callbacks: list[Any] = [keeper]
        if settings.logger != "none":
            callbacks.append(Log(settings, folder, done))
        if progress:
            callbacks.append(Bar(done, name))
        strategy: Any = "auto"
        if settings.ranks > 1:
            strategy = DDPStrategy(
                process_group_backend="nccl" if device.type == "cuda" else "gloo"
            )
        with warnings.catch_warnings():
            # Lightning's own deprecated calls into torch, and its advice on loaders.
            warnings.simplefilter("ignore")
            trainer = Trainer(
                max_epochs=1,  # the loader goes through all epochs
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=settings.processes,
                num_nodes=settings.nodes,
                strategy=strategy,
                precision=settings.precision,
                gradient_clip_val=settings.clip or None,
                deterministic=settings.deterministic,
                logger=False,
                callbacks=callbacks,
                enable_checkpointing=False,
                enable_progress_bar=progress,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
            loader.rank = lambda: trainer.global_rank
            try:
                trainer.fit(module, loader)
            except SystemExit as stop:  # how Lightning ends after Ctrl-C
                raise KeyboardInterrupt from stop
        _leave(trainer.global_rank)
        state = {"best": keeper.best}
        write_atomic(folder / REPORT, json.dumps(asdict(done), indent=1).encode())
    assert state is not None
    if state["best"] is not None:
        module.network.load_state_dict(state["best"])
    module.to("cpu")
    module.eval()
    return module


def _leave(rank: int) -> None:
    """End the processes that Lightning started beside the first."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if rank != 0:
        raise SystemExit(0)
