"""One table of a ROOT file, TTree or RNTuple, read by rows as NumPy columns."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

from trkx.io.errors import (
    BranchError,
    BranchTypeError,
    InputFileError,
    NotRootError,
    TreeError,
    TruncatedFileError,
    nearest_name,
)
from trkx.io.root_vectors import decode_lists, decode_strings

__all__ = ["Jagged", "RootTable", "check_root_file", "open_root_file", "table_names"]


@dataclass(frozen=True)
class Jagged:
    """A column of lists.

    Attributes:
        offsets: shape (N + 1,), int64; list i is `content[offsets[i]:offsets[i + 1]]`.
        content: the lists' items in a row.
    """

    offsets: np.ndarray
    content: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Lengths of the lists, shape (N,)."""
        return np.diff(self.offsets)


def check_root_file(path: Path) -> None:
    """Raise unless `path` is a ROOT file of the length that its own header announces.

    Raises:
        InputFileError: there is no such file.
        NotRootError: the file is empty or does not start as ROOT files do.
        TruncatedFileError: the file is shorter than its header says.
    """
    if not path.exists():
        raise InputFileError(f"no such file: {path}")
    if not path.is_file():
        raise InputFileError(f"{path} is not a file")
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            header = stream.read(64)
    except OSError as error:
        raise InputFileError(
            f"cannot read {path}: {error.strerror}. Check its permissions."
        ) from error
    if not header:
        raise NotRootError(f"{path} is empty (0 bytes), expected a ROOT file; write it again")
    if header[:4] != b"root":
        raise NotRootError(
            f"{path} is not a ROOT file: it starts with {header[:4]!r}, expected b'root'"
        )
    # Versions from 1000000 on hold 64-bit pointers (ROOT's TFile::WriteHeader).
    large = len(header) >= 20 and struct.unpack(">i", header[4:8])[0] >= 1_000_000
    end = int.from_bytes(header[12:20] if large else header[12:16], "big")
    if size < max(end, 64):
        raise TruncatedFileError(
            f"{path} is truncated: {size} bytes of the {max(end, 64)} that its header announces; "
            "copy or write it again"
        )


def open_root_file(path: Path) -> Any:
    """Open `path` with uproot; failures carry the file's name and what is wrong with it."""
    check_root_file(path)
    try:
        # No cache of arrays: every event is read once, and memory must not grow with them.
        return uproot.open(str(path), array_cache=None)
    except Exception as error:  # uproot raises many kinds on damaged files
        raise TruncatedFileError(
            f"{path} is damaged or incomplete and cannot be opened: {_short(error)}; "
            "copy or write it again"
        ) from error


def table_names(file: Any) -> list[str]:
    """Names of the TTrees and RNTuples of an open file, without cycle numbers."""
    kinds = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")
    return sorted({name.split(";")[0] for name, kind in file.classnames().items() if kind in kinds})


