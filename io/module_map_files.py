"""Module maps as ROOT files, `PREFIX.doublets.root` and `PREFIX.triplets.root`.

Trees and branches are those of L2IT's ModuleMapGraph, which ACTS' ModuleMapCuda reads: one entry
per pair or triplet of modules, with the smallest and largest value, sum, sum of squares, mean
and rms of what is cut on. Where modules share statistics, `Module1` … hold the first module of
each group, and the tree `TreeModuleCell` in the file of doublets says which module is in which
group; readers that do not know that tree see maps of these first modules only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from trkx.io.atomic import atomic_path
from trkx.io.errors import ConfigError, EventContentError
from trkx.io.root_table import RootTable, open_root_file, table_names

__all__ = ["ModuleMapTables", "module_map_paths", "read_module_map", "write_module_map"]

DOUBLET_TREE, TRIPLET_TREE, CELL_TREE = "TreeModuleDoublet", "TreeModuleTriplet", "TreeModuleCell"
_STATISTICS = ("min", "max", "sum", "sumSq", "mean", "rms")
_DOUBLET = ("z0", "dphi", "phiSlope", "deta")
_TRIPLET = ("diff_dydx", "diff_dzdr")
_INNER, _OUTER = slice(0, 4), slice(4, 8)


@dataclass(frozen=True)
class ModuleMapTables:
    """A module map as columns.

    Quantities are those of `trkx.plugin.module_map.QUANTITIES`, in that order: z0 (mm), dphi,
    phiSlope (rad/mm) and deta of the inner, then of the outer doublet, diff_dydx, diff_dzdr.
    """

    geometry_id: np.ndarray  # (M,) uint64, ascending
    cell: np.ndarray  # (M,) int32, group of each module, from 0
    mirror: np.ndarray  # (C,) int32, group at -z
    triplet: np.ndarray  # (3, T) int64, groups
    count: np.ndarray  # (T,) int64
    low: np.ndarray  # (T, 10) float32
    high: np.ndarray  # (T, 10) float32
    mean: np.ndarray  # (T, 10) float64
    rms: np.ndarray  # (T, 10) float64
    about: Mapping[str, Any] = field(default_factory=dict)  # frame and provenance


def module_map_paths(prefix: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Files of the doublets and of the triplets; also from the name of one of them."""
    name = str(prefix)
    for ending in (".doublets.root", ".triplets.root"):
        name = name.removesuffix(ending)
    return Path(name + ".doublets.root"), Path(name + ".triplets.root")


def write_module_map(
    tables: ModuleMapTables,
    prefix: str | os.PathLike[str],
    force: bool = False,
    precision: str = "float32",
) -> tuple[Path, Path]:
    """Write both files.

    Args:
        tables: the map.
        prefix: path without '.doublets.root'.
        force: replace files that are there.
        precision: 'float32', as ACTS reads, or 'float64'.

    Returns:
        paths of doublets and triplets.

    Raises:
        ConfigError: another precision.
        OutputExistsError, OutputError: see `AtomicFile`.
    """
    if precision not in ("float32", "float64"):
        raise ConfigError(f"precision of a module map is '{precision}'; give float32 or float64")
    kind = np.dtype(precision)
    paths = module_map_paths(prefix)
    _, first = np.unique(tables.cell, return_index=True)
    module = tables.geometry_id[first]
    pair, doublets = _doublets(tables)
    triplets = (tables.count, tables.low, tables.high, tables.mean, tables.rms)
    cells = {
        "geometry_id": tables.geometry_id,
        "cell": tables.cell.astype(np.int32),
        "mirror_cell": tables.mirror[tables.cell].astype(np.int32),
    }
    content = (
        {DOUBLET_TREE: _columns(module[pair], doublets, kind), CELL_TREE: cells},
        {TRIPLET_TREE: _columns(module[tables.triplet], triplets, kind)},
    )
    for path, trees in zip(paths, content, strict=True):
        with atomic_path(path, force) as temporary, uproot.recreate(temporary) as file:
            file["about"] = json.dumps(dict(tables.about), sort_keys=True)
            for name, columns in trees.items():
                file.mktree(name, {c: values.dtype for c, values in columns.items()})
                file[name].extend(columns)
    return paths


