"""The tree of an Athena dump, one entry at a time, as NumPy columns in the units of the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trkx.io.athena_schema import COUNTERS, FLAT, LISTS, TREE, flattened_names
from trkx.io.errors import BranchError, EventContentError, nearest_name
from trkx.io.root_table import Jagged, RootTable

__all__ = [
    "HARDWARE",
    "NECESSARY",
    "TRUTH",
    "AthenaDump",
    "DumpColumns",
    "content_of",
    "noise_share",
]

HARDWARE = "CLhardware"
"""Branch of strings, PIXEL or STRIP; read as bool, True for strips."""

NECESSARY = (
    *("CLx", "CLy", "CLz", "CLmoduleID", HARDWARE),
    *("SPx", "SPy", "SPz", "SPCL1_index", "SPCL2_index"),
)
"""Branches without which there are no space points."""

TRUTH = (
    *("CLparticleLink_eventIndex", "CLparticleLink_barcode"),
    *("Part_event_number", "Part_barcode", "Part_pdg_id", "Part_vx", "Part_vy", "Part_vz"),
)
"""Branches without which there is no truth."""

DumpColumns = dict[str, np.ndarray | Jagged]

_COUNTER = {name: counter for counter, names in FLAT.items() for name in names}
_LIST_COUNTER = {name: counter for counter, names in LISTS.items() for name in names}
_DTYPE = {
    name: np.dtype(kind)
    for group in (FLAT, LISTS)
    for names in group.values()
    for name, kind in names.items()
}
_STRIP_LISTS = tuple(LISTS["nSP"])


class AthenaDump:
    """The tree of one file; an entry is an event.

    Args:
        path: the file.
        tree: name of the tree.

    Raises:
        InputError: no such file or tree, or a branch of `NECESSARY` or some of `TRUTH` missing.
    """

    def __init__(self, path: Path | str, tree: str = TREE) -> None:
        self.table = RootTable(path, tree)
        for name in NECESSARY:
            self._need(name, "space points need")
        there = [name for name in TRUTH if name in self.table]
        self.has_truth = bool(there)
        if there and len(there) < len(TRUTH):
            missing = next(name for name in TRUTH if name not in self.table)
            self._need(missing, f"truth needs beside {there[0]}")

    @property
    def path(self) -> Path:
        return self.table.path

    def __len__(self) -> int:
        return self.table.num_entries

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def where(self, entry: int) -> str:
        """How messages call an entry."""
        return f"entry {entry} of tree '{self.table.name}' in {self.path}"

    def identities(self) -> list[tuple[int, int]]:
        """Run and event number of each entry; (0, entry) where the file does not say."""
        runs, events = np.zeros(len(self), np.int64), np.arange(len(self))
        if "run_number" in self.table:
            runs = self.table.read_flat("run_number", np.int64)
        if "event_number" in self.table:
            events = self.table.read_flat("event_number", np.uint64)
        return list(zip(runs.tolist(), events.tolist(), strict=True))

    def count(self, counter: str, entry: int) -> int:
        """Number of clusters (`nCL`), space points (`nSP`) or particles (`nPartEVT`).

        Raises:
            BranchError: the file has no such counter.
        """
        return int(self.table.read_flat(counter, np.int64, entry, entry + 1)[0])

    def read(self, entry: int, names: Iterable[str]) -> DumpColumns:
        """Read branches of one entry; those that the file does not have are left out.

        Strip vectors of space points (`SPtopStripDirection` and so on), which DumpObjects fills for
        strips only, come with one list per space point, empty for pixels.

        Args:
            entry: number of the entry.
            names: names of `trkx.io.athena_schema`.

        Returns:
            By name: an array with one number per cluster, space point or particle, or their lists.

        Raises:
            EventContentError: lengths and counters contradict each other.
            InputError: the file is damaged, or a branch of another type.
        """
        counts: dict[str, int] = {}
        found: DumpColumns = {}
        for name in names:
            if name not in self.table:
                continue
            counter = _LIST_COUNTER.get(name) or _COUNTER.get(name, "nCL")
            if counter and counter not in counts:
                counts[counter] = self.count(counter, entry)
            if name == HARDWARE:
                column: np.ndarray | Jagged = self._hardware(entry)
            elif name in _LIST_COUNTER:
                column = self._lists(name, entry)
            elif counter:
                column = self._array(name, entry)
            else:
                column = self.table.read_flat(name, _DTYPE[name], entry, entry + 1)
            length = len(column.offsets) - 1 if isinstance(column, Jagged) else len(column)
            if name in _STRIP_LISTS and length != counts[counter]:
                column = self._spread(name, entry, column, counts[counter])  # type: ignore[arg-type]
            elif counter and length != counts[counter]:
                raise EventContentError(
                    f"branch '{name}' has {length} items, but the counter '{counter}' says "
                    f"{counts[counter]} {COUNTERS.get(counter, '')} in {self.where(entry)}; the "
                    "file contradicts itself: write it again"
                )
            found[name] = column
        return found

    def close(self) -> None:
        """Close the file."""
        self.table.close()

    def _array(self, name: str, entry: int) -> np.ndarray:
        return self.table.read_jagged(name, _DTYPE[name], entry, entry + 1).content

    def _lists(self, name: str, entry: int) -> Jagged:
        if self.table.holds_lists(name):
            return self.table.read_lists(name, _DTYPE[name], entry)
        _, sizes = flattened_names(name)
        if sizes not in self.table:
            raise BranchError(
                f"branch '{name}' of tree '{self.table.name}' in {self.path} holds no lists of "
                f"lists, and there is no branch '{sizes}' that says how to cut it up; write the "
                "file with DumpObjects or `trkx convert`"
            )
        lengths = self.table.read_jagged(sizes, np.int64, entry, entry + 1).content
        content = self._array(name, entry)
        if lengths.sum() != len(content) or (lengths < 0).any():
            raise EventContentError(
                f"branch '{sizes}' adds up to {lengths.sum()}, but '{name}' has {len(content)} "
                f"items in {self.where(entry)}; the file contradicts itself: write it again"
            )
        return Jagged(np.concatenate([[0], np.cumsum(lengths)]), content)

    def _hardware(self, entry: int) -> np.ndarray:
        """(N,) bool, True for strips."""
        if not self.table.holds_strings(HARDWARE):  # uproot writes no strings, but 0 and 1
            return self.table.read_jagged(HARDWARE, np.int8, entry, entry + 1).content != 0
        words = self.table.read_strings(HARDWARE, entry)
        letters = words.content
        if len(letters) == 5 * (len(words.offsets) - 1) and (words.counts == 5).all():
            table = letters.reshape(-1, 5)
            strip = (table == np.frombuffer(b"STRIP", np.uint8)).all(axis=1)
            if (strip | (table == np.frombuffer(b"PIXEL", np.uint8)).all(axis=1)).all():
                return strip
        text = [bytes(letters[a:b]).decode(errors="replace")
                for a, b in zip(words.offsets[:-1], words.offsets[1:], strict=True)]  # fmt: skip
        other = next(word for word in text if word not in ("PIXEL", "STRIP"))
        raise EventContentError(
            f"branch '{HARDWARE}' says '{other}' of cluster {text.index(other)} in "
            f"{self.where(entry)}; expected PIXEL or STRIP"
        )

    def _spread(self, name: str, entry: int, lists: Jagged, n: int) -> Jagged:
        """Lists of strip space points as lists of all; pixels get empty ones."""
        second = self._array("SPCL2_index", entry)
        strips = second >= 0
        if len(lists.offsets) - 1 != strips.sum():
            raise EventContentError(
                f"branch '{name}' has {len(lists.offsets) - 1} vectors, but there are {n} space "
                f"points, {int(strips.sum())} of them of strips, in {self.where(entry)}: which is "
                "of which cannot be told (DumpObjects fills this branch for strips only, and some "
                "versions do not clear it). Do without this branch"
            )
        lengths = np.zeros(n, np.int64)
        lengths[strips] = lists.counts
        return Jagged(np.concatenate([[0], np.cumsum(lengths)]), lists.content)

    def _need(self, name: str, what: str) -> None:
        if name not in self.table:
            near = nearest_name(name, self.table.names)
            raise BranchError(
                f"branch '{name}', which {what}, is not in tree '{self.table.name}' of {self.path}"
                + (f"; nearest: '{near}'" if near else "")
                + ". Is it a dump of GNN4ITk?"
            )


def content_of(columns: DumpColumns, name: str) -> np.ndarray:
    """The array of a branch that was read; for lists their items in a row."""
    column = columns[name]
    return column.content if isinstance(column, Jagged) else column


def noise_share(path: Path | str) -> float | None:
    """Share of the clusters of the first event that no particle made; None: no truth, no clusters.

    Raises:
        InputError: the file cannot be used.
    """
    dump = AthenaDump(path)
    try:
        links = dump.read(0, ("CLparticleLink_barcode",)).get("CLparticleLink_barcode")
    finally:
        dump.close()
    if not isinstance(links, Jagged) or len(links.offsets) < 2:
        return None
    known = np.concatenate([[0], np.cumsum(links.content != 0)])[links.offsets]
    return float(np.mean(np.diff(known) == 0))
