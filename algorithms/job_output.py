"""Result folders that hold either everything a job wrote or nothing of it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trkx.io.errors import OutputError, OutputExistsError

RESULT_PATTERNS = (
    "tracksummary_*.root",
    "trackstates_*.root",
    "performance_*.root",
    "performance.json",
    "report.html",
    "event_display.npz",
    "timing.csv",
    "job.json",
)
"""Names of what a job writes; job.json moves last, so a folder that has it is complete."""

LABEL_PATTERNS = ("*.npy",)
GRAPH_PATTERNS = ("event*.csv",)

# A full disk, a quota, a limit on the size of files, a device that fails.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_UNFINISHED = ".unfinished-"


def results_in(folder: Path, patterns: Iterable[str] = RESULT_PATTERNS) -> list[Path]:
    """Return the results that `folder` holds, sorted by name."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


@contextmanager
def result_folder(
    final: Path, force: bool = False, patterns: tuple[str, ...] = RESULT_PATTERNS
) -> Iterator[Path]:
    """Give the body a hidden folder to write to, and move its files to `final` at the end.

    If the body raises, or the process is killed, `final` keeps what it had.

    Args:
        final: folder of the results; made if it is not there.
        force: replace results that are there.
        patterns: names that count as results, which `force` removes.

    Yields:
        the hidden folder, inside `final`.

    Raises:
        OutputExistsError: `final` holds results and `force` is off.
        OutputError: `final` is a file, cannot be made or written, or its disk is full.
    """
    made = _make_folder(final)
    try:
        existing = results_in(final, patterns)
        if existing and not force:
            raise OutputExistsError(
                f"{final} already holds results ({_some(existing)}). Pass --force to replace "
                "them, or another folder."
            )
        temporary = _make_temporary(final)
    except BaseException:
        _remove_made(made)
        raise
    try:
        yield temporary
        # From here on the old results go and the new ones come, by rename on one file system.
        new = {path.name for path in temporary.iterdir()}
        for path in existing:
            if path.name not in new:
                path.unlink()
        for name in sorted(new, key=lambda name: (name == "job.json", name)):
            os.replace(temporary / name, final / name)
        if force:
            for left in final.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_made(made)
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            raise OutputError(
                f"cannot write the results to {final}: {error.strerror}. Nothing of this job is "
                "left there; make room, or choose another folder, and run it again."
            ) from error
        raise
    shutil.rmtree(temporary, ignore_errors=True)


def _some(paths: list[Path], count: int = 3) -> str:
    names = ", ".join(path.name for path in paths[:count])
    return names if len(paths) <= count else f"{names} and {len(paths) - count} more"


def _make_folder(folder: Path) -> list[Path]:
    """Make `folder` with its parents; return those that were not there, innermost first."""
    made = []
    for path in (folder, *folder.parents):
        if path.exists():
            break
        made.append(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder} is a file, not a folder for results") from None
    except NotADirectoryError:
        raise OutputError(f"{folder}: a parent of it is a file, not a folder") from None
    except OSError as error:
        raise OutputError(
            f"cannot make the output folder {folder}: {error.strerror}. Choose one you may write."
        ) from error
    return made


def _make_temporary(folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    except OSError as error:
        raise OutputError(
            f"cannot write to the output folder {folder}: {error.strerror}. Choose one you may "
            "write."
        ) from error


def _remove_made(made: list[Path]) -> None:
    """Remove the folders this job made, as long as they are empty."""
    for path in made:
        try:
            path.rmdir()
        except OSError:
            return
