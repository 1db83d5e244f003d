"""Throughput and overhead of track finding as a service, beside the same pipeline without one."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trkx.algorithms.service_overhead import Overhead, cpu_seconds, measure_overhead
from trkx.algorithms.service_workers import Workers
from trkx.io.event_files import EventFiles
from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.transport import Call, Transport, connect
from trkx.plugin.space_points import SpacePoints

__all__ = ["BENCH_MODELS", "ServiceBench", "ServiceResults", "Throughput", "read_points"]

# Model → the pipeline that it runs; '': the one asked for.
BENCH_MODELS = {"trkx": "", "exatrkxcpu": "exatrkx", "exatrkx": "exatrkx"}


@dataclass(frozen=True)
class Throughput:
    """One way to find the tracks of all events."""

    way: str  # 'direct', or protocol of the service
    model: str  # of the service; of 'direct' the pipeline
    instances: int  # processes, per model
    concurrency: int  # events in flight
    events_per_second: float
    seconds_per_event: float  # median, as the client sees it
    cpu_seconds: float | None = None  # processor time of client and server per event


@dataclass(frozen=True)
class ServiceResults:
    """What a bench measured."""

    events: int
    space_points: float  # mean
    pipeline: str
    overhead: Overhead  # all on one core
    overhead_apart: Overhead | None = None  # the client on a core of its own; None: there is none
    throughput: list[Throughput] = field(default_factory=list)
    cores: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def processor_time(self, model: str) -> float:
        """Processor time of an event by the service, seconds: the least of all; 0: none."""
        found = [t.cpu_seconds for t in self.throughput if t.model == model and t.cpu_seconds]
        return min(found, default=0.0)

    def best(self, way: str, model: str) -> float:
        """Most events per second of one way, over instances and events in flight; 0: none."""
        found = [t for t in self.throughput if (t.way, t.model) == (way, model)]
        return max((t.events_per_second for t in found), default=0.0)


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
    models: tuple[str, ...] = ("trkx",)  # of BENCH_MODELS
    concurrency: tuple[int, ...] = (1, 2, 4, 8, 16)
    instances: tuple[int, ...] = (1, 2, 3, 4)
    repeat: int = 1  # times that each event is sent

    def run(self) -> ServiceResults:
        """Measure everything; starts and stops servers and processes of its own."""
        throughput = []
        for pipeline in dict.fromkeys(map(self._pipeline, self.models)):
            for instances in self.instances:
                with Workers(self.points, pipeline, self.target, instances) as workers:
                    throughput += self._throughputs("direct", pipeline, instances, workers.find)
        for model in self.models:
            for instances in self.instances:
                throughput += self._served(model, instances)
        together, apart = measure_overhead(self.points, self.pipeline, self.target)
        return ServiceResults(
            events=len(self.points),
            space_points=float(np.mean([len(p) for p in self.points])),
            pipeline=self.pipeline,
            overhead=together,
            overhead_apart=apart,
            throughput=throughput,
            cores=len(os.sched_getaffinity(0)),
            versions={"python": platform.python_version(), "numpy": np.__version__},
        )

    def _pipeline(self, model: str) -> str:
        return BENCH_MODELS[model] or self.pipeline

    def _served(self, model: str, instances: int) -> list[Throughput]:
        config = RepositoryConfig((model,), self.pipeline, self.target, instances=instances)
        with tempfile.TemporaryDirectory() as folder:
            repository = write_repository(Path(folder), config)
            with TritonServer(
                ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
            ) as server:
                if model == "trkx":
                    remote = RemotePipeline(RemoteConfig.of(server.grpc_url, fallback=()))
                    found = self._throughputs(
                        "grpc", model, instances, lambda number: remote(self.points[number]), server
                    )
                    remote.close()
                    return found
                transport = connect(server.endpoint)
                found = self._throughputs(
                    "grpc", model, instances, self._asking(transport, model), server
                )
                transport.close()
        return found

    def _asking(self, transport: Transport, model: str) -> Callable[[int], Any]:
        """Finds the tracks of an event by its number, by the published contract."""
        from trkx.plugin.exatrkx_graph import scaled_features

        def ask(number: int) -> Any:
            call = Call(model, {"FEATURES": scaled_features(self.points[number])}, ["LABELS"])
            return transport.infer(call, 600.0)

        return ask

    def _throughputs(
        self,
        way: str,
        model: str,
        instances: int,
        find: Callable[[int], Any],
        server: TritonServer | None = None,
    ) -> list[Throughput]:
        """One row per number of events in flight."""

        def timed(number: int) -> float:
            start = time.perf_counter()
            find(number)
            return time.perf_counter() - start

        found = []
        numbers = list(range(len(self.points))) * self.repeat
        for concurrency in self.concurrency:
            with ThreadPoolExecutor(concurrency) as threads:
                list(threads.map(timed, numbers[: 2 * instances]))  # every process is warm
                before = None if server is None else cpu_seconds(server)
                start = time.perf_counter()
                seconds = list(threads.map(timed, numbers))
                total = time.perf_counter() - start
                used = None
                if server is not None and before is not None:
                    used = (cpu_seconds(server) - before) / len(seconds)
            found.append(
                Throughput(
                    way, model, instances, concurrency, len(seconds) / total,
                    float(np.median(seconds)), used,
                )
            )  # fmt: skip
        return found
