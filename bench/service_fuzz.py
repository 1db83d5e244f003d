"""What does a server do with bad requests? It must answer an error to each, and stay as it was.

    python bench/service_fuzz.py --input sample --requests 10000

Kinds of requests come in turn, with a seed: wrong shapes, types, sizes, names and values through
client libraries by both protocols, and wrong bytes on both ports. Every hundred of them a good
request is checked. Printed: a table of what was answered by kind, and resident memory before and
after; the exit code is 1 where the server failed in anything.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from fuzz_bytes import HTTP, HTTP2, MESSAGES, SECONDS, exchange
from fuzz_tensors import RARE, TENSORS

from trkx.algorithms.service_bench import read_points
from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.endpoint import parse_endpoints
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs, read_candidates
from trkx.plugin.serving.processes import SHARED_MEMORY, resident_bytes
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.transport import Call, connect
from trkx.plugin.space_points import SpacePoints

GOOD = ("error", "closed")  # how outcomes of bad requests must start
SHARE = 0.002  # of all requests that are large ones, which take a second or more each


@dataclass
class Fuzz:
    """Bad requests to one server, and what came of them."""

    server: TritonServer
    points: SpacePoints
    seed: int = 1
    rare: bool = True  # also requests of ten million hits, a second each
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)  # what the server should not have done
    before: tuple[int, int] = (0, 0)  # bytes resident: of the processes, shared with models
    after: tuple[int, int] = (0, 0)

    def run(self, n: int, every: int = 100) -> None:
        """Send `n` bad requests, and a good one after each `every`."""
        self._event = event_inputs(self.points, (0.0, 0.0))
        self._transports = [
            connect(e) for e in parse_endpoints(f"{self.server.grpc_url},{self.server.http_url}")
        ]
        self._expected = self._good(0)
        for _ in range(20):
            self._good(0)
        self.before = memory(self.server)
        rng = np.random.default_rng(self.seed)
        kinds = self._kinds()
        names = list(kinds)
        for i in range(n):
            name = names[i % len(names)]
            if name == "ten million hits" and rng.random() > SHARE * len(names):
                name = "NaN"
            outcome = kinds[name](rng)
            self.outcomes[name][outcome] += 1
            if not outcome.startswith(GOOD):
                self.wrong.append(f"{name}: {outcome}")
            if (i + 1) % every == 0 or i + 1 == n:
                self._check()
        for transport in self._transports:
            transport.close()
        # Connections that were left are noticed within a moment.
        deadline = time.monotonic() + 30
        self.after = memory(self.server)
        while self.after[0] > 1.05 * self.before[0] and time.monotonic() < deadline:
            time.sleep(0.5)
            self.after = memory(self.server)

    def _kinds(self) -> dict[str, Callable[[np.random.Generator], str]]:
        http, port = self.server.config.http_port, self.server.config.grpc_port
        tensors = {
            n: lambda rng, m=make: self._infer(m(rng, self._event)) for n, make in TENSORS.items()
        }
        rare = [lambda rng, m=make: self._infer(m(rng, self._event)) for make in RARE.values()]
        large = {"ten million hits": lambda rng: rare[rng.integers(len(rare))](rng)}
        return {
            **tensors,
            **(large if self.rare else {}),
            **{n: lambda rng, m=make: exchange(http, m(rng)) for n, make in HTTP.items()},
            **{n: lambda rng, m=make: exchange(port, m(rng)) for n, make in HTTP2.items()},
            **{n: lambda rng, m=make: self._message(m(rng)) for n, make in MESSAGES.items()},
        }

    def _infer(self, call: Call) -> str:
        """Send a request by one protocol or the other."""
        self._turn = 1 - getattr(self, "_turn", 0)
        try:
            self._transports[self._turn].infer(call, 6 * SECONDS)
        except ServiceError as error:
            return f"error {error.status or 'of the connection'}"
        return "answered"

    def _message(self, content: bytes) -> str:
        with grpc.insecure_channel(self.server.endpoint.address) as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            try:
                ask(content, timeout=SECONDS)
            except grpc.RpcError as error:
                return f"error {error.code().name}"
        return "answered"

    def _good(self, which: int) -> np.ndarray:
        outputs = self._transports[which].infer(
            Call("trkx", self._event, CLIENT_OUTPUTS), 6 * SECONDS
        )
        return read_candidates(outputs, len(self.points))[0].labels

    def _check(self) -> None:
        """The server runs, and finds in a good event what it found before."""
        if ended := self.server.what_ended():
            raise SystemExit(f"{ended}. {self.server.last_words()}")
        for which in range(2):
            try:
                if not np.array_equal(self._good(which), self._expected):
                    self.wrong.append("a good request: another answer than before")
            except ServiceError as error:
                self.wrong.append(f"a good request: {error}")

    @property
    def memory_returned(self) -> bool:
        """Whether the processes have what they had; shared memory stays, within its limit."""
        return self.after[0] < 1.1 * self.before[0] + 30e6

    def table(self) -> str:
        """What was answered, by kind."""
        lines = []
        for name, counts in sorted(self.outcomes.items()):
            what = ", ".join(f"{n} × {outcome}" for outcome, n in counts.most_common())
            lines.append(f"{name:32}{sum(counts.values()):7}  {what}")
        total = sum(sum(counts.values()) for counts in self.outcomes.values())
        lines.append(f"{total} bad requests, {len(self.wrong)} not taken as they should be")
        lines += sorted(set(self.wrong))[:20]
        for what, was, now in zip(("processes", "shared"), self.before, self.after, strict=True):
            lines.append(
                f"server's memory, {what}: {was / 1e6:.0f} MB before, {now / 1e6:.0f} after"
            )
        return "\n".join(lines)


def memory(server: TritonServer) -> tuple[int, int]:
    """Bytes resident: what the server's processes have for themselves, and what they share."""
    own = sum(resident_bytes(pid) for pid in (server.pid, *server.models))
    regions = SHARED_MEMORY.glob(f"{server.memory_prefix}*")
    return own, sum(512 * path.stat().st_blocks for path in regions)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--input", nargs="+", required=True, help="simulated events")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        models = RepositoryConfig(models=("trkx", "gnn_tracks"))
        repository = write_repository(Path(folder), models)
        config = ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
        with TritonServer(config) as server:
            fuzz = Fuzz(server, read_points(args.input, 1)[0], args.seed)
            fuzz.run(args.requests)
    print(fuzz.table())
    print(f"{time.perf_counter() - start:.0f} s, {threading.active_count()} threads left here")
    return 0 if not fuzz.wrong and fuzz.memory_returned else 1


if __name__ == "__main__":
    sys.exit(main())
