"""Events of every format that tracks are found in, behind one interface."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from trkx.io.athena_files import AthenaFiles, is_athena
from trkx.io.errors import InputFileError
from trkx.io.event import Event
from trkx.io.event_files import EventFiles
from trkx.io.input_files import PathLike

__all__ = ["EventInput", "open_events"]


class EventInput(Protocol):
    """Events of some files, of whatever format; see `EventFiles` for what each member says."""

    numbers: list[int]
    """event numbers, ascending"""

    @property
    def available(self) -> tuple[int, int]: ...
    @property
    def has_truth(self) -> bool: ...
    @property
    def has_measurements(self) -> bool: ...
    @property
    def has_hits(self) -> bool: ...
    @property
    def has_strips(self) -> bool: ...
    @property
    def paths(self) -> list[Path]:
        """The files."""

    @property
    def acts_modules(self) -> bool:
        """Whether module ids are those of an ACTS geometry, which fits need."""

    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def close(self) -> None: ...
    def check_range(self, first: int, stop: int) -> None: ...
    def read(
        self, number: int, truth: bool | None = None, columns: Collection[str] | None = None
    ) -> Event: ...
    def read_hits(self, number: int) -> dict[str, np.ndarray]: ...


def open_events(
    inputs: PathLike | Sequence[PathLike],
    branches: Mapping[str, str] | None = None,
    geometry_ids: np.ndarray | None = None,
) -> EventInput:
    """Open events; the format is told from the files: trkx's own, ACTS' or Athena's GNN4ITk dump.

    Args:
        inputs: folders, files, glob patterns, or a list of these, of one format.
        branches: branches that have another name in the files; see `EventFiles.open`.
        geometry_ids: ids of the detector's sensitive surfaces; if given, others are an error.

    Raises:
        InputFileError: formats are mixed.
        InputError: a subclass says what is wrong; see `trkx.io.errors`.
    """
    listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    dumps = [is_athena(item) for item in listed]
    if not any(dumps):
        return EventFiles.open(listed, branches=branches, geometry_ids=geometry_ids)
    if not all(dumps):
        raise InputFileError(
            f"{listed[dumps.index(True)]} is an Athena dump, {listed[dumps.index(False)]} is not; "
            "give files of one format at a time"
        )
    return AthenaFiles.open(listed, branches=branches, geometry_ids=geometry_ids)
