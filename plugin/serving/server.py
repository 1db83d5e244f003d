"""Start, watch and stop a Triton server."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trkx.plugin.errors import ServerError, ServiceError
from trkx.plugin.serving.certificates import CertificateFolder
from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.processes import children, is_running, remove_shared_memory
from trkx.plugin.serving.runtime import Runtime
from trkx.plugin.serving.security import TOKEN_HEADER, Security
from trkx.plugin.serving.transport import connect

LOOPBACK = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::")
# What nobody may do without the token; health stays open for balancers.
_CLOSED = (
    "inference",
    "metadata",
    "model-config",
    "model-repository",
    "shared-memory",
    "statistics",
    "trace",
    "logging",
)


@dataclass(frozen=True)
class ServerConfig:
    """How a server listens and how much it may take."""

    repository: Path  # model repository
    address: str = LOOPBACK  # interface to listen on
    grpc_port: int = 8001  # 0: a free one
    http_port: int = 8000  # 0: a free one
    metrics_port: int = 8002  # 0: a free one
    threads: int = 1  # of numeric libraries, per model instance
    certificates: CertificateFolder | None = None  # None: no encryption
    mutual: bool = False  # clients must show a certificate as well
    token: str | None = None  # that every request must carry
    start_seconds: float = 300.0  # until all models must be ready
    stub_seconds: int = 180  # until a model's process must answer; torch is slow to load
    memory: int = 1 << 28  # bytes that requests and answers of one model may take; at most
    extra: tuple[str, ...] = ()  # more arguments of tritonserver
    log: Path | None = None  # file for the server's output; None: a temporary one


def free_ports(n: int, address: str = LOOPBACK) -> list[int]:
    """Numbers of `n` different free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind((address, 0))
        return [s.getsockname()[1] for s in sockets]


def with_free_ports(config: ServerConfig) -> ServerConfig:
    """The configuration with every port of 0 replaced by a free one."""
    names = [n for n in ("grpc_port", "http_port", "metrics_port") if getattr(config, n) == 0]
    ports = free_ports(len(names), config.address)
    found: dict[str, Any] = dict(zip(names, ports, strict=True))
    return replace(config, **found)


