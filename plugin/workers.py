"""Threads within one event: a kernel runs on pieces of its range, one thread a piece.

For one event as fast as possible. With several events in flight the cores are in use already, and
one thread each is best.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")
# The pieces are not of equal work; a few more than threads even it out.
_PIECES_PER_THREAD = 4

_lock = threading.Lock()
_threads = 1
_pool: ThreadPoolExecutor | None = None


def set_threads(threads: int) -> None:
    """Use that many threads within an event from now on, in this process.

    Raises:
        ValueError: fewer than one.
    """
    global _threads, _pool
    if threads < 1:
        raise ValueError(f"threads: {threads} is not a positive number")
    with _lock:
        if threads == _threads:
            return
        if _pool is not None:
            _pool.shutdown(wait=True)
        _pool = ThreadPoolExecutor(threads, "trkx") if threads > 1 else None
        _threads = threads


def get_threads() -> int:
    """Threads within an event."""
    return _threads


def pieces(n: int, block: int = 1, threads: int | None = None) -> list[tuple[int, int]]:
    """Ranges (start, stop) that cover 0…n in order, cut at multiples of `block`.

    Args:
        n: number of items.
        block: a range starts at a multiple of it.
        threads: to be kept busy; None: those set.
    """
    threads = _threads if threads is None else threads
    if threads == 1 or n <= block:
        return [(0, n)]
    blocks = -(-n // block)
    step = -(-blocks // (threads * _PIECES_PER_THREAD)) * block
    return [(start, min(start + step, n)) for start in range(0, n, step)]


def run(kernel: Callable[..., Result], n: int, *arguments: Any, block: int = 1) -> list[Result]:
    """kernel(start, stop, *arguments) for ranges that cover 0…n; results in their order.

    The kernel must release the interpreter's lock, and no piece may write what another one reads.
    """
    ranges = pieces(n, block)
    pool = _pool
    if len(ranges) == 1 or pool is None:
        return [kernel(start, stop, *arguments) for start, stop in ranges]
    return list(pool.map(lambda piece: kernel(*piece, *arguments), ranges))


def with_room(
    kernel: Callable[..., tuple[Any, ...]], begin: int, end: int, per_item: int, *arguments: Any
) -> tuple[Any, ...]:
    """What a search kernel finds about the items begin…end, in arrays that are large enough.

    Args:
        kernel: called with (begin, end, *arguments, capacity); returns how much there is, and the
            arrays with as much of it as the capacity holds.
        begin, end: range of the items.
        per_item: room made for each at first; where all is too small, the search is done again.
        arguments: of the kernel.
    """
    capacity = max(per_item * (end - begin), 1024)
    while True:
        count, *found = kernel(begin, end, *arguments, capacity)
        if count <= capacity:
            return tuple(found)
        capacity = count


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays of consecutive pieces as one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def joined_offsets(parts: list[np.ndarray]) -> np.ndarray:
    """Offsets (n + 1,) within each piece as offsets in what `joined` makes of their entries."""
    if len(parts) == 1:
        return parts[0]
    counts = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([[0], np.cumsum(counts)])
