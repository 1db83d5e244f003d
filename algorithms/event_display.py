"""What an event display shows, as arrays that can be stored beside performance.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FoundTracks:
    """Tracks of one finder in one event.

    offsets: shape (T + 1,), int64; track t is `hits[offsets[t]:offsets[t + 1]]`, from inside out.
    hits: rows of `EventDisplay.positions`.
    pt: shape (T,), GeV, from the hits; NaN for tracks of fewer than three.
    classification: shape (T,), 1 matched, 2 duplicate, 3 fake, 0 unknown.
    """

    offsets: NDArray[np.int64]
    hits: NDArray[np.int64]
    pt: NDArray[np.float64]
    classification: NDArray[np.int8]


@dataclass(frozen=True)
class EventDisplay:
    """The hits of one event and the tracks that each finder found in it.

    number: event number.
    positions: shape (M, 3), mm.
    finders: tracks by finder.
    """

    number: int
    positions: NDArray[np.float32]
    finders: Mapping[str, FoundTracks]

    def save(self, path: Path) -> None:
        """Write everything to one .npz file."""
        columns: dict[str, Any] = {"number": np.array(self.number), "positions": self.positions}
        for finder, tracks in self.finders.items():
            for name in ("offsets", "hits", "pt", "classification"):
                columns[f"{finder}/{name}"] = getattr(tracks, name)
        with open(path, "wb") as file:
            np.savez_compressed(file, **columns)

    @classmethod
    def load(cls, path: Path) -> EventDisplay:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            names = [key.rpartition("/")[0] for key in file.files if key.endswith("/offsets")]
            finders = {
                finder: FoundTracks(
                    offsets=file[f"{finder}/offsets"],
                    hits=file[f"{finder}/hits"],
                    pt=file[f"{finder}/pt"],
                    classification=file[f"{finder}/classification"],
                )
                for finder in names
            }
            return cls(int(file["number"]), file["positions"], finders)
