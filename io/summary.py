"""What a ROOT file holds: trees, events, rows per event, columns, units, provenance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trkx.io.athena_dump import noise_share
from trkx.io.athena_schema import TREE, unit_of
from trkx.io.errors import InputFileError
from trkx.io.provenance import PROVENANCE_KEY, read_provenance
from trkx.io.root_table import open_root_file, table_names
from trkx.io.schema import BARCODE, units_of
from trkx.io.track_units import TRACK_TREES, track_unit

__all__ = ["FileSummary", "TreeSummary", "find_root_files", "summarize_file"]

EVENT_BRANCHES = ("event_id", "event_nr", "event_number")

# Trees with one entry per event: the counter and one of the lists that it counts.
_LISTS = {
    "particles": ("n_particles", BARCODE[0]),
    "tracksummary": ("n_tracks", "nMeasurements"),
    TREE.lower(): ("nSP", "SPx"),
}


@dataclass(frozen=True)
class TreeSummary:
    """One tree."""

    name: str
    entries: int
    columns: tuple[tuple[str, str, str], ...]
    """name, type and unit of each branch"""
    events: np.ndarray | None
    """event numbers, ascending; None: the tree has none"""
    rows: np.ndarray | None
    """rows of each event: entries, or for one entry per event the length of its lists"""
    noise_share: float | None
    """share of measurements without particle (of Athena dumps, in their first event); None: not
    known"""


@dataclass(frozen=True)
class FileSummary:
    """One file."""

    path: Path
    size: int
    """bytes"""
    trees: tuple[TreeSummary, ...]
    others: tuple[tuple[str, str], ...]
    """name and class of everything else, such as histograms"""
    provenance: dict[str, Any] | None


def find_root_files(path: Path) -> list[Path]:
    """Return `path` itself, or the ROOT files of a folder.

    Raises:
        InputFileError: nothing there.
    """
    if not path.exists():
        raise InputFileError(f"no such file or folder: {path}")
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.root"))
    if not found:
        raise InputFileError(f"no ROOT file in {path}")
    return found


def summarize_file(path: Path) -> FileSummary:
    """Look into a file; columns are not read, apart from event numbers and counters.

    Raises:
        InputError: it is not a readable ROOT file.
    """
    with open_root_file(path) as root_file:
        names = table_names(root_file)
        trees = tuple(_summarize_tree(root_file[name], name, path) for name in names)
        others = tuple(
            (name.split(";")[0], kind)
            for name, kind in root_file.classnames().items()
            if name.split(";")[0] not in (*names, PROVENANCE_KEY)
        )
    return FileSummary(path, path.stat().st_size, trees, others, read_provenance(path))


def _summarize_tree(tree: Any, name: str, path: Path) -> TreeSummary:
    branches = [str(key) for key in tree.keys(recursive=False)]
    types = {key: str(tree[key].typename) for key in branches}
    units = units_of(name)
    if name.lower() in TRACK_TREES:
        units = {key: track_unit(key) for key in branches}
    elif name == TREE:
        units = {key: unit_of(key) for key in branches}
    columns = tuple((key, types[key], units.get(key, "")) for key in branches)
    events = rows = None
    event_branch = next((key for key in EVENT_BRANCHES if key in branches), None)
    if event_branch is not None:
        numbers = tree[event_branch].array(library="np")
        events, rows = np.unique(numbers, return_counts=True)
        lists = _LISTS.get(name.lower())
        if lists is not None and len(events) == tree.num_entries:
            rows = _lengths(tree, *lists)
    noise = None
    if name.lower() == "measurements":
        lengths = _lengths(tree, "n_measurement_particles", f"particles_{BARCODE[0]}")
        if lengths is not None and len(lengths):
            noise = float(np.mean(lengths == 0))
    elif name == TREE and len(tree):
        noise = noise_share(path)
    return TreeSummary(name, int(tree.num_entries), columns, events, rows, noise)


def _lengths(tree: Any, counter: str, jagged: str) -> np.ndarray | None:
    """Lengths of lists, from their counter or else from one of the lists."""
    import awkward as ak

    names = tree.keys(recursive=False)
    if counter in names:
        return tree[counter].array(library="np")
    if jagged in names:
        return ak.to_numpy(ak.num(tree[jagged].array(), axis=1))
    return None
