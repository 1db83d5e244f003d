"""One event of the TrackML challenge as NumPy columns, as its files have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

__all__ = ["PARTS", "TrackMLEvent", "TrackMLPart", "rows_of_ids"]


@dataclass(frozen=True)
class TrackMLPart:
    """What the files of one kind hold."""

    name: str
    row: str  # what one line is
    types: Mapping[str, type]  # NumPy types of the columns of the challenge
    required: tuple[str, ...]  # those without which nothing can be done
    finite: tuple[str, ...] = ()  # those that must not be NaN or infinite


_POSITION = dict.fromkeys(("x", "y", "z"), np.float64)
_MODULE = dict.fromkeys(("volume_id", "layer_id", "module_id"), np.int64)
_ORIGIN = dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz"), np.float64)
_TRUE_STATE = dict.fromkeys(("tx", "ty", "tz", "tpx", "tpy", "tpz"), np.float64)

PARTS = {
    part.name: part
    for part in (
        TrackMLPart(
            "hits",
            "hit",
            {"hit_id": np.int64, **_POSITION, **_MODULE},
            ("hit_id", *_POSITION, *_MODULE),
            ("x", "y", "z"),
        ),
        TrackMLPart(
            "cells",
            "cell",
            {"hit_id": np.int64, "ch0": np.int64, "ch1": np.int64, "value": np.float64},
            ("hit_id", "ch0", "ch1", "value"),
            ("value",),
        ),
        TrackMLPart(
            "particles",
            "particle",
            {
                "particle_id": np.uint64,
                "particle_type": np.int64,
                **_ORIGIN,
                "q": np.float64,
                "nhits": np.int64,
            },
            ("particle_id", *_ORIGIN, "q"),
            (*_ORIGIN, "q"),
        ),
        TrackMLPart(
            "truth",
            "hit",
            {"hit_id": np.int64, "particle_id": np.uint64, **_TRUE_STATE, "weight": np.float64},
            ("hit_id", "particle_id"),
            ("weight",),
        ),
    )
}
"""The kinds of files by name, see https://github.com/LAL/trackml-library."""


@dataclass(frozen=True)
class TrackMLEvent:
    """The files of one event: columns by name, in the order of the files.

    Lengths are in mm, momenta in GeV, charges in e, channels are whole numbers. Ids are int64,
    except `particle_id`, which is uint64 (0: no particle); other columns of the challenge are
    float64, which holds what the text says. Columns that the challenge does not have keep the
    type that their values look like.

    Attributes:
        number: event number, as in the names of the files.
        hits: `hit_id`, `x`, `y`, `z`, `volume_id`, `layer_id`, `module_id` of N hits.
        cells: `hit_id`, `ch0`, `ch1`, `value` of the channels that fired; None: not there.
        particles: `particle_id`, `vx` … `pz`, `q`, and mostly `nhits` and `particle_type`; None:
            not there.
        truth: `hit_id`, `particle_id`, and mostly `tx` … `tpz` and `weight`, of all hits or of
            some; None: not there.
        truth_name: what the file with the truth is called between event number and `.csv`:
            `truth`, or something like `pixel-truth`.
    """

    number: int
    hits: Mapping[str, np.ndarray]
    cells: Mapping[str, np.ndarray] | None = None
    particles: Mapping[str, np.ndarray] | None = None
    truth: Mapping[str, np.ndarray] | None = None
    truth_name: str = field(default="truth")

    @property
    def n_hits(self) -> int:
        """Number of hits."""
        return len(self.hits["hit_id"])

    @property
    def parts(self) -> dict[str, Mapping[str, np.ndarray]]:
        """The parts that are there, by kind."""
        found = {name: getattr(self, name) for name in PARTS}
        return {name: columns for name, columns in found.items() if columns is not None}

    @cached_property
    def particle_id(self) -> np.ndarray:
        """Particle of each hit, shape (N,), uint64; 0: of none, or not in the truth."""
        found = np.zeros(self.n_hits, dtype=np.uint64)
        if self.truth is not None:
            found[self.rows_of_hits(self.truth["hit_id"])] = self.truth["particle_id"]
        return found

    @cached_property
    def has_hit_truth(self) -> np.ndarray:
        """Whether the truth covers each hit, shape (N,), bool; a noise hit can be covered."""
        found = np.zeros(self.n_hits, dtype=bool)
        if self.truth is not None:
            found[self.rows_of_hits(self.truth["hit_id"])] = True
        return found

    def rows_of_hits(self, hit_id: np.ndarray) -> np.ndarray:
        """Rows of `hits` with these ids, int64; −1 where there is none."""
        return rows_of_ids(self.hits["hit_id"], hit_id)


def rows_of_ids(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Find ids in a column of ids.

    Args:
        table: shape (N,), ids that do not repeat, in any order.
        wanted: shape (M,), of the same type.

    Returns:
        shape (M,), int64: row of each in `table`, −1: not there.
    """
    if not len(table) or not len(wanted):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(table, kind="stable")
    place = order[np.minimum(np.searchsorted(table, wanted, sorter=order), len(table) - 1)]
    return np.where(table[place] == wanted, place, -1)
