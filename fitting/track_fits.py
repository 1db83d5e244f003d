"""ACTS' Kalman and global chi2 fits, with material, to parameters at the beam line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import acts
import acts.examples

from trkx.fitting.errors import UnknownStartError
from trkx.fitting.fit_summary import FitSummary, FitSummaryAlgorithm
from trkx.fitting.start_parameters import STARTS, addHelixStart, addStartParameters

__all__ = [
    "GlobalChi2Settings",
    "KalmanSettings",
    "addGlobalChi2Fit",
    "addKalmanFit",
    "addRefit",
]


@dataclass(frozen=True)
class KalmanSettings:
    """Settings of ACTS' Kalman fitter."""

    reverseFilteringMomThreshold: float = 0.0
    """GeV; below it the track is filtered inward a second time instead of smoothed"""
    reverseFilteringCovarianceScaling: float = 100.0
    """factor on the covariance before the second filtering"""
    chi2Cut: float = 1e9
    """largest chi2 of a measurement; those above become outliers"""
    useJosephFormulation: bool = False
    """covariance update that is stable against rounding, slower"""
    startVarInflation: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 9.0, 1.0)
    """factors on the variances of estimated start parameters, so that they do not count as a
    measurement. Only q/p needs one: at |eta| > 3.5 the hits know it no better than the estimate
    claims to, and the pulls there are 1.39 wide with a factor of 1, 1.10 with 4, 1.06 with 9.
    With more, the linearised fit and the search for further hits get worse."""
    refitVarInflation: tuple[float, ...] = (100.0,) * 6
    """factors on the variances a refit starts with, so that it does not use the hits twice"""


@dataclass(frozen=True)
class GlobalChi2Settings:
    """Settings of ACTS' global chi2 fitter."""

    nUpdateMax: int = 10
    """largest number of iterations"""
    relChi2changeCutOff: float = 1e-5
    """relative change of chi2 at which the fit has converged"""
    startVarInflation: tuple[float, ...] = (1.0,) * 6
    """factors on the start variances; the fit itself does not use them"""
    refitVarInflation: tuple[float, ...] = (1.0,) * 6


def addKalmanFit(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str,
    outputTracks: str,
    inputMeasurements: str = "measurements",
    inputSpacePoints: str = "spacepoints",
    inputSpacePointTable: str | None = None,
    settings: KalmanSettings | None = None,
    summary: FitSummary | None = None,
    logLevel: Any = None,
    start: str = "circle",
) -> Any:
    """Fit proto tracks with ACTS' Kalman filter and smoother.

    Multiple scattering and energy loss are on. The parameters (d0, z0, φ, θ, q/p, t) are at the
    perigee on the beam line. Tracks whose fit failed are left out and counted.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        outputTracks: key of the fitted tracks.
        inputMeasurements: key of the measurement container (not a subset).
        inputSpacePoints: key of the space points, for the start parameters.
        inputSpacePointTable: see `addStartParameters`.
        settings: settings of the fitter; default `KalmanSettings()`.
        summary: filled with the numbers of found, started and fitted tracks.
        logLevel: level of the algorithms.
        start: where start parameters come from, of `STARTS`. `helix` needs `measurement_subset`
            and `measurement_table` on the whiteboard, and no space points.

    Returns:
        the sequencer.
    """
    chosen = settings or KalmanSettings()
    return _add_fit(
        s,
        trackingGeometry,
        field,
        inputProtoTracks,
        outputTracks,
        inputMeasurements,
        inputSpacePoints,
        inputSpacePointTable,
        fit=kalmanFitter(trackingGeometry, field, chosen),
        initialVarInflation=chosen.startVarInflation,
        summary=summary,
        logLevel=logLevel,
        start=start,
    )


def addGlobalChi2Fit(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str,
    outputTracks: str,
    inputMeasurements: str = "measurements",
    inputSpacePoints: str = "spacepoints",
    inputSpacePointTable: str | None = None,
    settings: GlobalChi2Settings | None = None,
    summary: FitSummary | None = None,
    logLevel: Any = None,
    start: str = "circle",
) -> Any:
    """Fit proto tracks with ACTS' global chi2 fitter; arguments as for `addKalmanFit`."""
    chosen = settings or GlobalChi2Settings()
    return _add_fit(
        s,
        trackingGeometry,
        field,
        inputProtoTracks,
        outputTracks,
        inputMeasurements,
        inputSpacePoints,
        inputSpacePointTable,
        fit=globalChi2Fitter(trackingGeometry, field, chosen),
        initialVarInflation=chosen.startVarInflation,
        summary=summary,
        logLevel=logLevel,
        start=start,
    )


