"""The combinatorial Kalman filter chain: seeding, track finding, ambiguity resolution, twice."""

from __future__ import annotations

from typing import Any

import acts
import acts.examples

from trkx.algorithms.ckf_working_points import CkfPass, CkfWorkingPoint, FinderCuts, ckfWorkingPoint
from trkx.algorithms.track_merging import TrackMergingAlgorithm

__all__ = [
    "addAmbiguityResolution",
    "addCkf",
    "addCkfPass",
    "addTrackFinding",
    "geometrySelection",
]


def addCkf(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    workingPoint: str | CkfWorkingPoint = "best",
    target: str = "pt1",
    inputMeasurements: str = "measurement_subset",
    outputTracks: str = "ckf_tracks",
    logLevel: Any = None,
) -> Any:
    """Find tracks with ACTS' combinatorial Kalman filter in two passes.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry of the GenericDetector.
        field: magnetic field provider.
        workingPoint: `best`, `balanced` or `fast`, or settings of your own.
        target: `pt1` (pT > 1 GeV) or `pt05` (pT > 0.5 GeV); not used with settings of your own.
        inputMeasurements: whiteboard key of the measurement subset to start from.
        outputTracks: key of the tracks of all passes, in one container; their parameters are
            at the perigee on the beam line.
        logLevel: level of all algorithms; default: fatal for track finding, which warns about
            each candidate that leads nowhere, warnings for the others.

    Returns:
        the sequencer.

    Raises:
        ConfigError: if the working point or the target is unknown.
    """
    point = workingPoint
    if not isinstance(point, CkfWorkingPoint):
        point = ckfWorkingPoint(point, target)
    measurements = inputMeasurements
    found = []
    for number, settings in enumerate(point.passes, start=1):
        tracks = f"{outputTracks}_pass{number}"
        addCkfPass(s, trackingGeometry, field, settings, measurements, tracks, logLevel)
        found.append(tracks)
        if number < len(point.passes):
            left = f"{tracks}_left"
            s.addAlgorithm(
                acts.examples.MeasurementFilterAlgorithm(
                    level=logLevel or acts.logging.WARNING,
                    inputTracks=tracks,
                    inputMeasurementSubset=measurements,
                    outputMeasurementSubset=left,
                )
            )
            measurements = left
    s.addAlgorithm(TrackMergingAlgorithm(inputTracks=found, outputTracks=outputTracks))
    return s


def addCkfPass(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    settings: CkfPass,
    inputMeasurements: str,
    outputTracks: str,
    logLevel: Any = None,
) -> Any:
    """Add one pass: space points, seeds, start parameters, track finding, ambiguities.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        settings: seeding and cuts.
        inputMeasurements: whiteboard key of a measurement subset.
        outputTracks: key of the tracks; the steps before put `<outputTracks>_seeds` etc.
        logLevel: see `addCkf`.

    Returns:
        the sequencer.
    """
    level = logLevel or acts.logging.WARNING
    space_points, seeds, estimated, parameters = (
        f"{outputTracks}_{name}" for name in ("spacepoints", "seeds", "estimated", "parameters")
    )
    s.addAlgorithm(
        acts.examples.SpacePointMaker(
            level=level,
            trackingGeometry=trackingGeometry,
            inputMeasurements=inputMeasurements,
            outputSpacePoints=space_points,
            geometrySelection=geometrySelection(settings.seeding.layers),
        )
    )
    s.addAlgorithm(
        acts.examples.GridTripletSeedingAlgorithm(
            level=level,
            inputSpacePoints=space_points,
            outputSeeds=seeds,
            bFieldInZ=fieldAtOrigin(field),
            **settings.seeding.keywords(),
        )
    )
    s.addAlgorithm(
        acts.examples.TrackParamsEstimationAlgorithm(
            # A seed whose estimate fails is dropped; it warns about each.
            level=logLevel or acts.logging.ERROR,
            inputSeeds=seeds,
            outputTrackParameters=parameters,
            outputSeeds=estimated,
            trackingGeometry=trackingGeometry,
            magneticField=field,
        )
    )
    ambiguous = f"{outputTracks}_ambiguous"
    addTrackFinding(
        s,
        trackingGeometry,
        field,
        settings.cuts,
        inputMeasurements=inputMeasurements,
        inputSeeds=estimated,
        inputTrackParameters=parameters,
        outputTracks=ambiguous,
        logLevel=logLevel,
    )
    return addAmbiguityResolution(s, settings.cuts, ambiguous, outputTracks, logLevel)


