"""One finder and its fits as elements of a job, timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trkx.algorithms.detector import DEFAULT_FIELD_TESLA
from trkx.algorithms.helpers import (
    addCkf,
    addGlobalChi2Fit,
    addGnnCkf,
    addGnnTrackFinding,
    addHelixFit,
    addKalmanFit,
    addRefit,
    addTruthTrackFinding,
)
from trkx.algorithms.job_config import finder_key, fits_while_finding
from trkx.algorithms.job_pipelines import pipeline_files
from trkx.algorithms.job_service import ServiceSettings
from trkx.algorithms.job_timing import StageTimer
from trkx.algorithms.track_finding_gnn import StageTimings
from trkx.algorithms.tracks_to_proto_tracks import addTracksToProtoTracks
from trkx.fitting import FitSummary, GlobalChi2Settings, KalmanSettings

if TYPE_CHECKING:
    from trkx.plugin.pipeline_file import PipelineFile

OWN_FIT = "ckf"
"""Name of the fit that a combinatorial Kalman filter does while it finds."""


@dataclass(frozen=True)
class ChainSettings:
    """What all finders of a job have in common."""

    trackingGeometry: Any  # None: not known, for helix fits only
    field: Any
    fieldTesla: float = DEFAULT_FIELD_TESLA  # the same along z
    start: str = "circle"  # of trkx.fitting.start_parameters.STARTS
    target: str = "pt1"
    device: str = "cpu"
    weights: Any = None
    pipelines: Mapping[str, Path] = field(default_factory=dict)  # finder → file of your own
    beamSpot: tuple[float, float] = (0.0, 0.0)  # x and y of the beam line, mm
    logLevel: Any = None
    service: ServiceSettings | None = None  # None: pipelines run in this process
    hooks: Sequence[Any] = ()  # of all pipelines in this process
    remotes: dict[str, Any] = field(default_factory=dict)  # finder → its RemotePipeline, filled


@dataclass(frozen=True)
class FinderChain:
    """Where one finder's results are on the whiteboard."""

    finder: str
    proto_tracks: str | None  # key of the proto tracks; None for CKF finders
    found_tracks: str | None  # key of the tracks found; None for finders of proto tracks
    fits: dict[str, str] = field(default_factory=dict)  # fitter → key of the tracks
    summaries: dict[str, FitSummary] = field(default_factory=dict)  # fitter → counts
    pipeline_timings: StageTimings | None = None  # stages within the pipeline

    @property
    def main_fit(self) -> str | None:
        """The fit whose time counts as the finder's: the CKF's own, else the first."""
        return next(iter(self.fits), None)


def addFinder(
    s: Any,
    finder: str,
    fitters: tuple[str, ...],
    settings: ChainSettings,
    timer: StageTimer,
) -> FinderChain:
    """Add a finder and the fits of what it finds.

    Args:
        s: the sequencer; the reader is in it already.
        finder: of `job_config.FINDERS`, or the name of a pipeline.
        fitters: of `job_config.FITTERS`; CKF tracks have their own fit, and are refitted by
            these.
        settings: what all finders share.
        timer: gets the stages `<finder>:finding` and `<finder>:fitting:<fitter>`.

    Returns:
        the keys of the results.
    """
    key = finder_key(finder)
    fitters = tuple(fitter for fitter in fitters if fitter != "none")
    if fits_while_finding(finder):
        chain = _add_ckf_finder(s, finder, f"{key}_tracks", settings, timer)
    else:
        chain = _add_proto_track_finder(s, finder, f"{key}_proto_tracks", settings, timer)
    for fitter in fitters:
        tracks = f"{key}_{fitter}_tracks"
        summary = FitSummary()
        with timer.stage(s, f"{finder}:fitting:{fitter}"):
            if chain.proto_tracks is not None:
                _fit_proto_tracks(s, chain.proto_tracks, fitter, tracks, settings, summary)
            elif chain.found_tracks is not None:
                _refit(s, chain.found_tracks, fitter, tracks, settings, summary)
        chain.fits[fitter] = tracks
        chain.summaries[fitter] = summary
    return chain


