"""Proto tracks of the measurements on tracks, for fits that start from hits."""

from __future__ import annotations

from typing import Any

import acts
import acts.arrow
import acts.examples

from trkx.algorithms.track_hits import addTrackHits, hits_of_table, make_proto_tracks

__all__ = ["TracksToProtoTracks", "addTracksToProtoTracks"]


class TracksToProtoTracks(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Put the measurements of each track into a proto track."""

    def __init__(
        self, inputTable: str, outputProtoTracks: str, level: Any = acts.logging.WARNING
    ) -> None:
        """Create the algorithm.

        Args:
            inputTable: whiteboard key of the table of `addTrackHits`.
            outputProtoTracks: key of the proto tracks, in the order of the tracks.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "TracksToProtoTracks", level)
        self._table = acts.examples.ReadDataHandle(self, acts.arrow.ArrowTable, "InputTable")
        self._table.initialize(inputTable)
        self._output = acts.examples.WriteDataHandle(
            self, acts.examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._output.initialize(outputProtoTracks)

    def execute(self, context: Any) -> Any:
        """Write the proto tracks of one event."""
        self._output(context, make_proto_tracks(hits_of_table(self._table(context.eventStore))))
        return acts.examples.ProcessCode.SUCCESS


def addTracksToProtoTracks(
    s: Any, inputTracks: str, outputProtoTracks: str, logLevel: Any = None
) -> Any:
    """Make proto tracks of tracks.

    Args:
        s: the sequencer.
        inputTracks: whiteboard key of the tracks.
        outputProtoTracks: key of the proto tracks, in the same order.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    table = addTrackHits(s, inputTracks, f"{outputProtoTracks}_hits", logLevel)
    s.addAlgorithm(
        TracksToProtoTracks(table, outputProtoTracks, level=logLevel or acts.logging.WARNING)
    )
    return s
