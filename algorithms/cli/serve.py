"""`trkx serve`: a Triton server with our models, from start to clean stop."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from trkx.algorithms.job_config import DEVICES, TARGETS
from trkx.io.errors import ConfigError

DESCRIPTION = """\
Start an NVIDIA Triton server that finds tracks, wait until it is ready, print its addresses, and
stop it cleanly at Ctrl-C or SIGTERM. Jobs then use it with

  trkx run --backend triton --url grpc://HOST:8001 ...

It listens on this machine only unless --address says otherwise; beyond this machine it wants --tls.
"""

EPILOG = """\
examples:
  trkx serve                                            on 8001 (gRPC), 8000 (HTTP), 8002 (metrics)
  trkx serve --grpc-port 0 --http-port 0 --metrics-port 0      on free ports, which it prints
  trkx serve --pipeline metric_learning --instances 2
  trkx serve --address 0.0.0.0 --tls certificates       encrypted, for clients with a certificate
  trkx serve --perf-data data.json --input sample       events as input data of perf_analyzer
  trkx serve --export repository                        a model repository for any Triton

The server is that of the package nvidia-pytriton; install it with
  pip install --no-deps nvidia-pytriton==0.7.0
"""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "serve",
        help="find tracks as a service",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name, port, what in (
        ("grpc", 8001, "gRPC requests"),
        ("http", 8000, "HTTP requests"),
        ("metrics", 8002, "Prometheus metrics"),
    ):
        add(
            f"--{name}-port",
            type=int,
            default=port,
            metavar="N",
            help=f"port for {what} (default {port}; 0: a free one)",
        )
    add("--address", default="127.0.0.1", metavar="IP", help="interface to listen on (127.0.0.1)")
    add(
        "--models",
        metavar="NAMES",
        help="models to serve, separated by commas: trkx, gnn_tracks, trkx_reco (default: these), "
        "exatrkx, exatrkxcpu, exatrkxgpu (FEATURES as of exatrkx-service)",
    )
    add("--pipeline", default="fast", metavar="NAME|FILE", help="what finds the tracks (fast)")
    add("--target", choices=TARGETS, default="pt1", help="lowest pT: 1 GeV (default) or 0.5 GeV")
    add("--weights", default="", metavar="DIR", help="model folder of your own")
    add("--device", choices=DEVICES, default="cpu", help="where the networks run (default cpu)")
    add("--instances", type=int, default=1, metavar="N", help="processes per model (default 1)")
    add(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of each process (default: the cores shared among the instances)",
    )
    add(
        "--rate-limit",
        type=int,
        default=0,
        metavar="N",
        help="run at most N executions at once, of all models together (default: no limit)",
    )
    add("--tls", metavar="DIR", help="encrypt; certificates in DIR, made there if it is empty")
    add(
        "--host-names",
        default="",
        metavar="NAMES",
        help="names and addresses for the certificate that --tls makes",
    )
    add(
        "--no-client-certificates",
        dest="mutual",
        action="store_false",
        help="with --tls: serve clients without a certificate as well",
    )
    add("--token-file", type=Path, metavar="FILE", help="requests must carry the token in FILE")
    add(
        "--insecure",
        action="store_true",
        help="listen beyond this machine without --tls: whoever reaches the port can use the "
        "server, and read and change what it exchanges",
    )
    add(
        "--restarts",
        type=int,
        default=5,
        metavar="N",
        help="start the server anew when it ends by itself, up to N times in ten minutes (5)",
    )
    add("--log", type=Path, metavar="FILE", help="file for the server's log")
    add("--export", type=Path, metavar="DIR", help="write the model repository and stop")
    add(
        "--perf-data",
        type=Path,
        metavar="FILE",
        help="write events of --input as input data of perf_analyzer, and stop",
    )
    add("--input", nargs="+", metavar="DIR", help="with --perf-data: simulated events")
    add("--events", default=":", metavar="A:B", help="with --perf-data: event numbers (all)")
    add(
        "--model",
        default="trkx",
        metavar="NAME",
        help="with --perf-data: the model that the data is for (trkx)",
    )
    add("--force", action="store_true", help="with --export: replace what DIR holds")
    add(
        "--libtorch",
        action="store_true",
        help="with --export: networks of exatrkx as TorchScript, for NVIDIA's container",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; returns 0."""
    from trkx.plugin.serving.repository import write_repository

    if args.libtorch and args.export is None:
        raise ConfigError("--libtorch goes with --export: the server here has no libtorch backend")
    if args.rate_limit < 0:
        raise ConfigError(f"--rate-limit is {args.rate_limit}; give the most executions at once")
    if args.perf_data is not None:
        return _write_perf_data(args)
    config = _repository_config(args)
    if args.export is not None:
        from trkx.plugin.serving.export_repository import export_repository

        print(export_repository(args.export, config, args.force))
        return 0
    _check_address(args)
    with tempfile.TemporaryDirectory(prefix="trkx-models-") as folder:
        write_repository(Path(folder), config)
        _serve(args, Path(folder))
    return 0


