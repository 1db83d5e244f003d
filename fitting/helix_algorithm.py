"""The helix fit as elements of ACTS' event loop."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.fitting.fit_summary import FitSummary, FitSummaryAlgorithm
from trkx.fitting.fitted_tracks import tracks_with_parameters
from trkx.fitting.helix_fit import HelixFits, HelixFitSettings, fit_helices
from trkx.fitting.helix_points import TrackPoints
from trkx.fitting.measured_points import (
    SpacePointErrors,
    points_on_surfaces,
    points_without_surfaces,
)
from trkx.fitting.surface_table import beam_pipe, surface_table

__all__ = ["HelixFitAlgorithm", "HelixFitsToTracks", "addHelixFit"]

FitsOfEvents = dict[int, HelixFits]
"""Fits by event number, from the element that makes them to the one that takes them: the
whiteboard knows no arrays."""


class HelixFitAlgorithm(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Fit a helix to each proto track.

    Writes the proto tracks that could be fitted, and leaves the fits of all.
    """

    def __init__(
        self,
        inputProtoTracks: str,
        outputProtoTracks: str,
        outputFits: FitsOfEvents,
        inputMeasurementTable: str = "",
        inputSpacePointTable: str = "",
        trackingGeometry: Any = None,
        settings: HelixFitSettings | None = None,
        errors: SpacePointErrors | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
            outputProtoTracks: key of those that have a fit.
            outputFits: takes the fits of each event.
            inputMeasurementTable: key of an `acts.arrow.ArrowTable` with the columns of the
                measurements; with a tracking geometry.
            inputSpacePointTable: key of that of the space points; without one.
            trackingGeometry: its surfaces say where and how precise measurements are, and what
                material tracks cross; None: take the space points as they are.
            settings: of the fit.
            errors: of space points; without a tracking geometry.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "HelixFitAlgorithm", level)
        examples = acts.examples
        self._proto = examples.ReadDataHandle(
            self, examples.ProtoTrackContainer, "InputProtoTracks"
        )
        self._proto.initialize(inputProtoTracks)
        self._table = examples.ReadDataHandle(self, acts.arrow.ArrowTable, "InputTable")
        self._table.initialize(
            inputSpacePointTable if trackingGeometry is None else inputMeasurementTable
        )
        self._kept = examples.WriteDataHandle(
            self, examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._kept.initialize(outputProtoTracks)
        self._fits = outputFits
        self._settings = settings or HelixFitSettings()
        self._errors = errors or SpacePointErrors()
        self._surfaces = None
        if trackingGeometry is not None:
            self._surfaces = surface_table(trackingGeometry)
            if settings is None:
                self._settings = replace(self._settings, beam_pipe=beam_pipe(trackingGeometry))

    def execute(self, context: Any) -> Any:
        """Fit the tracks of one event."""
        store = context.eventStore
        tracks = self._proto(store)
        table = self._table(store).as_table()
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
        fits = fit_helices(self._points(tracks, columns), self._settings)
        kept = acts.examples.ProtoTrackContainer()
        for track, fitted in zip(tracks, fits.fitted.tolist(), strict=True):
            if fitted:
                kept.append(track)
        self._kept(context, kept)
        self._fits[context.eventNumber] = fits
        return acts.examples.ProcessCode.SUCCESS

    def _points(self, tracks: Any, columns: dict[str, np.ndarray]) -> TrackPoints:
        lengths = np.fromiter(map(len, tracks), dtype=np.int64, count=len(tracks))
        measurements = np.fromiter(
            chain.from_iterable(tracks), dtype=np.int64, count=int(lengths.sum())
        )
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        if self._surfaces is not None:
            return points_on_surfaces(offsets, measurements, columns, self._surfaces)
        return points_without_surfaces(
            *space_points_of(offsets, measurements, columns), columns, self._errors
        )


class HelixFitsToTracks(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Give tracks the parameters of their helix fits."""

    def __init__(
        self,
        inputTracks: str,
        inputFits: FitsOfEvents,
        outputTracks: str,
        varInflation: float = 1.0,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputTracks: whiteboard key of tracks without parameters.
            inputFits: of `HelixFitAlgorithm`; those that could be fitted, in the order of the
                tracks. The fits of an event are taken out.
            outputTracks: key of the tracks with parameters.
            varInflation: factor on the covariances.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "HelixFitsToTracks", level)
        examples = acts.examples
        self._tracks = examples.ReadDataHandle(self, examples.ConstTrackContainer, "InputTracks")
        self._tracks.initialize(inputTracks)
        self._fits = inputFits
        self._output = examples.WriteDataHandle(self, examples.ConstTrackContainer, "OutputTracks")
        self._output.initialize(outputTracks)
        self._inflation = varInflation

    def execute(self, context: Any) -> Any:
        """Write the tracks of one event."""
        fits = self._fits.pop(context.eventNumber)
        good = fits.fitted
        tracks = tracks_with_parameters(
            self._tracks(context.eventStore),
            fits.parameters[good],
            fits.covariance[good] * self._inflation,
            fits.chi2[good],
            fits.ndf[good],
        )
        self._output(context, tracks)
        return acts.examples.ProcessCode.SUCCESS


def space_points_of(
    offsets: np.ndarray, measurements: np.ndarray, columns: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Space points of the tracks' measurements, each once; offsets and rows.

    Measurements without a space point are left out. Of two measurements of one space point, as of
    strips, the second one, which stands right behind the first, adds nothing.
    """
    first = columns["measurement_id"].astype(np.int64)
    row_of = np.full(1 + max(first.max(initial=-1), measurements.max(initial=-1)), -1, np.int64)
    row_of[first] = np.arange(len(first))
    rows = row_of[measurements]
    track = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[rows >= 0]
    counts = np.bincount(track, minlength=len(offsets) - 1)
    return np.concatenate([[0], np.cumsum(counts)]), rows[rows >= 0]


def addHelixFit(
    s: Any,
    inputProtoTracks: str,
    outputTracks: str,
    trackingGeometry: Any = None,
    field: float = 2.0,
    inputMeasurements: str = "measurement_subset",
    inputMeasurementTable: str = "measurement_table",
    inputSpacePointTable: str = "spacepoint_table",
    settings: HelixFitSettings | None = None,
    errors: SpacePointErrors | None = None,
    varInflation: float = 1.0,
    outputProtoTracks: str | None = None,
    summary: FitSummary | None = None,
    logLevel: Any = None,
) -> Any:
    """Fit helices to proto tracks, with scattering, to parameters at the perigee on the z axis.

    With a tracking geometry, measurements are taken where its surfaces are, 1-D strips included,
    and scatter on their material. Without, space points are taken with `errors`.

    Args:
        s: the sequencer.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        outputTracks: key of the fitted tracks.
        trackingGeometry: ACTS tracking geometry; None: fit without.
        field: along z, tesla; not used with `settings`.
        inputMeasurements: key of the `MeasurementSubset` of all measurements, which the tracks'
            states refer to.
        inputMeasurementTable: key of the measurements' table, with a tracking geometry.
        inputSpacePointTable: key of the space points' table, without.
        settings: of the fit; default: with the beam pipe of the tracking geometry.
        errors: of space points, without a tracking geometry.
        varInflation: factor on the covariances, for start parameters of other fits.
        outputProtoTracks: key of the proto tracks that have a fit, in the order of the tracks.
        summary: filled with the numbers of found and fitted tracks.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    level = logLevel or acts.logging.WARNING
    fitted = outputProtoTracks or f"{outputTracks}_fitted"
    bare = f"{outputTracks}_bare"
    fits: FitsOfEvents = {}
    if settings is None:
        pipe = (0.0, 0.0) if trackingGeometry is None else beam_pipe(trackingGeometry)
        settings = HelixFitSettings(field=field, beam_pipe=pipe)
    s.addAlgorithm(
        HelixFitAlgorithm(
            inputProtoTracks=inputProtoTracks,
            outputProtoTracks=fitted,
            outputFits=fits,
            inputMeasurementTable=inputMeasurementTable,
            inputSpacePointTable=inputSpacePointTable,
            trackingGeometry=trackingGeometry,
            settings=settings,
            errors=errors,
            level=level,
        )
    )
    s.addAlgorithm(
        acts.examples.ProtoTracksToTracks(
            level=level,
            inputMeasurements=inputMeasurements,
            inputProtoTracks=fitted,
            outputTracks=bare,
        )
    )
    s.addAlgorithm(
        HelixFitsToTracks(
            inputTracks=bare,
            inputFits=fits,
            outputTracks=outputTracks,
            varInflation=varInflation,
            level=level,
        )
    )
    s.addAlgorithm(
        FitSummaryAlgorithm(inputFound=inputProtoTracks, inputTracks=outputTracks, summary=summary)
    )
    return s
