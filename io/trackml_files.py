"""Events in the files of the TrackML challenge: folders, zip archives, ROOT files."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trkx.io.csv_table import parse_csv, read_bytes, unzip_bytes
from trkx.io.errors import EventContentError, EventRangeError, InputFileError, TruncatedFileError
from trkx.io.input_files import PathLike
from trkx.io.trackml_checks import check_event, check_part
from trkx.io.trackml_event import PARTS, TrackMLEvent
from trkx.io.trackml_root import TrackMLRootFile, is_trackml_root

__all__ = ["TrackMLFiles", "is_trackml"]

# The truth may have a word before it that says which hits it covers (`pixel-truth`).
_NAME = re.compile(r"^event(\d+)-((?:hits|cells|particles)|(?:[a-z]+-)?truth)\.csv(?:\.gz)?$")

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Part:
    """One table of one event, not read yet."""

    path: Path
    label: str
    read: Callable[[], Columns]


@dataclass
class _Sources:
    """What is where: event number → name of the part → table."""

    events: dict[int, dict[str, _Part]] = field(default_factory=dict)

    def add(self, number: int, name: str, part: _Part) -> None:
        known = self.events.setdefault(number, {}).setdefault(name, part)
        if known is not part:
            raise EventContentError(
                f"the {name} of event {number} are in {known.label} and in {part.label}; keep or "
                "name one of them"
            )


class TrackMLFiles:
    """Events of the TrackML challenge, one at a time.

    Use `TrackMLFiles.open`, which looks at names only; `read` reads the files of one event.

    Attributes:
        label: what was opened, for messages.
        numbers: event numbers, ascending.
    """

    def __init__(self, sources: Mapping[int, Mapping[str, _Part]], label: str) -> None:
        self.label = label
        self._sources = sources
        self.numbers: list[int] = sorted(sources)

    @classmethod
    def open(cls, inputs: PathLike | Sequence[PathLike]) -> TrackMLFiles:
        """Find the events in what is named.

        Args:
            inputs: folders with `event000000000-hits.csv` and so on (`.csv.gz` as well), zip
                archives that hold such files in any folder, such files one by one, beginnings of
                their names (`folder/event000000000`), ROOT files as `trkx convert` writes them
                (`trackml.root`), or a list of these.

        Raises:
            InputFileError: something named is not there, or has no event.
            EventContentError: a part of an event is there twice, or an event has no hits.
            TruncatedFileError: an archive is damaged.
        """
        listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
        paths = [Path(item).expanduser() for item in listed]
        sources = _Sources()
        for path in paths:
            _find(path, sources)
        label = ", ".join(map(str, paths))
        if not sources.events:
            raise InputFileError("no input given: name a folder, an archive or files")
        for number, parts in sources.events.items():
            if "hits" not in parts:
                (other, *_) = parts.values()
                raise EventContentError(
                    f"event {number} has no hits: there is {other.label}, but no "
                    f"event{number:09d}-hits.csv beside it. Do the event numbers match?"
                )
        return cls(sources.events, label)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[TrackMLEvent]:
        for number in self.numbers:
            yield self.read(number)

    def paths(self, numbers: Iterable[int]) -> list[Path]:
        """The files that these events are in."""
        parts = (part for number in numbers for part in self._parts(number).values())
        return list(dict.fromkeys(part.path for part in parts))

    def has(self, part: str, number: int) -> bool:
        """Whether event `number` has this part (of `PARTS`)."""
        return _part_name(part, self._parts(number)) is not None

    def read(self, number: int, parts: Collection[str] = tuple(PARTS)) -> TrackMLEvent:
        """Read one event.

        Args:
            number: event number.
            parts: which of `PARTS` to read besides the hits, where they are there.

        Raises:
            EventRangeError: there is no such event.
            InputError: a file is damaged, or files contradict each other; see `trkx.io.errors`.
        """
        there = self._parts(number)
        found: dict[str, Columns] = {}
        truth_name = "truth"
        for kind in PARTS:
            name = _part_name(kind, there)
            if name is None or (kind not in parts and kind != "hits"):
                continue
            if kind == "truth":
                truth_name = name
            found[kind] = check_part(PARTS[kind], there[name].read(), number, there[name].label)
        event = TrackMLEvent(number, **found, truth_name=truth_name)
        check_event(event, self.label)
        return event

    def _parts(self, number: int) -> Mapping[str, _Part]:
        if number not in self._sources:
            shown = ", ".join(map(str, self.numbers[:5])) + (", …" if len(self) > 5 else "")
            raise EventRangeError(f"no event {number} in {self.label}; it has events {shown}")
        return self._sources[number]


def is_trackml(path: PathLike) -> bool:
    """Whether `path` names files of the challenge: looks at names, and at trees of a ROOT file."""
    path = Path(path).expanduser()
    if path.is_dir():
        return any(_NAME.match(item.name) for item in path.iterdir()) or _sole_root(path)
    if path.suffix == ".root":
        return path.is_file() and is_trackml_root(path)
    return path.suffix == ".zip" or bool(_NAME.match(path.name)) or bool(_with_prefix(path))


def _sole_root(folder: Path) -> bool:
    """Whether a folder holds `trackml.root` and nothing else to be read."""
    return [p.name for p in folder.glob("*.root")] == [ROOT_FILE]


ROOT_FILE = "trackml.root"
"""Name of the file in which `trkx convert` keeps what the challenge's files hold."""


