"""What a user names as input, of every format: the one place where jobs open events."""

from __future__ import annotations

import os
from collections.abc import Sequence

from trkx.algorithms.trackml_input import EventNumbers, TrackMLInput
from trkx.io.errors import InputFileError
from trkx.io.event_sources import EventInput, open_events
from trkx.io.input_files import PathLike
from trkx.io.trackml_files import is_trackml

__all__ = ["open_inputs"]


def open_inputs(
    inputs: PathLike | Sequence[PathLike], events: EventNumbers = (None, None)
) -> EventInput:
    """Open events of any format; those of the TrackML challenge are put on their modules.

    Args:
        inputs: folders, archives, files, glob patterns, or a list of these, of one format.
        events: which events to take where event numbers may leave gaps, as in the TrackML
            challenge; other formats have all their events.

    Raises:
        InputFileError: formats are mixed.
        InputError: a subclass says what is wrong; see `trkx.io.errors`.
    """
    listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    trackml = [is_trackml(item) for item in listed]
    if not any(trackml):
        return open_events(listed)
    if not all(trackml):
        raise InputFileError(
            f"{listed[trackml.index(True)]} is of the TrackML challenge, "
            f"{listed[trackml.index(False)]} is not; give files of one format at a time"
        )
    return TrackMLInput.open(listed, events)
