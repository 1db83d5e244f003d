"""Does a service leak or slow down? Many events through one server, in turn.

    python bench/service_soak.py --input sample --events 2000

Printed: the slope of resident memory of server, model's process and client, and of the time per
event, each with its uncertainty, over all events but the first fifth; the exit code is 1 where one
grows by more than a tenth over the run, beyond three times its uncertainty and 10 MB. Time is that
of finding at the server in CPU seconds of the model's process, which no other program changes much.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trkx.algorithms.service_bench import read_points
from trkx.plugin.serving.processes import resident_bytes
from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.space_points import SpacePoints

WARM = 0.2  # share of the events that come before
SERIES = ("server [MB]", "model [MB]", "client [MB]", "CPU per event [ms]", "wall per event [ms]")
_TOLERANCE = {"server [MB]": 10.0, "model [MB]": 10.0, "client [MB]": 10.0}


@dataclass
class Soak:
    """Figures after every few events."""

    rows: list[tuple[float, ...]] = field(default_factory=list)  # event number, then SERIES

    def run(self, server: TritonServer, points: list[SpacePoints], n: int, every: int) -> None:
        """Send `n` events, in turn by gRPC and HTTP."""
        clients = [
            RemotePipeline(RemoteConfig.of(url, fallback=()))
            for url in (server.grpc_url, server.http_url)
        ]
        (model,) = server.models
        expected = [clients[0](p).labels for p in points]
        cpu, wall = cpu_seconds(model), time.perf_counter()
        for i in range(n):
            which = i % len(points)
            found = clients[i // len(points) % 2](points[which]).labels
            if not np.array_equal(found, expected[which]):
                raise SystemExit(f"event {i}: another answer than the first time")
            if (i + 1) % every == 0:
                now = (cpu_seconds(model), time.perf_counter())
                memory = [resident_bytes(pid) / 1e6 for pid in (server.pid, model, os.getpid())]
                times = [1e3 * (b - a) / every for a, b in zip((cpu, wall), now, strict=True)]
                self.rows.append((i + 1, *memory, *times))
                cpu, wall = now
        for client in clients:
            client.close()

    def verdict(self) -> tuple[str, bool]:
        """A table of slopes, and whether nothing grows."""
        table = np.array(self.rows)
        number, good = table[:, 0], True
        steady = number > WARM * number[-1]
        span = number[-1] - number[steady][0]
        lines = [f"{'':22}{'first':>9}{'last':>9}   per 1000 events"]
        for name, values in zip(SERIES, table[:, 1:].T, strict=True):
            slope, error = fit_slope(number[steady], values[steady])
            growth, limit = slope * span, max(0.1 * values[steady][0], _TOLERANCE.get(name, 0.0))
            grows = growth > limit and slope > 3 * error
            good &= not grows or name.startswith("wall")  # other programs change that one
            lines.append(
                f"{name:22}{values[steady][0]:9.1f}{values[-1]:9.1f}   {1e3 * slope:+.2f} ± "
                f"{1e3 * error:.2f}{'  grows' if grows else ''}"
            )
        return "\n".join(lines), good


def fit_slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of a straight line through points, and its standard error."""
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt(rest @ rest / max(1, len(x) - 2) / (x @ x)))


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--input", nargs="+", required=True, help="simulated events")
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--different", type=int, default=10, help="events that come in turn")
    parser.add_argument("--every", type=int, default=20, help="events per measurement")
    args = parser.parse_args()
    points = read_points(args.input, args.different)
    with tempfile.TemporaryDirectory() as folder:
        repository = write_repository(Path(folder), RepositoryConfig(models=("trkx",)))
        config = ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
        with TritonServer(config) as server:
            soak = Soak()
            start = time.perf_counter()
            soak.run(server, points, args.events, args.every)
            seconds = time.perf_counter() - start
            log = server.log.stat().st_size
    text, good = soak.verdict()
    print(f"{args.events} events of {len(points)} different ones in {seconds:.0f} s")
    print(f"{text}\nthe server's log has {log / 1e3:.0f} kB")
    print("nothing grows" if good else "something grows")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
