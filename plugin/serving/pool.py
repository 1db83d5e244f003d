"""Several servers of one model: the least-loaded healthy one is asked first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.counters import ServiceCounters
from trkx.plugin.serving.retry import CircuitBreaker, RetryPolicy
from trkx.plugin.serving.transport import Transport

Answer = TypeVar("Answer")
_MEMORY = 0.8  # weight of the past in the mean time of a request
# The event itself is wrong: no server will find tracks in it.
EVENT_ERRORS = frozenset({"INVALID_ARGUMENT", "400"})
# The server works, but will refuse whatever we send.
SERVER_ERRORS = frozenset({"NOT_FOUND", "404", "UNIMPLEMENTED", "501", "WRONG_MODEL"}) | frozenset(
    {"UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403"}
)


@dataclass
class Server:
    """One endpoint with what this job has seen of it."""

    transport: Transport
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    in_flight: int = 0
    mean_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        return str(self.transport.endpoint)

    @property
    def load(self) -> float:
        """Seconds that a new request would take, as far as this job can tell."""
        return (self.in_flight + 1) * self.mean_seconds

    def ask(self, call: Callable[[Transport], Answer]) -> Answer:
        """Make a call and remember how long it took."""
        with self._lock:
            self.in_flight += 1
        start = time.monotonic()
        try:
            answer = call(self.transport)
        finally:
            with self._lock:
                self.in_flight -= 1
        took = time.monotonic() - start
        with self._lock:
            past = self.mean_seconds or took
            self.mean_seconds = _MEMORY * past + (1 - _MEMORY) * took
        return answer


class Pool:
    """Servers that are tried in turn until one answers."""

    def __init__(
        self, servers: Sequence[Server], policy: RetryPolicy, counters: ServiceCounters
    ) -> None:
        self.servers, self.policy, self.counters = tuple(servers), policy, counters

    def _choose(self, failed: Sequence[Server]) -> Server | None:
        """The least-loaded server that may be asked, rather one that has not failed this event."""
        for server in sorted(self.servers, key=lambda s: (s in failed, s.load, s.in_flight)):
            if server.breaker.allow():
                return server
        return None

    def ask(self, call: Callable[[Transport, float], Answer], deadline: float) -> Answer:
        """The answer of the first server that gives one.

        Args:
            call: gets the transport and the seconds it may take.
            deadline: `time.monotonic()` after which no further attempt is made.

        Raises:
            ServiceError: none answered; or at once, where the event itself is wrong.
        """
        failed: list[Server] = []
        last = ServiceError("no server may be asked now: all failed before", transient=True)
        for attempt in range(self.policy.attempts):
            left = deadline - time.monotonic()
            server = self._choose(failed) if left > 0 else None
            if server is None:
                break
            self.counters.count("attempts")
            limit = min(self.policy.seconds, left)
            try:
                answer = server.ask(lambda transport, limit=limit: call(transport, limit))  # type: ignore[misc]
            except ServiceError as error:
                last = error
                self._note_failure(server, error)
                failed.append(server)
            else:
                server.breaker.succeeded()
                self.counters.answered(server.name)
                return answer
            if attempt + 1 < self.policy.attempts:
                self.counters.count("retries")
                self._wait(attempt, failed, deadline)
        raise last

    def _note_failure(self, server: Server, error: ServiceError) -> None:
        """Count it; raise where no other server can do better."""
        self.counters.failed(server.name, error.status)
        if error.status in EVENT_ERRORS:
            server.breaker.succeeded()
            raise error
        if server.breaker.failed(for_good=error.status in SERVER_ERRORS):
            self.counters.count("breakers_opened")

    def _wait(self, attempt: int, failed: Sequence[Server], deadline: float) -> None:
        """Back off, unless there is a server that has not failed yet."""
        if any(s not in failed and not s.breaker.is_open for s in self.servers):
            return
        time.sleep(max(0.0, min(self.policy.delay(attempt), deadline - time.monotonic())))
