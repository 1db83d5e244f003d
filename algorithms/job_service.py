"""Track finding by a service in a job: its settings, and what is reported of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trkx.io.errors import ConfigError

if TYPE_CHECKING:
    from trkx.plugin.pipeline import Pipeline
    from trkx.plugin.serving.remote_pipeline import RemotePipeline
    from trkx.plugin.serving.security import Security

BACKENDS = ("local", "triton")
TOKEN_VARIABLE = "TRKX_TOKEN"


@dataclass(frozen=True)
class ServiceSettings:
    """How a job uses servers; all of it is checked by `remote_pipeline`."""

    url: str = ""  # grpc://host:8001,host2:8001
    timeout: float = 30.0  # s, of one attempt
    attempts: int = 3  # per step of the fallback order
    fallback: str = "endpoint,http,in-process"  # in this order; empty: the job fails
    compression: str = "none"
    shared_memory: bool = True  # inputs, for servers on this machine
    model_version: str = ""  # empty: the newest
    any_model: bool = False  # also use a server whose model is another than this job's
    tls: Path | None = None  # folder with ca.pem and, for mutual TLS, client.pem and client.key
    token_file: Path | None = None  # file with the token; else the environment's TRKX_TOKEN

    @property
    def security(self) -> Security:
        """Certificates and token.

        Raises:
            ServerError: a file is missing, or the token cannot be one.
        """
        from trkx.plugin.serving.security import Security, check_token, read_token

        token = os.environ.get(TOKEN_VARIABLE)
        if self.token_file is not None:
            token = read_token(self.token_file)
        elif token is not None:
            token = check_token(token.strip(), TOKEN_VARIABLE)
        if self.tls is None:
            return Security(token=token)
        certificate, key = self.tls / "client.pem", self.tls / "client.key"
        own = certificate.is_file()
        return Security(
            root_certificates=self.tls / "ca.pem",
            certificate=certificate if own else None,
            private_key=key if own else None,
            token=token,
        )

    def remote_pipeline(
        self,
        pipeline: Path | str,
        target: str,
        weights: Path | None,
        in_process: Callable[[], Pipeline],
    ) -> RemotePipeline:
        """A pipeline that asks the servers.

        Args:
            pipeline: pipeline file or name of a shipped one that the servers must have.
            target: 'pt1' or 'pt05'.
            weights: model folder instead of the shipped one.
            in_process: loads the pipeline into this process.

        Raises:
            ConfigError, ServerError: settings that cannot be used.
            ServiceError: a server has another model, or none answers and there is no fallback.
        """
        from dataclasses import replace

        from trkx.plugin.serving.endpoint import parse_endpoints
        from trkx.plugin.serving.identity import pipeline_identity
        from trkx.plugin.serving.local_server import LocalServer
        from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
        from trkx.plugin.serving.retry import RetryPolicy

        if not self.url:
            raise ConfigError(
                "backend 'triton' needs the address of a server: pass --url grpc://HOST:8001"
            )
        if self.timeout <= 0 or self.attempts < 1:
            raise ConfigError(
                f"timeout {self.timeout} s and {self.attempts} attempts: both must be positive"
            )
        endpoints = parse_endpoints(self.url)
        if self.tls is not None:
            endpoints = tuple(replace(e, scheme=f"{e.protocol}s") for e in endpoints)
        policy = RetryPolicy(
            attempts=self.attempts, seconds=self.timeout, total_seconds=4 * self.timeout
        )
        config = RemoteConfig(
            endpoints,
            version=self.model_version,
            identity=None if self.any_model else pipeline_identity(pipeline, target, weights),
            fallback=tuple(filter(None, (name.strip() for name in self.fallback.split(",")))),
            policy=policy,
            security=self.security,
            compression=self.compression,
            shared_memory=self.shared_memory,
        )
        own = LocalServer(str(pipeline), target, "" if weights is None else str(weights))
        remote = RemotePipeline(config, own.start, in_process, closing=own.stop)
        remote.check()
        return remote


def service_record(remote: RemotePipeline) -> dict[str, Any]:
    """What performance.json says of the service: the client's counts and the servers' own."""
    client, servers = remote.counters.as_json(), remote.statistics_since_check()
    return {
        "client": client,
        "servers": servers,
        "seconds_per_event": seconds_per_event(client, servers),
    }


def seconds_per_event(
    client: Mapping[str, Any], servers: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """Where the time of an event went that a server answered; empty where none did.

    Args:
        client: what the client counted.
        servers: what the servers did meanwhile, for this job and any other one.

    Returns:
        `client` (columns to tensors), `queue`, `compute_input`, `compute_infer`,
        `compute_output` (at the server) and `network`: what is left of the time of the request,
        serialisation by the protocol included.
    """
    events = client.get("events", 0)
    answered = sum(n for where, n in client["answered_by"].items() if where in servers)
    requests = sum(counts["success_count"] for counts in servers.values())
    if not answered or not requests:
        return {}
    found = {"client": client["client_seconds"] / events}
    for name in ("queue", "compute_input", "compute_infer", "compute_output"):
        found[name] = sum(counts[f"{name}_ns"] for counts in servers.values()) / requests * 1e-9
    waited = client["waiting_seconds"] / answered
    found["network"] = max(0.0, waited - sum(found.values()) + found["client"])
    return found


def describe_service(record: Mapping[str, Any]) -> str:
    """One line of what the service did, and what went wrong."""
    client = record["client"]
    answered = ", ".join(f"{n} events by {where}" for where, n in client["answered_by"].items())
    parts = [answered or "no events"]
    for name in ("retries", "fallbacks", "breakers_opened", "servers_started"):
        if client.get(name):
            parts.append(f"{client[name]} {name.replace('_', ' ')}")
    if client["failures"]:
        failures = ", ".join(f"{n} × {what}" for what, n in client["failures"].items())
        parts.append(f"failed attempts: {failures}")
    times = record.get("seconds_per_event")
    if times:
        shown = ", ".join(f"{k.replace('_', ' ')} {1e3 * v:.1f}" for k, v in times.items())
        parts.append(f"ms per event: {shown}")
    return "; ".join(parts)
