"""Events to train on: read from files, or simulated when they are asked for.

All are in chunks, of which each epoch uses one; the whole is never in memory. See
`trkx.plugin.training.stages.Events`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.training_input import (
    FIRST_TEST_SEED,
    input_provenance,
    open_training_events,
)
from trkx.io.errors import ConfigError
from trkx.plugin.space_points import LabelledEvent

__all__ = ["EventSelection", "SimulatedEvents", "StoredEvents", "open_events"]


@dataclass(frozen=True)
class EventSelection:
    """Which events: the keys of a configuration that say so, at its top or in [validation]."""

    input: tuple[str, ...] = ()  # folders of simulated events; none: simulates its own
    events: int = 0  # number of events; 0: all there are
    chunk: int = 0  # events per epoch; 0: all
    keep: bool = True  # keep what is simulated, and the graphs of every chunk on disk, until the
    #   training is finished; False: remove those of a chunk when the next one comes
    simulation: Mapping[str, Any] = field(default_factory=dict)  # seed, pileup, ...

    def __post_init__(self) -> None:
        for name in ("events", "chunk"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 0 or more")
        if not self.input and not self.simulation:
            raise ConfigError(
                "no events to train on: give input = [folders], or a table [simulation] with seed, "
                "pileup, and the number of events above it"
            )
        if self.input and self.simulation:
            raise ConfigError("give either input or a table [simulation], not both")
        if self.simulation and self.events < 1:
            raise ConfigError("[simulation] needs the number of events, such as events = 100")


def open_events(
    selection: EventSelection, folder: Path, threads: int = 2
) -> StoredEvents | SimulatedEvents:
    """The events of a selection.

    Args:
        selection: which.
        folder: for those it simulates.
        threads: of the simulation.

    Raises:
        ConfigError: a bad setting, or seeds that are reserved for tests.
        TrkxError: the files cannot be used.
    """
    if selection.input:
        return StoredEvents(selection.input, selection.events, selection.chunk, selection.keep)
    return SimulatedEvents(selection, folder, threads)


class _Chunks:
    """What both kinds of events share: n events, in chunks."""

    def __init__(self, n: int, chunk: int, keep: bool = True) -> None:
        self.n, self.keep = n, keep
        self.size = min(chunk or n, n)
        self.n_chunks = max(1, n // max(self.size, 1))

    def __len__(self) -> int:
        return self.n

    def bounds(self, number: int) -> tuple[int, int]:
        """First event of a chunk, and the one after its last; the last chunk takes the rest."""
        number %= self.n_chunks
        last = number == self.n_chunks - 1
        return number * self.size, self.n if last else (number + 1) * self.size

    def chunk(self, number: int) -> Iterator[LabelledEvent]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[LabelledEvent]:
        for number in range(self.n_chunks):
            yield from self.chunk(number)


class StoredEvents(_Chunks):
    """Events of ROOT files, read one at a time."""

    def __init__(
        self, inputs: Sequence[str], events: int = 0, chunk: int = 0, keep: bool = True
    ) -> None:
        self.inputs = list(inputs)
        self.files = open_training_events(self.inputs)
        super().__init__(min(events or len(self.files), len(self.files)), chunk, keep)

    def chunk(self, number: int) -> Iterator[LabelledEvent]:
        yield from labelled_events(self.files, *self.bounds(number))

    @property
    def provenance(self) -> list[Any]:
        """Seeds and settings of the files, for the card; without commands, which name paths."""
        keep = ("detector", "seed", "first_event", "events", "settings")
        return [
            {k: made[k] for k in keep if k in made} if made else None
            for made in input_provenance(self.inputs)
        ]


class SimulatedEvents(_Chunks):
    """Events simulated when they are first asked for, chunk by chunk."""

    def __init__(self, selection: EventSelection, folder: Path, threads: int = 2) -> None:
        from trkx.algorithms.simulation.settings import SimulationSettings

        super().__init__(selection.events, selection.chunk, selection.keep)
        try:
            self.settings = SimulationSettings(**selection.simulation)
        except TypeError as error:
            raise ConfigError(f"[simulation]: {error}") from error
        if self.settings.seed >= FIRST_TEST_SEED:
            raise ConfigError(
                f"[simulation]: seed is {self.settings.seed}; seeds from {FIRST_TEST_SEED} on are "
                "for tests only"
            )
        self.folder, self.threads = folder, threads

    def chunk(self, number: int) -> Iterator[LabelledEvent]:
        first, stop = self.bounds(number)
        path = self.folder / f"events-{first}-{stop}"
        self._simulate(path, first, stop - first)
        try:
            yield from labelled_events(open_training_events([str(path)]))
        finally:
            if not self.keep:
                shutil.rmtree(path, ignore_errors=True)

    def _simulate(self, path: Path, first: int, events: int) -> None:
        if path.exists():
            return
        from tqdm import tqdm

        from trkx.algorithms.simulation import simulate

        # Under a name of its own until it is complete: a kill leaves nothing half done.
        hidden = path.with_name(f".unfinished-{path.name}-{os.getpid()}")
        try:
            # disable=None: no bar where stderr is not a terminal.
            with tqdm(total=events, unit="event", desc="simulate", disable=None) as bar:
                simulate(
                    self.settings,
                    hidden,
                    events,
                    first=first,
                    threads=self.threads,
                    command="trkx train",
                    on_event=bar.update,
                )
            hidden.rename(path)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    @property
    def provenance(self) -> list[Any]:
        """Seed and settings of the simulation, for the card."""
        return [
            {
                "detector": "generic",
                "seed": self.settings.seed,
                "first_event": 0,
                "events": self.n,
                "settings": self.settings.as_dict(),
            }
        ]
