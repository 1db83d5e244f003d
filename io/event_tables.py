"""Events as Arrow tables, which algorithms pass to each other without copying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import acts.arrow
import numpy as np
import pyarrow as pa

from trkx.io.event import Event

__all__ = [
    "columns_of_table",
    "event_of_tables",
    "links_of_table",
    "table_of_columns",
    "table_of_links",
]

_LINKS = "particle_rows"


def table_of_columns(columns: Mapping[str, np.ndarray]) -> Any:
    """Wrap columns in an `acts.arrow.ArrowTable` that shares their memory."""
    # A record batch, as a table without rows would have no batch to hand over.
    arrays = {name: pa.array(np.ascontiguousarray(c)) for name, c in columns.items()}
    table = pa.record_batch(arrays)
    return acts.arrow.ArrowTable.from_arrow(table)


def columns_of_table(table: Any) -> dict[str, np.ndarray]:
    """Columns of an `acts.arrow.ArrowTable`, read-only and sharing its memory.

    Only for tables of plain numbers, such as `spacepoint_table` and `particle_table`.
    """
    arrow = table.as_table()
    return {name: _to_numpy(arrow.column(name)) for name in arrow.column_names}


def table_of_links(offsets: np.ndarray, rows: np.ndarray) -> Any:
    """Wrap the particle rows behind each measurement: one list per measurement.

    Args:
        offsets: shape (M + 1,), int64.
        rows: particle rows of all measurements, int64.
    """
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(rows))
    return acts.arrow.ArrowTable.from_arrow(pa.record_batch({_LINKS: lists}))


def links_of_table(table: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `table_of_links`: offsets of shape (M + 1,) and particle rows, both int64."""
    lists = table.as_table().column(_LINKS).combine_chunks()
    offsets = lists.offsets.to_numpy()
    if not len(offsets):
        return np.zeros(1, np.int64), np.zeros(0, np.int64)
    return offsets - offsets[0], lists.flatten().to_numpy()


def event_of_tables(
    number: int, spacepoint_table: Any, links: Any = None, particle_table: Any = None
) -> Event:
    """Put an event together again from what the reader put on the whiteboard.

    The event's measurements are left empty.

    Args:
        number: event number.
        spacepoint_table: `acts.arrow.ArrowTable` with the columns of the space points.
        links: `measurement_truth_table`, if truth was read.
        particle_table: `particle_table`, if truth was read.
    """
    space_points = columns_of_table(spacepoint_table)
    if links is None or particle_table is None:
        return Event(number, space_points)
    offsets, rows = links_of_table(links)
    return Event(
        number,
        space_points,
        particles=columns_of_table(particle_table),
        measurement_particle_offsets=offsets,
        measurement_particle_rows=rows,
    )


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if column.num_chunks == 1:
        return column.chunk(0).to_numpy(zero_copy_only=column.type != pa.bool_())
    return column.to_numpy()
