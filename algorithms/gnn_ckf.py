"""The finder `gnn+ckf`: GNN tracks as seeds that the combinatorial Kalman filter completes."""

from __future__ import annotations

from typing import Any

from trkx.algorithms.ckf import addTrackFinding
from trkx.algorithms.ckf_working_points import FinderCuts
from trkx.fitting import addStartParameters

__all__ = ["addGnnCkf"]


def addGnnCkf(
    s: Any,
    trackingGeometry: Any,
    field: Any,
    inputProtoTracks: str = "gnn_proto_tracks",
    inputMeasurements: str = "measurement_subset",
    inputSpacePoints: str = "spacepoints",
    inputSpacePointTable: str | None = "spacepoint_table",
    outputTracks: str = "gnn_ckf_tracks",
    target: str = "pt1",
    cuts: FinderCuts | None = None,
    logLevel: Any = None,
) -> Any:
    """Let the CKF complete found tracks with hits that their finder missed.

    Args:
        s: the sequencer.
        trackingGeometry: ACTS tracking geometry.
        field: magnetic field provider.
        inputProtoTracks: whiteboard key of the proto tracks, hits ordered outward.
        inputMeasurements: key of the measurement subset.
        inputSpacePoints: key of the space points.
        inputSpacePointTable: see `trkx.fitting.ProtoTracksToSpacePointSeeds`.
        outputTracks: key of the tracks, parameters at the perigee on the beam line.
        target: `pt1` or `pt05`, for the lowest transverse momentum.
        cuts: selection of measurements and tracks; default as for the CKF's working points.
        logLevel: level of the algorithms.

    Returns:
        the sequencer.
    """
    parameters, seeds, proto_tracks = (
        f"{outputTracks}_{name}" for name in ("start_parameters", "seeds", "started")
    )
    addStartParameters(
        s,
        trackingGeometry,
        field,
        inputProtoTracks=inputProtoTracks,
        outputTrackParameters=parameters,
        outputProtoTracks=proto_tracks,
        outputSeeds=seeds,
        inputSpacePoints=inputSpacePoints,
        inputSpacePointTable=inputSpacePointTable,
        logLevel=logLevel,
    )
    return addTrackFinding(
        s,
        trackingGeometry,
        field,
        cuts or FinderCuts(ptMin=0.45 if target == "pt05" else 0.9),
        inputMeasurements=inputMeasurements,
        inputSeeds=seeds,
        inputTrackParameters=parameters,
        outputTracks=outputTracks,
        logLevel=logLevel,
    )
