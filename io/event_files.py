"""Events of ROOT files, one at a time, as NumPy columns."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trkx.io import event_checks as checks
from trkx.io.errors import (
    EmptyInputError,
    EventContentError,
    EventRangeError,
    InputFileError,
)
from trkx.io.event import BARCODE, Event
from trkx.io.event_columns import (
    GEOMETRY_PARTS,
    column_dtype,
    open_tables,
    read_flat_columns,
    wanted_columns,
)
from trkx.io.event_index import EventIndex, RowRange
from trkx.io.event_truth import match_barcodes
from trkx.io.input_files import KINDS, PathLike, resolve_inputs
from trkx.io.numbered_events import NumberedEvents
from trkx.io.root_table import RootTable

__all__ = ["EventFiles"]

_CLUSTER_SIZES = ("clus_size_loc0", "clus_size_loc1")


@dataclass(frozen=True)
class _Group:
    """The tables of one group of files, and by how much its event numbers are shifted."""

    label: str
    tables: dict[str, list[RootTable]]
    indices: dict[str, EventIndex]
    shift: int = 0


class EventFiles(NumberedEvents):
    """Events in files with ACTS' schemas, written by trkx or by ACTS' C++ writers.

    Opening reads the event numbers only; `read` reads the rows of one event. Numbers between
    the first and the last that no file mentions are events without hits. Safe to use from
    several threads, which take turns.

    Where several folders (or numbered files) number their events alike, the events of the
    later ones follow those of the earlier ones: a second folder with events 0 to 9 after a
    first with 0 to 9 has 10 to 19.

    Use `EventFiles.open`.
    """

    def __init__(self, groups: Sequence[_Group], geometry_ids: np.ndarray | None):
        self._groups = list(groups)
        self._geometry_ids = None if geometry_ids is None else np.unique(geometry_ids)
        self._owner: dict[int, _Group] = {}
        for group in self._groups:
            for index in group.indices.values():
                self._owner.update({n + group.shift: group for n in index.numbers})
        self.numbers: list[int] = sorted(self._owner)
        self._lock = threading.Lock()
        if not self.numbers:
            labels = ", ".join(g.label for g in self._groups)
            raise EmptyInputError(f"no event in {labels}: all trees have zero entries")

    @classmethod
    def open(
        cls,
        inputs: PathLike | Sequence[PathLike],
        branches: Mapping[str, str] | None = None,
        geometry_ids: np.ndarray | None = None,
    ) -> EventFiles:
        """Open folders, files or glob patterns; see `resolve_inputs` for what may be named.

        Args:
            inputs: a folder as `trkx simulate` writes it, ROOT files, glob patterns, or a list.
            branches: branches that have another name in the files, by the name used here:
                `{"x": "sp_x"}`, or `{"spacepoints.x": "sp_x"}` for one tree only.
            geometry_ids: ids of the detector's sensitive surfaces; if given, others are an
                error.

        Raises:
            InputError: a subclass says what is wrong; see `trkx.io.errors`.
        """
        groups: list[_Group] = []
        taken: set[int] = set()
        for files in resolve_inputs(inputs):
            tables = open_tables(files, branches or {})
            indices = {kind: EventIndex(t, KINDS[kind]) for kind, t in tables.items()}
            numbers = {n for index in indices.values() for n in index.numbers}
            shift = max(taken) + 1 - min(numbers) if numbers & taken else 0
            taken |= {n + shift for n in numbers}
            groups.append(_Group(files.label, tables, indices, shift))
        return cls(groups, geometry_ids)

    def close(self) -> None:
        """Close the files."""
        for group in self._groups:
            for tables in group.tables.values():
                for table in tables:
                    table.close()

    @property
    def paths(self) -> list[Path]:
        """The files."""
        tables = (t for g in self._groups for several in g.tables.values() for t in several)
        return [table.path for table in tables]

    @property
    def acts_modules(self) -> bool:
        """Module ids are those of an ACTS geometry."""
        return True

    @property
    def has_truth(self) -> bool:
        """Whether there is a particles tree for all events."""
        return all("particles" in group.tables for group in self._groups)

    @property
    def has_measurements(self) -> bool:
        """Whether there is a measurements tree for all events."""
        return all("measurements" in group.tables for group in self._groups)

    @property
    def has_hits(self) -> bool:
        """Whether there is a tree of simulated hits for all events."""
        return all("hits" in group.tables for group in self._groups)

    @property
    def has_strips(self) -> bool:
        """Whether there are space points of two clusters in any of the files."""
        tables = (t for g in self._groups for t in g.tables.get("spacepoints", ()))
        return any("is_strip" in table for table in tables)

    def read(
        self, number: int, truth: bool | None = None, columns: Collection[str] | None = None
    ) -> Event:
        """Read one event.

        Args:
            number: event number.
            truth: read the particles and link the measurements to them; None: if there.
            columns: columns to read of space points, measurements and particles besides the
                necessary ones; None: all.

        Returns:
            The event; one without hits has columns of length 0.

        Raises:
            EventRangeError: the number is not between the first and the last one.
            InputError: the event is damaged or contradicts itself; see `trkx.io.errors`.
        """
        with self._lock:
            group, stored = self._locate(number)
            if truth is None:
                truth = "particles" in group.tables
            if truth and "particles" not in group.tables:
                raise InputFileError(
                    f"no particles tree in {group.label}, which truth needs; add particles.root "
                    "or read without truth"
                )
            measurements = self._measurements(group, stored, columns)
            space_points = self._space_points(group, stored, columns, measurements)
            event = Event(number, space_points, measurements)
            return self._add_truth(event, group, stored, columns) if truth else event

    def read_hits(self, number: int) -> dict[str, np.ndarray]:
        """Read the simulated hits of one event: the columns of the `hits` tree.

        Raises:
            InputFileError: there is no such tree.
        """
        with self._lock:
            group, stored = self._locate(number)
            if "hits" not in group.tables:
                raise InputFileError(
                    f"no hits tree in {group.label}; add hits.root or do not ask for simulated hits"
                )
            rows = _rows(group, "hits", stored)
            hits = read_flat_columns(rows, "hits", None)
            where = _where(rows, stored)
            checks.check_finite(hits, ("tx", "ty", "tz"), where)
            checks.check_geometry_ids(hits["geometry_id"], self._geometry_ids, where)
            return hits

    def _locate(self, number: int) -> tuple[_Group, int]:
        low, high = self.available
        if not low <= number < high:
            raise EventRangeError(
                f"event {number} asked for, but {self.label} has events {low} to {high - 1}"
            )
        group = self._owner.get(number, self._groups[0])
        return group, number - group.shift

    @property
    def label(self) -> str:
        """What messages call the input."""
        return ", ".join(group.label for group in self._groups)

    def _measurements(
        self, group: _Group, number: int, columns: Collection[str] | None
    ) -> dict[str, np.ndarray]:
        if "measurements" not in group.tables:
            return {}
        rows = _rows(group, "measurements", number)
        found = read_flat_columns(rows, "measurements", columns)
        where = _where(rows, number)
        size = rows.stop - rows.start
        branch = "geometry_id"
        if branch not in found:
            parts = [
                rows.table.read_flat(n, np.int64, rows.start, rows.stop) for n in GEOMETRY_PARTS
            ]
            if "extra_id" in rows.table:
                parts.append(rows.table.read_flat("extra_id", np.int64, rows.start, rows.stop))
            found["geometry_id"] = checks.encode_geometry_ids(*parts)
            branch = "volume_id, layer_id, surface_id"
        if "measurement_id" not in found:
            found["measurement_id"] = np.arange(size, dtype=np.uint64)
        elif not np.array_equal(found["measurement_id"], np.arange(size)):
            raise EventContentError(
                f"measurement_id does not count 0 to {size - 1} in {where}; keep all measurements "
                "of an event, in their order"
            )
        for name in ("loc0", "loc1"):
            checks.check_coordinate(found, name, where)
        checks.check_geometry_ids(found["geometry_id"], self._geometry_ids, where, branch)
        return found

    def _space_points(
        self,
        group: _Group,
        number: int,
        columns: Collection[str] | None,
        measurements: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        if "spacepoints" in group.tables:
            rows = _rows(group, "spacepoints", number)
            found = read_flat_columns(rows, "spacepoints", columns)
        else:
            rows = _rows(group, "measurements", number)
            found = {
                axis: rows.table.read_flat(f"rec_g{axis}", np.float32, rows.start, rows.stop)
                for axis in "xyz"
            }
            found["geometry_id"] = measurements["geometry_id"]
            found["measurement_id"] = measurements["measurement_id"]
        where = _where(rows, number)
        checks.check_finite(found, ("x", "y", "z"), where)
        checks.check_geometry_ids(found["geometry_id"], self._geometry_ids, where)
        if "r" not in found:
            found["r"] = np.hypot(found["x"], found["y"])
        if "measurement_id" not in found and len(found["x"]) == len(
            measurements.get("rec_loc0", ())
        ):
            found["measurement_id"] = np.arange(len(found["x"]), dtype=np.uint64)
        checks.check_duplicates(found, where)
        if measurements and "measurement_id" in found:
            _join_cluster_sizes(found, measurements, where)
        return found

    def _add_truth(
        self, event: Event, group: _Group, number: int, columns: Collection[str] | None
    ) -> Event:
        rows = _rows(group, "particles", number)
        if rows.stop - rows.start > 1:
            raise EventContentError(
                f"{rows.stop - rows.start} entries for {_where(rows, number)}, expected one entry "
                "per event holding lists"
            )
        names = wanted_columns(rows.table.jagged_names(), "particles", columns)
        particles = {}
        for name in names:
            particles[name] = rows.table.read_jagged(
                name, column_dtype(rows.table, name), rows.start, rows.stop
            ).content
        sizes = {name: len(values) for name, values in particles.items()}
        if len(set(sizes.values())) > 1:
            raise EventContentError(
                f"the lists of {_where(rows, number)} differ in length: {sizes}; one number per "
                "particle is expected in each"
            )
        offsets = np.zeros(event.n_measurements + 1, dtype=np.int64)
        contributors = [np.zeros(0, dtype=np.uint32)] * len(BARCODE)
        where = _where(rows, number)
        if event.measurements:
            source = _rows(group, "measurements", number)
            lists = [
                source.table.read_jagged(f"particles_{name}", np.uint32, source.start, source.stop)
                for name in BARCODE
            ]
            for name, other in zip(BARCODE, lists, strict=True):
                if not np.array_equal(other.offsets, lists[0].offsets):
                    raise EventContentError(
                        f"branches 'particles_{BARCODE[0]}' and 'particles_{name}' hold lists of "
                        f"different lengths in {_where(source, number)}"
                    )
            offsets, contributors = lists[0].offsets, [item.content for item in lists]
        offsets, links = match_barcodes(
            [particles[name] for name in BARCODE], offsets, contributors, where
        )
        return Event(
            event.number, event.space_points, event.measurements, particles, offsets, links
        )


def _rows(group: _Group, kind: str, number: int) -> RowRange:
    return group.indices[kind].get(number) or RowRange(group.tables[kind][0], 0, 0)


def _where(rows: RowRange, number: int) -> str:
    return f"event {number} of tree '{rows.table.name}' in {rows.table.path}"


def _join_cluster_sizes(
    space_points: dict[str, np.ndarray], measurements: Mapping[str, np.ndarray], where: str
) -> None:
    index = space_points["measurement_id"]
    size = len(measurements["rec_loc0"])
    bad = np.flatnonzero(index >= size)
    if len(bad):
        raise EventContentError(
            f"measurement_id {int(index[bad[0]])} in row {bad[0]} of {where} is not among the "
            f"{size} measurements of this event; do the two files belong together?"
        )
    rows = index.astype(np.int64)
    for name in _CLUSTER_SIZES:
        if name in measurements:
            space_points[name] = measurements[name][rows].astype(np.float32)
