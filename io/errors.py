"""Errors that trkx raises about files, events and settings.

The hierarchy; every class also inherits the matching built-in, so that ordinary `except`
clauses keep working:

    TrkxError(Exception)
    ├── MissingExtraError(ImportError)         an optional dependency is not installed
    ├── ConfigError(ValueError)                a setting is unknown or has a bad value
    ├── OutputError(OSError)                   the output cannot be written
    │   └── OutputExistsError(FileExistsError) there are results already
    └── InputError                             the input cannot be used
        ├── InputFileError(FileNotFoundError)  no such file, or no file matches
        ├── NotRootError(ValueError)           the file is not a ROOT file
        ├── TruncatedFileError(ValueError)     a ROOT file that ends early or is damaged
        ├── EmptyInputError(ValueError)        there is nothing in it, not even an empty event
        ├── CsvError(ValueError)               not comma-separated values, or damaged ones
        ├── ColumnError(KeyError)              the column is not in the CSV file
        ├── TreeError(KeyError)                the tree is not in the file
        ├── BranchError(KeyError)              the branch is not in the tree
        ├── BranchTypeError(TypeError)         the branch has the wrong type
        ├── EventRangeError(IndexError)        the events asked for are not in the file
        ├── EventContentError(ValueError)      the rows of an event contradict each other
        │   └── NonFiniteError                 NaN or infinite coordinates
        └── GeometryIdError(KeyError)          a geometry id that the detector does not have
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BranchError",
    "BranchTypeError",
    "ColumnError",
    "ConfigError",
    "CsvError",
    "EmptyInputError",
    "EventContentError",
    "EventRangeError",
    "GeometryIdError",
    "InputError",
    "InputFileError",
    "MissingExtraError",
    "NonFiniteError",
    "NotRootError",
    "OutputError",
    "OutputExistsError",
    "TreeError",
    "TrkxError",
    "TrkxWarning",
    "TruncatedFileError",
    "nearest_name",
]


class TrkxWarning(UserWarning):
    """The input is usable, but something about it deserves a look."""


class TrkxError(Exception):
    """Base of all errors that trkx raises on purpose."""

    def __str__(self) -> str:
        # KeyError prints repr(message), and OSError subclasses expect (errno, text).
        return str(self.args[0]) if self.args else ""


class MissingExtraError(TrkxError, ImportError):
    """An optional dependency is not installed; the message names the command that does it."""

    @classmethod
    def of(cls, what: str, module: str, extra: str) -> MissingExtraError:
        """Build the error for `what`, which needs `module`, which comes with `trkx[extra]`."""
        return cls(f"{what} needs {module}; install it with: pip install 'trkx[{extra}]'")


class ConfigError(TrkxError, ValueError):
    """A setting is unknown or has a bad value."""


class OutputError(TrkxError, OSError):
    """The output cannot be written."""


class OutputExistsError(OutputError, FileExistsError):
    """The output folder or file holds results already."""


class InputError(TrkxError):
    """The input cannot be used."""


class InputFileError(InputError, FileNotFoundError):
    """No such file or folder, or nothing matches the pattern."""


class NotRootError(InputError, ValueError):
    """The file is not a ROOT file."""


class TruncatedFileError(InputError, ValueError):
    """The file starts like a ROOT file, but ends early or is damaged."""


class EmptyInputError(InputError, ValueError):
    """There is nothing in the input, not even an empty event."""


class CsvError(InputError, ValueError):
    """The file does not hold comma-separated values of the right types."""


class ColumnError(InputError, KeyError):
    """The column is not in the CSV file, or is there twice."""


class TreeError(InputError, KeyError):
    """The tree is not in the file."""


class BranchError(InputError, KeyError):
    """The branch is not in the tree."""


class BranchTypeError(InputError, TypeError):
    """The branch holds another type than it must."""


class EventRangeError(InputError, IndexError):
    """The events asked for are not in the input."""


class EventContentError(InputError, ValueError):
    """The rows of an event contradict each other."""


class NonFiniteError(EventContentError):
    """Coordinates are NaN or infinite."""


class GeometryIdError(InputError, KeyError):
    """A geometry id that the detector does not have."""


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that looks most like `name`, None if none is near."""
    candidates = list(names)
    folded = {candidate.lower(): candidate for candidate in reversed(candidates)}
    if name.lower() in folded:
        return folded[name.lower()]
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if found:
        return folded[found[0]]
    # A prefix or suffix ("sp_x" for "x") is the usual renaming and scores low above.
    parts = [c for c in candidates if name.lower().endswith(c.lower().strip("_"))]
    parts += [c for c in candidates if c.lower().endswith("_" + name.lower())]
    return max(parts, key=len) if parts else None
