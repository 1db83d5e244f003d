"""How a network is optimised: the table [optimisation] of a training's configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PRECISIONS = ("32", "bf16-mixed", "16-mixed")
LOGGERS = ("csv", "tensorboard", "none")
SCHEDULES = ("one_cycle", "cosine", "constant")


@dataclass(frozen=True)
class FitSettings:
    """Settings of `fit`; those named in `FREE` may change when a training goes on."""

    epochs: int = 10  # passes over the examples
    max_minutes: float = 0.0  # a run stops here, and the same command goes on later; 0: no limit
    learning_rate: float = 1e-3  # peak of the schedule
    schedule: str = "one_cycle"  # of the learning rate, one of SCHEDULES
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest gradient norm; 0: no clipping
    precision: str = "32"  # one of PRECISIONS
    seed: int = 1  # of initial weights, order and everything random

    batch_edges: int = 0  # edges per batch, of several graphs; 0: one graph per batch
    batches_per_step: int = 0  # over all processes; 0: one per process
    balance: bool = True  # share edges evenly among batches; False: events, as they come

    processes: int = 1  # per node
    nodes: int = 1
    device: str = "cpu"  # 'cpu' or 'cuda'
    threads: int = 0  # of torch in every process; 0: leave them as they are
    deterministic: bool = False  # the same to the last bit on GPUs as well; slower

    checkpoint_minutes: float = 2.0  # beside the checkpoint after every epoch
    checkpoint_steps: int = 0  # as well; 0: never
    logger: str = "csv"  # one of LOGGERS
    log_steps: int = 10  # between lines of the log
    score_epochs: int = 1  # between scores on validation events
    patience: int = 0  # scores without a better one before the training stops; 0: never stops

    def __post_init__(self) -> None:
        for name, choices in (
            ("precision", PRECISIONS),
            ("logger", LOGGERS),
            ("schedule", SCHEDULES),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}"
                )
        for name in ("epochs", "processes", "nodes", "log_steps", "score_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        for name in (
            *("max_minutes", "weight_decay", "clip", "batch_edges", "batches_per_step", "threads"),
            *("checkpoint_minutes", "checkpoint_steps", "patience", "seed"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; give a positive number")
        if self.precision == "16-mixed" and self.device == "cpu":
            raise ValueError(
                "precision '16-mixed' needs device = 'cuda'; on a CPU use 'bf16-mixed'"
            )
        if self.batches % self.ranks:
            raise ValueError(
                f"batches_per_step is {self.batches_per_step}; give a multiple of the "
                f"{self.ranks} processes"
            )

    @property
    def ranks(self) -> int:
        """Processes on all nodes."""
        return self.processes * self.nodes

    @property
    def batches(self) -> int:
        """Batches per step over all processes."""
        return self.batches_per_step or self.ranks

    def fixed(self) -> dict[str, Any]:
        """What must stay the same for a training to go on from a checkpoint."""
        values = {k: v for k, v in asdict(self).items() if k not in FREE}
        return {**values, "batches_per_step": self.batches}


FREE = frozenset(
    {
        *("max_minutes", "processes", "nodes", "device", "threads", "deterministic", "logger"),
        *("checkpoint_minutes", "checkpoint_steps", "log_steps", "patience"),
    }
)
