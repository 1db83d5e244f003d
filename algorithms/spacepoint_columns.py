"""Columns of the space-point table on the whiteboard as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trkx.io.errors import EventContentError

__all__ = ["row_of_measurement", "table_columns"]


def table_columns(
    table: Any, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return columns of an `acts.arrow.ArrowTable`, without a copy where Arrow allows it.

    Args:
        table: the table.
        names: columns that must be there.
        optional: columns to add if they are there.

    Raises:
        EventContentError: if a column is missing.
    """
    view = table.as_table()
    missing = [name for name in names if name not in view.column_names]
    if missing:
        raise EventContentError(
            f"space-point table without column {missing[0]!r}; it has "
            f"{', '.join(view.column_names)}"
        )
    wanted = [*names, *(name for name in optional if name in view.column_names)]
    return {name: view.column(name).to_numpy() for name in wanted}


def row_of_measurement(measurement_ids: np.ndarray) -> np.ndarray:
    """Return the space point of each measurement.

    Args:
        measurement_ids: shape (N,), measurement of each space point.

    Returns:
        shape (largest id + 1,), int64; -1: the measurement has no space point.
    """
    size = int(measurement_ids.max()) + 1 if len(measurement_ids) else 0
    rows = np.full(size, -1, dtype=np.int64)
    rows[measurement_ids] = np.arange(len(measurement_ids))
    return rows
