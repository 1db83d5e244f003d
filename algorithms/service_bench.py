"""Throughput and overhead of track finding as a service, beside the same pipeline without one."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trkx.io.event_files import EventFiles
from trkx.plugin.load import load_pipeline
from trkx.plugin.serving.exchange import event_inputs
from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.space_points import SpacePoints

__all__ = ["ServiceBench", "ServiceResults", "draw", "format_results", "read_points"]


@dataclass(frozen=True)
class Throughput:
    """One way to find the tracks of all events."""

    way: str  # 'direct', or protocol of the service
    instances: int  # processes per model; of direct: threads
    concurrency: int  # events in flight
    events_per_second: float
    seconds_per_event: float  # median, as the client sees it


@dataclass(frozen=True)
class Overhead:
    """What an event costs beyond finding, one at a time; seconds, medians."""

    direct: float  # in this process
    service: float  # by gRPC on this machine, serialisation and all
    relative: float  # median over events of (service − direct) / direct
    serialise: float  # columns to tensors
    bytes_sent: float  # per event
    bytes_received: float
    queue: float  # by the server's own counters
    compute_input: float
    compute_infer: float
    compute_output: float


@dataclass(frozen=True)
class ServiceResults:
    """What a bench measured."""

    events: int
    space_points: float  # mean
    pipeline: str
    overhead: Overhead
    throughput: list[Throughput] = field(default_factory=list)
    cores: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_points(inputs: Sequence[str], n: int) -> list[SpacePoints]:
    """Space points of the first `n` events."""
    with EventFiles.open(inputs) as files:
        first, stop = files.available
        numbers = range(first, min(stop, first + n))
        return [
            SpacePoints.from_columns(files.read(number, truth=False).space_points)
            for number in numbers
        ]


@dataclass(frozen=True)
class ServiceBench:
    """What to measure."""

    points: list[SpacePoints]
    pipeline: str = "fast"
    target: str = "pt1"
    concurrency: tuple[int, ...] = (1, 2, 4, 8, 16)
    instances: tuple[int, ...] = (1, 2, 4)

    def run(self) -> ServiceResults:
        """Measure everything; starts and stops servers of its own."""
        here = load_pipeline(pipeline=self.pipeline, target=self.target, threads=1)
        here(self.points[0])
        throughput = [self._throughput("direct", n, n, here) for n in self.concurrency]
        overhead = None
        with tempfile.TemporaryDirectory() as folder:
            for instances in self.instances:
                config = RepositoryConfig(
                    ("trkx",), self.pipeline, self.target, instances=instances
                )
                repository = write_repository(Path(folder) / str(instances), config)
                with TritonServer(
                    ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
                ) as server:
                    if overhead is None:
                        overhead = self._overhead(server, here)
                    for n in self.concurrency:
                        remote = self._client(server, n)
                        throughput.append(self._throughput("grpc", instances, n, remote))
                        remote.close()
        assert overhead is not None
        return ServiceResults(
            events=len(self.points),
            space_points=float(np.mean([len(p) for p in self.points])),
            pipeline=self.pipeline,
            overhead=overhead,
            throughput=throughput,
            cores=len(os.sched_getaffinity(0)),
            versions={"python": platform.python_version(), "numpy": np.__version__},
        )

    def _client(self, server: TritonServer, in_flight: int) -> RemotePipeline:
        return RemotePipeline(RemoteConfig.of(server.grpc_url, fallback=(), in_flight=in_flight))

    def _throughput(self, way: str, instances: int, concurrency: int, find: Any) -> Throughput:
        def timed(points: SpacePoints) -> float:
            start = time.perf_counter()
            find(points)
            return time.perf_counter() - start

        with ThreadPoolExecutor(concurrency) as threads:
            list(threads.map(timed, self.points[: 2 * instances]))  # every process is warm
            start = time.perf_counter()
            seconds = list(threads.map(timed, self.points))
            total = time.perf_counter() - start
        return Throughput(
            way, instances, concurrency, len(seconds) / total, float(np.median(seconds))
        )

    def _overhead(self, server: TritonServer, here: Any) -> Overhead:
        """Event by event in turn, so that the machine's mood is the same for both."""
        remote = self._client(server, 1)
        remote.check()
        remote(self.points[0])
        before = remote.statistics_since_check()[server.grpc_url]
        sent = remote.counters.as_json()
        rows = []
        for points in self.points:
            times = [time.perf_counter()]
            for step in (
                lambda points=points: here(points),
                lambda points=points: remote(points),
                lambda points=points: event_inputs(points, (0.0, 0.0)),
            ):
                step()
                times.append(time.perf_counter())
            rows.append(np.diff(times))
        direct, service, serialise = np.array(rows).T
        after = remote.statistics_since_check()[server.grpc_url]
        n = len(self.points)
        counts = remote.counters.as_json()
        remote.close()

        def each(name: str) -> float:
            return (after[f"{name}_ns"] - before[f"{name}_ns"]) / n * 1e-9

        return Overhead(
            direct=float(np.median(direct)),
            service=float(np.median(service)),
            relative=float(np.median((service - direct) / direct)),
            serialise=float(np.median(serialise)),
            bytes_sent=(counts["bytes_sent"] - sent["bytes_sent"]) / n,
            bytes_received=(counts["bytes_received"] - sent["bytes_received"]) / n,
            queue=each("queue"),
            compute_input=each("compute_input"),
            compute_infer=each("compute_infer"),
            compute_output=each("compute_output"),
        )