def _part_name(kind: str, there: Collection[str]) -> str | None:
    """Name of the part of a kind: itself, or else a truth of some hits only."""
    if kind in there:
        return kind
    return next((name for name in sorted(there) if name.endswith(f"-{kind}")), None)


def _with_prefix(path: Path) -> list[Path]:
    """Files whose names go on from `path` (`folder/event000000000`)."""
    if not re.match(r"^event\d+$", path.name) or not path.parent.is_dir():
        return []
    return [p for p in path.parent.glob(f"{path.name}-*") if _NAME.match(p.name)]


def _find(path: Path, sources: _Sources) -> None:
    if path.is_dir():
        files = [p for p in path.iterdir() if _NAME.match(p.name)]
        if not files and (path / ROOT_FILE).is_file():
            files = [path / ROOT_FILE]
        if not files:
            raise _nothing(path, (p.name for p in path.iterdir()))
        for file in sorted(files):
            _find(file, sources)
    elif path.suffix == ".zip":
        _find_in_zip(path, sources)
    elif path.suffix == ".root":
        _find_in_root(path, sources)
    elif match := _NAME.match(path.name):
        if not path.is_file():
            raise InputFileError(f"no such file: {path}")
        part = _csv_part(match[2], path, str(path), lambda: read_bytes(path))
        sources.add(int(match[1]), match[2], part)
    elif files := _with_prefix(path):
        for file in sorted(files):
            _find(file, sources)
    elif path.exists():
        raise InputFileError(
            f"{path} is no file of the TrackML challenge: expected a name like "
            "event000000000-hits.csv (or cells, particles, truth; .csv.gz), a zip archive, or ROOT"
        )
    else:
        raise InputFileError(f"no such file or folder: {path}")


def _nothing(where: Path, names: Iterable[str]) -> InputFileError:
    shown = sorted(names)
    inner = [name for name in shown if name.endswith(".zip")]
    advice = "; unpack the archives in it and name them one by one" if inner else ""
    listed = ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
    return InputFileError(
        f"no TrackML event in {where}: expected event000000000-hits.csv and so on, found "
        f"{listed or 'nothing'}{advice}"
    )


def _csv_part(name: str, path: Path, label: str, read: Callable[[], bytes]) -> _Part:
    part = PARTS[name.rpartition("-")[2]]

    def table() -> Columns:
        return parse_csv(unzip_bytes(read(), label), label, part.types, part.required)

    return _Part(path, label, table)


def _find_in_zip(path: Path, sources: _Sources) -> None:
    if not path.is_file():
        raise InputFileError(f"no such file: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except zipfile.BadZipFile as error:
        raise TruncatedFileError(
            f"{path} is not a zip archive, or a truncated one: {error}; copy it again"
        ) from error
    found = False
    for member in sorted(members):
        # What macOS adds to archives has names like those of the files it belongs to.
        folders, _, file_name = member.rpartition("/")
        match = _NAME.match(file_name)
        if match and "__MACOSX" not in folders:
            found = True
            part = _csv_part(match[2], path, f"{path}:{member}", _zip_reader(path, member))
            sources.add(int(match[1]), match[2], part)
    if not found:
        raise _nothing(path, members)


def _zip_reader(path: Path, member: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise TruncatedFileError(
                f"{member} in {path} is damaged: {error}; copy the archive again"
            ) from error
        except (NotImplementedError, RuntimeError) as error:  # compression, encryption
            raise InputFileError(f"{member} in {path} cannot be unpacked: {error}") from error

    return read


def _find_in_root(path: Path, sources: _Sources) -> None:
    file = TrackMLRootFile(path)
    for number in file.numbers:
        for name in file.parts_of(number):
            part = _Part(path, f"{name} of {path}", file.reader(name, number))
            sources.add(number, name, part)
