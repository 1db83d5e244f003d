"""Events of the TrackML challenge behind the interface of trkx's own files."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from trkx.algorithms.trackml_convert import choose_events
from trkx.algorithms.trackml_tables import event_of_tables, trackml_tables
from trkx.io.errors import InputFileError, TrkxWarning
from trkx.io.event import Event
from trkx.io.input_files import PathLike
from trkx.io.numbered_events import NumberedEvents
from trkx.io.trackml_event import PARTS
from trkx.io.trackml_files import TrackMLFiles

__all__ = ["EventNumbers", "TrackMLInput"]

EventNumbers = tuple[int | None, int | None]
"""First event number and last one + 1; None: from the first event, up to the last."""


class TrackMLInput(NumberedEvents):
    """Events of the challenge on the modules of the GenericDetector; see `EventInput`.

    Events keep their numbers, unless these leave gaps: then they are counted from 0, as a job
    goes through all numbers from the first to the last.

    Attributes:
        numbers: event numbers, ascending.
        stored: numbers in the names of the files, one for each of `numbers`.
    """

    def __init__(self, files: TrackMLFiles, stored: Sequence[int]) -> None:
        self._files = files
        self.stored = list(stored)
        self.numbers = list(stored)
        if stored[-1] - stored[0] >= len(stored):
            self.numbers = list(range(len(stored)))
            shown = ", ".join(map(str, stored[:4])) + (", …" if len(stored) > 4 else "")
            warnings.warn(
                f"event numbers {shown} of {files.label} leave gaps; events are counted from 0 in "
                "the results (submissions have their numbers). --events takes a range of them.",
                TrkxWarning,
                stacklevel=3,
            )

    @classmethod
    def open(
        cls, inputs: PathLike | Sequence[PathLike], events: EventNumbers = (None, None)
    ) -> TrackMLInput:
        """Open folders, archives or files; see `TrackMLFiles.open`.

        Args:
            inputs: what to open.
            events: which events to take, by the numbers in the names of the files.

        Raises:
            EventRangeError: none of them is there.
            InputError: a subclass says what is wrong; see `trkx.io.errors`.
        """
        files = TrackMLFiles.open(inputs)
        return cls(files, choose_events(files, events))

    @property
    def label(self) -> str:
        """What messages call the input."""
        return self._files.label

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return self._files.paths(self.stored)

    @property
    def has_truth(self) -> bool:
        """Whether all events have truth and particles."""
        return all(
            self._files.has(part, number)
            for part in ("truth", "particles")
            for number in self.stored
        )

    @property
    def has_measurements(self) -> bool:
        """There are: one per hit."""
        return True

    @property
    def has_hits(self) -> bool:
        """There is no tree of simulated hits."""
        return False

    @property
    def has_strips(self) -> bool:
        """All hits are space points of one measurement."""
        return False

    @property
    def acts_modules(self) -> bool:
        """Modules are those of the GenericDetector."""
        return True

    def read(
        self, number: int, truth: bool | None = None, columns: Collection[str] | None = None
    ) -> Event:
        """Read one event; all its columns, whatever `columns` says.

        Raises:
            EventRangeError: there is no such event.
            InputFileError: truth is asked for, and there is none.
            InputError: the event is damaged or contradicts itself; see `trkx.io.errors`.
        """
        self.check_range(number, number + 1)
        stored = self.stored[number - self.numbers[0]]
        if truth is None:
            truth = self.has_truth
        parts = tuple(PARTS) if truth else ("cells",)
        event = self._files.read(stored, parts)
        if truth and (event.truth is None or event.particles is None):
            missing = "truth" if event.truth is None else "particles"
            raise InputFileError(
                f"no {missing} of event {stored} in {self._files.label}; add "
                f"event{stored:09d}-{missing}.csv or read without truth"
            )
        if truth and not event.has_hit_truth.all():
            warnings.warn(
                f"the truth covers {int(event.has_hit_truth.sum())} of {event.n_hits} hits of "
                f"event {stored}; all others count as noise in efficiencies and fake rates",
                TrkxWarning,
                stacklevel=2,
            )
        found = event_of_tables(number, trackml_tables(event))
        if truth:
            return found
        return Event(number, found.space_points, found.measurements)

    def read_hits(self, number: int) -> dict[str, np.ndarray]:
        """Raise InputFileError: there are no simulated hits."""
        raise InputFileError(f"no simulated hits in {self._files.label}; do not ask for them")
