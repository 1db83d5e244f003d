"""Tracks to ROOT files in ACTS' schemas, on uproot."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import acts
import acts.arrow
import acts.examples
import acts.examples.arrow
import numpy as np

from trkx.io.track_columns import (
    PARAMETERS,
    TRUTH_TYPES,
    covariance_columns,
    fitted_columns,
    residual_columns,
    truth_parameters,
)
from trkx.io.track_states import SurfaceFrames, collect_states
from trkx.io.track_states_writer import UprootTrackStatesWriter
from trkx.io.track_truth import TrackMatcher, TrackTruth
from trkx.io.tree_writer import ListBlock, TreeLayout, TreeWriter

__all__ = ["UprootTrackStatesWriter", "UprootTrackSummaryWriter", "addTrackWriters"]

_COUNTS = ("nStates", "nMeasurements", "nOutliers", "nHoles", "nSharedHits")
_FIT_COLUMNS = tuple(
    f"{prefix}e{name}_fit" for prefix in ("", "err_", "res_", "pull_") for name in PARAMETERS
)
_STATE_COLUMNS = {"Chi2": np.float64, "Volume": np.uint32, "Layer": np.uint32}


class UprootTrackSummaryWriter(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Writes tree `tracksummary`: one entry per event, one item per track.

    Branch names are those of ACTS' RootTrackSummaryWriter, with one counter, `n_tracks`. With
    several threads, events come in the order in which they are done. The file gets its name
    when the sequencer has gone through all events.

    ACTS' lists of lists, which uproot cannot write, are laid end to end: `measurementChi2`,
    `measurementVolume` and `measurementLayer` (counter `n_measurement_states`) hold
    `nMeasurements[0]` numbers of the first track, then those of the second, …; likewise
    `outlierChi2`, … (`n_outlier_states`) with `nOutliers`. They are optional, since they need a
    loop over all states.

    Args:
        filePath: the file to write.
        inputTracks: key of the tracks (`ConstTrackContainer`).
        inputMatching: key of an `ArrowTable` with the majority particles; or
        matcher: rule that finds them, as `trkx.algorithms.matching.match_tracks`, for which
        inputTrackTable: is the key of ACTS' Arrow table of the same tracks. With neither,
            truth branches have no values.
        inputParticleTable: key of the particles' `ArrowTable`.
        inputMeasurementTruthTable: key of the `ArrowTable` with the particles of measurements.
        treeName: name of the tree.
        writeCovMat: write the 36 branches `cov_eA_eB`.
        writeStateLists: write the branches about the states.
        force: replace a file that is there.
        provenance: stored in the file as JSON.
        level: log level.

    Raises:
        OutputExistsError, OutputError: the file cannot be written.
    """

    def __init__(
        self,
        filePath: str | os.PathLike[str],
        inputTracks: str,
        inputMatching: str = "",
        matcher: TrackMatcher | None = None,
        inputTrackTable: str = "",
        inputParticleTable: str = "particle_table",
        inputMeasurementTruthTable: str = "measurement_truth_table",
        treeName: str = "tracksummary",
        writeCovMat: bool = False,
        writeStateLists: bool = False,
        force: bool = False,
        provenance: Mapping[str, Any] | None = None,
        level: Any = acts.logging.INFO,
    ) -> None:
        acts.examples.IAlgorithm.__init__(self, "UprootTrackSummaryWriter", level)
        self._tracks = acts.examples.ReadDataHandle(
            self, acts.examples.ConstTrackContainer, "InputTracks"
        )
        self._tracks.initialize(inputTracks)
        self._truth = TrackTruth(
            self,
            inputParticleTable,
            inputMatching,
            matcher,
            inputTrackTable,
            inputMeasurementTruthTable,
        )
        self._covariances, self._states = writeCovMat, writeStateLists
        self._frames = SurfaceFrames()
        self._lock = threading.Lock()
        layout = _layout(treeName, writeCovMat, writeStateLists)
        self._writer = TreeWriter(filePath, layout, force, provenance)

    def execute(self, context: Any) -> Any:
        """Write one event."""
        tracks = self._tracks(context.eventStore)
        lists = {"n_tracks": self._track_block(tracks, context)}
        if self._states:
            lists |= self._state_blocks(tracks, context)
        with self._lock:
            self._writer.extend({"event_nr": np.array([context.eventNumber])}, lists)
        return acts.examples.ProcessCode.SUCCESS

    def finalize(self) -> Any:
        """Finish the file and give it its name."""
        self._writer.close()
        return acts.examples.ProcessCode.SUCCESS

    def _track_block(self, tracks: Any, context: Any) -> ListBlock:
        n = len(tracks)
        facts = [(t.nTrackStates, t.hasReferenceSurface) for t in tracks]
        states, fitted = np.array(facts, dtype=np.int64).reshape(n, 2).T
        fitted = fitted.astype(bool)
        parameters = np.array(tracks.parameters, dtype=np.float64).reshape(n, 6)
        covariance = np.array(tracks.covariance, dtype=np.float64).reshape(n, 6, 6)
        columns: dict[str, np.ndarray] = {
            "track_nr": np.arange(n),
            "nStates": states,
            "chi2Sum": np.array(tracks.chi2),
            "NDF": np.array(tracks.ndf),
        }
        columns |= {name: np.array(getattr(tracks, name)) for name in _COUNTS[1:]}
        columns |= fitted_columns(parameters, covariance, fitted)
        truth = self._truth.columns(context.eventStore, n, reference_point(tracks, context))
        columns |= truth
        values = np.stack([columns[f"e{name}_fit"] for name in PARAMETERS], axis=1)
        sigma = np.stack([columns[f"err_e{name}_fit"] for name in PARAMETERS], axis=1)
        columns |= residual_columns(values, sigma, truth_parameters(truth))
        if self._covariances:
            columns |= covariance_columns(covariance, fitted)
        return ListBlock(np.array([n]), columns)

    def _state_blocks(self, tracks: Any, context: Any) -> dict[str, ListBlock]:
        states = collect_states(tracks, context.recoGeoContext, self._frames, withParameters=False)
        blocks = {}
        for kind, name in enumerate(("measurement", "outlier")):
            chosen = states.kind == kind
            ids = states.geometry_id[chosen]
            columns = {
                f"{name}Chi2": states.chi2[chosen],
                f"{name}Volume": (ids >> np.uint64(56)) & np.uint64(0xFF),
                f"{name}Layer": (ids >> np.uint64(36)) & np.uint64(0xFFF),
            }
            blocks[f"n_{name}_states"] = ListBlock(np.array([len(ids)]), columns)
        return blocks


