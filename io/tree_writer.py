"""One TTree in a ROOT file of its own, written block by block, with ACTS' branch names.

uproot writes lists as `x[n]` with a counter branch `n`, not as `std::vector`; lists of equal
lengths share one counter here. It cannot write lists of lists: these are laid end to end in one
list, and a branch with one number per inner list says how to cut it up again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
import uproot

from trkx.io.atomic import AtomicFile
from trkx.io.errors import OutputError

__all__ = ["ListBlock", "TreeLayout", "TreeWriter"]

_COMPRESSION_LEVEL = 1
_BLOCKS_PER_BASKET = 16
_GROUP = "_group"


@dataclass(frozen=True)
class TreeLayout:
    """Branches of a tree.

    Attributes:
        name: name of the tree.
        title: what one entry is.
        flat: type of each branch with one number per entry.
        lists: branches with a list per entry, as {counter: {branch: type}}; those under one
            counter have equal lengths.
    """

    name: str
    title: str
    flat: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ListBlock:
    """Branches under one counter, for some entries.

    Attributes:
        counts: shape (N,), lengths of the lists of each entry.
        columns: items of all lists in a row, shape (sum of counts,) each.
    """

    counts: np.ndarray
    columns: Mapping[str, np.ndarray]


class TreeWriter:
    """Writes the tree to a temporary name and gives the file its name on `close`.

    Args:
        path: the file.
        layout: the branches.
        force: replace a file that is there.
        provenance: stored as JSON in the file, under `provenance`.
        blocks: blocks that are joined in one basket: more make small ones faster to read.

    Raises:
        OutputExistsError, OutputError: see `AtomicFile`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: TreeLayout,
        force: bool = False,
        provenance: Mapping[str, Any] | None = None,
        blocks: int = _BLOCKS_PER_BASKET,
    ) -> None:
        self._layout = layout
        self._blocks = blocks
        self._target = AtomicFile(path, force)
        self._waiting: list[tuple[Mapping[str, np.ndarray], Mapping[str, ListBlock]]] = []
        try:
            self._file = uproot.recreate(
                self._target.temporary, compression=uproot.ZSTD(_COMPRESSION_LEVEL)
            )
        except OSError as error:
            raise OutputError(f"cannot write {self._target.path}: {error}") from error
        if provenance is not None:
            self._file["provenance"] = json.dumps(dict(provenance), sort_keys=True)
        types: dict[str, Any] = {name: np.dtype(kind) for name, kind in layout.flat.items()}
        for counter, columns in layout.lists.items():
            empty = {name: np.zeros(0, dtype=kind) for name, kind in columns.items()}
            types[counter + _GROUP] = _lists(
                ListBlock(np.zeros(0, np.int64), empty), columns
            ).type.content
        self._tree = self._file.mktree(
            layout.name,
            types,
            title=layout.title,
            # Each group is a record for the sake of its one counter; its name is not written.
            counter_name=lambda group: group.removesuffix(_GROUP),
            field_name=lambda _, name: name,
        )

    def extend(
        self, flat: Mapping[str, np.ndarray], lists: Mapping[str, ListBlock] | None = None
    ) -> None:
        """Add entries.

        Args:
            flat: each branch with one number per entry, shape (N,).
            lists: by counter, the branches with lists.
        """
        self._waiting.append((flat, lists or {}))
        if len(self._waiting) >= self._blocks:
            self._flush()

    def close(self) -> None:
        """Write what is left and give the file its name.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            self._flush()
            self._file.close()
        except BaseException:
            self.abort()
            raise
        self._target.commit()

    def abort(self) -> None:
        """Give up and remove the file."""
        self._file.close()
        self._target.abort()

    def _flush(self) -> None:
        # A basket per branch and block would be small and slow to read, so blocks are joined.
        if not self._waiting:
            return
        blocks, self._waiting = self._waiting, []
        entries: dict[str, Any] = {
            name: np.concatenate([np.asarray(flat[name], dtype=kind) for flat, _ in blocks])
            for name, kind in self._layout.flat.items()
        }
        for counter, columns in self._layout.lists.items():
            parts = [lists[counter] for _, lists in blocks]
            joined = ListBlock(
                np.concatenate([part.counts for part in parts]),
                {
                    name: np.concatenate([_cast(part.columns[name], kind) for part in parts])
                    for name, kind in columns.items()
                },
            )
            entries[counter + _GROUP] = _lists(joined, columns)
        try:
            self._tree.extend(entries)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._target.path}: {error}; is the disk full?"
            ) from error


def _cast(values: np.ndarray, kind: Any) -> np.ndarray:
    values = np.asarray(values)
    wanted = np.dtype(kind)
    if wanted == np.float32 and values.dtype == np.float64:
        # ACTS' sequencer traps floating-point exceptions, and overflow is one.
        limit = float(np.finfo(np.float32).max)
        values = np.clip(values, -limit, limit, where=np.isfinite(values), out=values.copy())
    return values.astype(wanted, copy=False)


def _lists(block: ListBlock, columns: Mapping[str, Any]) -> ak.Array:
    offsets = np.zeros(len(block.counts) + 1, dtype=np.int64)
    np.cumsum(block.counts, out=offsets[1:])
    contents = [
        ak.contents.NumpyArray(np.ascontiguousarray(block.columns[name], dtype=kind))
        for name, kind in columns.items()
    ]
    record = ak.contents.RecordArray(contents, list(columns), length=int(offsets[-1]))
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))
