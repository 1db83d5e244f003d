"""Events cut into sectors in azimuth: more and smaller examples to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.training.stages import Events


def sectors(event: LabelledEvent, n: int, first: float = 0.0) -> Iterator[LabelledEvent]:
    """Cut an event into `n` sectors of equal width in azimuth.

    Tracks that cross a boundary are cut as well. A sector has all particles of the event.

    Args:
        event: the event.
        n: number of sectors.
        first: where the first one begins, as a fraction of its width.
    """
    if n == 1:
        yield event
        return
    s = event.space_points
    phi = np.arctan2(s.y, s.x) / (2 * np.pi)
    number = np.floor((phi - first / n) * n).astype(np.int64) % n
    for k in range(n):
        rows = np.flatnonzero(number == k)
        width = np.diff(event.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(width)])
        at = np.arange(offsets[-1]) + np.repeat(event.offsets[rows] - offsets[:-1], width)
        yield LabelledEvent(
            space_points=s.take(rows),
            offsets=offsets,
            particle=event.particle[at],
            pt=event.pt,
            eta=event.eta,
            charge=event.charge,
            vertex=event.vertex,
        )


class SectorEvents:
    """`Events` whose events are the sectors of others; where they begin differs by event."""

    def __init__(self, events: Events, n: int) -> None:
        self.events, self.n = events, n

    @property
    def n_chunks(self) -> int:
        return self.events.n_chunks

    @property
    def keep(self) -> bool:
        return self.events.keep

    def __len__(self) -> int:
        return self.n * len(self.events)

    def __iter__(self) -> Iterator[LabelledEvent]:
        return self._cut(self.events)

    def chunk(self, number: int) -> Iterator[LabelledEvent]:
        return self._cut(self.events.chunk(number))

    def _cut(self, events: Iterable[LabelledEvent]) -> Iterator[LabelledEvent]:
        for number, event in enumerate(events):
            yield from sectors(event, self.n, first=0.618 * number % 1)
