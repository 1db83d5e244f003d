"""Clusters and space points of an Athena dump as the columns of an event."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from trkx.io import event_checks as checks
from trkx.io.athena_dump import HARDWARE, AthenaDump, DumpColumns
from trkx.io.athena_schema import TREE
from trkx.io.athena_truth import PARTICLE_BRANCHES, link_clusters, make_particles
from trkx.io.errors import EventContentError
from trkx.io.event import Event
from trkx.io.root_table import Jagged
from trkx.io.schema import STRIP_COLUMNS

__all__ = ["AthenaOptions", "read_event"]

_CLUSTERS = (
    *("CLindex", "CLx", "CLy", "CLz", "CLmoduleID", HARDWARE, "CLbarrel_endcap"),
    *("CLloc_direction1", "CLloc_direction2", "CLlocal_cov"),
)
_SPACE_POINTS = ("SPx", "SPy", "SPz", "SPCL1_index", "SPCL2_index", "SPisOverlap")
_SIZES = ("clus_size_loc0", "clus_size_loc1")
_LINKS = ("CLparticleLink_eventIndex", "CLparticleLink_barcode")
NO_OVERLAP, ETA, PHI, BOTH = range(4)


@dataclass(frozen=True)
class AthenaOptions:
    """How dumps are read."""

    tree: str = TREE  # name of the tree; Athena's flag Tracking.GNN.DumpObjects.NtupleTreeName
    skip_overlap_eta: bool = False  # leave out strip space points of modules that overlap in eta
    skip_overlap_phi: bool = False  # the same in phi, as GNN4ITk's example does; 3 is both


def read_event(
    dump: AthenaDump,
    entry: int,
    number: int,
    truth: bool,
    columns: Collection[str] | None,
    options: AthenaOptions,
    geometry_ids: np.ndarray | None,
) -> Event:
    """Read one entry as an event.

    Args:
        dump: the file.
        entry: number of the entry.
        number: number that the event is given.
        truth: read particles and links.
        columns: columns to read besides the necessary ones; None: all.
        options: which space points are left out.
        geometry_ids: ids of the detector's sensitive surfaces, ascending; None: any are right.

    Raises:
        InputError: the event is damaged or contradicts itself; see `trkx.io.errors`.
    """
    wanted = [name for name in _SIZES if columns is None or name in columns]
    cells = ("CLphis", "CLetas") if wanted else ()
    covariances = [n for n, c in (("SPcovr", "var_r"), ("SPcovz", "var_z"))
                   if columns is None or c in columns]  # fmt: skip
    names = [*_CLUSTERS, *_SPACE_POINTS, *cells, *covariances]
    found = dump.read(entry, [*names, *_LINKS] if truth else names)
    where = dump.where(entry)
    measurements = _measurements(found, where)
    if wanted and "CLphis" in found and "CLetas" in found:
        measurements |= _cluster_sizes(found, where)
    if geometry_ids is not None:
        checks.check_geometry_ids(measurements["geometry_id"], geometry_ids, where, "CLmoduleID")
    space_points = _space_points(found, measurements, options, where)
    if not truth:
        return Event(number, space_points, measurements)
    particles = dump.read(entry, PARTICLE_BRANCHES)
    links = [found[name] for name in _LINKS]
    assert isinstance(links[0], Jagged) and isinstance(links[1], Jagged)
    offsets, rows, unlisted = link_clusters(links[0], links[1], particles, where)
    return Event(
        number,
        space_points,
        measurements,
        make_particles(particles, unlisted, where),
        offsets,
        rows,
    )


def _array(found: DumpColumns, name: str) -> np.ndarray:
    column = found[name]
    assert isinstance(column, np.ndarray)
    return column


def _measurements(found: DumpColumns, where: str) -> dict[str, np.ndarray]:
    """One measurement per cluster: of pixels both coordinates, of strips one.

    Strips measure local 0 in the barrel and local 1 in the endcaps, as ACTS' reader takes them.
    Where the file has no local coordinates, as that of ACTS' writer, they are 0.
    """
    arrays = {name: column for name, column in found.items() if isinstance(column, np.ndarray)}
    checks.check_finite(arrays, ("CLx", "CLy", "CLz"), where)
    strip = _array(found, HARDWARE)
    n = len(strip)
    endcap = arrays.get("CLbarrel_endcap", np.zeros(n, np.int64)) != 0
    measured = np.stack([~(strip & endcap), ~(strip & ~endcap)], axis=1)
    local = np.stack(
        [arrays.get(f"CLloc_direction{i}", np.zeros(n)) for i in (1, 2)], axis=1
    ).astype(np.float32)
    variance = _variances(found, strip, endcap, where)
    columns: dict[str, np.ndarray] = {
        "geometry_id": arrays["CLmoduleID"],
        "measurement_id": np.arange(n, dtype=np.uint64),
        **{f"rec_g{axis}": arrays[f"CL{axis}"].astype(np.float32) for axis in "xyz"},
        "is_strip": strip,
    }
    if (columns["geometry_id"] == 0).any():
        row = int(np.argmax(columns["geometry_id"] == 0))
        raise EventContentError(
            f"CLmoduleID is 0 in row {row} of {where}, {int((columns['geometry_id'] == 0).sum())} "
            "times in all; a cluster without module cannot be placed"
        )
    for axis in (0, 1):
        bad = measured[:, axis] & ~np.isfinite(local[:, axis])
        checks.check_finite(
            {f"CLloc_direction{axis + 1}": np.where(bad, np.nan, 0.0)},
            (f"CLloc_direction{axis + 1}",),
            where,
        )
        columns[f"rec_loc{axis}"] = np.where(measured[:, axis], local[:, axis], np.float32(np.nan))
        columns[f"var_loc{axis}"] = np.where(measured[:, axis], variance[:, axis], np.nan)
        columns[f"var_loc{axis}"] = columns[f"var_loc{axis}"].astype(np.float32)
        checks.check_coordinate(columns, f"loc{axis}", where)
    return columns


def _variances(found: DumpColumns, strip: np.ndarray, endcap: np.ndarray, where: str) -> np.ndarray:
    """(N, 2) variances, mm²; NaN where the file has no covariances."""
    covariance = found.get("CLlocal_cov")
    if not isinstance(covariance, Jagged):
        return np.full((len(strip), 2), np.nan)
    counts, start, content = covariance.counts, covariance.offsets[:-1], covariance.content
    short = np.flatnonzero(np.where(strip, counts < 1, counts < 4))
    if len(short):
        row = int(short[0])
        raise EventContentError(
            f"branch 'CLlocal_cov' has {counts[row]} numbers for cluster {row} in {where}, a "
            f"{'strip' if strip[row] else 'pixel'} ({len(short)} such clusters); expected "
            f"{'at least 1' if strip[row] else '4'}"
        )
    # Pixels: a matrix, row by row. Strips: one number, or that of the endcap as the second.
    first = start
    second = start + np.where(strip, np.minimum(counts - 1, 1), 3)
    return np.stack([content[first], content[second]], axis=1)


def _cluster_sizes(found: DumpColumns, where: str) -> dict[str, np.ndarray]:
    """Extents of the clusters in channels: of pixels along phi and eta; strips are one long.

    Strips have their numbers in the branch of the eta indices, and -1 in that of phi.
    """
    strip = _array(found, HARDWARE)
    phi, eta = (_extent(found[name]) for name in ("CLphis", "CLetas"))  # type: ignore[arg-type]
    return {
        "clus_size_loc0": np.where(strip, eta, phi).astype(np.float32),
        "clus_size_loc1": np.where(strip, np.minimum(eta, 1), eta).astype(np.float32),
    }


def _extent(cells: Jagged) -> np.ndarray:
    """(N,) int64: largest less smallest index, plus 1; 0 for clusters without cells."""
    found = np.zeros(len(cells.offsets) - 1, np.int64)
    has = np.flatnonzero(cells.counts > 0)
    if len(has):
        start = cells.offsets[has]
        found[has] = np.maximum.reduceat(cells.content, start)
        found[has] -= np.minimum.reduceat(cells.content, start) - 1
    return found


def _space_points(
    found: DumpColumns,
    measurements: dict[str, np.ndarray],
    options: AthenaOptions,
    where: str,
) -> dict[str, np.ndarray]:
    arrays = {name: column for name, column in found.items() if isinstance(column, np.ndarray)}
    checks.check_finite(arrays, ("SPx", "SPy", "SPz"), where)
    first, second = _cluster_rows(arrays, measurements["is_strip"], where)
    double = second >= 0
    kind = arrays.get("SPisOverlap", np.where(double, NO_OVERLAP, -1))
    kept = np.ones(len(first), bool)
    if options.skip_overlap_eta:
        kept &= ~np.isin(kind, (ETA, BOTH))
    if options.skip_overlap_phi:
        kept &= ~np.isin(kind, (PHI, BOTH))
    other = np.where(double, second, first)
    module = measurements["geometry_id"]
    columns = {
        "measurement_id": first.astype(np.uint64),
        "geometry_id": module[first],
        "measurement_id_2": np.where(double, second, 0).astype(np.uint64),
        "geometry_id_2": np.where(double, module[other], np.uint64(0)),
        **{axis: arrays[f"SP{axis}"].astype(np.float32) for axis in "xyz"},
        "is_strip": double,
        "is_overlap": kind.astype(np.int8),
    }
    columns["r"] = np.hypot(arrays["SPx"], arrays["SPy"]).astype(np.float32)
    for ours, theirs in (("var_r", "SPcovr"), ("var_z", "SPcovz")):
        if theirs in arrays:  # old dumps have no variances
            checks.check_finite(arrays, (theirs,), where)
            columns[ours] = arrays[theirs].astype(np.float32)
    for name, row in zip(STRIP_COLUMNS[1:], [first] * 3 + [other] * 3, strict=True):
        columns[name] = measurements[f"rec_g{name[-1]}"][row]
    for name in STRIP_COLUMNS[4:]:
        columns[name] = np.where(double, columns[name], np.float32(np.nan))
    for name in _SIZES:
        if name in measurements:
            columns[name] = measurements[name][first]
    if not kept.all():
        columns = {name: column[kept] for name, column in columns.items()}
    checks.check_duplicates(columns, where)
    return columns


def _cluster_rows(
    arrays: dict[str, np.ndarray], strip: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the first and the second cluster of each space point; -1: there is no second one."""
    n = len(strip)
    index = arrays.get("CLindex", np.arange(n))
    # Dumps before version 5 count clusters from 1.
    shift = int(index[0]) if n and index[0] in (0, 1) else 0
    if not np.array_equal(index, np.arange(shift, n + shift)):
        row = int(np.argmax(index != np.arange(shift, n + shift)))
        raise EventContentError(
            f"CLindex does not count the clusters: {index[row]} in row {row} of {where}; keep all "
            "clusters of an event, in their order"
        )
    first = arrays["SPCL1_index"].astype(np.int64) - shift
    second = arrays["SPCL2_index"].astype(np.int64)
    second = np.where(second == -1, -1, second - shift)
    for name, rows, low in (("SPCL1_index", first, 0), ("SPCL2_index", second, -1)):
        bad = np.flatnonzero((rows < low) | (rows >= n))
        if len(bad):
            raise EventContentError(
                f"{name} is {arrays[name][bad[0]]} for space point {bad[0]} in {where}, which has "
                f"{n} clusters ({shift} to {n - 1 + shift}); {len(bad)} space points have such "
                "indices. Was the file cut, or merged with another one?"
            )
    if not n:
        return first, second
    mixed = np.flatnonzero((strip[first] != (second >= 0)) | ((second >= 0) & ~strip[second]))
    if len(mixed):
        row = int(mixed[0])
        raise EventContentError(
            f"space point {row} in {where} has the clusters {first[row]} "
            f"({'STRIP' if strip[first[row]] else 'PIXEL'}) and {second[row]}; expected one of a "
            f"pixel and -1, or two of strips. {len(mixed)} space points are like that"
        )
    return first, second
