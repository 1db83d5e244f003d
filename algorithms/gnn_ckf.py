"""The finder `gnn+ckf`: GNN tracks as seeds that the combinatorial Kalman filter completes."""

from __future__ import annotations

from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.algorithms.ckf import addAmbiguityResolution, addTrackFinding
from trkx.algorithms.ckf_working_points import FinderCuts
from trkx.algorithms.track_hits import (
    TrackHits,
    addTrackHits,
    hits_of_proto_tracks,
    hits_of_table,
    make_proto_tracks,
)
from trkx.algorithms.track_merging import TrackMergingAlgorithm
from trkx.fitting import FitSummary, KalmanSettings, addKalmanFit, addStartParameters

__all__ = ["UncompletedProtoTracks", "addGnnCkf", "gnnCkfCuts", "uncompleted"]


def gnnCkfCuts(target: str = "pt1") -> FinderCuts:
    """Return the cuts of the finder `gnn+ckf`.

    They are looser than those of the CKF's working points, which keep the fakes among many
    seeds down; here the GNN has chosen already. At |eta| > 3.5, where pT has a resolution of
    20%, a cut at 0.9 GeV would cost 1% of all particles above 1 GeV.

    Args:
        target: `pt1` (pT > 1 GeV) or `pt05` (pT > 0.5 GeV).
    """
    return FinderCuts(
        ptMin=0.25 if target == "pt05" else 0.5,
        absEtaMax=4.2,  # the resolution takes some of the particles at 4.0 beyond it
        minMeasurements=6,
        maximumSharedHits=5,  # merged clusters; the GNN's tracks share none
    )