def _write_perf_data(args: argparse.Namespace) -> int:
    from trkx.algorithms.job_config import parse_event_range
    from trkx.algorithms.perf_data import write_perf_data

    if not args.input:
        raise ConfigError("--perf-data needs the events to write: pass --input DIR")
    n = write_perf_data(args.perf_data, args.input, parse_event_range(args.events), args.model)
    print(f"{args.perf_data}: {n} events. Use it with")
    print(f"  perf_analyzer -m {args.model} -i grpc --input-data {args.perf_data}")
    return 0


def _repository_config(args: argparse.Namespace) -> Any:
    from trkx.plugin.serving.repository import RepositoryConfig

    names = () if args.models is None else tuple(args.models.split(","))
    return RepositoryConfig(
        models=names,
        pipeline=args.pipeline,
        target=args.target,
        weights=args.weights,
        instances=args.instances,
        device=args.device,
        rate_limited=args.rate_limit > 0,
        libtorch=args.libtorch,
    )


def rate_limit(executions: int) -> tuple[str, ...]:
    """Arguments of tritonserver that limit the executions at once; 0: none."""
    if not executions:
        return ()
    return ("--rate-limit=execution_count", f"--rate-limit-resource=core:{executions}")


def _check_address(args: argparse.Namespace) -> None:
    """Refuse to be reachable from elsewhere without encryption.

    Raises:
        ConfigError: it would be, and --insecure does not say that this is meant.
    """
    if args.address in LOOPBACK or args.tls is not None:
        return
    if not args.insecure:
        raise ConfigError(
            f"--address {args.address} can be reached from other machines, and without --tls "
            "whoever does can use the server, and read and change what it exchanges. Pass "
            "--tls DIR, or --insecure on a network you trust."
        )
    print(
        f"Warning: {args.address} can be reached from other machines and nothing is encrypted "
        "(--insecure)"
    )


def _note(text: str) -> None:
    print(text, flush=True)


def _serve(args: argparse.Namespace, repository: Path) -> None:
    from trkx.plugin.serving.certificates import CertificateFolder
    from trkx.plugin.serving.security import read_token
    from trkx.plugin.serving.server import ServerConfig, TritonServer
    from trkx.plugin.serving.supervisor import Supervisor

    hosts = [*filter(None, args.host_names.split(",")), "localhost", "127.0.0.1"]
    if args.address not in (*LOOPBACK, "0.0.0.0", "::"):
        hosts.insert(0, args.address)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    config = ServerConfig(
        repository=repository,
        address=args.address,
        grpc_port=args.grpc_port,
        http_port=args.http_port,
        metrics_port=args.metrics_port,
        threads=args.threads or max(1, (cores or 1) // args.instances),
        certificates=None if args.tls is None else CertificateFolder.open(args.tls, hosts),
        mutual=args.mutual,
        token=None if args.token_file is None else read_token(args.token_file),
        log=args.log,
        extra=rate_limit(args.rate_limit),
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with TritonServer(config) as server:
        print(f"gRPC     {server.grpc_url}")
        print(f"HTTP     {server.http_url or 'off: Triton does not encrypt it'}")
        print(f"metrics  {server.metrics_url}")
        if args.tls is not None:
            print(f"clients  --tls {args.tls}")
        print(f"log      {server.log}", flush=True)
        Supervisor(server, restarts=args.restarts, tell=_note).watch(stop)
    print("stopped")
