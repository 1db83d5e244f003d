"""Helpers in ACTS' manner: each adds one step of reconstruction to a sequencer.

    addGnnTrackFinding(s)
    addKalmanFit(s, trackingGeometry, field, "gnn_proto_tracks", "gnn_tracks")

They work in any sequencer script, together with ACTS' own helpers, as long as the whiteboard
holds the keys they read; `trkx.io.readers` puts all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import acts

from trkx.algorithms.ckf import addCkf
from trkx.algorithms.gnn_ckf import addGnnCkf
from trkx.algorithms.label_writer import addLabelWriter
from trkx.algorithms.spacepoint_table import addSpacePointTable
from trkx.algorithms.track_finding_gnn import StageTimings, TrackFindingAlgorithmGnn
from trkx.algorithms.track_finding_truth import TrackFindingAlgorithmTruth, TruthSelection
from trkx.algorithms.track_hits import addTrackHits
from trkx.fitting import (
    addGlobalChi2Fit,
    addHelixFit,
    addKalmanFit,
    addRefit,
    addStartParameters,
)

__all__ = [
    "addCkf",
    "addGlobalChi2Fit",
    "addGnnCkf",
    "addGnnTrackFinding",
    "addHelixFit",
    "addKalmanFit",
    "addLabelWriter",
    "addRefit",
    "addSpacePointTable",
    "addStartParameters",
    "addTrackHits",
    "addTruthTrackFinding",
]


def addGnnTrackFinding(
    s: Any,
    finder: str = "gnn",
    target: str = "pt1",
    device: str = "cpu",
    weights: Any = None,
    threads: int | None = None,
    inputSpacePointTable: str = "spacepoint_table",
    outputProtoTracks: str | None = None,
    beamSpot: tuple[float, float] = (0.0, 0.0),
    pipeline: Any = None,
    timings: StageTimings | None = None,
    hooks: Sequence[Any] = (),
    logLevel: Any = None,
) -> Any:
    """Find tracks on the space points with a trkx pipeline.

    Args:
        s: the sequencer.
        finder: `gnn`, `classical` for the same graph without a network, or the name of a shipped
            pipeline.
        target: `pt1` (pT > 1 GeV) or `pt05` (pT > 0.5 GeV).
        device: `cpu` or `cuda`.
        weights: maps and networks of your own instead of the shipped ones.
        threads: threads within one event; default 1. With several events in flight it is
            always 1, because the sequencer's threads use the cores already.
        inputSpacePointTable: whiteboard key of the space points as an `acts.arrow.ArrowTable`.
        outputProtoTracks: key of the proto tracks; default `<finder>_proto_tracks`.
        beamSpot: x and y of the beam line, mm.
        pipeline: a pipeline file or the name of a shipped one, used instead of `finder`; or a
            pipeline of your own that is loaded already: then `target`, `device`, `weights` and
            `threads` are not used.
        timings: filled with the seconds of each stage.
        hooks: called after each stage, see `trkx.plugin.Pipeline`; for pipelines in this process.
        logLevel: level of the algorithm.

    Returns:
        the sequencer.
    """
    if pipeline is None or isinstance(pipeline, (str, Path)):
        from trkx.plugin import load_pipeline

        several_events = s.config.numThreads != 1
        source: dict[str, Any] = {} if pipeline is None else {"pipeline": pipeline}
        pipeline = load_pipeline(
            finder,
            target=target,
            device=device,
            threads=1 if several_events or threads is None else threads,
            weights=weights,
            **source,
        )
    if hooks:
        pipeline = replace(pipeline, hooks=(*pipeline.hooks, *hooks))
    s.addAlgorithm(
        TrackFindingAlgorithmGnn(
            pipeline,
            inputSpacePointTable=inputSpacePointTable,
            outputProtoTracks=outputProtoTracks or f"{finder}_proto_tracks",
            beamSpot=beamSpot,
            timings=timings,
            level=logLevel or acts.logging.WARNING,
        )
    )
    return s


def addTruthTrackFinding(
    s: Any,
    target: str = "pt1",
    selection: TruthSelection | None = None,
    inputParticles: str = "particles",
    inputParticleMeasurementsMap: str = "particle_measurements_map",
    inputSpacePointTable: str = "spacepoint_table",
    outputProtoTracks: str = "truth_proto_tracks",
    logLevel: Any = None,
) -> Any:
    """Make a proto track of the measurements of each target particle.

    Args:
        s: the sequencer.
        target: `pt1` (pT > 1 GeV) or `pt05` (pT > 0.5 GeV); not used with `selection`.
        selection: which particles.
        inputParticles: whiteboard key of the simulated particles.
        inputParticleMeasurementsMap: key of the measurements of each particle.
        inputSpacePointTable: key of the space points as an `acts.arrow.ArrowTable`.
        outputProtoTracks: key of the proto tracks.
        logLevel: level of the algorithm.

    Returns:
        the sequencer.
    """
    s.addAlgorithm(
        TrackFindingAlgorithmTruth(
            inputParticles=inputParticles,
            inputParticleMeasurementsMap=inputParticleMeasurementsMap,
            inputSpacePointTable=inputSpacePointTable,
            outputProtoTracks=outputProtoTracks,
            selection=selection or TruthSelection(ptMin=0.5 if target == "pt05" else 1.0),
            level=logLevel or acts.logging.WARNING,
        )
    )
    return s
