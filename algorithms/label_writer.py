"""One integer per hit: the result of any finder, for everyone's own scoring code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.algorithms.track_hits import (
    TrackHits,
    addTrackHits,
    hits_of_proto_tracks,
    hits_of_table,
    labels_from_hits,
)

__all__ = ["LabelWriter", "addLabelWriter", "label_file"]


def label_file(folder: Path | str, event: int) -> Path:
    """Return where the labels of an event are."""
    return Path(folder) / f"event{event:09d}-labels.npy"


class LabelWriter(acts.examples.IAlgorithm):
    """Write the track number of each measurement, in input order, -1: unassigned.

    One `.npy` file per event, int64, as long as the event has measurements. Where tracks share
    a measurement, the longest keeps it. A file appears under its name when it is complete.
    """

    def __init__(
        self,
        outputDir: Path | str,
        inputProtoTracks: str | None = None,
        inputTrackTable: str | None = None,
        inputMeasurements: str = "measurements",
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the writer.

        Args:
            outputDir: folder of the files; made if it is not there.
            inputProtoTracks: whiteboard key of proto tracks, or
            inputTrackTable: key of the table that `addTrackHits` puts for tracks.
            inputMeasurements: key of the measurement container.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "LabelWriter", level)
        examples = acts.examples
        if (inputProtoTracks is None) == (inputTrackTable is None):
            raise ValueError(
                "LabelWriter takes either inputProtoTracks or inputTrackTable, found "
                f"{inputProtoTracks!r} and {inputTrackTable!r}"
            )
        self._fromTable = inputTrackTable is not None
        kind = acts.arrow.ArrowTable if self._fromTable else examples.ProtoTrackContainer
        self._tracks = examples.ReadDataHandle(self, kind, "InputTracks")
        self._tracks.initialize(inputTrackTable or inputProtoTracks)
        self._measurements = examples.ReadDataHandle(
            self, examples.MeasurementContainer, "InputMeasurements"
        )
        self._measurements.initialize(inputMeasurements)
        self._folder = Path(outputDir)
        self._folder.mkdir(parents=True, exist_ok=True)

    def execute(self, context: Any) -> Any:
        """Write the labels of one event."""
        tracks = self._tracks(context.eventStore)
        hits: TrackHits = hits_of_table(tracks) if self._fromTable else hits_of_proto_tracks(tracks)
        labels = labels_from_hits(hits, len(self._measurements(context.eventStore)))
        target = label_file(self._folder, context.eventNumber)
        unfinished = target.with_suffix(".npy.part")
        with open(unfinished, "wb") as file:
            np.save(file, labels)
        os.replace(unfinished, target)
        return acts.examples.ProcessCode.SUCCESS


def addLabelWriter(
    s: Any,
    outputDir: Path | str,
    inputProtoTracks: str | None = None,
    inputTracks: str | None = None,
    inputMeasurements: str = "measurements",
    logLevel: Any = None,
) -> Any:
    """Write one track number per measurement and event, from proto tracks or from tracks.

    Args:
        s: the sequencer.
        outputDir: folder for `event000000000-labels.npy` and so on.
        inputProtoTracks: whiteboard key of proto tracks, or
        inputTracks: key of tracks.
        inputMeasurements: key of the measurement container.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    table = None
    if inputTracks is not None:
        table = addTrackHits(s, inputTracks, f"{inputTracks}_label_table", logLevel)
    s.addAlgorithm(
        LabelWriter(
            outputDir,
            inputProtoTracks=inputProtoTracks,
            inputTrackTable=table,
            inputMeasurements=inputMeasurements,
            level=logLevel or acts.logging.WARNING,
        )
    )
    return s