class RootTable:
    """A TTree or RNTuple whose rows are read in slices.

    Args:
        path: the ROOT file.
        name: name of the table; upper and lower case are the same (ACTS writes `spacePoints`).

    Raises:
        InputFileError, NotRootError, TruncatedFileError: see `open_root_file`.
        TreeError: no such table in the file.
    """

    def __init__(self, path: Path | str, name: str):
        self.path = Path(path)
        self._renamed: dict[str, str] = {}
        file = open_root_file(self.path)
        found = table_names(file)
        matches = [n for n in found if n.lower() == name.lower()]
        if not matches:
            near = nearest_name(name, found)
            raise TreeError(
                f"tree '{name}' not in {self.path}; it holds "
                + (", ".join(f"'{n}'" for n in found) if found else "no tree at all")
                + (f"; nearest: '{near}'" if near else "")
            )
        self.name = name if name in matches else matches[0]
        try:
            self._tree = file[self.name]
            self.names = [str(n) for n in self._tree.keys(recursive=False)]
        except Exception as error:
            raise TruncatedFileError(
                f"tree '{self.name}' of {self.path} cannot be read: {_short(error)}; the file is "
                "damaged: copy or write it again"
            ) from error
        # ROOT appends a dot to the names of some branches that were written as classes.
        self.names = [n.rstrip(".") for n in self.names]
        self.num_entries = int(self._tree.num_entries)
        self._file = file
        self._dtypes: dict[str, np.dtype] = {}

    def __contains__(self, name: str) -> bool:
        return self._renamed.get(name, name) in self.names

    def rename(self, name: str, stored: str) -> None:
        """Use branch `stored` of the file as column `name`."""
        self._renamed[name] = stored

    def stored_name(self, name: str) -> str:
        """Name of column `name` in the file.

        Raises:
            BranchError: the file has no such branch.
        """
        stored = self._renamed.get(name, name)
        if stored not in self.names:
            near = nearest_name(stored, self.names)
            hint = f"; nearest: '{near}'" if near else f"; it has {', '.join(self.names)}"
            raise BranchError(
                f"branch '{stored}' not in tree '{self.name}' of {self.path}{hint}. "
                f"Pass branches={{'{name}': '{near or '<name in the file>'}'}} if it has "
                "another name there."
            )
        return stored

    def read_flat(
        self, name: str, dtype: np.dtype | type, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Read rows start to stop of a column with one number per row.

        Raises:
            BranchError, BranchTypeError, TruncatedFileError: with file, tree and branch.
        """
        array = self._array(name, start, stop)
        if array.ndim != 1 or not _is_number(array):
            raise self._type_error(name, array, f"one {np.dtype(dtype).name} per row")
        return self._cast(name, ak.to_numpy(array), dtype)

    def read_jagged(
        self, name: str, dtype: np.dtype | type, start: int = 0, stop: int | None = None
    ) -> Jagged:
        """Read rows start to stop of a column with a list of numbers per row.

        Raises:
            BranchError, BranchTypeError, TruncatedFileError: with file, tree and branch.
        """
        array = self._array(name, start, stop)
        if len(array) == 0:
            return Jagged(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=dtype))
        if array.ndim != 2 or not _is_number(array):
            raise self._type_error(name, array, f"a list of {np.dtype(dtype).name} per row")
        offsets = np.zeros(len(array) + 1, dtype=np.int64)
        np.cumsum(ak.to_numpy(ak.num(array)), out=offsets[1:])
        return Jagged(offsets, self._cast(name, ak.to_numpy(ak.flatten(array)), dtype))

    def read_lists(self, name: str, dtype: np.dtype | type, row: int) -> Jagged:
        """Read one row of a column that holds a list of lists of numbers in each.

        Raises:
            BranchError, BranchTypeError, TruncatedFileError: with file, tree and branch.
        """
        kind = _vector_of(self._typename(self.stored_name(name)), "vector<")
        if kind not in _LIST_ITEMS:
            raise self._type_error(name, np.zeros(0), f"lists of lists of {np.dtype(dtype).name}")
        lengths, items = self._decode(name, row, lambda raw: decode_lists(raw, _LIST_ITEMS[kind]))
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Jagged(offsets, self._cast(name, items, dtype))

    def holds_strings(self, name: str) -> bool:
        """Whether a row of the column is a list of strings."""
        return _vector_of(self._typename(self.stored_name(name)), "") == "string"

    def read_strings(self, name: str, row: int) -> Jagged:
        """Read one row of a column that holds a list of strings in each, as lists of uint8."""
        if not self.holds_strings(name):
            raise self._type_error(name, np.zeros(0), "a list of strings per row")
        lengths, letters = self._decode(name, row, decode_strings)
        return Jagged(np.concatenate([[0], np.cumsum(lengths)]), letters)

    def holds_lists(self, name: str) -> bool:
        """Whether a row of the column is a list of lists of numbers."""
        return _vector_of(self._typename(self.stored_name(name)), "vector<") in _LIST_ITEMS

    def dtype(self, name: str) -> np.dtype:
        """Type of the column's numbers, float64 for whatever is not a number."""
        stored = self.stored_name(name)
        if stored not in self._dtypes:
            items = self._tree[stored].array(entry_start=0, entry_stop=0)
            layout = items.layout
            while layout.is_list or layout.is_indexed:
                layout = layout.content
            self._dtypes[stored] = np.dtype(layout.dtype if layout.is_numpy else np.float64)
        return self._dtypes[stored]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def flat_names(self) -> list[str]:
        """Columns with one number per row, in the names used here."""
        back = {stored: name for name, stored in self._renamed.items()}
        return [back.get(n, n) for n in self.names if self._looks_flat(n)]

    def jagged_names(self) -> list[str]:
        """Columns with one list of numbers per row, in the names used here."""
        back = {stored: name for name, stored in self._renamed.items()}
        return [back.get(n, n) for n in self.names if self._looks_jagged(n)]

    def _typename(self, stored: str) -> str:
        return str(self._tree[stored].typename)

    def _looks_flat(self, stored: str) -> bool:
        return _plain_type(self._typename(stored)) in _NUMBERS

    def _looks_jagged(self, stored: str) -> bool:
        kind = _plain_type(self._typename(stored)).replace(" ", "")
        if kind.endswith("[]"):
            return kind[:-2] in _NUMBERS
        return kind.startswith("vector<") and kind[7:-1] in _COMPACT_NUMBERS

    def _decode(
        self, name: str, row: int, decode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        raw = ak.to_numpy(self._array(name, row, row + 1, AsJagged(AsDtype("u1")))[0])
        try:
            return decode(raw)
        except ValueError as error:
            raise TruncatedFileError(
                f"branch '{self.stored_name(name)}' of tree '{self.name}' in {self.path}, entry "
                f"{row}, cannot be decoded: {_short(error)}; copy or write the file again"
            ) from error

    def _array(self, name: str, start: int, stop: int | None, *interpretation: Any) -> Any:
        stored = self.stored_name(name)
        try:
            return self._tree[stored].array(
                *interpretation,
                entry_start=start,
                entry_stop=self.num_entries if stop is None else stop,
            )
        except Exception as error:
            raise TruncatedFileError(
                f"branch '{stored}' of tree '{self.name}' in {self.path}, entries {start} to "
                f"{self.num_entries if stop is None else stop}, cannot be read: {_short(error)}; "
                "the file is damaged or the branch is of a kind that uproot cannot read"
            ) from error

    def _cast(self, name: str, values: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
        wanted = np.dtype(dtype)
        if wanted.kind in "iu" and values.dtype.kind == "f":
            raise self._type_error(name, values, f"{wanted.name}")
        return np.ascontiguousarray(values, dtype=wanted)

    def _type_error(self, name: str, array: Any, expected: str) -> BranchTypeError:
        stored = self.stored_name(name)
        found = self._typename(stored)
        return BranchTypeError(
            f"branch '{stored}' of tree '{self.name}' in {self.path} holds {found}, "
            f"expected {expected}. If '{name}' is another branch there, pass "
            f"branches={{'{name}': '<its name>'}}."
        )


_NUMBERS = (
    {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | {f"{sign}{kind}" for sign in ("", "unsigned ") for kind in ("char", "short", "int", "long")}
    | {"bool", "float", "double", "Long64_t", "ULong64_t"}
)
_COMPACT_NUMBERS = {n.replace(" ", "") for n in _NUMBERS}


# Items of the lists of lists that can be read, as uproot calls them.
_LIST_ITEMS: dict[str, type] = {
    "bool": np.bool_,
    "int32_t": np.int32,
    "uint32_t": np.uint32,
    "int64_t": np.int64,
    "uint64_t": np.uint64,
    "float": np.float32,
    "double": np.float64,
}


def _vector_of(typename: str, inner: str) -> str:
    """What `vector<inner...>` holds innermost, '' for other types."""
    kind = _plain_type(typename).replace(" ", "")
    start = f"vector<{inner}"
    if not kind.startswith(start):
        return ""
    return kind[len(start) :].rstrip(">")


def _is_number(array: Any) -> bool:
    """Whether the innermost items are plain numbers (no strings, records or options)."""
    layout = array.layout
    while layout.is_list or layout.is_indexed:
        if layout.parameter("__array__") in ("string", "bytestring"):
            return False
        layout = layout.content
    return bool(layout.is_numpy and layout.dtype.kind in "biuf" and len(layout.shape) == 1)


def _plain_type(typename: str) -> str:
    return typename.replace("std::", "")


def _short(error: BaseException) -> str:
    lines: Iterable[str] = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]
