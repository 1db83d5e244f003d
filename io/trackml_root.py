"""What the files of the TrackML challenge hold, in one ROOT file, value by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trkx.io.errors import ConfigError, EmptyInputError, EventContentError
from trkx.io.event_index import EventIndex
from trkx.io.provenance import write_provenance
from trkx.io.root_table import RootTable, open_root_file, table_names
from trkx.io.trackml_event import PARTS, TrackMLEvent

__all__ = ["TrackMLRootFile", "TrackMLRootWriter", "is_trackml_root"]

_EVENT = "event_id"
_EVENTS = "events"
"""Tree with one entry per event, which says what parts it has: a part may have no rows."""


def is_trackml_root(path: Path) -> bool:
    """Whether a ROOT file has a tree `hits` with what a hits file of the challenge has."""
    with open_root_file(path) as file:
        if "hits" not in table_names(file):
            return False
        return {"hit_id", "module_id"} <= {str(name) for name in file["hits"].keys()}


class TrackMLRootFile:
    """Trees `hits`, `cells`, `particles` and `truth`, one entry per line of the CSV files.

    Each has the columns of the CSV file and `event_id`; the rows of an event are together. A
    truth of some hits only has a name of its own (`pixel-truth`).

    Raises:
        InputError: not such a file; see `trkx.io.errors`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_root_file(path) as file:
            names = table_names(file)
        self._tables = {
            name: RootTable(path, name) for name in names if name.rpartition("-")[2] in PARTS
        }
        self._tables["hits"] = self._tables.get("hits") or RootTable(path, "hits")
        for name, table in self._tables.items():
            for column in (_EVENT, *PARTS[name.rpartition("-")[2]].required):
                table.stored_name(column)
        self._index = {name: EventIndex([table], _EVENT) for name, table in self._tables.items()}
        self._listed = self._read_list() if _EVENTS in names else None
        found = {n for index in self._index.values() for n in index.numbers}
        self.numbers = sorted(found if self._listed is None else self._listed)
        if not self.numbers:
            raise EmptyInputError(f"no event in {path}: all trees have zero entries")

    def parts_of(self, number: int) -> list[str]:
        """Names of the parts that an event has."""
        if self._listed is not None:
            return self._listed[number]
        return [name for name, index in self._index.items() if index.get(number) is not None]

    def reader(self, name: str, number: int) -> Callable[[], dict[str, np.ndarray]]:
        """What reads a part of an event."""
        return lambda: self.read(name, number)

    def read(self, name: str, number: int) -> dict[str, np.ndarray]:
        """Read the columns of a part of an event."""
        table, rows = self._tables[name], self._index[name].get(number)
        start, stop = (0, 0) if rows is None else (rows.start, rows.stop)
        types = PARTS[name.rpartition("-")[2]].types
        return {
            column: table.read_flat(column, types.get(column, table.dtype(column)), start, stop)
            for column in table.flat_names()
            if column != _EVENT
        }

    def _read_list(self) -> dict[int, list[str]]:
        table = RootTable(self.path, _EVENTS)
        numbers = table.read_flat(_EVENT, np.int64).tolist()
        has = {name: table.read_flat(f"has_{name}", np.bool_) for name in self._tables}
        return {
            number: [name for name, flags in has.items() if flags[row]]
            for row, number in enumerate(numbers)
        }


class TrackMLRootWriter:
    """Writes events of the challenge to one ROOT file, losing nothing.

    The first event says which columns each tree has, and all events are to have the same.

    Args:
        path: file to be written; overwritten if it is there.
        provenance: record to store in it.
    """

    def __init__(self, path: Path, provenance: Mapping[str, Any]) -> None:
        import uproot

        self.path = path
        self._file = uproot.recreate(path, compression=uproot.ZSTD(3))
        write_provenance(self._file, provenance)
        self._trees: dict[str, Any] = {}
        self._columns: dict[str, dict[str, np.dtype]] = {}
        self._events: list[tuple[int, frozenset[str]]] = []

    def write(self, event: TrackMLEvent) -> None:
        """Write an event.

        Raises:
            EventContentError: its columns differ from those of events before it.
            ConfigError: a column of text.
        """
        there = set()
        for kind, columns in event.parts.items():
            name = event.truth_name if kind == "truth" else kind
            there.add(name)
            self._extend(name, columns, event.number)
        self._events.append((event.number, frozenset(there)))

    def close(self) -> None:
        """Finish the file."""
        names = sorted(self._trees)
        tree = self._file.mktree(
            _EVENTS, {_EVENT: np.dtype("i8")} | {f"has_{n}": np.dtype(bool) for n in names}
        )
        tree.extend(
            {_EVENT: np.array([number for number, _ in self._events], dtype=np.int64)}
            | {f"has_{n}": np.array([n in there for _, there in self._events]) for n in names}
        )
        self._file.close()

    def _extend(self, name: str, columns: Mapping[str, np.ndarray], number: int) -> None:
        types = {column: values.dtype for column, values in columns.items()}
        if name not in self._trees:
            for column, dtype in types.items():
                if dtype.kind not in "biuf":
                    raise ConfigError(
                        f"column '{column}' of the {name} of event {number} holds text, which "
                        "cannot be converted; make it numbers or remove it"
                    )
            self._trees[name] = self._file.mktree(name, {_EVENT: np.dtype("i8")} | types)
            self._columns[name] = types
        elif self._columns[name] != types:
            different = sorted(set(types.items()) ^ set(self._columns[name].items()), key=str)
            raise EventContentError(
                f"the {name} of event {number} have other columns than those of events before: "
                f"'{different[0][0]}' of type {different[0][1]} is not in all of them; convert "
                "such events separately"
            )
        n = len(next(iter(columns.values())))
        self._trees[name].extend({_EVENT: np.full(n, number, dtype=np.int64), **columns})
