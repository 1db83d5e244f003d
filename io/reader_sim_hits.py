"""ACTS' simulated hits, and their links to measurements, from the columns of the `hits` tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import acts
import acts.examples
import numpy as np

from trkx.io.errors import BranchError
from trkx.io.event import BARCODE, Event
from trkx.io.event_truth import pack_barcodes
from trkx.io.reader_containers import GeometryIds, make_barcodes

__all__ = ["make_measurement_sim_hits_map", "make_sim_hits"]

_POSITION = ("tx", "ty", "tz", "tt")
_BEFORE = ("tpx", "tpy", "tpz", "te")
_CHANGE = ("deltapx", "deltapy", "deltapz", "deltae")
_HIT_BARCODE = tuple(f"barcode_{name}" for name in BARCODE)


def make_sim_hits(
    hits: Mapping[str, np.ndarray], geometry_ids: GeometryIds
) -> tuple[Any, np.ndarray]:
    """Build the `acts.examples.SimHitContainer`.

    Args:
        hits: columns of the `hits` tree for one event.
        geometry_ids: cache of `acts.GeometryIdentifier` objects.

    Returns:
        The container, and the row of `hits` at each of its places, shape (H,), int64: ACTS
        keeps hits in the order of their modules.

    Raises:
        BranchError: a column is missing.
    """
    for name in (*_POSITION, *_BEFORE, *_HIT_BARCODE):
        if name not in hits:
            raise BranchError(f"branch '{name}' not in the hits tree, which simulated hits need")
    order = np.argsort(hits["geometry_id"], kind="stable")
    n = len(order)
    barcodes = [hits[name] for name in _HIT_BARCODE]
    key = pack_barcodes(barcodes)[0]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    unique = make_barcodes([component[first] for component in barcodes])
    before = [hits[name].astype(np.float64)[order] for name in _BEFORE]
    after = [
        value + hits[name][order] if name in hits else value
        for value, name in zip(before, _CHANGE, strict=True)
    ]
    index = hits["index"][order].tolist() if "index" in hits else [-1] * n
    container = acts.examples.SimHitContainer()
    vector, make = acts.Vector4, acts.examples.SimHit
    rows = zip(
        hits["geometry_id"][order].tolist(),
        inverse[order].tolist(),
        zip(*(hits[name][order].tolist() for name in _POSITION), strict=True),
        zip(*(value.tolist() for value in before), strict=True),
        zip(*(value.tolist() for value in after), strict=True),
        index,
        strict=True,
    )
    for geometry_id, owner, position, momentum, momentum_after, i in rows:
        container.insert(
            make(
                geometry_ids[geometry_id],
                unique[owner],
                vector(*position),
                vector(*momentum),
                vector(*momentum_after),
                i,
            )
        )
    return container, order


def make_measurement_sim_hits_map(
    event: Event, hits: Mapping[str, np.ndarray], order: np.ndarray
) -> Any:
    """Link measurements to simulated hits: those of their particles on their module.

    The files do not store this link. It is unique unless a particle crosses a module twice;
    then each of its hits there is linked to each of its measurements there.

    Args:
        event: the event, with truth.
        hits: columns of the `hits` tree.
        order: row of `hits` at each place of the container.

    Returns:
        an `acts.examples.MeasurementSimHitsMap`; empty if the event has no truth.
    """
    links = acts.examples.MeasurementSimHitsMap()
    if not event.has_truth or not len(order):
        return links
    of_particles, of_hits = pack_barcodes(
        [event.particles[name] for name in BARCODE], [hits[name] for name in _HIT_BARCODE]
    )
    counts = np.diff(event.measurement_particle_offsets)
    measurement = np.repeat(np.arange(len(counts)), counts)
    owner = of_particles[event.measurement_particle_rows]
    module = event.measurements["geometry_id"][measurement]
    # One number for each particle-module pair that occurs on either side.
    pairs = np.stack(
        [
            np.concatenate([owner, of_hits[order]]),
            np.concatenate([module, hits["geometry_id"][order]]),
        ],
        axis=1,
    )
    by_pair = np.lexsort((pairs[:, 1], pairs[:, 0]))
    new = np.ones(len(pairs), dtype=np.int64)
    new[1:] = (np.diff(pairs[by_pair].astype(np.int64), axis=0) != 0).any(axis=1)
    number = np.empty(len(pairs), dtype=np.int64)
    number[by_pair] = np.cumsum(new)
    ours, theirs = number[: len(owner)], number[len(owner) :]
    place = np.argsort(theirs, kind="stable")
    low = np.searchsorted(theirs[place], ours, side="left")
    high = np.searchsorted(theirs[place], ours, side="right")
    for row, start, stop in zip(measurement.tolist(), low.tolist(), high.tolist(), strict=True):
        for i in range(start, stop):
            links.insert(row, int(place[i]))
    return links
