"""Which columns the events' tables must have, may have, and may call otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from trkx.io.errors import BranchError, ConfigError, InputFileError, nearest_name
from trkx.io.event import BARCODE
from trkx.io.event_index import RowRange
from trkx.io.input_files import KINDS, FileGroup
from trkx.io.root_table import RootTable

__all__ = [
    "GEOMETRY_PARTS",
    "column_dtype",
    "open_tables",
    "read_flat_columns",
    "wanted_columns",
]

# ACTS' C++ measurement writer stores these instead of the packed `geometry_id`.
GEOMETRY_PARTS = ("volume_id", "layer_id", "surface_id")

_REQUIRED = {
    "spacepoints": ("x", "y", "z", "geometry_id"),
    "measurements": ("rec_loc0", "rec_loc1", "var_loc0", "var_loc1"),
    "particles": BARCODE,
    "hits": ("geometry_id", "tx", "ty", "tz"),
}
_IDENTITIES = ("geometry_id", "geometry_id_2", "measurement_id", "measurement_id_2")
_DTYPES: dict[str, Any] = (
    dict.fromkeys((*_IDENTITIES, "particle_hash"), np.uint64)
    | dict.fromkeys((*BARCODE, *(f"barcode_{name}" for name in BARCODE)), np.uint32)
    | dict.fromkeys(
        [f"{axis}" for axis in "xyz"] + [f"{k}_loc{i}" for k in ("rec", "var") for i in (0, 1)],
        np.float32,
    )
)


def open_tables(files: FileGroup, branches: Mapping[str, str]) -> dict[str, list[RootTable]]:
    """Open the tables of a group of files and check that they have what is needed.

    Args:
        files: the files by kind.
        branches: branches that have another name in the files, by `column` or `tree.column`.

    Raises:
        InputError: a file cannot be opened, or a tree or branch is missing.
        ConfigError: `branches` names a tree or branch that is not there.
    """
    tables = {
        kind: [RootTable(path, kind) for path in paths] for kind, paths in files.files.items()
    }
    for name, stored in branches.items():
        _rename(tables, name, stored, files.label)
    if "spacepoints" not in tables and "measurements" not in tables:
        raise InputFileError(
            f"neither spacepoints nor measurements in {files.label}: "
            f"it has {', '.join(tables)} only"
        )
    for kind, several in tables.items():
        for table in several:
            for name in (KINDS[kind], *_REQUIRED[kind]):
                table.stored_name(name)
            if kind == "measurements" and "geometry_id" not in table:
                for name in GEOMETRY_PARTS:
                    table.stored_name(name)
            if kind == "measurements" and "spacepoints" not in tables:
                _check_global_positions(table, files.label)
    return tables


def wanted_columns(names: Sequence[str], kind: str, columns: Collection[str] | None) -> list[str]:
    """Required columns of a table, then those of `names` that are in `columns` (None: all)."""
    chosen = [n for n in names if columns is None or n in columns or n in _IDENTITIES]
    return list(dict.fromkeys([*_REQUIRED[kind], *chosen]))


def column_dtype(table: RootTable, name: str) -> np.dtype:
    """Type in which a column is handed on: ACTS' for what is needed, else that of the file."""
    return np.dtype(_DTYPES[name]) if name in _DTYPES else table.dtype(name)


def read_flat_columns(
    rows: RowRange, kind: str, columns: Collection[str] | None
) -> dict[str, np.ndarray]:
    """Read the wanted columns with one number per row."""
    return {
        name: rows.table.read_flat(name, column_dtype(rows.table, name), rows.start, rows.stop)
        for name in wanted_columns(rows.table.flat_names(), kind, columns)
    }


def _rename(tables: Mapping[str, list[RootTable]], name: str, stored: str, label: str) -> None:
    tree, _, column = name.rpartition(".")
    if tree and tree.lower() not in KINDS:
        raise ConfigError(
            f"branches={{'{name}': …}} names no tree that is read; nearest: "
            f"'{nearest_name(tree, KINDS) or 'spacepoints'}.{column}'"
        )
    # Without a tree's name, the renaming holds wherever there is such a branch.
    several = [
        table
        for kind, kind_tables in tables.items()
        for table in kind_tables
        if (not tree or kind == tree.lower()) and stored in table.names
    ]
    if not several:
        near = nearest_name(
            stored, sorted({n for t in tables.values() for x in t for n in x.names})
        )
        raise BranchError(
            f"branches={{'{name}': '{stored}'}} names a branch that no tree of {label} has"
            + (f"; nearest: '{near}'" if near else "")
        )
    for table in several:
        table.rename(column, stored)


def _check_global_positions(table: RootTable, label: str) -> None:
    for name in ("rec_gx", "rec_gy", "rec_gz"):
        try:
            table.stored_name(name)
        except BranchError as error:
            raise BranchError(
                f"{error} (There is no spacepoints tree in {label}; without one, "
                "space points are made from rec_gx, rec_gy and rec_gz.)"
            ) from error