def reference_point(tracks: Any, context: Any) -> tuple[float, float, float]:
    """Centre of the surface that the tracks' parameters are at, mm.

    All tracks of a fit have the same one, so that of the first fitted track is taken.
    """
    for track in tracks:
        if track.hasReferenceSurface:
            center = track.referenceSurface.center(context.recoGeoContext)
            return center[0], center[1], center[2]
    return 0.0, 0.0, 0.0


def addTrackWriters(
    s: Any,
    name: str,
    inputTracks: str,
    outputDir: str | os.PathLike[str],
    matcher: TrackMatcher | None = None,
    inputMatching: str = "",
    inputParticleTable: str = "particle_table",
    inputMeasurementTruthTable: str = "measurement_truth_table",
    writeSummary: bool = True,
    writeStates: bool = False,
    writeCovMat: bool = False,
    writeStateLists: bool = False,
    inputMeasurementTable: str = "",
    force: bool = False,
    provenance: Mapping[str, Any] | None = None,
    logLevel: Any = acts.logging.WARNING,
) -> Any:
    """Add writers of `tracksummary_{name}.root` and `trackstates_{name}.root`.

    Args:
        s: the sequencer.
        name: of finder and fit, for the file names.
        inputTracks: key of the tracks.
        outputDir: folder of the files; made if it is not there.
        matcher: rule that finds the majority particle of each track, as
            `trkx.algorithms.matching.match_tracks`; or
        inputMatching: key of an `ArrowTable` with these particles. With neither, truth branches
            have no values.
        inputParticleTable: key of the particles' `ArrowTable`.
        inputMeasurementTruthTable: key of the `ArrowTable` with the particles of measurements.
        writeSummary: write `tracksummary`.
        writeStates: write `trackstates`, which takes about a second per 2000 tracks.
        writeCovMat: write the covariances to `tracksummary`.
        writeStateLists: write chi2, volume and layer of all states to `tracksummary`.
        inputMeasurementTable: key of the measurements' `ArrowTable`, for the hit and truth
            branches of `trackstates`; the reader's `outputMeasurementTable`.
        force: replace files that are there.
        provenance: stored in the files as JSON.
        logLevel: log level.

    Returns:
        the sequencer.
    """
    table = ""
    if matcher is not None and (writeSummary or writeStates):
        table = f"{inputTracks}_{name}_writer_table".replace("-", "_").replace("+", "_")
        s.addAlgorithm(
            acts.examples.arrow.ArrowTrackOutputConverter(
                level=logLevel, inputTracks=inputTracks, outputTable=table
            )
        )
    common = {
        "inputTracks": inputTracks,
        "inputMatching": inputMatching,
        "matcher": matcher,
        "inputTrackTable": table,
        "inputParticleTable": inputParticleTable,
        "inputMeasurementTruthTable": inputMeasurementTruthTable,
        "force": force,
        "provenance": provenance,
        "level": logLevel,
    }
    folder = Path(outputDir)
    if writeSummary:
        s.addAlgorithm(
            UprootTrackSummaryWriter(
                folder / f"tracksummary_{name}.root",
                writeCovMat=writeCovMat,
                writeStateLists=writeStateLists,
                **common,
            )
        )
    if writeStates:
        s.addAlgorithm(
            UprootTrackStatesWriter(
                folder / f"trackstates_{name}.root",
                inputMeasurementTable=inputMeasurementTable,
                **common,
            )
        )
    return s


def _layout(name: str, covariances: bool, states: bool) -> TreeLayout:
    columns: dict[str, Any] = {"track_nr": np.uint32, **dict.fromkeys(_COUNTS, np.uint32)}
    columns |= {"chi2Sum": np.float32, "NDF": np.uint32} | TRUTH_TYPES
    columns |= {"hasFittedParams": np.bool_, **dict.fromkeys(_FIT_COLUMNS, np.float32)}
    if covariances:
        columns |= dict.fromkeys(
            (f"cov_e{a}_e{b}" for a in PARAMETERS for b in PARAMETERS), np.float32
        )
    lists: dict[str, dict[str, Any]] = {"n_tracks": columns}
    if states:
        for kind in ("measurement", "outlier"):
            lists[f"n_{kind}_states"] = {f"{kind}{k}": t for k, t in _STATE_COLUMNS.items()}
    return TreeLayout(name, "one entry per event", {"event_nr": np.uint32}, lists)
