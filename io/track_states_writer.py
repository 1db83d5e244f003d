"""States of tracks to a ROOT file in ACTS' schema, on uproot."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.io.event import BARCODE
from trkx.io.event_tables import columns_of_table, links_of_table
from trkx.io.track_columns import PARAMETERS, residual_columns
from trkx.io.track_states import STATE_SETS, StateColumns, SurfaceFrames, collect_states
from trkx.io.track_truth import TrackMatcher
from trkx.io.tree_writer import ListBlock, TreeLayout, TreeWriter

__all__ = ["UprootTrackStatesWriter"]

_TRUE_PARAMETERS = ("true_loc0", "true_loc1", "true_phi", "true_theta", "true_qop", "true_time")
_POSITIONS = ("g_x", "g_y", "g_z")
_MOMENTA = ("px", "py", "pz", "eta", "pT")


class UprootTrackStatesWriter(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Writes tree `trackstates`: one entry per track, one item per state, from the last inwards.

    Branch names are those of ACTS' RootTrackStatesWriter, with the counter `n_states`. There are
    no unbiased states: `nUnbiased` is 0 and branches ending in `_ubs` are left out. The five
    `particle_ids_…` of ACTS, one list per state, are laid end to end (counter
    `n_particle_ids`); `n_particles` says how many belong to each state.

    The file gets its name when the sequencer has gone through all events.

    Args:
        filePath: the file to write.
        inputTracks: key of the tracks (`ConstTrackContainer`).
        inputMeasurementTable: key of the measurements' `ArrowTable`; without it, branches about
            measured and true positions are NaN.
        inputParticleTable, inputMeasurementTruthTable: keys of the `ArrowTable`s with the
            particles, and those of each measurement. They are read if a `matcher` or
            `inputMatching` says that there is truth; otherwise states have no particles.
        inputMatching, matcher, inputTrackTable: as of `UprootTrackSummaryWriter`.
        treeName: name of the tree.
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
        inputMeasurementTable: str = "",
        inputParticleTable: str = "particle_table",
        inputMeasurementTruthTable: str = "measurement_truth_table",
        inputMatching: str = "",
        matcher: TrackMatcher | None = None,
        inputTrackTable: str = "",
        treeName: str = "trackstates",
        force: bool = False,
        provenance: Mapping[str, Any] | None = None,
        level: Any = acts.logging.INFO,
    ) -> None:
        acts.examples.IAlgorithm.__init__(self, "UprootTrackStatesWriter", level)
        truth = matcher is not None or bool(inputMatching)
        self._tracks = self._handle(acts.examples.ConstTrackContainer, "InputTracks", inputTracks)
        table = acts.arrow.ArrowTable
        self._measurements = self._handle(table, "InputMeasurementTable", inputMeasurementTable)
        self._particles = self._handle(table, "InputParticleTable", truth and inputParticleTable)
        self._links = self._handle(
            table, "InputMeasurementTruthTable", truth and inputMeasurementTruthTable
        )
        self._frames = SurfaceFrames()
        self._lock = threading.Lock()
        self._writer = TreeWriter(filePath, _layout(treeName), force, provenance)

    def _handle(self, kind: Any, name: str, key: str | bool) -> Any:
        if not key:
            return None
        handle = acts.examples.ReadDataHandle(self, kind, name)
        handle.initialize(key)
        return handle

    def execute(self, context: Any) -> Any:
        """Write one event."""
        store = context.eventStore
        tracks = self._tracks(store)
        with self._lock:
            states = collect_states(tracks, context.recoGeoContext, self._frames)
        columns = _state_columns(states)
        columns |= self._hit_columns(states, store)
        truth = np.stack([columns[f"t_e{name}"] for name in PARAMETERS], axis=1)
        for kind, suffix in STATE_SETS.items():
            columns |= _parameter_columns(states, kind, suffix, truth, self._frames)
        ids, n_particles = self._particle_ids(states, store)
        columns["n_particles"] = n_particles
        of_track = np.repeat(np.arange(len(tracks)), states.counts)
        flat = {
            "event_nr": np.full(len(tracks), context.eventNumber),
            "track_nr": np.arange(len(tracks)),
            "nStates": states.counts,
            "nMeasurements": np.array(tracks.nMeasurements),
            "nUnbiased": np.zeros(len(tracks)),
        }
        for kind in STATE_SETS:
            flat[f"n{kind.capitalize()}"] = np.bincount(
                of_track[columns[kind]], minlength=len(tracks)
            )
        ids_per_track = np.bincount(of_track, weights=n_particles, minlength=len(tracks))
        blocks = {
            "n_states": ListBlock(states.counts, columns),
            "n_particle_ids": ListBlock(ids_per_track.astype(np.int64), ids),
        }
        with self._lock:
            self._writer.extend(flat, blocks)
        return acts.examples.ProcessCode.SUCCESS

    def finalize(self) -> Any:
        """Finish the file and give it its name."""
        self._writer.close()
        return acts.examples.ProcessCode.SUCCESS

    def _hit_columns(self, states: StateColumns, store: Any) -> dict[str, np.ndarray]:
        n = len(states.kind)
        table = columns_of_table(self._measurements(store)) if self._measurements else {}
        known = states.measurement >= 0
        safe = np.where(known, states.measurement, 0)

        def take(name: str) -> np.ndarray:
            if name not in table or not len(table[name]):
                return np.full(n, np.nan)
            return np.where(known, table[name].astype(np.float64)[safe], np.nan)

        local = np.stack([take("rec_loc0"), take("rec_loc1")], axis=1)
        columns = {"l_x_hit": local[:, 0], "l_y_hit": local[:, 1]}
        columns["dim_hit"] = (~np.isnan(local)).sum(axis=1) if table else np.where(known, 2, 0)
        position = self._frames.to_global(states.geometry_id, np.nan_to_num(local))
        position[np.isnan(local[:, 0])] = np.nan
        columns |= dict(zip(("g_x_hit", "g_y_hit", "g_z_hit"), position.T, strict=True))
        columns |= {
            f"t_e{ours}": take(theirs)
            for ours, theirs in zip(PARAMETERS, _TRUE_PARAMETERS, strict=True)
        }
        columns |= {f"t_{axis}": take(f"true_{axis}") for axis in "xyz"}
        columns["t_r"] = np.hypot(columns["t_x"], columns["t_y"])
        direction = _direction(columns["t_ePHI"], columns["t_eTHETA"])
        columns |= dict(zip(("t_dx", "t_dy", "t_dz"), direction, strict=True))
        for axis, i in (("x", 0), ("y", 1)):
            residual = local[:, i] - columns[f"t_eLOC{i}"]
            sigma = np.sqrt(take(f"var_loc{i}"))
            columns[f"res_{axis}_hit"] = residual
            columns[f"err_{axis}_hit"] = sigma
            columns[f"pull_{axis}_hit"] = residual / sigma
        return columns

    def _particle_ids(
        self, states: StateColumns, store: Any
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if not self._links:
            nothing = {f"particle_ids_{name}": np.zeros(0, np.uint32) for name in BARCODE}
            return nothing, np.zeros(len(states.kind), dtype=np.int64)
        offsets, rows = links_of_table(self._links(store))
        particles = columns_of_table(self._particles(store))
        known = states.measurement >= 0
        safe = np.where(known, states.measurement, 0)
        if len(offsets) < 2:
            known, starts, counts = known & False, safe * 0, safe * 0
        else:
            starts = offsets[safe]
            counts = np.where(known, offsets[safe + 1] - starts, 0)
        ends = np.cumsum(counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        chosen = rows[np.repeat(starts, counts) + within]
        return {f"particle_ids_{name}": particles[name][chosen] for name in BARCODE}, counts


def _state_columns(states: StateColumns) -> dict[str, np.ndarray]:
    ids = states.geometry_id
    return {
        "volume_id": (ids >> np.uint64(56)) & np.uint64(0xFF),
        "layer_id": (ids >> np.uint64(36)) & np.uint64(0xFFF),
        "module_id": (ids >> np.uint64(8)) & np.uint64(0xFFFFF),
        "stateType": states.kind,
        "chi2": states.chi2,
        "pathLength": states.path_length,
    }


def _parameter_columns(
    states: StateColumns, kind: str, suffix: str, truth: np.ndarray, frames: SurfaceFrames
) -> dict[str, np.ndarray]:
    values, variances = states.parameters[kind], states.variances[kind]
    there = ~np.isnan(values[:, 0])
    positive = np.nan_to_num(variances, nan=0.0) > 0
    sigma = np.where(positive, np.sqrt(np.where(positive, variances, 0.0)), np.nan)
    columns: dict[str, np.ndarray] = {kind: there}
    for i, name in enumerate(PARAMETERS):
        columns[f"e{name}_{suffix}"] = values[:, i]
        columns[f"err_e{name}_{suffix}"] = sigma[:, i]
    columns |= residual_columns(values, sigma, truth, f"_{suffix}")
    position = frames.to_global(states.geometry_id, values[:, :2])
    columns |= dict(zip((f"{n}_{suffix}" for n in _POSITIONS), position.T, strict=True))
    dx, dy, dz = _direction(values[:, 2], values[:, 3])
    qop = values[:, 4]
    charged = there & (qop != 0)
    momentum = np.where(charged, 1.0 / np.abs(np.where(charged, qop, 1.0)), np.nan)
    sine = np.where(there, np.sin(values[:, 3]), 1.0)
    transverse = np.where(sine == 0, 1e-12, sine)
    columns[f"px_{suffix}"] = momentum * dx
    columns[f"py_{suffix}"] = momentum * dy
    columns[f"pz_{suffix}"] = momentum * dz
    columns[f"eta_{suffix}"] = np.arcsinh(dz / transverse)
    columns[f"pT_{suffix}"] = momentum * transverse
    return columns


def _direction(phi: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sine = np.sin(theta)
    return sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)


def _layout(name: str) -> TreeLayout:
    integers = dict.fromkeys(("volume_id", "layer_id", "module_id", "stateType"), np.int32)
    floats = ["chi2", "pathLength", "t_x", "t_y", "t_z", "t_r", "t_dx", "t_dy", "t_dz"]
    floats += [f"t_e{name}" for name in PARAMETERS]
    floats += ["l_x_hit", "l_y_hit", "g_x_hit", "g_y_hit", "g_z_hit"]
    floats += [f"{kind}_{axis}_hit" for kind in ("res", "err", "pull") for axis in "xy"]
    for suffix in STATE_SETS.values():
        for prefix in ("", "res_", "err_", "pull_"):
            floats += [f"{prefix}e{parameter}_{suffix}" for parameter in PARAMETERS]
        floats += [f"{quantity}_{suffix}" for quantity in (*_POSITIONS, *_MOMENTA)]
    states: dict[str, Any] = {**integers, "dim_hit": np.int32, "n_particles": np.int32}
    states |= dict.fromkeys(floats, np.float32) | dict.fromkeys(STATE_SETS, np.bool_)
    flat: dict[str, Any] = dict.fromkeys(
        ("event_nr", "track_nr", "nStates", "nMeasurements"), np.uint32
    )
    flat |= dict.fromkeys((f"n{k.capitalize()}" for k in (*STATE_SETS, "unbiased")), np.int32)
    ids = dict.fromkeys((f"particle_ids_{name}" for name in BARCODE), np.uint32)
    return TreeLayout(
        name, "one entry per track", flat, {"n_states": states, "n_particle_ids": ids}
    )