def _add_ckf_finder(
    s: Any, finder: str, tracks: str, settings: ChainSettings, timer: StageTimer
) -> FinderChain:
    geometry, field_ = settings.trackingGeometry, settings.field
    timings = None
    with timer.stage(s, f"{finder}:finding"):
        if finder == "gnn+ckf":
            proto_tracks = f"{finder_key(finder)}_proto_tracks"
            timings = StageTimings()
            _add_pipeline(s, "gnn", proto_tracks, settings, timings)
            addGnnCkf(
                s,
                geometry,
                field_,
                inputProtoTracks=proto_tracks,
                outputTracks=tracks,
                target=settings.target,
                logLevel=settings.logLevel,
            )
        else:
            _, _, point = finder.partition("-")
            addCkf(
                s,
                geometry,
                field_,
                workingPoint=point or "best",
                target=settings.target,
                outputTracks=tracks,
                logLevel=settings.logLevel,
            )
    return FinderChain(finder, None, tracks, {OWN_FIT: tracks}, pipeline_timings=timings)


def _add_proto_track_finder(
    s: Any, finder: str, proto_tracks: str, settings: ChainSettings, timer: StageTimer
) -> FinderChain:
    timings = None
    with timer.stage(s, f"{finder}:finding"):
        if finder == "truth":
            addTruthTrackFinding(
                s,
                target=settings.target,
                outputProtoTracks=proto_tracks,
                logLevel=settings.logLevel,
            )
        else:
            timings = StageTimings()
            _add_pipeline(s, finder, proto_tracks, settings, timings)
    return FinderChain(finder, proto_tracks, None, pipeline_timings=timings)


def _add_pipeline(
    s: Any, finder: str, proto_tracks: str, settings: ChainSettings, timings: StageTimings
) -> None:
    file = pipeline_files([finder], settings.pipelines)[finder]
    pipeline: Any = file.path if finder in settings.pipelines else None
    if settings.service is not None and finder != "classical":
        pipeline = _remote_pipeline(finder, file, settings)
    addGnnTrackFinding(
        s,
        finder=finder,
        pipeline=pipeline,
        target=settings.target,
        device=settings.device,
        # Others of the same job may read the model folder; this one has weights of its own.
        weights=settings.weights if file.reads_model else None,
        beamSpot=settings.beamSpot,
        outputProtoTracks=proto_tracks,
        timings=timings,
        hooks=settings.hooks,
        logLevel=settings.logLevel,
    )


def _remote_pipeline(finder: str, file: PipelineFile, settings: ChainSettings) -> Any:
    """The finder's pipeline on the servers; remembered, to be reported and closed."""
    assert settings.service is not None
    weights = settings.weights if file.reads_model else None
    source = file.name if file.is_shipped else file.path

    def in_process() -> Any:
        from trkx.plugin import load_pipeline

        return load_pipeline(
            pipeline=source, target=settings.target, device=settings.device, weights=weights
        )

    if finder not in settings.remotes:
        settings.remotes[finder] = settings.service.remote_pipeline(
            source, settings.target, weights, in_process
        )
    return settings.remotes[finder]


def _fit_proto_tracks(
    s: Any,
    proto_tracks: str,
    fitter: str,
    tracks: str,
    settings: ChainSettings,
    summary: FitSummary,
) -> None:
    if fitter == "helix":
        addHelixFit(
            s,
            inputProtoTracks=proto_tracks,
            outputTracks=tracks,
            trackingGeometry=settings.trackingGeometry,
            field=settings.fieldTesla,
            summary=summary,
            logLevel=settings.logLevel,
        )
        return
    add_fit = addKalmanFit if fitter == "kf" else addGlobalChi2Fit
    add_fit(
        s,
        settings.trackingGeometry,
        settings.field,
        inputProtoTracks=proto_tracks,
        outputTracks=tracks,
        inputSpacePointTable="spacepoint_table",
        summary=summary,
        logLevel=settings.logLevel,
        start=settings.start,
    )


def _refit(
    s: Any,
    found_tracks: str,
    fitter: str,
    tracks: str,
    settings: ChainSettings,
    summary: FitSummary,
) -> None:
    if fitter == "helix":
        proto_tracks = f"{found_tracks}_as_proto_tracks"
        addTracksToProtoTracks(s, found_tracks, proto_tracks, settings.logLevel)
        _fit_proto_tracks(s, proto_tracks, fitter, tracks, settings, summary)
        return
    addRefit(
        s,
        settings.trackingGeometry,
        settings.field,
        inputTracks=found_tracks,
        outputTracks=tracks,
        settings=KalmanSettings() if fitter == "kf" else GlobalChi2Settings(),
        summary=summary,
        logLevel=settings.logLevel,
    )
