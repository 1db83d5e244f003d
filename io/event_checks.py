"""What is checked of every event that is read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from trkx.io.errors import EventContentError, GeometryIdError, NonFiniteError, TrkxWarning

__all__ = [
    "check_coordinate",
    "check_duplicates",
    "check_finite",
    "check_geometry_ids",
    "encode_geometry_ids",
]

# Below this share of hits, hits at the same place are taken for chance: two clusters of one
# channel each in the same channel, as noise or digitization without merging give.
_CHANCE_DUPLICATES = 1e-3

_VOLUME, _LAYER, _SENSITIVE = (56, 0xFF), (36, 0xFFF), (8, 0xFFFFF)


def check_finite(columns: Mapping[str, np.ndarray], names: tuple[str, ...], where: str) -> None:
    """Raise NonFiniteError if one of the columns `names` holds NaN or an infinite value."""
    for name in names:
        values = columns.get(name)
        if values is None:
            continue
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise NonFiniteError(
                f"{len(bad)} of {len(values)} values of branch '{name}' are not finite in "
                f"{where}; the first is {values[bad[0]]} in row {bad[0]} of the event. "
                "Remove these rows or write the file again."
            )


def check_coordinate(columns: Mapping[str, np.ndarray], name: str, where: str) -> None:
    """Check `rec_{name}` and `var_{name}` of the measurements.

    NaN in both says that the sensor does not measure this coordinate, as ACTS' writer does;
    infinite values and variances of zero or less are never right.

    Raises:
        NonFiniteError, EventContentError: with file, event, branch and row.
    """
    for branch in (f"rec_{name}", f"var_{name}"):
        known = np.where(np.isnan(columns[branch]), 0, columns[branch])
        check_finite({branch: known}, (branch,), where)
    # ACTS' sequencer traps floating-point exceptions, and comparing NaN is one.
    variance = np.nan_to_num(columns[f"var_{name}"], nan=1.0)
    bad = np.flatnonzero(variance <= 0)
    if len(bad):
        raise EventContentError(
            f"{len(bad)} of {len(variance)} values of branch 'var_{name}' are not positive in "
            f"{where}; the first is {variance[bad[0]]} in row {bad[0]} of the event; variances "
            "are in mm²"
        )


def check_geometry_ids(
    geometry_id: np.ndarray, known: np.ndarray | None, where: str, branch: str = "geometry_id"
) -> None:
    """Raise GeometryIdError if an id is not of a sensitive surface of the detector.

    Args:
        geometry_id: shape (N,), uint64.
        known: the detector's ids, ascending, uint64; None: only the form of the ids is checked.
        where: file and event, for the message.
        branch: name of the branch, for the message.
    """
    if not len(geometry_id):
        return
    if known is None:
        shift, mask = _SENSITIVE
        bad = ((geometry_id >> np.uint64(shift)) & np.uint64(mask)) == 0
        expected = "an id with a volume, a layer and a sensitive part"
    else:
        # Bits 0 to 7 are free for the user's purposes ("extra") and name no surface.
        plain = geometry_id & ~np.uint64(0xFF)
        place = np.minimum(np.searchsorted(known, plain), len(known) - 1)
        bad = known[place] != plain
        expected = f"one of the detector's {len(known)} sensitive surfaces"
    rows = np.flatnonzero(bad)
    if len(rows):
        value = int(geometry_id[rows[0]])
        parts = ", ".join(
            f"{name} {(value >> shift) & mask}"
            for name, (shift, mask) in zip(
                ("volume", "layer", "sensitive"), (_VOLUME, _LAYER, _SENSITIVE), strict=True
            )
        )
        raise GeometryIdError(
            f"unknown geometry id {value} ({parts}) in branch '{branch}', row {rows[0]} of "
            f"{where}, {len(rows)} of {len(geometry_id)} rows in all; expected {expected}. "
            "Was the file made with another detector?"
        )


def check_duplicates(space_points: Mapping[str, np.ndarray], where: str) -> None:
    """Raise if a space point is there twice; warn if many share one place.

    Two space points are the same if made from the same measurements. A few at the same place
    on the same module happen by chance and are passed on in silence.

    Raises:
        EventContentError: a measurement, or a pair of them, has two space points.
    """
    n = len(space_points["x"])
    first = space_points.get("measurement_id")
    if first is not None and n > 1 and not np.all(first[1:] > first[:-1]):
        second = space_points.get("measurement_id_2", np.zeros(n, dtype=np.uint64))
        order = np.lexsort((second, first))
        same = (first[order][1:] == first[order][:-1]) & (second[order][1:] == second[order][:-1])
        if same.any():
            at = int(np.flatnonzero(same)[0])
            rows = sorted((int(order[at]), int(order[at + 1])))
            raise EventContentError(
                f"duplicate hits: {int(same.sum())} space points repeat a measurement in {where}; "
                f"measurement_id {int(first[rows[0]])} is in rows {rows[0]} and {rows[1]} of the "
                "event. Remove the repeated rows (was a file merged with itself?)."
            )
    key = space_points["geometry_id"].astype(np.uint64, copy=True)
    for axis in ("x", "y", "z"):
        # Any mixing will do: equal places give equal keys, and others collide once in 2^64.
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= space_points[axis].astype(np.float32).view(np.uint32)
    key.sort()
    repeated = int(np.count_nonzero(key[1:] == key[:-1]))
    if repeated > max(_CHANCE_DUPLICATES * n, 0.5):
        warnings.warn(
            f"{repeated} of {n} space points in {where} are at the very place of another one on "
            "the same module; they are passed on, but expect duplicate tracks",
            TrkxWarning,
            stacklevel=2,
        )


def encode_geometry_ids(
    volume: np.ndarray, layer: np.ndarray, sensitive: np.ndarray, extra: np.ndarray | None = None
) -> np.ndarray:
    """Build geometry ids from their parts, as `Acts::GeometryIdentifier` packs them.

    Returns:
        shape (N,), uint64.
    """
    value = np.zeros(len(volume), dtype=np.uint64)
    for part, (shift, mask) in (
        (volume, _VOLUME),
        (layer, _LAYER),
        (sensitive, _SENSITIVE),
        (extra, (0, 0xFF)),
    ):
        if part is not None:
            value |= (part.astype(np.uint64) & np.uint64(mask)) << np.uint64(shift)
    return value
