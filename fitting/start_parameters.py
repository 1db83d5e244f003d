"""Start parameters of track fits from the hits that a track finder put together."""

from __future__ import annotations

from itertools import chain
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.fitting.helix_algorithm import addHelixFit

__all__ = ["STARTS", "ProtoTracksToSpacePointSeeds", "addHelixStart", "addStartParameters"]

STARTS = ("circle", "helix")
"""Where start parameters come from: ACTS' estimate at the first hit, or a helix fit, at the beam
line."""

MINIMUM_SPACE_POINTS = 3
"""A helix through fewer points is not determined."""

_DEGREE = acts.UnitConstants.degree
START_SIGMAS = (
    1.0 * acts.UnitConstants.mm,
    1.0 * acts.UnitConstants.mm,
    1.0 * _DEGREE,
    0.5 * _DEGREE,
    0.0,
    1.0 * acts.UnitConstants.ns,
)
"""Uncertainties of the estimate: two local coordinates, φ, θ, q/p, time; ACTS adds 10% and
0.1 / GeV to that of q/pT. With 1° in θ, ACTS' default, or more, the first two hits at
|eta| > 3, half a millimetre apart, can turn the track over the beam axis."""

HELIX_VAR_INFLATION = 100.0
"""Factor on the covariance of a helix fit that another fit starts from."""

OVERLAP_DISTANCE = 10.0
"""Hits nearer to each other lie on overlapping modules of one layer, mm."""


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
            inputSpacePointTable: key of the same space points as an `acts.arrow.ArrowTable` with
                columns `measurement_id`, `x`, `y`, `z`; without it, or if its rows are others,
                the space points are asked for their measurements one by one, 4 µs each.
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
        tracks = self._protoTracks(store)
        lengths = np.fromiter(map(len, tracks), dtype=np.int64, count=len(tracks))
        measurements = np.fromiter(
            chain.from_iterable(tracks), dtype=np.int64, count=int(lengths.sum())
        )
        rows = self._rows_of(measurements, space_points, store)
        found = rows >= 0
        track_of = np.repeat(np.arange(len(tracks)), lengths)[found]
        rows = rows[found]
        positions = np.stack([np.asarray(getattr(space_points, axis)) for axis in "xyz"], axis=1)
        rows = rows[order_along_track(positions[rows], track_of)]
        used = one_per_layer(positions[rows], track_of)
        rows, track_of = rows[used], track_of[used]
        bounds = np.searchsorted(track_of, np.arange(len(tracks) + 1)).tolist()
        rows = rows.tolist()
        seeds = acts.SeedContainer()
        seeds.assignSpacePointContainer(space_points)
        kept = acts.examples.ProtoTrackContainer()
        for track, begin, end in zip(tracks, bounds[:-1], bounds[1:], strict=True):
            if end - begin >= MINIMUM_SPACE_POINTS:
                seeds.createSeed().assignSpacePointIndices(rows[begin:end])
                kept.append(track)
        self._seeds(context, seeds)
        self._kept(context, kept)
        return acts.examples.ProcessCode.SUCCESS

    def _rows_of(self, measurements: np.ndarray, space_points: Any, store: Any) -> np.ndarray:
        """Return the space point of each measurement, -1: it has none."""
        ids = None if self._table is None else self._ids_of_table(space_points, store)
        if ids is None:
            index_of = acts.examples.IndexSourceLink.fromSourceLink
            pairs = [
                (index_of(link).index(), row)
                for row, space_point in enumerate(space_points)
                for link in space_point.sourceLinks
            ]
            ids, rows = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        else:
            rows = np.arange(len(ids))
        size = 1 + max(int(ids.max(initial=-1)), int(measurements.max(initial=-1)))
        row_of = np.full(size, -1, dtype=np.int64)
        row_of[ids] = rows
        return row_of[measurements]

    def _ids_of_table(self, space_points: Any, store: Any) -> np.ndarray | None:
        """Return the measurement of each space point, None if the table has other rows.

        The space points may have been made anew from the measurements, in another order than
        those of the file, which the table has.
        """
        table = self._table(store).as_table()  # type: ignore[misc]
        if table.num_rows != len(space_points):
            return None
        for axis in "xyz":
            expected = np.asarray(getattr(space_points, axis))
            if not np.allclose(table.column(axis).to_numpy(), expected, rtol=0, atol=1e-3):
                return None
        ids: np.ndarray = table.column("measurement_id").to_numpy().astype(np.int64)
        return ids


