"""Events of Athena's GNN4ITk dumps, one at a time, behind the interface of `EventFiles`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from trkx.io.athena_dump import AthenaDump, DumpColumns
from trkx.io.athena_event import AthenaOptions, read_event
from trkx.io.athena_schema import TREE
from trkx.io.errors import (
    ConfigError,
    EmptyInputError,
    EventContentError,
    EventRangeError,
    InputError,
    InputFileError,
)
from trkx.io.event import Event
from trkx.io.event_checks import check_geometry_ids
from trkx.io.input_files import KINDS, PathLike, expand_inputs
from trkx.io.numbered_events import NumberedEvents
from trkx.io.root_table import open_root_file, table_names

__all__ = ["AthenaFiles", "is_athena"]


class AthenaFiles(NumberedEvents):
    """Events of the ROOT files that Athena's DumpObjects writes for GNN4ITk.

    Events are numbered from 0 in the order of files and entries, since Athena's own numbers have
    gaps of any size; `identity` tells these. Nothing but one event is in memory. Safe to use from
    several threads, which take turns.

    Use `AthenaFiles.open`.
    """

    def __init__(
        self,
        dumps: Sequence[AthenaDump],
        options: AthenaOptions | None = None,
        geometry_ids: np.ndarray | None = None,
    ) -> None:
        self._dumps = list(dumps)
        self._options = options or AthenaOptions()
        self._geometry_ids = None if geometry_ids is None else np.unique(geometry_ids)
        self._entries = [(dump, entry) for dump in self._dumps for entry in range(len(dump))]
        self._identities = [pair for dump in self._dumps for pair in dump.identities()]
        self._lock = threading.Lock()
        self.numbers: list[int] = list(range(len(self._entries)))
        if not self.numbers:
            raise EmptyInputError(f"no event in {self.label}: all trees have zero entries")
        self._check_identities()

    @classmethod
    def open(
        cls,
        inputs: PathLike | Sequence[PathLike],
        branches: Mapping[str, str] | None = None,
        geometry_ids: np.ndarray | None = None,
        options: AthenaOptions | None = None,
    ) -> AthenaFiles:
        """Open files.

        Args:
            inputs: ROOT files, folders of them, glob patterns, or a list of these.
            branches: branches that have another name in the files, by their name in Athena.
            geometry_ids: module ids of the detector; if given, others are an error.
            options: name of the tree, and what is left out.

        Raises:
            InputError: a subclass says what is wrong; see `trkx.io.errors`.
        """
        options = options or AthenaOptions()
        files: list[Path] = []
        for path in expand_inputs(inputs):
            found = _files(path, options.tree) if path.is_dir() else [path]
            if not found:
                raise InputFileError(f"no ROOT file with a tree '{options.tree}' in {path}")
            files += found
        if branches:
            raise ConfigError("branches: those of Athena dumps have fixed names")
        return cls([AthenaDump(file, options.tree) for file in files], options, geometry_ids)

    def close(self) -> None:
        """Close the files."""
        for dump in self._dumps:
            dump.close()

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [dump.path for dump in self._dumps]

    @property
    def has_truth(self) -> bool:
        """Whether all files have particles and links to them."""
        return all(dump.has_truth for dump in self._dumps)

    @property
    def has_measurements(self) -> bool:
        """There are: one per cluster."""
        return True

    @property
    def has_hits(self) -> bool:
        """There are no simulated hits."""
        return False

    @property
    def has_strips(self) -> bool:
        """Space points of strips have two clusters."""
        return True

    @property
    def acts_modules(self) -> bool:
        """Whether module ids are of ACTS' form and clusters have local coordinates.

        Those of Athena are not, and fits cannot place their clusters; those of samples that
        `trkx convert` wrote are.
        """
        dump, entry = self._entries[0]
        ids = dump.read(entry, ("CLmoduleID",))["CLmoduleID"]
        try:
            check_geometry_ids(np.asarray(ids), None, "")
        except InputError:
            return False
        return "CLloc_direction1" in dump

    def identity(self, number: int) -> tuple[int, int]:
        """Athena's run and event number of an event."""
        self._locate(number)
        return self._identities[number]

    def read(
        self, number: int, truth: bool | None = None, columns: Collection[str] | None = None
    ) -> Event:
        """Read one event.

        Args:
            number: event number.
            truth: read the particles and link the clusters to them; None: if there.
            columns: columns to read besides the necessary ones; None: all.

        Returns:
            The event: measurements are the clusters, in their order, space points have one or
            two of them. `is_overlap` is SPisOverlap.

        Raises:
            EventRangeError: there is no such event.
            InputError: the event is damaged or contradicts itself; see `trkx.io.errors`.
        """
        with self._lock:
            dump, entry = self._locate(number)
            if truth and not dump.has_truth:
                raise InputError(
                    f"no truth in {dump.path}: there are no branches Part_barcode and "
                    "CLparticleLink_barcode; read without truth, or dump with it"
                )
            wanted = dump.has_truth if truth is None else truth
            return read_event(
                dump, entry, number, wanted, columns, self._options, self._geometry_ids
            )

    def read_dump(self, number: int, names: Iterable[str]) -> DumpColumns:
        """Branches of one event as they are in the file; see `AthenaDump.read`."""
        with self._lock:
            return self._locate(number)[0].read(self._locate(number)[1], names)

    def read_hits(self, number: int) -> dict[str, np.ndarray]:
        """Simulated hits, which dumps do not have.

        Raises:
            InputFileError: always.
        """
        raise InputFileError(f"no simulated hits in {self.label}: Athena dumps have none")

    def _locate(self, number: int) -> tuple[AthenaDump, int]:
        if not 0 <= number < len(self):
            raise EventRangeError(
                f"event {number} asked for, but {self.label} has events 0 to {len(self) - 1}"
            )
        return self._entries[number]

    @property
    def label(self) -> str:
        """What messages call the input."""
        return ", ".join(str(dump.path) for dump in self._dumps)

    def _check_identities(self) -> None:
        seen: dict[tuple[int, int], int] = {}
        for number, identity in enumerate(self._identities):
            other = seen.setdefault(identity, number)
            if other != number:
                places = [self._entries[n][0].where(self._entries[n][1]) for n in (other, number)]
                raise EventContentError(
                    f"event {identity[1]} of run {identity[0]} is there twice: {places[0]}, and "
                    f"{places[1]}; name each file once, and do not merge files with themselves"
                )


def is_athena(item: PathLike, tree: str = TREE) -> bool:
    """Whether `item` names a file with the tree of a dump, or a folder or pattern of such files."""
    try:
        paths = expand_inputs(item)
    except InputFileError:  # whoever opens it says so
        return False
    return bool(paths) and all(_files(path, tree) for path in paths)


def _files(path: Path, tree: str) -> list[Path]:
    """The dumps in a folder that has none of trkx's own files, or the file if it is one."""
    if path.is_dir():
        roots = sorted(p for p in path.glob("*.root") if p.is_file())
        own = any(p.stem.lower().startswith(tuple(KINDS)) for p in roots)
        return [] if own else [p for p in roots if _has_tree(p, tree)]
    return [path] if path.suffix == ".root" and _has_tree(path, tree) else []


def _has_tree(path: Path, tree: str) -> bool:
    try:
        with open_root_file(path) as file:
            return tree in table_names(file)
    except InputError:
        return False