def addTrackFinding(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    cuts: FinderCuts,
    inputMeasurements: str,
    inputSeeds: str,
    inputTrackParameters: str,
    outputTracks: str,
    stayOnSeed: bool = True,
    twoWay: bool = True,
    logLevel: Any = None,
) -> Any:
    """Follow seeds through the detector; the tracks may share measurements.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        cuts: selection of measurements and tracks.
        inputMeasurements: whiteboard key of a measurement subset.
        inputSeeds: key of the seeds.
        inputTrackParameters: key of their parameters, in the same order.
        outputTracks: key of the tracks.
        stayOnSeed: on the surfaces of a seed take only the seed's measurements.
        twoWay: search inward, too.
        logLevel: see `addCkf`.

    Returns:
        the sequencer.
    """
    level = logLevel or acts.logging.FATAL
    everywhere = acts.GeometryIdentifier()
    selection: tuple[list[float], ...] = (
        [],  # edges in |eta|: none, one set of cuts
        [cuts.chi2CutOffMeasurement],
        [cuts.chi2CutOffOutlier],
        [cuts.numMeasurementsCutOff],
    )
    s.addAlgorithm(
        acts.examples.TrackFindingAlgorithm(
            level=level,
            measurementSelectorCfg=acts.MeasurementSelector.Config([(everywhere, selection)]),
            trackSelectorCfg=acts.TrackSelector.Config(
                ptMin=cuts.ptMin,
                absEtaMax=cuts.absEtaMax,
                minMeasurements=cuts.minMeasurements,
                maxHoles=cuts.maxHoles,
                maxOutliers=cuts.maxOutliers,
            ),
            inputMeasurements=inputMeasurements,
            inputInitialTrackParameters=inputTrackParameters,
            inputSeeds=inputSeeds,
            outputTracks=outputTracks,
            findTracks=acts.examples.TrackFindingAlgorithm.makeTrackFinderFunction(
                trackingGeometry, field, level
            ),
            trackingGeometry=trackingGeometry,
            magneticField=field,
            seedDeduplication=True,
            stayOnSeed=stayOnSeed,
            twoWay=twoWay,
        )
    )
    return s


def addAmbiguityResolution(
    s: Any, cuts: FinderCuts, inputTracks: str, outputTracks: str, logLevel: Any = None
) -> Any:
    """Drop tracks until those left share few measurements; the poorer of two goes first.

    Args:
        s: the sequencer.
        cuts: how many measurements a track may share, and must have.
        inputTracks: whiteboard key of the tracks.
        outputTracks: key of the tracks left.
        logLevel: see `addCkf`.

    Returns:
        the sequencer.
    """
    s.addAlgorithm(
        acts.examples.GreedyAmbiguityResolutionAlgorithm(
            level=logLevel or acts.logging.WARNING,
            inputTracks=inputTracks,
            outputTracks=outputTracks,
            maximumSharedHits=cuts.maximumSharedHits,
            maximumIterations=cuts.maximumIterations,
            nMeasurementsMin=cuts.minMeasurements,
        )
    )
    return s


def geometrySelection(layers: Any) -> list[Any]:
    """Return ACTS geometry identifiers for pairs of volume and layer (None: all layers)."""
    return [
        acts.GeometryIdentifier(volume=volume)
        if layer is None
        else acts.GeometryIdentifier(volume=volume, layer=layer)
        for volume, layer in layers
    ]


def fieldAtOrigin(field: Any) -> float:
    """Return the z component of the field at the origin, in ACTS' units."""
    context = acts.MagneticFieldContext()
    value = field.getField(acts.Vector3(0.0, 0.0, 0.0), field.makeCache(context))
    return float(value[2])