def order_along_track(positions: np.ndarray, track_of: np.ndarray) -> np.ndarray:
    """Return the order of hits along the line from the first to the last hit of their track.

    Right for helices that turn by less than half a turn. Finders may swap the hits of
    overlapping modules, a millimetre or two apart; with the first two swapped, ACTS' estimate
    points inward and the fit loses all other hits.

    Args:
        positions: shape (N, 3), mm, hits of one track after those of the other, outward on the
            whole.
        track_of: shape (N,), number of the track, ascending.

    Returns:
        shape (N,), int64: rows of `positions`, track by track.
    """
    if len(track_of) == 0:
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.diff(track_of, prepend=-1))
    counts = np.diff(starts, append=len(track_of))
    chords = positions[starts + counts - 1] - positions[starts]
    along = (positions * np.repeat(chords, counts, axis=0)).sum(axis=1)
    return np.lexsort((along, track_of))


def one_per_layer(positions: np.ndarray, track_of: np.ndarray) -> np.ndarray:
    """Return which hits determine a helix well: the first one of each group of near ones.

    Between hits on overlapping modules the resolution hides which is further out, and ACTS'
    estimate, which takes the direction from the first two, may point inward. That happens to 1%
    of the tracks at |eta| > 3.6 and leaves them a single measurement after the fit.

    Args:
        positions: shape (N, 3), mm, in the order of `order_along_track`.
        track_of: shape (N,), number of the track, ascending.

    Returns:
        shape (N,), bool; all hits of tracks that would keep fewer than three.
    """
    same_track = np.diff(track_of, prepend=-1) == 0
    step = np.linalg.norm(np.diff(positions, axis=0, prepend=positions[:1]), axis=1)
    kept = ~same_track | (step > OVERLAP_DISTANCE)
    n_kept = np.bincount(track_of[kept], minlength=int(track_of.max(initial=-1)) + 1)
    return kept | (n_kept[track_of] < MINIMUM_SPACE_POINTS)


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
    initialSigmas: tuple[float, ...] = START_SIGMAS,
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
        initialSigmas: uncertainties of the six parameters, in ACTS' units.
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
            initialSigmas=list(initialSigmas),
            initialVarInflation=list(initialVarInflation),
            **optional,
        )
    )
    return s


def addHelixStart(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str,
    outputTrackParameters: str,
    outputProtoTracks: str,
    inputMeasurements: str = "measurement_subset",
    inputMeasurementTable: str = "measurement_table",
    varInflation: float = HELIX_VAR_INFLATION,
    logLevel: Any = None,
) -> Any:
    """Start at the beam line, with the parameters of a helix fit.

    It needs measurements only, no space points, and so takes strips of one coordinate as well.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider; what it is at the origin holds for the helix.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        outputTrackParameters: key of the parameters.
        outputProtoTracks: key of the proto tracks that have parameters, in the same order.
        inputMeasurements: key of the `MeasurementSubset` of all measurements.
        inputMeasurementTable: key of their table.
        varInflation: factor on the covariance, so that the fit does not use the hits twice.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    tracks = f"{outputTrackParameters}_helices"
    addHelixFit(
        s,
        inputProtoTracks=inputProtoTracks,
        outputTracks=tracks,
        trackingGeometry=trackingGeometry,
        field=field_along_z(field),
        inputMeasurements=inputMeasurements,
        inputMeasurementTable=inputMeasurementTable,
        varInflation=varInflation,
        outputProtoTracks=outputProtoTracks,
        logLevel=logLevel,
    )
    s.addAlgorithm(
        acts.examples.TracksToParameters(
            level=logLevel or acts.logging.ERROR,
            inputTracks=tracks,
            outputTrackParameters=outputTrackParameters,
        )
    )
    return s


def field_along_z(field: Any) -> float:
    """The field at the origin along z, tesla."""
    cache = field.makeCache(acts.MagneticFieldContext())
    return float(field.getField(acts.Vector3(0.0, 0.0, 0.0), cache)[2] / acts.UnitConstants.T)