def _by_way(results: ServiceResults) -> dict[str, list[Throughput]]:
    """Measurements by what a table or figure calls them."""
    found: dict[str, list[Throughput]] = {}
    for t in results.throughput:
        name = "direct, threads" if t.way == "direct" else f"{t.way}, {t.instances} processes"
        found.setdefault(name, []).append(t)
    return found


def format_results(results: ServiceResults) -> str:
    """Tables for people."""
    o = results.overhead
    lines = [
        f"{results.events} events, {results.space_points:.0f} space points each, pipeline "
        f"{results.pipeline}, {results.cores} cores",
        "",
        "one event at a time [ms]",
        f"  in this process {1e3 * o.direct:8.1f}",
        f"  by the service  {1e3 * o.service:8.1f}   overhead {100 * o.relative:+.1f}%",
        f"    serialise {1e3 * o.serialise:.1f}, queue {1e3 * o.queue:.1f}, input "
        f"{1e3 * o.compute_input:.1f}, finding {1e3 * o.compute_infer:.1f}, output "
        f"{1e3 * o.compute_output:.1f}",
        f"    {o.bytes_sent / 1e6:.2f} MB sent, {o.bytes_received / 1e6:.2f} MB received",
        "",
        "events per second (median seconds of one) against events in flight",
    ]
    columns = dict.fromkeys(t.concurrency for t in results.throughput)
    lines.append(f"  {'':22}" + "".join(f"{n:>16}" for n in columns))
    for name, rows in _by_way(results).items():
        cells = {
            t.concurrency: f"{t.events_per_second:.2f} ({t.seconds_per_event:.2f})" for t in rows
        }
        lines.append(f"  {name:22}" + "".join(f"{cells.get(n, ''):>16}" for n in columns))
    return "\n".join(lines) + "\n"


def draw(results: ServiceResults, path: Path) -> None:
    """Draw throughput against events in flight."""
    from trkx.plugin.errors import need

    need("matplotlib", "report", "the figure")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for name, rows in _by_way(results).items():
        axes.plot(
            [t.concurrency for t in rows],
            [t.events_per_second for t in rows],
            marker="o",
            linestyle="--" if rows[0].way == "direct" else "-",
            label=name,
        )
    axes.set_xlabel("events in flight")
    axes.set_ylabel("events per second")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
