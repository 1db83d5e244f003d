"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trkx.io.errors import OutputError, OutputExistsError

__all__ = ["AtomicFile", "atomic_path"]


class AtomicFile:
    """A file to be written under a temporary name next to its final one.

    Until `commit` nothing lies under the final name, or what lay there before. The temporary
    file is removed on `abort`, and at the latest when the process ends; a process that is killed
    leaves it, with a name that starts with a dot and ends in `.part`.

    Args:
        path: the final name; its folder is made.
        force: replace what lies there.

    Raises:
        OutputExistsError: there is such a file, and `force` is not set.
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
        self.path = Path(path)
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the output folder {folder}: {error.strerror or error}; choose another"
            ) from error
        if self.path.is_dir():
            raise OutputError(f"cannot write {self.path}: it is a folder; choose another name")
        if self.path.exists() and not force:
            raise OutputExistsError(
                f"{self.path} exists already; choose another name or folder, or replace it with "
                "--force (force=True)"
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"the output folder {folder} is not writable; choose another")
        self.temporary = folder / f".{self.path.name}.{uuid.uuid4().hex[:8]}.part"
        self._remove = weakref.finalize(self, _unlink, self.temporary)

    def commit(self) -> None:
        """Give the file its final name.

        Raises:
            OutputError: the file cannot be renamed.
        """
        try:
            os.replace(self.temporary, self.path)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror or error}; is the disk full?"
            ) from error
        self._remove.detach()

    def abort(self) -> None:
        """Remove the temporary file, if it is still there."""
        self._remove()


@contextmanager
def atomic_path(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """Yield a temporary name; what was written under it gets the name `path` on success.

    Args:
        path: the final name.
        force: replace what lies there.

    Raises:
        OutputExistsError, OutputError: see `AtomicFile`.
    """
    file = AtomicFile(path, force)
    try:
        yield file.temporary
        file.commit()
    finally:
        file.abort()


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
