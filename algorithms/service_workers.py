"""Processes that find tracks without a service: what its throughput is compared with."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Self

from trkx.plugin.space_points import SpacePoints

_own: dict[str, Any] = {}  # of a worker: its pipeline and all events


def _start(points: list[SpacePoints], pipeline: str, target: str) -> None:
    from trkx.plugin.load import load_pipeline

    _own["points"] = points
    _own["pipeline"] = load_pipeline(pipeline=pipeline, target=target, threads=1)


def _find(number: int) -> int:
    return len(_own["pipeline"](_own["points"][number]))


class Workers:
    """Processes with a pipeline and all events each; a context manager."""

    def __init__(self, points: list[SpacePoints], pipeline: str, target: str, n: int) -> None:
        """Start `n` processes."""
        self._pool = ProcessPoolExecutor(
            n,
            # A forked process would have locks of threads that it has not.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(points, pipeline, target),
        )
        for future in [self._pool.submit(_find, 0) for _ in range(n)]:
            future.result()

    def find(self, number: int) -> int:
        """Tracks found in the event of that number; may be called from several threads."""
        return self._pool.submit(_find, number).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
