"""How long to wait and how often to try: retries with back-off, and circuit breakers."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of one event's requests."""

    attempts: int = 3  # per step of the fallback order
    seconds: float = 30.0  # limit of one attempt
    total_seconds: float = 120.0  # limit of all attempts of an event
    first_delay: float = 0.1  # s, before the second attempt
    factor: float = 2.0  # every delay is that much longer
    longest_delay: float = 5.0  # s
    jitter: float = 0.5  # share of the delay that is random: clients must not come back as one

    def delay(self, attempt: int, random_number: float | None = None) -> float:
        """Seconds to wait after a failed attempt, counted from 0.

        Args:
            attempt: number of the attempt.
            random_number: 0 to 1; None: drawn.
        """
        u = random.random() if random_number is None else random_number
        full = min(self.first_delay * self.factor**attempt, self.longest_delay)
        return full * (1.0 - self.jitter * u)


@dataclass
class CircuitBreaker:
    """Keeps requests away from a server that failed several times in a row.

    After `seconds` one request is let through; its fate decides.

    References: M. Nygard, Release It! (2007), chapter 5.
    """

    failures: int = 3  # in a row that open it
    seconds: float = 10.0  # it stays open
    _count: int = 0
    _opened: float | None = None  # time.monotonic()
    _probing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether requests are kept away, unless one may probe."""
        with self._lock:
            return self._opened is not None

    def allow(self) -> bool:
        """Whether a request may be sent now; where it is a probe, only one is."""
        with self._lock:
            if self._opened is None:
                return True
            if self._probing or time.monotonic() - self._opened < self.seconds:
                return False
            self._probing = True
            return True

    def succeeded(self) -> None:
        """A request was answered."""
        with self._lock:
            self._count, self._opened, self._probing = 0, None, False

    def failed(self, for_good: bool = False) -> bool:
        """A request was not answered; returns whether this opened the breaker.

        Args:
            for_good: open at once, as the server would refuse every request.
        """
        with self._lock:
            self._count += 1
            self._probing = False
            was = self._opened
            if for_good or was is not None or self._count >= self.failures:
                self._opened = time.monotonic()
            return was is None and self._opened is not None
