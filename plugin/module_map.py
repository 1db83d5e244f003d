"""The module map: which modules follow one another on tracks, and within which cuts.

The map is statistics of true triplets: for every triplet of modules that particles crossed one
after the other, how many did, and the smallest, largest, mean and root-mean-square value of the
quantities that the cuts are made of. Statistics add up, so maps of different events merge, and
the width of the cuts is chosen when the map is used.

Modules may share their statistics: rings of modules that a rotation about the beam line maps onto
one another, or, with the mirror image at -z, pairs of rings. A map of rings ("cells") has 4,600
triplets where one of single modules has millions, and needs a hundredth of the events.

References: Biscarat et al., EPJ Web Conf. 251, 03047 (2021), arXiv:2103.00916; GNN4ITk,
ATL-ITK-PROC-2022-006. Departures: cells; by default slopes dy/dx are taken in a frame turned to
the middle hit, where they do not diverge and do not depend on the azimuth.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from trkx.plugin.errors import DetectorMismatchError, StageError, WeightsError

FORMAT = "trkx-module-map"
VERSION = 1

DOUBLET_QUANTITIES = ("z0", "dphi", "phiSlope", "deta")
"""z at r = 0 (mm), azimuth of the outer less that of the inner hit (rad), the same per radius
(rad/mm), and pseudorapidity of the inner less that of the outer hit"""
TRIPLET_QUANTITIES = ("diff_dydx", "diff_dzdr")
"""slope of the inner less that of the outer doublet, transverse and in r-z"""
QUANTITIES = (
    *(f"{name}_12" for name in DOUBLET_QUANTITIES),
    *(f"{name}_23" for name in DOUBLET_QUANTITIES),
    *TRIPLET_QUANTITIES,
)
MIRROR_SIGN = np.array([-1, 1, 1, -1, -1, 1, 1, -1, 1, -1], np.float64)
"""what a reflection at z = 0 does to the quantities; the curvature in a solenoid stays"""
FRAMES = ("hit", "global")
METHODS = ("meanrms", "minmax")


@dataclass(frozen=True)
class Modules:
    """The M modules of a detector, and the C cells that share statistics."""

    geometry_id: np.ndarray  # (M,) uint64, ascending
    cell: np.ndarray  # (M,) int32, 0 to C - 1
    mirror: np.ndarray  # (C,) int32, cell at -z; the cell itself where there is no such symmetry

    @classmethod
    def single(cls, geometry_id: np.ndarray) -> Modules:
        """Every module is a cell of its own."""
        ids = np.unique(np.asarray(geometry_id, np.uint64))
        cells = np.arange(len(ids), dtype=np.int32)
        return cls(ids, cells, cells)

    @classmethod
    def load(cls, path: Path | str) -> Modules:
        """Read the modules of a detector from an .npz file, which a module map is as well.

        Raises:
            WeightsError: no such file, or of another kind.
        """
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as data:
                return cls(*(data[f.name] for f in fields(cls)))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise WeightsError(
                f"{path}: cannot be read as modules of a detector ({error})"
            ) from error

    def save(self, path: Path | str) -> None:
        """Write them as .npz."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def n_cells(self) -> int:
        return len(self.mirror)

    def cells(self, geometry_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Module (N,) int32 and cell (N,) int32 of each geometry id.

        Raises:
            DetectorMismatchError: an id that is none of these modules.
        """
        ids = np.asarray(geometry_id, np.uint64)
        row = np.minimum(np.searchsorted(self.geometry_id, ids), len(self.geometry_id) - 1)
        bad = self.geometry_id[row] != ids
        if bad.any():
            i = int(np.argmax(bad))
            raise DetectorMismatchError(
                f"{int(bad.sum())} of {len(ids)} space points are on modules that the module map "
                f"does not know, first at row {i}: geometry id {ids[i]}. The map was made for "
                "another detector: learn one for this with 'trkx train module_map'"
            )
        return row.astype(np.int32), self.cell[row]


@dataclass(frozen=True)
class TripletStatistics:
    """Statistics of T triplets of cells; arrays are (T, 10), columns `QUANTITIES`."""

    key: np.ndarray  # (T,) int64, (first * C + second) * C + third cell, ascending
    count: np.ndarray  # (T,) int64, occurrences
    low: np.ndarray  # float32, smallest value
    high: np.ndarray  # float32, largest value
    total: np.ndarray  # float64, sum
    squares: np.ndarray  # float64, sum of squares

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def empty(cls) -> TripletStatistics:
        nothing = np.zeros((0, len(QUANTITIES)))
        ints = np.zeros(0, np.int64)
        low = nothing.astype(np.float32)
        return cls(ints, ints, low, low, nothing, nothing)

    @classmethod
    def of(cls, key: np.ndarray, values: np.ndarray) -> TripletStatistics:
        """Statistics of single triplets: keys (K,) and quantities (K, 10)."""
        v = np.asarray(values, np.float32)
        wide = v.astype(np.float64)
        one = np.ones(len(key), np.int64)
        return cls.combine([cls(np.asarray(key, np.int64), one, v, v, wide, wide * wide)])

    @classmethod
    def combine(cls, parts: Sequence[TripletStatistics]) -> TripletStatistics:
        """The statistics of all parts together."""
        if sum(len(p) for p in parts) == 0:
            return cls.empty()
        columns = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        order = np.argsort(columns["key"], kind="stable")
        columns = {name: c[order] for name, c in columns.items()}
        key, start = np.unique(columns["key"], return_index=True)
        return cls(
            key,
            np.add.reduceat(columns["count"], start),
            np.minimum.reduceat(columns["low"], start, axis=0),
            np.maximum.reduceat(columns["high"], start, axis=0),
            np.add.reduceat(columns["total"], start, axis=0),
            np.add.reduceat(columns["squares"], start, axis=0),
        )

    def take(self, rows: np.ndarray) -> TripletStatistics:
        """Some of the triplets, in ascending order of rows."""
        return TripletStatistics(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count[:, None]

    @property
    def rms(self) -> np.ndarray:
        """Root mean square deviation from the mean."""
        return np.sqrt(np.maximum(self.squares / self.count[:, None] - self.mean**2, 0.0))

    def windows(self, method: str = "meanrms", n_rms: float = 4.0, margin: float = 0.02):
        """(T, 10, 2) float32: range that the quantities of a triplet must be in.

        Args:
            method: 'minmax': what was seen; 'meanrms': mean ± `n_rms` times the rms, within what
                was seen, for triplets seen more than ten times (the hybrid of ModuleMapGraph).
            n_rms: see there.
            margin: ranges are widened by this fraction of their width at both ends.
        """
        if method not in METHODS:
            raise StageError(f"module map: no method '{method}'; choose one of {METHODS}")
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        if method == "meanrms":
            often = self.count[:, None] > 10
            reach = n_rms * self.rms
            low = np.where(often, np.maximum(low, self.mean - reach), low)
            high = np.where(often, np.minimum(high, self.mean + reach), high)
        extra = margin * (high - low)
        return np.stack([low - extra, high + extra], axis=2).astype(np.float32)


@dataclass(frozen=True)
class ModuleMap:
    """Modules with the statistics of the triplets of their cells."""

    modules: Modules
    statistics: TripletStatistics
    frame: str = "hit"  # slopes dy/dx are taken with x through the middle hit ('hit'), or as they
    #   are ('global', as ModuleMapGraph does; only sensible where every module is a cell)
    meta: dict[str, Any] = field(default_factory=dict)  # provenance

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise StageError(f"module map: no frame '{self.frame}'; choose one of {FRAMES}")

    @property
    def triplets(self) -> np.ndarray:
        """(3, T) int64, cells of each triplet."""
        n = self.modules.n_cells
        key = self.statistics.key
        return np.stack([key // (n * n), key // n % n, key % n])

    def merge(self, other: ModuleMap) -> ModuleMap:
        """The map of the events of both.

        Raises:
            StageError: they are not maps of one detector with the same cells and frame.
        """
        same = self.frame == other.frame and all(
            np.array_equal(getattr(self.modules, f.name), getattr(other.modules, f.name))
            for f in fields(Modules)
        )
        if not same:
            raise StageError("module maps of different detectors, cells or frames cannot be merged")
        both = TripletStatistics.combine([self.statistics, other.statistics])
        return replace(self, statistics=both)

    def mirrored(self) -> ModuleMap:
        """The map of the same events reflected at z = 0."""
        n = self.modules.n_cells
        a, b, c = self.modules.mirror[self.triplets].astype(np.int64)
        s = self.statistics
        key = (a * n + b) * n + c
        order = np.argsort(key)
        turned = MIRROR_SIGN < 0
        statistics = TripletStatistics(
            key,
            s.count,
            np.where(turned, -s.high, s.low),
            np.where(turned, -s.low, s.high),
            s.total * MIRROR_SIGN,
            s.squares,
        )
        return replace(self, statistics=statistics.take(order))

    def save(self, path: Path | str) -> str:
        """Write the map as .npz without pickles; returns the sha256 of the file."""
        s = self.statistics
        header = {"format": FORMAT, "version": VERSION, "frame": self.frame, "meta": self.meta}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
            geometry_id=self.modules.geometry_id,
            cell=self.modules.cell,
            mirror=self.modules.mirror,
            key=s.key,
            count=s.count,
            low=s.low,
            high=s.high,
            mean=s.mean.astype(np.float32),
            rms=s.rms.astype(np.float32),
        )
        Path(path).write_bytes(buffer.getvalue())
        return hashlib.sha256(buffer.getvalue()).hexdigest()

    @classmethod
    def load(cls, path: Path | str) -> ModuleMap:
        """Read a map.

        Raises:
            WeightsError: not there, not a module map, another version, or corrupt.
        """
        path = Path(path)
        if not path.is_file():
            raise WeightsError(
                f"module map: no such file {path}; learn one with 'trkx train module_map'"
            )
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                a = {name: data[name] for name in data.files}
            header = json.loads(a["header"].tobytes())
        except Exception as error:
            raise WeightsError(
                f"module map {path}: cannot be read as a module map ({error}); the file is corrupt "
                "or of another kind: learn one with 'trkx train module_map'"
            ) from error
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise WeightsError(
                f"module map {path}: found format {header.get('format')!r} version "
                f"{header.get('version')!r}, expected {FORMAT!r} version {VERSION}; learn it anew "
                "with 'trkx train module_map'"
            )
        statistics = from_moments(a["key"], a["count"], a["low"], a["high"], a["mean"], a["rms"])
        modules = Modules(a["geometry_id"], a["cell"], a["mirror"])
        return cls(modules, statistics, header["frame"], header["meta"])


def from_moments(
    key: np.ndarray,
    count: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    mean: np.ndarray,
    rms: np.ndarray,
) -> TripletStatistics:
    """Statistics from means and root mean square deviations."""
    n = count[:, None].astype(np.float64)
    mean, rms = mean.astype(np.float64), rms.astype(np.float64)
    return TripletStatistics(key, count, low, high, mean * n, (rms**2 + mean**2) * n)