@dataclass
class TritonServer:
    """One running server; a context manager that stops it."""

    config: ServerConfig
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _scratch: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)
    _models: tuple[int, ...] = field(default=(), repr=False)  # their processes, once ready
    memory_prefix: str = field(default_factory=lambda: f"trkx-server-{secrets.token_hex(8)}-")
    log: Path = field(default_factory=Path)

    @property
    def _host(self) -> str:
        """Where a client on this machine reaches the server."""
        return LOOPBACK if self.config.address in _EVERYWHERE else self.config.address

    @property
    def endpoint(self) -> Endpoint:
        """Its gRPC endpoint, for clients on this machine."""
        scheme = "grpc" if self.config.certificates is None else "grpcs"
        return Endpoint(scheme, self._host, self.config.grpc_port)

    @property
    def client_security(self) -> Security:
        """What a client must show."""
        folder = self.config.certificates
        if folder is None:
            return Security(token=self.config.token)
        own = self.config.mutual
        return Security(
            root_certificates=folder.authority,
            certificate=folder.certificate("client") if own else None,
            private_key=folder.key("client") if own else None,
            token=self.config.token,
        )

    @property
    def grpc_url(self) -> str:
        return str(self.endpoint)

    @property
    def http_url(self) -> str | None:
        """Its HTTP address; None: HTTP is off."""
        if self.config.certificates is not None:
            return None
        return f"http://{self._host}:{self.config.http_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self._host}:{self.config.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        """Process number of the server.

        Raises:
            ServerError: it does not run.
        """
        if self._process is None:
            raise ServerError("the server does not run")
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until all its models are ready.

        Raises:
            ServerError: it stopped, or was not ready in time; the message holds its last words.
        """
        runtime = Runtime.find()
        self.config = with_free_ports(self.config)
        self._scratch = tempfile.TemporaryDirectory(prefix="trkx-triton-")
        scratch = Path(self._scratch.name)
        self.log = self.config.log or scratch / "server.log"
        runtime.copy_backends(scratch)
        self._launch()
        return self

    def restart(self) -> None:
        """End what is left of the server and start it again, on the same ports.

        Raises:
            ServerError: as `start`.
        """
        self._end(0.0)
        self._launch()

    def _launch(self) -> None:
        """Start the process and wait until it is ready; give everything back where it is not."""
        assert self._scratch is not None
        runtime = Runtime.find()
        command = [str(runtime.binary), *self._arguments(Path(self._scratch.name) / "backends")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=runtime.environment(self.config.threads),
                start_new_session=True,  # a Ctrl-C of the terminal is ours to handle
                restore_signals=False,  # SIGXFSZ stays ignored, so that the limit is an error
            )
        # The shared memory of a model grows with the largest request and never shrinks; as it is
        # a file, this bounds it. Triton has no option for that.
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (self.config.memory,) * 2)
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self._models = tuple(children(self.pid))

    def _arguments(self, backends: Path) -> list[str]:
        c = self.config
        return [
            f"--model-repository={c.repository}",
            f"--backend-directory={backends}",
            f"--grpc-address={c.address}",
            f"--http-address={c.address}",
            f"--metrics-address={c.address}",
            f"--grpc-port={c.grpc_port}",
            f"--http-port={c.http_port}",
            f"--metrics-port={c.metrics_port}",
            f"--backend-config=python,stub-timeout-seconds={c.stub_seconds}",
            # One event is a few MB: no growing in steps of one megabyte.
            "--backend-config=python,shm-default-byte-size=16777216",
            "--backend-config=python,shm-growth-byte-size=16777216",
            f"--backend-config=python,shm-region-prefix-name={self.memory_prefix}",
            "--exit-timeout-secs=20",
            # Of what it keeps for later requests, each is as large as the largest request was.
            "--grpc-infer-allocation-pool-size=0",
            "--disable-auto-complete-config",
            *self._guards(),
            *c.extra,
        ]

    def _guards(self) -> list[str]:
        """Arguments for encryption and the token."""
        c, found = self.config, []
        if c.certificates is not None:
            found += [
                "--allow-http=false",  # Triton's HTTP is not encrypted
                f"--grpc-use-ssl{'-mutual' if c.mutual else ''}=true",
                f"--grpc-server-cert={c.certificates.certificate('server')}",
                f"--grpc-server-key={c.certificates.key('server')}",
                f"--grpc-root-cert={c.certificates.authority}",
            ]
        if c.token is not None:
            closed = f"{','.join(_CLOSED)}:{TOKEN_HEADER}={c.token}"
            found += [f"--grpc-restricted-protocol={closed}"]
            found += [f"--http-restricted-api={closed}"]
        return found

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.config.start_seconds
        while time.monotonic() < deadline:
            self.check_alive()
            if self.ready():
                return
            time.sleep(0.1)
        raise ServerError(
            f"the Triton server was not ready after {self.config.start_seconds:g} s. "
            f"{self.last_words()}"
        )

    def check_alive(self) -> None:
        """Raise unless the server's process still runs.

        Raises:
            ServerError: it ended; the message holds its last words.
        """
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"the Triton server ended by itself. {self.last_words()}")

    @property
    def models(self) -> tuple[int, ...]:
        """Numbers of the models' processes, one per instance."""
        return self._models

    def what_ended(self) -> str | None:
        """What of a server that should run does not; None: all runs."""
        if self._process is None:
            return None
        if self._process.poll() is not None:
            return f"the Triton server ended by itself (status {self._process.returncode})"
        gone = [pid for pid in self._models if not is_running(pid)]
        return f"process {gone[0]} of a model ended by itself" if gone else None

    def ready(self) -> bool:
        """Whether the server answers and all models are loaded."""
        transport = connect(self.endpoint, self.client_security)
        try:
            return transport.server_ready(5.0)
        except ServiceError:
            return False
        finally:
            transport.close()

    def last_words(self, lines: int = 12) -> str:
        """The last lines of the server's log, for messages."""
        try:
            text = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "It wrote no log."
        bad = [line for line in text if line[:1] == "E" or "rror" in line] or text
        return "Its log says:\n  " + "\n  ".join(bad[-lines:])

    def stop(self, seconds: float = 30.0) -> None:
        """Stop the server: requests in flight are answered first, then its processes end."""
        self._end(seconds)
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _end(self, seconds: float) -> None:
        """End the processes, at once where there is no time or one of them is gone already."""
        broken = self.what_ended() is not None
        process, self._process, self._models = self._process, None, ()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                if not broken and seconds > 0:
                    os.killpg(process.pid, signal.SIGCONT)  # a frozen one cannot end
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(seconds)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # stubs outlive a server that was killed
            process.wait()
        remove_shared_memory(self.memory_prefix)

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
