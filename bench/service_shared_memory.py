"""Does shared memory pay for a server on the same machine? One event, both ways in turn.

    python bench/service_shared_memory.py --input sample

The event lies on modules that no map knows, so that the server reads it, checks its checksum and
refuses it: what is timed is the way there. Printed: medians of wall time, and CPU time of client
and server per request.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from service_soak import cpu_seconds

from trkx.algorithms.service_bench import read_points
from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.endpoint import parse_endpoints
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, checksum, event_inputs
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.shared_memory import SharedMemoryTransport
from trkx.plugin.serving.transport import Call, connect


def refused(inputs: dict[str, np.ndarray]) -> Call:
    """A request that is read in full and then refused."""
    inputs = {**inputs, "GEOMETRY_ID": np.full_like(inputs["GEOMETRY_ID"], 5)}
    rest = [array for name, array in inputs.items() if name != "CHECKSUM"]
    inputs["CHECKSUM"] = np.array([checksum(rest)], np.uint32)
    return Call("trkx", inputs, CLIENT_OUTPUTS)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--input", nargs="+", required=True, help="simulated events")
    parser.add_argument("--requests", type=int, default=100)
    args = parser.parse_args()
    call = refused(event_inputs(read_points(args.input, 1)[0], (0.0, 0.0)))
    with tempfile.TemporaryDirectory() as folder:
        repository = write_repository(Path(folder), RepositoryConfig(models=("trkx",)))
        config = ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
        with TritonServer(config) as server:
            ways = {}
            for endpoint in parse_endpoints(f"{server.grpc_url},{server.http_url}"):
                ways[f"{endpoint.protocol}, plain"] = connect(endpoint)
                shared = SharedMemoryTransport(connect(endpoint))
                ways[f"{endpoint.protocol}, shared memory"] = shared
            pids = (os.getpid(), server.pid, *server.models)
            rows: dict[str, list[list[float]]] = {name: [] for name in ways}
            for i in range(args.requests + 1):
                for name, transport in ways.items():
                    before = [time.perf_counter(), *map(cpu_seconds, pids)]
                    with contextlib.suppress(ServiceError):
                        transport.infer(call, 60.0)
                    after = [time.perf_counter(), *map(cpu_seconds, pids)]
                    if i:
                        rows[name].append([b - a for a, b in zip(before, after, strict=True)])
            for transport in ways.values():
                transport.close()
    print(f"{call.n_bytes / 1e6:.2f} MB per request, {args.requests} requests; ms per request")
    print(f"{'':24}{'wall':>8}{'client CPU':>12}{'server CPU':>12}{'model CPU':>12}")
    for name, values in rows.items():
        table = 1e3 * np.array(values)
        cpu = "".join(f"{x:12.1f}" for x in table[:, 1:].mean(axis=0))
        print(f"{name:24}{np.median(table[:, 0]):8.1f}{cpu}")


if __name__ == "__main__":
    main()