def addGnnCkf(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str = "gnn_proto_tracks",
    inputMeasurements: str = "measurement_subset",
    inputMeasurementContainer: str = "measurements",
    inputSpacePoints: str = "spacepoints",
    inputSpacePointTable: str | None = "spacepoint_table",
    outputTracks: str = "gnn_ckf_tracks",
    target: str = "pt1",
    cuts: FinderCuts | None = None,
    summary: FitSummary | None = None,
    logLevel: Any = None,
) -> Any:
    """Let the CKF complete found tracks with hits that their finder missed.

    The CKF loses a found track in about 1% of the cases: after a hadronic scatter or a hard
    bremsstrahlung the next hit is too far off, and it gives up after a few holes. The Kalman
    fit of the found track then stands in for the CKF's.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        inputMeasurements: key of the measurement subset.
        inputMeasurementContainer: key of all measurements.
        inputSpacePoints: key of the space points.
        inputSpacePointTable: see `trkx.fitting.ProtoTracksToSpacePointSeeds`.
        outputTracks: key of the tracks, parameters at the perigee on the beam line.
        target: `pt1` or `pt05`, for the lowest transverse momentum.
        cuts: selection of measurements and tracks; default `gnnCkfCuts(target)`.
        summary: filled with the numbers of tracks that the CKF did not complete and of those
            that the Kalman fit could put in their place.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    cuts = cuts or gnnCkfCuts(target)
    kalman = KalmanSettings()
    parameters, seeds, started, completed, left, fitted, selected, all_tracks = (
        f"{outputTracks}_{name}"
        for name in (
            "start_parameters",
            "seeds",
            "started",
            "completed",
            "uncompleted",
            "fitted",
            "selected",
            "ambiguous",
        )
    )
    addStartParameters(
        s,
        trackingGeometry,
        field,
        inputProtoTracks=inputProtoTracks,
        outputTrackParameters=parameters,
        outputProtoTracks=started,
        outputSeeds=seeds,
        inputSpacePoints=inputSpacePoints,
        inputSpacePointTable=inputSpacePointTable,
        initialVarInflation=kalman.startVarInflation,
        logLevel=logLevel,
    )
    addTrackFinding(
        s,
        trackingGeometry,
        field,
        cuts,
        inputMeasurements=inputMeasurements,
        inputSeeds=seeds,
        inputTrackParameters=parameters,
        outputTracks=completed,
        logLevel=logLevel,
    )
    s.addAlgorithm(
        UncompletedProtoTracks(
            inputProtoTracks=inputProtoTracks,
            inputTrackTable=addTrackHits(s, completed, logLevel=logLevel),
            outputProtoTracks=left,
            minMeasurements=cuts.minMeasurements,
            level=logLevel or acts.logging.WARNING,
        )
    )
    addKalmanFit(
        s,
        trackingGeometry,
        field,
        inputProtoTracks=left,
        outputTracks=fitted,
        inputMeasurements=inputMeasurementContainer,
        inputSpacePoints=inputSpacePoints,
        inputSpacePointTable=inputSpacePointTable,
        settings=kalman,
        summary=summary,
        logLevel=logLevel,
    )
    s.addAlgorithm(
        acts.examples.TrackSelectorAlgorithm(
            level=logLevel or acts.logging.WARNING,
            inputTracks=fitted,
            outputTracks=selected,
            selectorConfig=acts.TrackSelector.Config(
                ptMin=cuts.ptMin, absEtaMax=cuts.absEtaMax, minMeasurements=cuts.minMeasurements
            ),
        )
    )
    s.addAlgorithm(
        TrackMergingAlgorithm(inputTracks=[completed, selected], outputTracks=all_tracks)
    )
    # A track that the CKF broke off is dropped here in favour of the whole one.
    return addAmbiguityResolution(s, cuts, all_tracks, outputTracks, logLevel)


def uncompleted(found: TrackHits, completed: TrackHits, minimum: int) -> np.ndarray:
    """Return which found tracks have more than half of their measurements on no completed one.

    Args:
        found: tracks of the finder.
        completed: tracks of the CKF.
        minimum: shorter found tracks do not count, since only the CKF could lengthen them.

    Returns:
        shape (found.n_tracks,), bool.
    """
    lengths = np.diff(found.offsets)
    used = np.isin(found.measurements, completed.measurements)
    track_of = np.repeat(np.arange(found.n_tracks), lengths)
    n_used = np.bincount(track_of[used], minlength=found.n_tracks)
    return (lengths >= minimum) & (2 * n_used < lengths)


class UncompletedProtoTracks(acts.examples.IAlgorithm):
    """Select the proto tracks that the CKF did not complete; see `uncompleted`."""

    def __init__(
        self,
        inputProtoTracks: str,
        inputTrackTable: str,
        outputProtoTracks: str,
        minMeasurements: int,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputProtoTracks: whiteboard key of the proto tracks.
            inputTrackTable: key of the table that `addTrackHits` makes of the CKF's tracks.
            outputProtoTracks: key of the proto tracks selected.
            minMeasurements: shorter proto tracks are left out.
            level: log level; the number of selected proto tracks is logged at debug level.
        """
        acts.examples.IAlgorithm.__init__(self, "UncompletedProtoTracks", level)
        examples = acts.examples
        self._protoTracks = examples.ReadDataHandle(
            self, examples.ProtoTrackContainer, "InputProtoTracks"
        )
        self._protoTracks.initialize(inputProtoTracks)
        self._table = examples.ReadDataHandle(self, acts.arrow.ArrowTable, "InputTrackTable")
        self._table.initialize(inputTrackTable)
        self._output = examples.WriteDataHandle(
            self, examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._output.initialize(outputProtoTracks)
        self._minMeasurements = minMeasurements

    def execute(self, context: Any) -> Any:
        """Select the proto tracks of one event."""
        store = context.eventStore
        found = hits_of_proto_tracks(self._protoTracks(store))
        chosen = uncompleted(found, hits_of_table(self._table(store)), self._minMeasurements)
        lengths = np.diff(found.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.int64)
        measurements = found.measurements[np.repeat(chosen, lengths)]
        self._output(context, make_proto_tracks(TrackHits(offsets, measurements)))
        self.logger.debug(f"{int(chosen.sum())} of {found.n_tracks} tracks not completed")
        return acts.examples.ProcessCode.SUCCESS
