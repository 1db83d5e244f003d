"""What an event costs by a local service beyond what it costs in the job's own process.

Both sides have one core. Events come in turn, this side first and the other side first, so that
neither the machine's mood nor the order favours one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trkx.plugin.load import load_pipeline
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.serving.exchange import event_inputs
from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.space_points import SpacePoints

PLACEMENTS = ("same core", "two cores")


@dataclass(frozen=True)
class Overhead:
    """One event at a time; seconds, medians over the events."""

    placement: str  # 'same core': client and server share the core of the other side; 'two
    #   cores': the server has that core, the client another
    direct: float  # in this process
    service: float  # by gRPC, serialisation and all
    relative: float  # median over events of (service - direct) / direct
    finding_direct: float  # of these, the pipeline itself
    finding_service: float
    cpu_direct: float  # processor time of all processes, mean; other load does not count
    cpu_service: float
    serialise: float  # columns to tensors
    bytes_sent: float  # per event
    bytes_received: float
    queue: float  # by the server's own counters, means
    compute_input: float
    compute_infer: float
    compute_output: float


def measure_overhead(
    points: list[SpacePoints], pipeline: str, target: str, rounds: int = 2
) -> tuple[Overhead, Overhead | None]:
    """Measure both placements; None: this machine has one core.

    Args:
        points: the events.
        pipeline: name or file of the pipeline.
        target: 'pt1' or 'pt05'.
        rounds: times that each event is measured; odd ones ask the service first.
    """
    here = load_pipeline(pipeline=pipeline, target=target, threads=1)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    found: list[Overhead | None] = []
    config = RepositoryConfig(("trkx",), pipeline, target)
    # Processes and threads inherit the cores of the thread that starts them.
    with _on(cores[0]), tempfile.TemporaryDirectory() as folder:
        repository = write_repository(Path(folder), config)
        with TritonServer(
            ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
        ) as server:
            for placement, core in zip(PLACEMENTS, cores, strict=False):
                found.append(_measure(placement, server, here, points, rounds, core))
    together, apart = [*found, None][:2]
    assert together is not None
    return together, apart


@contextmanager
def _on(core: int) -> Iterator[None]:
    """Keep this thread, and what it starts, on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(server: TritonServer) -> float:
    """Processor time so far of this process, and of the server with its models' processes.

    A server's processes are those of its session. Linux counts in hundredths of a second.
    """
    total = time.process_time()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = path.read_text().rpartition(")")[2].split()
        except OSError:  # a process that has just ended
            continue
        if int(values[3]) == server.pid:
            total += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _measure(
    placement: str,
    server: TritonServer,
    here: Pipeline,
    points: list[SpacePoints],
    rounds: int,
    client_core: int,
) -> Overhead:
    with _on(client_core):
        remote = RemotePipeline(RemoteConfig.of(server.grpc_url, fallback=(), in_flight=1))
        remote.check()
        remote(points[0])  # opens the connection, and its threads
    here(points[0])
    before = remote.statistics_since_check()[server.grpc_url]
    counts_before = remote.counters.as_json()
    rows = []
    for number in range(rounds):
        for at, event in enumerate(points):
            row: dict[str, float] = {}
            used = [cpu_seconds(server)]
            service_first = (number + at) % 2 == 1
            for service in (service_first, not service_first):
                start = time.perf_counter()
                if service:
                    with _on(client_core):
                        found = remote(event)
                else:
                    found = here(event)
                name = "service" if service else "direct"
                row[name] = time.perf_counter() - start
                used.append(cpu_seconds(server))
                row[f"cpu_{name}"] = used[-1] - used[-2]
                own = {k: v for k, v in found.timing.items() if k != "service"}
                row[f"finding_{name}"] = sum(own.values())
            start = time.perf_counter()
            event_inputs(event, (0.0, 0.0))
            row["serialise"] = time.perf_counter() - start
            row["relative"] = (row["service"] - row["direct"]) / row["direct"]
            rows.append(row)
    after = remote.statistics_since_check()[server.grpc_url]
    counts = remote.counters.as_json()
    remote.close()
    n = len(rows)
    server_side = ("queue", "compute_input", "compute_infer", "compute_output")
    return Overhead(
        placement=placement,
        **{
            name: float((np.mean if name.startswith("cpu") else np.median)([r[name] for r in rows]))
            for name in rows[0]
        },
        **{
            name: (counts[name] - counts_before[name]) / n
            for name in ("bytes_sent", "bytes_received")
        },
        **{name: (after[f"{name}_ns"] - before[f"{name}_ns"]) / n * 1e-9 for name in server_side},
    )
