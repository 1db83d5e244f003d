"""What a job's requests went through, counted for performance.json."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import Any


class ServiceCounters:
    """Counters that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._sums: defaultdict[str, float] = defaultdict(float)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter: events, attempts, retries, breakers_opened …"""
        with self._lock:
            self._counts[name] += n

    def answered(self, where: str) -> None:
        """An event was found by this endpoint, or in this process."""
        with self._lock:
            self._answered[where] += 1

    def failed(self, where: str, status: str) -> None:
        """An attempt failed."""
        with self._lock:
            self._errors[f"{where} {status or 'error'}"] += 1

    def add(self, name: str, value: float) -> None:
        """Add to a sum: bytes_sent, seconds_waiting …"""
        with self._lock:
            self._sums[name] += value

    def as_json(self) -> dict[str, Any]:
        """All of them."""
        with self._lock:
            return {
                **dict(self._counts),
                "answered_by": dict(self._answered),
                "failures": dict(self._errors),
                **dict(self._sums),
            }