def read_module_map(prefix: str | os.PathLike[str]) -> ModuleMapTables:
    """Read the map of two files; those of ModuleMapGraph have no groups and no provenance.

    Raises:
        InputFileError, NotRootError, TruncatedFileError, TreeError, BranchError: with file, tree
            and branch.
        EventContentError: a triplet of modules that the file of doublets does not have.
    """
    doublets, triplets = module_map_paths(prefix)
    table = RootTable(triplets, TRIPLET_TREE)
    ids = np.stack([table.read_flat(f"Module{i}", np.uint64) for i in (1, 2, 3)])
    names = _branches()
    low, high, total, squares, mean, rms = (
        np.stack([table.read_flat(name, np.float64) for name in column], axis=1)
        for column in zip(*names, strict=True)
    )
    del total, squares  # in single precision, mean and rms say more
    count = table.read_flat("Occurence", np.int64)
    table.close()
    with open_root_file(doublets) as file:
        about = json.loads(str(file["about"])) if "about" in file else {}
        has_cells = CELL_TREE in table_names(file)
    if has_cells:
        cells = RootTable(doublets, CELL_TREE)
        geometry_id = cells.read_flat("geometry_id", np.uint64)
        cell = cells.read_flat("cell", np.int32)
        mirror = np.zeros(int(cell.max(initial=-1)) + 1, np.int32)
        mirror[cell] = cells.read_flat("mirror_cell", np.int32)
        cells.close()
    else:
        pairs = RootTable(doublets, DOUBLET_TREE)
        geometry_id = np.unique([pairs.read_flat(f"Module{i}", np.uint64) for i in (1, 2)])
        cell = mirror = np.arange(len(geometry_id), dtype=np.int32)
        pairs.close()
    row = np.minimum(np.searchsorted(geometry_id, ids), max(len(geometry_id) - 1, 0))
    if ids.size and (not len(geometry_id) or (geometry_id[row] != ids).any()):
        raise EventContentError(
            f"{triplets} names modules that {doublets} does not have; are they of one map?"
        )
    return ModuleMapTables(
        geometry_id, cell, mirror, cell[row].astype(np.int64), count,
        low.astype(np.float32), high.astype(np.float32), mean, rms, about,
    )  # fmt: skip


def _branches(part: slice = slice(None)) -> list[tuple[str, ...]]:
    """Branch names of the statistics, for each quantity."""
    doublets = [
        (*(f"{name}{s}_{which}" for s in _STATISTICS[:4]), f"{name}_{which}_mean",
         f"{name}_{which}_rms")
        for which in ("12", "23")
        for name in _DOUBLET
    ]  # fmt: skip
    return [*doublets, *(tuple(f"{name}_{s}" for s in _STATISTICS) for name in _TRIPLET)][part]


def _columns(
    modules: np.ndarray, statistics: tuple[np.ndarray, ...], kind: np.dtype
) -> dict[str, np.ndarray]:
    """The branches of a tree.

    Args:
        modules: (2 or 3, rows) uint64.
        statistics: occurrences (rows,), and low, high, mean and rms (rows, 4 or 10).
        kind: type of the numbers.
    """
    count, low, high, mean, rms = statistics
    columns = {f"Module{i + 1}": ids.astype(np.uint64) for i, ids in enumerate(modules)}
    columns["Occurence"] = count.astype(np.uint32)
    n = count[:, None]
    written = (low, high, mean * n, (rms**2 + mean**2) * n, mean, rms)
    for i, names in enumerate(_branches(slice(0, low.shape[1]))):
        for name, values in zip(names, written, strict=True):
            columns[name] = np.ascontiguousarray(values[:, i], kind)
    return columns


def _doublets(tables: ModuleMapTables) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Pairs (2, P) of groups and their statistics, see `_columns`, from those of the triplets."""
    n = len(tables.mirror)
    a, b, c = tables.triplet
    key = np.concatenate([a * n + b, b * n + c])
    order = np.argsort(key, kind="stable")
    pairs, start = np.unique(key[order], return_index=True)

    def both(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[:, _INNER], values[:, _OUTER]])[order]

    count = np.concatenate([tables.count, tables.count])[order]
    if not len(pairs):
        nothing = np.zeros((0, 4))
        return np.zeros((2, 0), np.int64), (count, nothing, nothing, nothing, nothing)
    mean, n_here = both(tables.mean), count[:, None]
    total = np.add.reduceat(mean * n_here, start, axis=0)
    squares = np.add.reduceat((both(tables.rms) ** 2 + mean**2) * n_here, start, axis=0)
    count = np.add.reduceat(count, start)
    mean = total / count[:, None]
    low = np.minimum.reduceat(both(tables.low), start, axis=0)
    high = np.maximum.reduceat(both(tables.high), start, axis=0)
    rms = np.sqrt(np.maximum(squares / count[:, None] - mean**2, 0.0))
    return np.stack([pairs // n, pairs % n]), (count, low, high, mean, rms)
