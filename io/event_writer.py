"""Simulated events to ROOT files, event by event, in ACTS' schemas."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import awkward as ak
import numpy as np
import uproot

from trkx.io.errors import OutputError, OutputExistsError
from trkx.io.provenance import write_provenance
from trkx.io.schema import TREES, TreeSchema

__all__ = ["EventColumns", "EventWriter"]


@dataclass(frozen=True)
class EventColumns:
    """Columns of one event for one tree.

    Without a jagged group all `flat` columns have one value per entry. With one, `flat` has the
    columns with one value per entry, `jagged` those with `counts[i]` values for entry i.
    """

    flat: Mapping[str, np.ndarray]
    jagged: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: np.ndarray | None = None


class EventWriter:
    """Writes spacepoints.root, measurements.root, particles.root and hits.root.

    Events may be handed in from several threads and in any order; they are written in ascending
    order, so that the content does not depend on the threads. Only events that wait for an
    earlier one are held in memory. The files get their names on `close`; until then, and after a
    failure, nothing lies under these names.

    Args:
        directory: created if it is not there.
        provenance: record to store in every file.
        first: number of the first event.
        force: replace files that are there.
        trees: schemas by tree name, of the same file names as `TREES`.
        numbers: numbers of the events, ascending; None: from the first one on, without gaps.

    Raises:
        OutputExistsError: the folder holds one of the files, and `force` is not set.
        OutputError: the folder cannot be made or written.
    """

    def __init__(
        self,
        directory: str | Path,
        provenance: Mapping[str, Any],
        first: int = 0,
        force: bool = False,
        trees: Mapping[str, TreeSchema] = TREES,
        numbers: Iterable[int] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._schemas = trees
        check_output_directory(self.directory, force)
        self._numbers = itertools.count(first) if numbers is None else iter(numbers)
        self._next = next(self._numbers, first)
        self._waiting: dict[int, Mapping[str, EventColumns]] = {}
        self._lock = threading.Lock()
        self._files: dict[str, Any] = {}
        self._trees: dict[str, Any] = {}
        self._closed = False
        _remove_leftovers(self.directory)
        try:
            for name, schema in trees.items():
                root_file = uproot.recreate(
                    self._temporary(schema), compression=uproot.ZSTD(COMPRESSION_LEVEL)
                )
                self._files[name] = root_file
                write_provenance(root_file, {**provenance, "units": _units(schema)})
                self._trees[name] = _make_tree(root_file, schema)
        except OSError as error:
            self.abort()
            raise OutputError(f"cannot write to {self.directory}: {error}") from error

    @property
    def n_written(self) -> int:
        """Number of the event that is written next, from the first one on."""
        return self._next

    def write(self, number: int, tables: Mapping[str, EventColumns]) -> None:
        """Hand in one event.

        Args:
            number: event number; each once, all of them.
            tables: columns by tree name, with all branches of the schema but the event number.
        """
        with self._lock:
            self._waiting[number] = tables
            while self._next in self._waiting:
                tables = self._waiting.pop(self._next)
                try:
                    for name, schema in self._schemas.items():
                        self._trees[name].extend(_entries(schema, self._next, tables[name]))
                except OSError as error:
                    raise OutputError(
                        f"cannot write event {self._next} to {self.directory}: {error}; "
                        "is the disk full?"
                    ) from error
                self._next = next(self._numbers, self._next + 1)

    def close(self) -> list[Path]:
        """Finish the files and give them their names.

        Returns:
            the files.
        """
        if self._waiting:
            missing, waiting = self._next, sorted(self._waiting)
            self.abort()
            raise OutputError(
                f"event {missing} was never handed in, but events {waiting[0]} to {waiting[-1]} "
                f"wait for it; nothing was written to {self.directory}"
            )
        self._closed = True
        for root_file in self._files.values():
            root_file.close()
        paths = []
        for schema in self._schemas.values():
            path = self.directory / schema.file_name
            os.replace(self._temporary(schema), path)
            paths.append(path)
        return paths

    def abort(self) -> None:
        """Give up: close and remove the unfinished files."""
        if self._closed:
            return
        self._closed = True
        for root_file in self._files.values():
            root_file.close()
        for schema in self._schemas.values():
            self._temporary(schema).unlink(missing_ok=True)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self._closed:
            self.close()
        else:
            self.abort()

    def _temporary(self, schema: TreeSchema) -> Path:
        return self.directory / f".{schema.file_name}.{os.getpid()}.part"


COMPRESSION_LEVEL = 1
"""zstd level: higher ones save a few percent of disk and cost more than the simulation."""


def check_output_directory(directory: str | Path, force: bool) -> None:
    """Make the output folder and refuse one that has results or cannot be written.

    Raises:
        OutputExistsError: it holds results, and `force` is not set.
        OutputError: it cannot be made or written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the output folder {directory}: {error.strerror or error}; "
            "choose another one"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"the output folder {directory} is not writable; choose another one")
    there = [
        schema.file_name for schema in TREES.values() if (directory / schema.file_name).exists()
    ]
    if there and not force:
        raise OutputExistsError(
            f"{directory} holds results already ({', '.join(there)}); "
            "choose another folder or replace them with --force"
        )


def _remove_leftovers(directory: Path) -> None:
    """Remove unfinished files of jobs that were killed; those of running jobs stay."""
    for schema in TREES.values():
        for path in directory.glob(f".{schema.file_name}.*.part"):
            process = path.name.split(".")[-2]
            try:
                os.kill(int(process), 0)
            except (ValueError, ProcessLookupError):
                path.unlink(missing_ok=True)
            except PermissionError:
                continue


def _units(schema: TreeSchema) -> dict[str, str]:
    units = {branch.name: branch.unit for branch in schema.branches if branch.unit}
    for branch in schema.jagged_branches:
        if branch.unit:
            units[schema.jagged_prefix + branch.name] = branch.unit
    return units


def _make_tree(root_file: Any, schema: TreeSchema) -> Any:
    types: dict[str, Any] = {branch.name: np.dtype(branch.dtype) for branch in schema.branches}
    if schema.jagged:
        record = ak.zip(
            {b.name: np.empty(0, dtype=b.dtype) for b in schema.jagged_branches}
        ).type.content
        types[schema.jagged] = ak.types.ListType(record)
    return root_file.mktree(
        schema.tree,
        types,
        title=f"one entry per {schema.row}",
        # The record is there for its one counter; its name is no part of the branch names.
        counter_name=lambda _: schema.counter,
        field_name=lambda outer, inner: schema.jagged_prefix + inner if outer else inner,
    )


def _entries(schema: TreeSchema, number: int, columns: EventColumns) -> dict[str, Any]:
    n = (
        len(columns.counts)
        if columns.counts is not None
        else len(next(iter(columns.flat.values())))
    )
    entries: dict[str, Any] = {}
    for branch in schema.branches:
        if branch.name == schema.event_branch:
            entries[branch.name] = np.full(n, number, dtype=branch.dtype)
        else:
            entries[branch.name] = np.ascontiguousarray(columns.flat[branch.name], branch.dtype)
    if schema.jagged:
        assert columns.counts is not None
        entries[schema.jagged] = ak.zip(
            {
                branch.name: ak.unflatten(
                    np.ascontiguousarray(columns.jagged[branch.name], branch.dtype), columns.counts
                )
                for branch in schema.jagged_branches
            }
        )
    return entries
