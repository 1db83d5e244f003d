"""Events of the TrackML challenge to trkx's ROOT files and back, losing nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trkx.algorithms.job_output import result_folder
from trkx.algorithms.trackml_tables import TRACKML_TREES, trackml_tables
from trkx.io.atomic import atomic_path
from trkx.io.errors import EventRangeError, OutputError
from trkx.io.event_writer import EventWriter
from trkx.io.trackml_event import TrackMLEvent
from trkx.io.trackml_files import ROOT_FILE, TrackMLFiles
from trkx.io.trackml_root import TrackMLRootWriter
from trkx.io.trackml_writer import TrackMLWriter

__all__ = ["TrackMLEvents", "choose_events", "root_from_trackml", "trackml_from_root"]

_CSV_PATTERNS = ("event*.csv", "event*.csv.gz")
_ROOT_PATTERNS = ("*.root",)


class TrackMLEvents(Protocol):
    """Events of the challenge, from wherever."""

    numbers: list[int]
    label: str

    def read(self, number: int, /) -> TrackMLEvent:
        """The event of that number."""


def choose_events(files: TrackMLEvents, wanted: tuple[int | None, int | None]) -> list[int]:
    """Numbers of the events in a range (first, last + 1; None: no bound), ascending.

    Raises:
        EventRangeError: there is none.
    """
    first = files.numbers[0] if wanted[0] is None else wanted[0]
    stop = files.numbers[-1] + 1 if wanted[1] is None else wanted[1]
    chosen = [number for number in files.numbers if first <= number < stop]
    if not chosen:
        raise EventRangeError(
            f"events {first}:{stop} asked for, but {files.label} has {len(files.numbers)} events "
            f"from {files.numbers[0]} to {files.numbers[-1]}"
        )
    return chosen


def root_from_trackml(
    files: TrackMLFiles,
    numbers: Sequence[int],
    out: Path,
    provenance: Mapping[str, Any],
    force: bool = False,
    on_event: Callable[[], None] = lambda: None,
) -> None:
    """Write events as `trkx simulate` does, and `trackml.root` with all that the files hold.

    Args:
        files: events of the challenge.
        numbers: which of them.
        out: folder for the files.
        provenance: record to store in each file.
        force: replace ROOT files that are there.
        on_event: called after each event.

    Raises:
        OutputError: the folder cannot be written, or holds results.
        InputError: an event cannot be used; nothing is written then.
    """
    with result_folder(out, force, _ROOT_PATTERNS) as folder:
        kept = TrackMLRootWriter(folder / ROOT_FILE, provenance)
        with EventWriter(folder, provenance, trees=TRACKML_TREES, numbers=numbers) as writer:
            for number in numbers:
                event = files.read(number)
                kept.write(event)
                writer.write(number, trackml_tables(event))
                on_event()
        kept.close()


def trackml_from_root(
    files: TrackMLEvents,
    numbers: Sequence[int],
    out: Path,
    compressed: bool = False,
    force: bool = False,
    on_event: Callable[[], None] = lambda: None,
) -> None:
    """Write events as files of the challenge.

    Args:
        files: events of the challenge.
        numbers: which of them.
        out: folder for the files, or a file whose name ends in `.zip`.
        compressed: `.csv.gz` in place of `.csv`.
        force: replace files that are there.
        on_event: called after each event.

    Raises:
        OutputError: `out` cannot be written, or holds results.
        InputError: an event cannot be used; nothing is written then.
    """
    if out.suffix == ".zip":
        with atomic_path(out, force) as temporary:
            _write_all(files, numbers, TrackMLWriter(temporary, archive=True), on_event)
    else:
        with result_folder(out, force, _CSV_PATTERNS) as folder:
            _write_all(files, numbers, TrackMLWriter(folder, compressed), on_event)


def _write_all(
    files: TrackMLEvents,
    numbers: Sequence[int],
    writer: TrackMLWriter,
    on_event: Callable[[], None],
) -> None:
    try:
        for number in numbers:
            event = files.read(number)
            try:
                writer.write(event)
            except OSError as error:
                raise OutputError(
                    f"cannot write event {number}: {error.strerror or error}; is the disk full?"
                ) from error
            on_event()
    finally:
        writer.close()
