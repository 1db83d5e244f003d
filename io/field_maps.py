"""Magnetic field maps in text files: a regular grid, one point per line.

Four columns are r, z, B_r, B_z, and six are x, y, z, B_x, B_y, B_z; lengths in mm, fields in tesla,
separated by commas or blanks, in any order of the points, with or without a line of names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trkx.io.errors import EventContentError, InputFileError, NonFiniteError

__all__ = ["FieldGrid", "read_field_grid", "write_field_grid"]

_AXES = {4: ("r", "z"), 6: ("x", "y", "z")}


@dataclass(frozen=True)
class FieldGrid:
    """A field on a regular grid of two (r, z) or three (x, y, z) axes.

    Attributes:
        axes: positions along each axis, ascending, mm.
        field: shape (n0, n1, 2) or (n0, n1, n2, 3), tesla; the components are along the axes.
    """

    axes: tuple[np.ndarray, ...]
    field: np.ndarray


def read_field_grid(path: str | Path) -> FieldGrid:
    """Read a field map.

    Raises:
        InputFileError: no such file.
        EventContentError: not numbers, not four or six columns, or not a full regular grid.
        NonFiniteError: NaN or infinite values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputFileError(f"no field map {path}; give a text file of r z B_r B_z (mm, tesla)")
    lines = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").splitlines()
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    start = 1 if lines and not _numbers(lines[0]) else 0
    try:
        table = np.array([line.split() for line in lines[start:]], dtype=np.float64)
    except ValueError as error:
        raise EventContentError(
            f"field map {path}: not a table of numbers ({error}); each line holds r z B_r B_z or "
            "x y z B_x B_y B_z (mm, tesla)"
        ) from None
    if table.ndim != 2 or table.shape[1] not in _AXES:
        found = table.shape[1] if table.ndim == 2 else 0
        raise EventContentError(
            f"field map {path}: found {found} columns, expected 4 (r z B_r B_z) or 6 "
            "(x y z B_x B_y B_z)"
        )
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise NonFiniteError(f"field map {path}: NaN or infinite value in point {row}")
    return _grid(table, str(path))


def _numbers(line: str) -> bool:
    try:
        [float(word) for word in line.split()]
    except ValueError:
        return False
    return True


def _grid(table: np.ndarray, where: str) -> FieldGrid:
    dimension = table.shape[1] // 2
    names = _AXES[table.shape[1]]
    axes, index = [], []
    for i, name in enumerate(names):
        axis, place = np.unique(table[:, i], return_inverse=True)
        step = np.diff(axis)
        if len(axis) < 2 or np.ptp(step) > 1e-3 * step.mean():
            raise EventContentError(
                f"field map {where}: the {len(axis)} positions along {name} are not two or more at "
                "equal distances; ACTS interpolates on regular grids only"
            )
        axes.append(axis)
        index.append(place)
    shape = tuple(len(axis) for axis in axes)
    flat = np.ravel_multi_index(tuple(index), shape)
    n = int(np.prod(shape))
    if len(table) != n or len(np.unique(flat)) != n:
        raise EventContentError(
            f"field map {where}: {len(table)} points, expected one for each of the "
            f"{' × '.join(map(str, shape))} = {n} places of the grid"
        )
    field = np.empty((n, dimension))
    field[flat] = table[:, dimension:]
    return FieldGrid(tuple(axes), field.reshape(*shape, dimension))


def write_field_grid(path: str | Path, grid: FieldGrid) -> None:
    """Write a map that `read_field_grid` and ACTS' readers take: blanks, no line of names.

    ACTS takes the points for granted in one order: r changes fastest, or z of three axes.
    """
    places = np.stack(np.meshgrid(*grid.axes, indexing="ij"), axis=-1)
    table = np.concatenate([places, grid.field], axis=-1)
    if len(grid.axes) == 2:
        table = table.transpose(1, 0, 2)
    np.savetxt(path, table.reshape(-1, 2 * len(grid.axes)), fmt="%.7g")
