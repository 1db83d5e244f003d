"""Events in the format of Athena's GNN4ITk dump, as far as uproot can write it.

uproot writes arrays with counters (`CLx[nCL]`) as DumpObjects does, but neither vectors of vectors
nor vectors of strings: the former are laid end to end (`trkx.io.athena_schema.SIZES`), and
`CLhardware` is 0 for PIXEL, 1 for STRIP. `examples/athena_true_types.py`, run with a real ROOT,
makes a file of the true types of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from trkx.io.athena_dump import HARDWARE, DumpColumns
from trkx.io.athena_schema import FLAT, LISTS, TREE, flattened_names
from trkx.io.root_table import Jagged
from trkx.io.tree_writer import ListBlock, TreeLayout, TreeWriter

__all__ = ["AthenaWriter"]


def _layout() -> TreeLayout:
    lists: dict[str, dict[str, Any]] = {
        counter: dict(names) for counter, names in FLAT.items() if counter
    }
    lists["nCL"][HARDWARE] = "i1"
    for counter, names in LISTS.items():
        for name, kind in names.items():
            own, sizes = flattened_names(name)
            lists[counter][sizes] = "i4"
            lists[own] = {name: kind}
    return TreeLayout(TREE, "Athena Dump for GNN4ITk", FLAT[""], lists)


class AthenaWriter:
    """Writes events, one entry each, to a file that gets its name on `close`.

    Args:
        path: the file.
        provenance: stored in the file, under `provenance`.
        force: replace a file that is there.

    Raises:
        OutputExistsError: the file is there, and `force` is not set.
        OutputError: it cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], provenance: Mapping[str, Any], force: bool = False
    ) -> None:
        self._layout = _layout()
        # An event is large: each gets baskets of its own, as in DumpObjects' files.
        self._tree = TreeWriter(path, self._layout, force, provenance, blocks=1)

    def write(self, columns: DumpColumns) -> None:
        """Write one event.

        Args:
            columns: all branches of `trkx.io.athena_schema`, in the units of the file;
                `CLhardware` as bool, True for strips.
        """
        blocks: dict[str, ListBlock] = {}
        for counter, names in self._layout.lists.items():
            if counter in FLAT:
                table = {name: self._column(columns, name) for name in names}
                size = len(next(iter(table.values())))
            else:
                (name,) = names
                table = {name: _lists(columns, name).content}
                size = len(table[name])
            blocks[counter] = ListBlock(np.array([size]), table)
        flat = {name: np.asarray(columns[name]).reshape(1) for name in FLAT[""]}
        self._tree.extend(flat, blocks)

    def _column(self, columns: DumpColumns, name: str) -> np.ndarray:
        for group in LISTS.values():
            for branch in group:
                if name == flattened_names(branch)[1]:
                    return _lists(columns, branch).counts
        return np.asarray(columns[name])

    def close(self) -> None:
        """Finish the file."""
        self._tree.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._tree.abort()


def _lists(columns: DumpColumns, name: str) -> Jagged:
    column = columns[name]
    assert isinstance(column, Jagged), name
    return column
