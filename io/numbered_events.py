"""What all inputs of events have in common: numbers, iteration, and the check of a range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

from trkx.io.errors import EventRangeError
from trkx.io.event import Event

__all__ = ["NumberedEvents"]


class NumberedEvents(ABC):
    """Events by number, to be read one by one; a context that closes them.

    A subclass sets `numbers`, ascending, and says its `label` and how to `read` an event.
    """

    numbers: list[int]

    @property
    @abstractmethod
    def label(self) -> str:
        """What messages call the input."""

    @abstractmethod
    def read(self, number: int) -> Event:
        """Read one event."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Event]:
        for number in self.numbers:
            yield self.read(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027, most have nothing to close
        """Close files that are kept open, if any."""

    @property
    def available(self) -> tuple[int, int]:
        """First event number and last event number + 1."""
        return self.numbers[0], self.numbers[-1] + 1

    def check_range(self, first: int, stop: int) -> None:
        """Raise EventRangeError unless events first to stop - 1 are in the input."""
        low, high = self.available
        if not low <= first < stop <= high:
            raise EventRangeError(
                f"events {first}:{stop} asked for, but {self.label} has events {low}:{high} "
                "(last one not included)"
            )
