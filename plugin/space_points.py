"""What track finding reads: the columns of an event's space points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trkx.plugin.errors import SpacePointError

# Columns that tables of space points with strip clusters have as well.
_CLUSTER_COLUMNS = ("is_strip", *(f"cluster{i}_{axis}" for i in (1, 2) for axis in "xyz"))
_SIZE_COLUMNS = ("clus_size_loc0", "clus_size_loc1")
OPTIONAL_COLUMNS = (*_SIZE_COLUMNS, *_CLUSTER_COLUMNS)
"""Columns of a space-point table that are used when they are there."""


@dataclass(frozen=True)
class SpacePoints:
    """Columns of the N space points of one event, in input order."""

    x: np.ndarray  # (N,) float32, mm
    y: np.ndarray  # (N,) float32, mm
    z: np.ndarray  # (N,) float32, mm
    geometry_id: np.ndarray  # (N,) uint64, ACTS geometry identifier of the module
    size0: np.ndarray | None = None  # (N,) float32, cluster extent along local 0, channels
    size1: np.ndarray | None = None  # (N,) float32, cluster extent along local 1, channels
    strip: np.ndarray | None = None  # (N,) bool, True: made of two strip clusters
    clusters: np.ndarray | None = None  # (N, 2, 3) float32, global positions of the first and the
    #   second cluster, mm; NaN for the second of a space point that has one only
    event: int = -1  # number of the event, for stages that read or write files; -1: not known

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in ("y", "z", "geometry_id", "size0", "size1", "strip", "clusters"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise SpacePointError(
                    f"space points: column '{name}' has {len(column)} rows, 'x' has {n}; "
                    "all columns must have one row per space point"
                )
        for name in "xyz":
            bad = ~np.isfinite(getattr(self, name))
            if bad.any():
                raise SpacePointError(
                    f"space points: {int(bad.sum())} of {n} values of '{name}' are NaN or "
                    f"infinite, first at row {int(np.argmax(bad))}; remove these rows first"
                )

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> SpacePoints:
        """Some of the space points: `rows` are their numbers, or (N,) bool."""
        columns = {k: v[rows] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, **columns)

    def with_types(
        self, strip_volumes: Sequence[int] = (), single_clusters: bool = False
    ) -> SpacePoints:
        """Fill in what files do not tell of pixels and strips; what they tell is kept.

        Args:
            strip_volumes: volumes of the detector whose space points are strips.
            single_clusters: take each space point for its own, only cluster.
        """
        strip, clusters = self.strip, self.clusters
        if strip is None and len(strip_volumes):
            volume = (self.geometry_id >> np.uint64(56)).astype(np.int64)
            strip = np.isin(volume, strip_volumes)
        if clusters is None and single_clusters:
            position = np.stack([self.x, self.y, self.z], axis=1)
            clusters = np.stack([position, np.full_like(position, np.nan)], axis=1)
        return replace(self, strip=strip, clusters=clusters)

    @classmethod
    def from_columns(cls, columns: Mapping[str, np.ndarray], event: int = -1) -> SpacePoints:
        """Take the columns of a `spacepoints` table; cluster sizes are used when present."""

        def column(name: str) -> np.ndarray:
            try:
                return np.ascontiguousarray(columns[name], dtype=np.float32)
            except KeyError:
                raise SpacePointError(
                    f"space points: no column '{name}'; found {', '.join(sorted(columns))}"
                ) from None

        has_sizes = all(name in columns for name in _SIZE_COLUMNS)
        if "geometry_id" not in columns:
            raise SpacePointError(
                f"space points: no column 'geometry_id'; found {', '.join(sorted(columns))}"
            )
        strip = clusters = None
        if all(name in columns for name in _CLUSTER_COLUMNS):
            strip = np.ascontiguousarray(columns["is_strip"], dtype=bool)
            clusters = np.stack([column(name) for name in _CLUSTER_COLUMNS[1:]], axis=1)
            clusters = clusters.reshape(-1, 2, 3)
        return cls(
            x=column("x"),
            y=column("y"),
            z=column("z"),
            geometry_id=np.ascontiguousarray(columns["geometry_id"], dtype=np.uint64),
            size0=column(_SIZE_COLUMNS[0]) if has_sizes else None,
            size1=column(_SIZE_COLUMNS[1]) if has_sizes else None,
            strip=strip,
            clusters=clusters,
            event=event,
        )


@dataclass(frozen=True)
class LabelledEvent:
    """Space points with their truth, for training and for truth metrics.

    A space point of a merged cluster belongs to several particles: truth is a jagged table,
    `offsets` (N+1,) into `particle` (rows of the particle columns).
    """

    space_points: SpacePoints
    offsets: np.ndarray  # (N+1,) int64
    particle: np.ndarray  # (offsets[-1],) int64, row of the particle
    pt: np.ndarray  # (P,) float32, GeV
    eta: np.ndarray  # (P,) float32
    charge: np.ndarray  # (P,) float32, e
    vertex: np.ndarray  # (P, 3) float32, production vertex, mm

    @property
    def n_hits(self) -> np.ndarray:
        """(P,) int64, number of space points to which each particle contributes."""
        return np.bincount(self.particle, minlength=len(self.pt))

    def targets(self, pt_min: float, eta_max: float = 4.0, hits_min: int = 7) -> np.ndarray:
        """(P,) bool: charged, pT > `pt_min` (GeV), |eta| < `eta_max`, >= `hits_min` hits."""
        return (
            (self.charge != 0)
            & (self.pt > pt_min)
            & (np.abs(self.eta) < eta_max)
            & (self.n_hits >= hits_min)
        )
