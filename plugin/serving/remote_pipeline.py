"""Track finding by a Triton server, called like a pipeline of this process.

What is done when servers fail is configured: another endpoint, the other protocol, a server that
this job starts, the pipeline in this process; or the event fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import ServerError, ServiceError, StageError
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.serving.counters import ServiceCounters
from trkx.plugin.serving.endpoint import Endpoint, parse_endpoints
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs, read_candidates
from trkx.plugin.serving.pool import EVENT_ERRORS, Pool, Server
from trkx.plugin.serving.retry import CircuitBreaker, RetryPolicy
from trkx.plugin.serving.security import Security
from trkx.plugin.serving.shared_memory import SharedMemoryTransport
from trkx.plugin.serving.transport import COMPRESSIONS, Call, Transport, connect
from trkx.plugin.space_points import SpacePoints

FALLBACKS = ("endpoint", "http", "server", "in-process")


@dataclass(frozen=True)
class RemoteConfig:
    """Which servers, which model, and what to do when they fail."""

    endpoints: tuple[Endpoint, ...]
    model: str = "trkx"
    version: str = ""  # empty: the newest
    identity: str | None = None  # what the model must say it is; None: anything
    fallback: tuple[str, ...] = ("endpoint", "http", "in-process")
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    security: Security = field(default_factory=Security)
    compression: str = "none"
    shared_memory: bool = True  # inputs, for servers on this machine
    in_flight: int = 4  # events at once by `submit`
    breaker_failures: int = 3
    breaker_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in self.fallback:
            if name not in FALLBACKS:
                raise StageError(
                    f"no fallback '{name}'; choose of {', '.join(FALLBACKS)}, or none at all"
                )
        if self.compression not in COMPRESSIONS:
            raise StageError(
                f"no compression '{self.compression}'; choose one of {', '.join(COMPRESSIONS)}"
            )

    @classmethod
    def of(cls, urls: str, **settings: Any) -> Self:
        """A configuration from addresses as users write them."""
        return cls(parse_endpoints(urls), **settings)


class RemotePipeline:
    """Finds tracks by asking servers; may be called from several threads.

    References: for the service, arXiv:2402.09633; for what a client must survive, CMS SONIC,
    arXiv:2402.15366.
    """

    def __init__(
        self,
        config: RemoteConfig,
        start_server: Callable[[], Endpoint] | None = None,
        in_process: Callable[[], Pipeline] | None = None,
        closing: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the connections; nothing is sent yet.

        Args:
            config: servers and what to do without them.
            start_server: starts a server for this job and returns its endpoint; for 'server'.
            in_process: loads the pipeline into this process; for 'in-process'.
            closing: called by `close`, to stop what `start_server` started.
        """
        self.config = config
        self.counters = ServiceCounters()
        self._start_server, self._in_process = start_server, in_process
        self._closing = closing
        self._before: dict[str, dict[str, int]] = {}  # servers' counters at the check
        self._lock = threading.Lock()
        self._own_pool: Pool | None = None
        self._own_pipeline: Pipeline | None = None
        self._threads: ThreadPoolExecutor | None = None
        first = config.endpoints[0].protocol
        main = [e for e in config.endpoints if e.protocol == first]
        other = [e for e in config.endpoints if e.protocol != first]
        if "endpoint" not in config.fallback:
            main = main[:1]
        steps = [main, other if "http" in config.fallback else []]
        self.pools = [self._pool(endpoints) for endpoints in steps if endpoints]

    def _pool(self, endpoints: list[Endpoint]) -> Pool:
        c = self.config
        servers = [
            Server(self._connect(e), CircuitBreaker(c.breaker_failures, c.breaker_seconds))
            for e in endpoints
        ]
        return Pool(servers, c.policy, self.counters)

    def _connect(self, endpoint: Endpoint) -> Transport:
        transport = connect(endpoint, self.config.security)
        if self.config.shared_memory and endpoint.local:
            return SharedMemoryTransport(transport)
        return transport

    @property
    def servers(self) -> list[Server]:
        """All servers, those asked first in front."""
        pools = [*self.pools, *([self._own_pool] if self._own_pool else [])]
        return [server for pool in pools for server in pool.servers]

    def __call__(
        self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)
    ) -> TrackCandidates:
        """Find the tracks of one event.

        Raises:
            SpacePointError and others: as the pipeline itself would, where it runs here.
            ServiceError: the event is wrong, or nothing in the fallback order could find its
                tracks.
        """
        if len(points) == 0:
            return TrackCandidates.empty()
        start = time.perf_counter()
        self.counters.count("events")
        call = Call(
            self.config.model,
            event_inputs(points, beam_spot),
            CLIENT_OUTPUTS,
            self.config.version,
            compression=self.config.compression,
        )
        self.counters.add("client_seconds", time.perf_counter() - start)
        deadline = time.monotonic() + self.config.policy.total_seconds
        last: ServiceError | None = None
        for step in self._steps():
            try:
                found = step(call, points, beam_spot, deadline)
            except ServiceError as error:
                if error.status in EVENT_ERRORS:
                    raise
                last = error
                continue
            return self._timed(found, time.perf_counter() - start)
        raise ServiceError(
            f"the tracks of event {points.event} could not be found: {last}. Fallbacks tried: "
            f"{', '.join(self.config.fallback) or 'none'}",
            transient=True,
        )

    def submit(
        self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)
    ) -> Future[TrackCandidates]:
        """Find the tracks of an event beside others; at most `in_flight` at once."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.config.in_flight, "trkx-service")
        return self._threads.submit(self, points, beam_spot)

    def _steps(self):
        """What to try, in order."""
        for number, pool in enumerate(self.pools):
            yield self._ask(pool, counted=number > 0)
        if "server" in self.config.fallback and self._start_server is not None:
            yield self._ask_own
        if "in-process" in self.config.fallback and self._in_process is not None:
            yield self._find_here

    def _ask(self, pool: Pool, counted: bool):
        def ask(call: Call, points: SpacePoints, spot: Any, deadline: float) -> TrackCandidates:
            if counted:
                self.counters.count("fallbacks")
            return pool.ask(lambda t, s: self._exchange(t, call, len(points), s), deadline)

        return ask

    def _exchange(self, transport: Transport, call: Call, n: int, seconds: float):
        """One request to one server; the reply is checked."""
        start = time.perf_counter()
        outputs = transport.infer(call, seconds)
        waited = time.perf_counter() - start
        found, identity = read_candidates(outputs, n)
        wanted = self.config.identity
        if wanted is not None and identity != wanted:
            raise ServiceError(
                f"{transport.endpoint}: model '{call.model}' is {identity}, but this job expects "
                f"{wanted}",
                status="WRONG_MODEL",
            )
        self.counters.add("bytes_sent", call.n_bytes)
        received = sum(a.nbytes for a in outputs.values() if a is not None)
        self.counters.add("bytes_received", received)
        self.counters.add("waiting_seconds", waited)
        self.counters.add("finding_seconds", sum(found.timing.values()))
        return found

    def _ask_own(
        self, call: Call, points: SpacePoints, spot: Any, deadline: float
    ) -> TrackCandidates:
        """Ask the server that this job starts when it first needs one."""
        assert self._start_server is not None
        self.counters.count("fallbacks")
        with self._lock:
            try:
                endpoint = self._start_server()  # anew, if it ended
            except ServerError as error:
                raise ServiceError(f"a server of this job: {error}") from error
            if self._own_pool is None:
                self._own_pool = self._pool([endpoint])
                self.counters.count("servers_started")
        deadline = time.monotonic() + self.config.policy.total_seconds
        return self._ask(self._own_pool, counted=False)(call, points, spot, deadline)

    def _find_here(
        self, call: Call, points: SpacePoints, spot: Any, deadline: float
    ) -> TrackCandidates:
        """Run the pipeline in this process."""
        assert self._in_process is not None
        self.counters.count("fallbacks")
        with self._lock:
            if self._own_pipeline is None:
                self._own_pipeline = self._in_process()
        found = self._own_pipeline(points, spot)
        self.counters.answered("in-process")
        return found

    @staticmethod
    def _timed(found: TrackCandidates, seconds: float) -> TrackCandidates:
        """The candidates with the time that the service took beyond finding."""
        beyond = max(0.0, seconds - sum(found.timing.values()))
        return replace(found, timing={**found.timing, "service": beyond})

    def check(self, seconds: float = 10.0) -> None:
        """Ask every server once whether it has the model that this job expects.

        Raises:
            ServiceError: a server has another model; or none answers and there is no fallback.
        """
        answers = [self._check_one(server, seconds) for server in self.servers]
        silent = [error for error in answers if error is not None]
        beyond = {"server", "in-process"} & set(self.config.fallback)
        self._before = self.server_statistics(seconds)
        if len(silent) == len(answers) and not beyond:
            raise ServiceError(
                f"no server answers: {'; '.join(map(str, silent))}. Start one with 'trkx serve', "
                "or allow a fallback"
            )

    def _check_one(self, server: Server, seconds: float) -> ServiceError | None:
        c = self.config
        try:
            found = server.transport.metadata(c.model, c.version, seconds)
            about = server.transport.parameters(c.model, c.version, seconds)
        except ServiceError as error:
            if not error.transient:
                raise ServiceError(
                    f"{error}; this job expects model '{c.model}'"
                    + (f" version {c.version}" if c.version else ""),
                    status=error.status,
                ) from error
            self.counters.failed(server.name, error.status)
            if server.breaker.failed(for_good=True):
                self.counters.count("breakers_opened")
            return error
        outputs = {entry["name"] for entry in found.get("outputs", ())}
        missing = [name for name in CLIENT_OUTPUTS if name not in outputs]
        if missing:
            raise ServiceError(
                f"{server.name}: model '{c.model}' has outputs {', '.join(sorted(outputs))}; this "
                f"job needs {', '.join(missing)} as well"
            )
        if c.identity is not None and about.get("identity") != c.identity:
            raise ServiceError(
                f"{server.name}: model '{c.model}' is {about.get('identity')}, but this job "
                f"expects {c.identity}. Serve the same model, or accept another one",
                status="WRONG_MODEL",
            )
        return None

    def server_statistics(self, seconds: float = 5.0) -> dict[str, dict[str, int]]:
        """Triton's own counters of the model, by endpoint; servers that are gone are left out."""
        found = {}
        for server in self.servers:
            try:
                found[server.name] = server.transport.statistics(
                    self.config.model, self.config.version, seconds
                )
            except ServiceError:
                continue
        return found

    def statistics_since_check(self) -> dict[str, dict[str, int]]:
        """What Triton counted of the model during this job, by endpoint.

        A server that was started anew meanwhile counts from its start.
        """
        found = {}
        for name, now in self.server_statistics().items():
            before = self._before.get(name, {})
            anew = any(value < before.get(key, 0) for key, value in now.items())
            found[name] = {k: v - (0 if anew else before.get(k, 0)) for k, v in now.items()}
        return found

    def close(self) -> None:
        """Give connections and threads back, and stop a server that this job started."""
        if self._threads is not None:
            self._threads.shutdown()
        for server in self.servers:
            server.transport.close()
        if self._closing is not None:
            self._closing()
