"""Which rows of which file hold which event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.io.errors import EventContentError
from trkx.io.root_table import RootTable

__all__ = ["EventIndex", "RowRange"]


@dataclass(frozen=True)
class RowRange:
    """Rows start to stop of a table."""

    table: RootTable
    start: int
    stop: int


class EventIndex:
    """Rows of each event in one or more tables of the same kind.

    Reads only the column with the event numbers, once. Events may be in any order (ACTS'
    writers do not order them when several threads run), but each one's rows must be together.

    Args:
        tables: the files' tables.
        column: name of the column with the event number.

    Raises:
        EventContentError: an event's rows are not together, or two files hold the same event.
    """

    def __init__(self, tables: list[RootTable], column: str):
        self._ranges: dict[int, RowRange] = {}
        for table in tables:
            numbers = table.read_flat(column, np.int64)
            edges = np.flatnonzero(np.diff(numbers)) + 1
            starts = np.concatenate(([0], edges)) if len(numbers) else edges
            stops = np.append(edges, len(numbers)) if len(numbers) else edges
            for number, start, stop in zip(
                numbers[starts].tolist(), starts.tolist(), stops.tolist(), strict=True
            ):
                known = self._ranges.get(number)
                if known is not None:
                    raise _repeated(number, known, RowRange(table, start, stop))
                self._ranges[number] = RowRange(table, start, stop)

    @property
    def numbers(self) -> list[int]:
        """Event numbers, ascending."""
        return sorted(self._ranges)

    def get(self, number: int) -> RowRange | None:
        """Rows of event `number`, None if it has none."""
        return self._ranges.get(number)


def _repeated(number: int, known: RowRange, other: RowRange) -> EventContentError:
    if known.table is other.table:
        return EventContentError(
            f"event {number} appears twice in tree '{known.table.name}' of {known.table.path}: "
            f"entries {known.start} to {known.stop} and {other.start} to {other.stop}. "
            "Files of several jobs that number their events alike must not be merged into one; "
            "pass them one by one."
        )
    return EventContentError(
        f"event {number} is in {known.table.path} and in {other.table.path}; "
        "name the one to read, or keep separate samples in separate folders"
    )
