"""Examples to train on, made once from events and kept in memory or on disk.

An example is a NamedTuple of tensors. On disk each is one .npz file without objects (nothing is
unpickled); only the batch that is worked on is in memory then.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from trkx.plugin.errors import StageError
from trkx.plugin.space_points import LabelledEvent

Example = TypeVar("Example", bound=tuple)
Make = Callable[[LabelledEvent], Example]


class Examples(Protocol[Example]):
    """Examples of one epoch, with what the batches are balanced by."""

    sizes: np.ndarray  # (n,) int64, edges (or whatever the work grows with) of each

    def __len__(self) -> int: ...
    def __getitem__(self, row: int) -> Example: ...
    def collate(self, examples: Sequence[Example]) -> Any: ...


def only_one(examples: Sequence[Example]) -> Example:
    """The collate function of examples that cannot be joined: batches of one each."""
    if len(examples) != 1:
        raise StageError(
            f"a batch of {len(examples)} examples, which this stage cannot join; set "
            "batch_edges = 0, and batches_per_step to the number of processes"
        )
    return examples[0]


class MemoryExamples(Generic[Example]):
    """Examples in memory."""

    def __init__(
        self,
        examples: Iterable[Example],
        size: Callable[[Example], int],
        collate: Callable[[Sequence[Example]], Any] = only_one,
    ) -> None:
        self._examples = list(examples)
        self.sizes = np.array([size(example) for example in self._examples], np.int64)
        self.collate = collate

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, row: int) -> Example:
        return self._examples[row]


class DiskExamples(Generic[Example]):
    """Examples in a folder, made of events that come one at a time: memory stays bounded.

    A folder that is complete, and of the same key, is used as it is. What a killed run left
    incomplete is made anew.
    """

    def __init__(
        self,
        folder: Path,
        kind: type[Example],
        size: Callable[[Example], int],
        collate: Callable[[Sequence[Example]], Any] = only_one,
    ) -> None:
        self.folder, self.kind, self.size, self.collate = folder, kind, size, collate
        self.sizes = np.zeros(0, np.int64)
        self.notes: dict[str, Any] = {}  # what `make` noted of the events, kept with them

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int) -> Example:
        return read_example(self._path(row), self.kind)

    def _path(self, row: int) -> Path:
        return self.folder / f"{row:06d}.npz"

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    def open(self, key: Any) -> bool:
        """Whether the folder holds all examples made with `key`; they can be read then."""
        try:
            index = json.loads(self._index.read_text())
        except (OSError, ValueError):
            return False
        if not isinstance(index, dict) or index.get("key") != json.loads(json.dumps(key)):
            return False
        self.sizes = np.array(index["sizes"], np.int64)
        self.notes = index.get("notes", {})
        return True

    def build(self, events: Callable[[], Iterable[LabelledEvent]], make: Make, key: Any) -> None:
        """Make the example of every event, unless they are there.

        What `make` has in a dictionary `notes` afterwards is kept with the examples.
        """
        if self.open(key):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        sizes = []
        for row, event in enumerate(events()):
            example = make(event)
            write_example(self._path(row), example)
            sizes.append(self.size(example))
        # The index goes last: without it the folder is not complete.
        self.notes = dict(getattr(make, "notes", {}))
        index = {"key": key, "sizes": sizes, "notes": self.notes}
        write_atomic(self._index, json.dumps(index).encode())
        self.sizes = np.array(sizes, np.int64)

    def drop(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_example(path: Path, example: tuple) -> None:
    """Write a NamedTuple of tensors as .npz."""
    arrays = {name: value.numpy() for name, value in zip(_fields(example), example, strict=True)}
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_example(path: Path, kind: type[Example]) -> Example:
    """Read what `write_example` wrote.

    Raises:
        StageError: the file is not one of this kind.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: dict[str, Tensor] = {n: torch.from_numpy(arrays[n]) for n in _fields(kind)}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StageError(
            f"training example {path} cannot be read ({error}); remove its folder, and it is made "
            "anew"
        ) from error
    return kind(**found)


def _fields(kind: Any) -> tuple[str, ...]:
    return kind._fields


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(hidden, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
