"""From what a user names as input to the ROOT files of each kind."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trkx.io.errors import EmptyInputError, InputFileError, nearest_name
from trkx.io.root_table import open_root_file, table_names

__all__ = ["KINDS", "FileGroup", "expand_inputs", "resolve_inputs"]

# Name of the tree and of the file, and the branch that holds the event number.
KINDS = {
    "spacepoints": "event_id",
    "measurements": "event_nr",
    "particles": "event_id",
    "hits": "event_id",
}

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class FileGroup:
    """Files that describe the same events, by kind; event numbers are unique within."""

    label: str
    files: dict[str, tuple[Path, ...]]


def resolve_inputs(inputs: PathLike | Sequence[PathLike]) -> list[FileGroup]:
    """Find the files of each kind.

    Args:
        inputs: a folder, a ROOT file, a glob pattern, or a list of these. In a folder,
            `spacepoints.root` (or else `spacepoints*.root`) is read, and likewise for
            `measurements`, `particles` and `hits`; upper and lower case are the same. Files
            named one by one are sorted by the trees that they hold.

    Returns:
        Groups of files, in the order given. Each folder is a group of its own; a folder with
        n files of each kind (`spacepoints_0.root`, `spacepoints_1.root`, …) is n groups.

    Raises:
        InputFileError: something named is not there, or holds no file of a known kind.
    """
    folders: dict[Path, list[Path]] = {}
    for path in expand_inputs(inputs):
        if path.is_dir():
            folders.setdefault(path, []).extend(_files_of_folder(path))
        else:
            folders.setdefault(path.parent, []).append(path)
    groups: list[FileGroup] = []
    for folder, paths in folders.items():
        groups += _group(folder, list(dict.fromkeys(paths)))
    return groups


def expand_inputs(inputs: PathLike | Sequence[PathLike]) -> list[Path]:
    """The files and folders that names and glob patterns stand for, in the order given.

    Raises:
        InputFileError: there is none.
    """
    listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not listed:
        raise InputFileError("no input given: pass a folder, ROOT files, or a glob pattern")
    return [path for item in listed for path in _expand(item)]


def _expand(item: PathLike) -> list[Path]:
    text = os.path.expanduser(os.fspath(item))
    path = Path(text)
    if path.exists():
        return [path]
    if glob.has_magic(text):
        found = [Path(p) for p in sorted(glob.glob(text, recursive=True))]
        if not found:
            raise InputFileError(f"no file matches {text}")
        return found
    raise InputFileError(f"no such file or folder: {text}{_near_path(path)}")


def _near_path(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no {path.parent} either"
    near = nearest_name(path.name, [p.name for p in path.parent.iterdir()])
    return f"; nearest: {path.parent / near}" if near else "; `trkx simulate` makes samples"


def _files_of_folder(folder: Path) -> list[Path]:
    try:
        roots = sorted(p for p in folder.iterdir() if p.suffix == ".root" and p.is_file())
    except OSError as error:
        raise InputFileError(
            f"cannot read the folder {folder}: {error.strerror}. Check its permissions."
        ) from error
    found: list[Path] = []
    for kind in KINDS:
        exact = [p for p in roots if p.stem.lower() == kind]
        found += exact or [p for p in roots if p.stem.lower().startswith(kind)]
    if not found:
        wanted = ", ".join(f"{kind}.root" for kind in KINDS)
        there = ", ".join(p.name for p in roots) or "no ROOT file"
        raise InputFileError(
            f"no event files in {folder}: expected {wanted} (at least one of the first two), "
            f"found {there}; name the files one by one if they are called otherwise"
        )
    return found


def _kinds_in(path: Path) -> list[str]:
    """Kinds that the file holds, by its trees."""
    with open_root_file(path) as file:
        trees = table_names(file)
        kinds = [kind for kind in KINDS if kind in {tree.lower() for tree in trees}]
        if not kinds and not file.keys():
            raise EmptyInputError(f"{path} is a ROOT file with nothing in it; write it again")
    if not kinds:
        raise InputFileError(
            f"{path} holds none of the trees {', '.join(KINDS)}, nor GNN4ITk of Athena; it holds "
            + (", ".join(trees) or "no tree")
        )
    return kinds


def _group(folder: Path, paths: Iterable[Path]) -> list[FileGroup]:
    by_kind: dict[str, list[Path]] = {}
    for path in paths:
        for kind in _kinds_in(path):
            by_kind.setdefault(kind, []).append(path)
    counts = {len(files) for files in by_kind.values()}
    (count,) = counts if len(counts) == 1 else (1,)
    if count == 1:
        return [FileGroup(str(folder), {kind: tuple(files) for kind, files in by_kind.items()})]
    return [
        FileGroup(f"{folder} [{i}]", {kind: (files[i],) for kind, files in sorted(by_kind.items())})
        for i in range(count)
    ]
