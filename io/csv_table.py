"""Tables of comma-separated numbers as NumPy columns, on Arrow's CSV parser."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from trkx.io.errors import (
    ColumnError,
    CsvError,
    EmptyInputError,
    InputFileError,
    TruncatedFileError,
    nearest_name,
)

__all__ = ["parse_csv", "read_bytes", "read_csv", "unzip_bytes"]

_GZIP_MAGIC = b"\x1f\x8b"


def read_csv(
    path: Path, types: Mapping[str, type], required: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Read a `.csv` or `.csv.gz` file with a header line; see `parse_csv`."""
    return parse_csv(unzip_bytes(read_bytes(path), str(path)), str(path), types, required)


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        InputFileError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputFileError(f"no such file: {path}") from None
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror or error}") from error


def unzip_bytes(data: bytes, where: str) -> bytes:
    """Unpack `data` if it is gzip, whatever the file is called.

    Raises:
        TruncatedFileError: it ends early, or its checksum is wrong.
    """
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TruncatedFileError(
            f"{where} is a truncated or damaged gzip file of {len(data)} bytes: {error}; copy it "
            "again"
        ) from error


def parse_csv(
    data: bytes,
    where: str,
    types: Mapping[str, type],
    required: Sequence[str] = (),
    names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Parse comma-separated values.

    Columns may be in any order, and there may be more than `types` names; those get the type
    that their values look like. Line ends may be those of Windows. A byte-order mark is skipped.

    Args:
        data: content of the file.
        where: name of the file, for messages.
        types: NumPy types of the columns that are known.
        required: columns that must be there.
        names: names of the columns, where the file has no header line.

    Returns:
        Columns of equal length, in the order of the file. An empty field of a column of floats
        is NaN. A table that has a header only has columns of length 0.

    Raises:
        EmptyInputError: there is not even a header.
        ColumnError: a required column is missing, or there twice.
        CsvError: not a table of comma-separated values, or one that is not of its column's type.
    """
    if not data.strip():
        raise EmptyInputError(f"{where} is empty, expected comma-separated values; write it again")
    _check_text(data, where)
    if not names:
        _check_header(data, where, required)
    try:
        # One thread: the other cores have events of their own, and only so do messages of
        # Arrow name the row.
        table = pa_csv.read_csv(
            pa.py_buffer(data),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=list(names) or None),
            convert_options=pa_csv.ConvertOptions(
                column_types={n: pa.from_numpy_dtype(np.dtype(t)) for n, t in types.items()}
            ),
        )
    except pa.ArrowInvalid as error:
        raise CsvError(
            f"{where} cannot be read as comma-separated values: {_of_arrow(error)}; correct or "
            "remove the row"
        ) from error
    return {name: _to_numpy(table.column(name), name, where) for name in table.column_names}


def _check_text(data: bytes, where: str) -> None:
    if b"\0" in data[:4096]:
        raise CsvError(
            f"{where} is not a CSV file: it starts with {data[:8]!r}, expected text, plain or gzip"
        )


def _check_header(data: bytes, where: str, required: Sequence[str]) -> None:
    line = data.partition(b"\n")[0].strip().removeprefix(b"\xef\xbb\xbf")
    found = [name.strip('"') for name in line.decode("utf-8", errors="replace").split(",")]
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise ColumnError(f"column '{repeated[0]}' is there twice in {where}; keep one of them")
    for name in required:
        if name not in found:
            near = nearest_name(name, found)
            hint = f"; nearest: '{near}'" if near else ""
            shown = line[:80].decode("utf-8", errors="replace")
            raise ColumnError(
                f"column '{name}' not in {where}{hint}. Its first line is '{shown}', expected a "
                f"header with {', '.join(required)} (more columns and another order are fine)"
            )


def _of_arrow(error: Exception) -> str:
    """Arrow's message without its own name, its columns counted from 1 as its rows are."""
    text = str(error).splitlines()[0]
    return re.sub(r"column #(\d+)", lambda m: f"column {int(m[1]) + 1}", text)[:300]


def _to_numpy(column: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)  # nothing that could have a type
    if column.null_count and not pa.types.is_floating(column.type):
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise CsvError(
            f"{column.null_count} of {len(column)} values of column '{name}' are missing or NaN in "
            f"{where}; the first is in data row {row + 1}, expected a whole number"
        )
    return np.ascontiguousarray(column.to_numpy())
