"""Starts a server anew when it, or a process of one of its models, ends by itself.

Triton 2.51 does not: with the process of a model gone it stays ready and answers every request with
an error. Nor does it always survive being frozen and thawed: locks between it and its models then
count as expired.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trkx.plugin.errors import ServerError
from trkx.plugin.serving.server import TritonServer


@dataclass
class Supervisor:
    """Watches one server that runs."""

    server: TritonServer
    restarts: int = 5  # at most that many within `seconds`; a server that always fails must stop
    seconds: float = 600.0
    tell: Callable[[str], None] = print
    count: int = 0  # restarts so far
    _recent: deque[float] = field(default_factory=deque, repr=False)

    def watch(self, stop: threading.Event, interval: float = 0.5) -> None:
        """Watch until `stop` is set.

        Raises:
            ServerError: the server fails too often, or does not start again.
        """
        while not stop.wait(interval):
            self.look()

    def look(self) -> bool:
        """Start the server anew if it failed; returns whether it did.

        Raises:
            ServerError: the server fails too often, or does not start again.
        """
        wrong = self.server.what_ended()
        if wrong is None:
            return False
        now = time.monotonic()
        while self._recent and now - self._recent[0] > self.seconds:
            self._recent.popleft()
        if len(self._recent) >= self.restarts:
            raise ServerError(
                f"{wrong}; it was started anew {self.restarts} times within {self.seconds:g} s "
                f"before, which is enough. {self.server.last_words()}"
            )
        self._recent.append(now)
        self.tell(f"{wrong}; starting the server anew")
        self.server.restart()
        self.count += 1
        return True
