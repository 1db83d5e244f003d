"""Start parameters of track fits from the hits that a track finder put together."""

from __future__ import annotations

from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

__all__ = ["ProtoTracksToSpacePointSeeds", "addStartParameters"]

MINIMUM_SPACE_POINTS = 3
"""A helix through fewer points is not determined."""


class ProtoTracksToSpacePointSeeds(acts.examples.IAlgorithm):
    """Turn each proto track into a seed of all its space points.

    Does what ACTS' `ProtoTracksToSeeds` does, whose search among all space points of the event
    takes 0.5 s for 2000 tracks and 24,000 space points where this takes 20 ms. Proto tracks with
    fewer than three space points are dropped from both outputs, so that seeds and proto tracks
    correspond one to one.
    """

    def __init__(
        self,
        inputProtoTracks: str,
        inputSpacePoints: str,
        outputSeeds: str,
        outputProtoTracks: str,
        inputSpacePointTable: str | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
            inputSpacePoints: key of the space points; each must be made of one measurement.
            outputSeeds: key of the seeds.
            outputProtoTracks: key of the proto tracks that have a seed.
            inputSpacePointTable: key of the space points as an `acts.arrow.ArrowTable` with
                column `measurement_id`; without it the measurements of the space points are
                asked one by one, 4 µs each.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "ProtoTracksToSpacePointSeeds", level)
        examples = acts.examples
        self._protoTracks = examples.ReadDataHandle(
            self, examples.ProtoTrackContainer, "InputProtoTracks"
        )
        self._protoTracks.initialize(inputProtoTracks)
        self._spacePoints = examples.ReadDataHandle(
            self, acts.SpacePointContainer, "InputSpacePoints"
        )
        self._spacePoints.initialize(inputSpacePoints)
        self._table = None
        if inputSpacePointTable:
            self._table = examples.ReadDataHandle(
                self, acts.arrow.ArrowTable, "InputSpacePointTable"
            )
            self._table.initialize(inputSpacePointTable)
        self._seeds = examples.WriteDataHandle(self, acts.SeedContainer, "OutputSeeds")
        self._seeds.initialize(outputSeeds)
        self._kept = examples.WriteDataHandle(
            self, examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._kept.initialize(outputProtoTracks)

    def execute(self, context: Any) -> Any:
        """Make the seeds of one event."""
        store = context.eventStore
        space_points = self._spacePoints(store)
        row_of = self._row_of_measurement(space_points, store)
        seeds = acts.SeedContainer()
        seeds.assignSpacePointContainer(space_points)
        kept = acts.examples.ProtoTrackContainer()
        for track in self._protoTracks(store):
            rows = [row for i in track if (row := row_of.get(i)) is not None]
            if len(rows) >= MINIMUM_SPACE_POINTS:
                seeds.createSeed().assignSpacePointIndices(rows)
                kept.append(track)
        self._seeds(context, seeds)
        self._kept(context, kept)
        return acts.examples.ProcessCode.SUCCESS

    def _row_of_measurement(self, space_points: Any, store: Any) -> Any:
        if self._table is None:
            index_of = acts.examples.IndexSourceLink.fromSourceLink
            return {
                index_of(link).index(): row
                for row, space_point in enumerate(space_points)
                for link in space_point.sourceLinks
            }
        column = self._table(store).as_table().column("measurement_id")
        measurement_ids = np.asarray(column.to_numpy(), dtype=np.int64)
        if np.array_equal(measurement_ids, np.arange(len(measurement_ids))):
            return _Identity(len(measurement_ids))
        return dict(zip(measurement_ids.tolist(), range(len(measurement_ids)), strict=True))


class _Identity:
    """The map of a detector where every measurement is a space point of the same number."""

    def __init__(self, size: int) -> None:
        self._size = size

    def get(self, measurement: int) -> int | None:
        return measurement if measurement < self._size else None


def addStartParameters(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str,
    outputTrackParameters: str,
    outputProtoTracks: str,
    inputSpacePoints: str = "spacepoints",
    inputSpacePointTable: str | None = None,
    outputSeeds: str | None = None,
    initialVarInflation: tuple[float, ...] = (1.0,) * 6,
    logLevel: Any = None,
) -> Any:
    """Estimate track parameters at the innermost hit from a circle through all hits.

    Of ACTS' choices of space points, `All` and `SpreadTriplet` lead to Kalman fits of the same
    quality, while `FirstThree` fails where two of the three lie on overlapping modules.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        outputTrackParameters: key of the parameters.
        outputProtoTracks: key of the proto tracks that have parameters, in the same order: an
            estimate that fails drops the proto track, too.
        inputSpacePoints: key of the space points.
        inputSpacePointTable: see `ProtoTracksToSpacePointSeeds`.
        outputSeeds: key of the seeds, in the same order; default: not kept.
        initialVarInflation: factors on the variances of the six parameters, so that the fit
            does not use the hits twice.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    level = logLevel or acts.logging.ERROR
    seeds, seeded = f"{outputTrackParameters}_seeds", f"{outputTrackParameters}_seeded"
    s.addAlgorithm(
        ProtoTracksToSpacePointSeeds(
            inputProtoTracks=inputProtoTracks,
            inputSpacePoints=inputSpacePoints,
            inputSpacePointTable=inputSpacePointTable,
            outputSeeds=seeds,
            outputProtoTracks=seeded,
            level=level,
        )
    )
    optional = {"outputSeeds": outputSeeds} if outputSeeds else {}
    s.addAlgorithm(
        acts.examples.TrackParamsEstimationAlgorithm(
            level=level,
            inputSeeds=seeds,
            inputProtoTracks=seeded,
            outputTrackParameters=outputTrackParameters,
            outputProtoTracks=outputProtoTracks,
            trackingGeometry=trackingGeometry,
            magneticField=field,
            spacePointSelection=acts.examples.SeedSpacePointSelection.All,
            initialVarInflation=list(initialVarInflation),
            **optional,
        )
    )
    return s
