"""From particle barcodes to rows of the particle table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trkx.io.errors import EventContentError

__all__ = ["format_barcode", "match_barcodes", "pack_barcodes"]


def pack_barcodes(*groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give equal barcodes equal numbers, in the order of the barcodes.

    Args:
        groups: each the five components (`BARCODE`) of some barcodes, shape (N_i,) each.

    Returns:
        For each group the numbers, shape (N_i,), uint64; comparable between the groups. Not a
        stored or stable number: the packing depends on the values at hand.
    """
    n_components = len(groups[0])
    sizes = [
        1 + max((int(group[c].max()) for group in groups if len(group[c])), default=0)
        for c in range(n_components)
    ]
    if np.prod(np.array(sizes, dtype=object)) < 2**64:
        packed = []
        for group in groups:
            key = np.zeros(len(group[0]), dtype=np.uint64)
            for component, size in zip(group, sizes, strict=True):
                key = key * np.uint64(size) + component.astype(np.uint64)
            packed.append(key)
        return packed
    stacked = np.concatenate([np.stack(group, axis=1) for group in groups])
    _, inverse = np.unique(stacked, axis=0, return_inverse=True)
    ends = np.cumsum([len(group[0]) for group in groups])[:-1]
    return [np.asarray(part) for part in np.split(inverse.ravel().astype(np.uint64), ends)]


def format_barcode(components: Sequence[np.ndarray], row: int) -> str:
    """One barcode as ACTS prints it: `vp=1|vs=0|p=12|g=0|sp=0`."""
    values = [int(component[row]) for component in components]
    return "|".join(
        f"{name}={value}" for name, value in zip(("vp", "vs", "p", "g", "sp"), values, strict=True)
    )


def match_barcodes(
    particles: Sequence[np.ndarray],
    offsets: np.ndarray,
    contributors: Sequence[np.ndarray],
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the particle rows behind each measurement.

    A barcode of zeros stands for no particle and is left out, and a particle that contributes
    to a measurement twice counts once.

    Args:
        particles: the five components of the particles' barcodes, shape (P,) each.
        offsets: shape (M + 1,), int64, of the measurements in `contributors`.
        contributors: the five components of the measurements' barcodes, shape (C,) each.
        where: file and event, for messages.

    Returns:
        offsets of shape (M + 1,) and rows of `particles`, both int64.

    Raises:
        EventContentError: two particles have the same barcode, or a measurement has one that
            no particle has.
    """
    table, wanted = pack_barcodes(particles, contributors)
    order = np.argsort(table, kind="stable")
    ordered = table[order]
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        pair = sorted((int(order[repeated[0]]), int(order[repeated[0] + 1])))
        raise EventContentError(
            f"{len(repeated)} particle barcodes are not unique in {where}: "
            f"{format_barcode(particles, pair[0])} is in rows {pair[0]} and {pair[1]} of the "
            "event's particles. Were events merged under one number?"
        )
    given = np.zeros(len(wanted), dtype=bool)
    for component in contributors:
        given |= component != 0
    measurement = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[given]
    wanted = wanted[given]
    if len(wanted) and not len(ordered):
        place = np.zeros(len(wanted), dtype=np.int64)
        missing = np.ones(len(wanted), dtype=bool)
    else:
        place = np.minimum(np.searchsorted(ordered, wanted), max(len(ordered) - 1, 0))
        missing = ordered[place] != wanted
    if missing.any():
        at = int(np.flatnonzero(given)[np.flatnonzero(missing)[0]])
        raise EventContentError(
            f"{int(missing.sum())} contributions of {len(np.unique(wanted[missing]))} particles to "
            f"measurements have no entry among the particles in {where}; the first is "
            f"{format_barcode(contributors, at)}. Give the file with all simulated particles "
            "instead of a selection, or read without truth."
        )
    rows = order[place].astype(np.int64)
    same = np.zeros(len(rows), dtype=bool)
    # Few measurements have several particles, so it pays to look at those only.
    several = np.flatnonzero(np.bincount(measurement, minlength=len(offsets))[measurement] > 1)
    if len(several):
        by_pair = several[np.lexsort((rows[several], measurement[several]))]
        same[by_pair[1:]] = (rows[by_pair][1:] == rows[by_pair][:-1]) & (
            measurement[by_pair][1:] == measurement[by_pair][:-1]
        )
    rows, measurement = rows[~same], measurement[~same]
    counts = np.bincount(measurement, minlength=len(offsets) - 1)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64), rows