def addRefit(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputTracks: str,
    outputTracks: str,
    settings: KalmanSettings | GlobalChi2Settings | None = None,
    summary: FitSummary | None = None,
    logLevel: Any = None,
) -> Any:
    """Fit tracks again, starting from their parameters, with the same measurements.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        inputTracks: whiteboard key of fitted tracks, for example those of the CKF.
        outputTracks: key of the tracks after the refit.
        settings: of the Kalman or the global chi2 fitter; default `KalmanSettings()`.
        summary: filled with the numbers of found, started and fitted tracks.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    chosen = settings or KalmanSettings()
    if isinstance(chosen, GlobalChi2Settings):
        fit = globalChi2Fitter(trackingGeometry, field, chosen)
    else:
        fit = kalmanFitter(trackingGeometry, field, chosen)
    all_fits = f"{outputTracks}_with_failures"
    s.addAlgorithm(
        acts.examples.RefittingAlgorithm(
            level=logLevel or acts.logging.FATAL,
            inputTracks=inputTracks,
            outputTracks=all_fits,
            fit=fit,
            initialVarInflation=list(chosen.refitVarInflation),
        )
    )
    _add_beam_line_parameters(s, trackingGeometry, field, all_fits, outputTracks, logLevel)
    s.addAlgorithm(
        FitSummaryAlgorithm(
            inputFound=inputTracks, inputTracks=outputTracks, foundAreTracks=True, summary=summary
        )
    )
    return s


def kalmanFitter(trackingGeometry: Any, field: Any, settings: KalmanSettings) -> Any:
    """Return ACTS' Kalman fitter function with multiple scattering and energy loss."""
    return acts.examples.makeKalmanFitterFunction(
        trackingGeometry,
        field,
        multipleScattering=True,
        energyLoss=True,
        reverseFilteringMomThreshold=settings.reverseFilteringMomThreshold,
        reverseFilteringCovarianceScaling=settings.reverseFilteringCovarianceScaling,
        freeToBoundCorrection=acts.examples.FreeToBoundCorrection(False),
        chi2Cut=settings.chi2Cut,
        useJosephFormulation=settings.useJosephFormulation,
        level=acts.logging.FATAL,
    )


def globalChi2Fitter(trackingGeometry: Any, field: Any, settings: GlobalChi2Settings) -> Any:
    """Return ACTS' global chi2 fitter function with multiple scattering and energy loss."""
    return acts.examples.makeGlobalChiSquareFitterFunction(
        trackingGeometry,
        field,
        multipleScattering=True,
        energyLoss=True,
        freeToBoundCorrection=acts.examples.FreeToBoundCorrection(False),
        nUpdateMax=settings.nUpdateMax,
        relChi2changeCutOff=settings.relChi2changeCutOff,
        level=acts.logging.FATAL,
    )


def _add_fit(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str,
    outputTracks: str,
    inputMeasurements: str,
    inputSpacePoints: str,
    inputSpacePointTable: str | None,
    fit: Any,
    initialVarInflation: tuple[float, ...],
    summary: FitSummary | None,
    logLevel: Any,
    start: str,
) -> Any:
    started, parameters, all_fits = (
        f"{outputTracks}_{key}" for key in ("started", "start_parameters", "with_failures")
    )
    if start not in STARTS:
        raise UnknownStartError(f"start: {start!r} is none of {', '.join(STARTS)}")
    if start == "helix":
        addHelixStart(
            s,
            trackingGeometry,
            field,
            inputProtoTracks=inputProtoTracks,
            outputTrackParameters=parameters,
            outputProtoTracks=started,
            logLevel=logLevel,
        )
    else:
        addStartParameters(
            s,
            trackingGeometry,
            field,
            inputProtoTracks=inputProtoTracks,
            outputTrackParameters=parameters,
            outputProtoTracks=started,
            inputSpacePoints=inputSpacePoints,
            inputSpacePointTable=inputSpacePointTable,
            initialVarInflation=initialVarInflation,
            logLevel=logLevel,
        )
    s.addAlgorithm(
        acts.examples.TrackFittingAlgorithm(
            level=logLevel or acts.logging.FATAL,
            inputMeasurements=inputMeasurements,
            inputProtoTracks=started,
            inputInitialTrackParameters=parameters,
            outputTracks=all_fits,
            fit=fit,
            calibrator=acts.examples.makePassThroughCalibrator(),
            # The default reference surface is the perigee on the beam line.
        )
    )
    _add_beam_line_parameters(s, trackingGeometry, field, all_fits, outputTracks, logLevel)
    s.addAlgorithm(
        FitSummaryAlgorithm(
            inputFound=inputProtoTracks,
            inputStarted=started,
            inputTracks=outputTracks,
            summary=summary,
        )
    )
    return s


def _add_beam_line_parameters(
    s: Any, trackingGeometry: Any, field: Any, inputTracks: str, outputTracks: str, logLevel: Any
) -> None:
    # The global chi2 fit leaves the parameters where it started, at the first hit. The Kalman
    # fit extrapolates to the beam line, but without the beam pipe's scattering: the pull of θ
    # is 1.17 wide at pT > 1 GeV, 1.03 with it.
    extrapolated = f"{outputTracks}_at_beam_line"
    s.addAlgorithm(
        acts.examples.TrackExtrapolationAlgorithm(
            level=logLevel or acts.logging.FATAL,
            inputTracks=inputTracks,
            outputTracks=extrapolated,
            trackingGeometry=trackingGeometry,
            magneticField=field,
            strategy=acts.examples.TrackExtrapolationStrategy.first,
            targetSurface=acts.Surface.createPerigee(acts.Vector3(0.0, 0.0, 0.0)),
        )
    )
    # A fit that does not reach the beam line leaves a track without parameters.
    s.addAlgorithm(
        acts.examples.TrackSelectorAlgorithm(
            level=logLevel or acts.logging.WARNING,
            inputTracks=extrapolated,
            outputTracks=outputTracks,
            selectorConfig=acts.TrackSelector.Config(requireReferenceSurface=True),
        )
    )
