"""A real Triton server for the tests, events to send to it, and what they must give."""

import contextlib
import importlib.util
import socket
import threading

import numpy as np
import pytest

from trkx.plugin.load import load_pipeline
from trkx.plugin.serving.identity import pipeline_identity
from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.retry import RetryPolicy
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.supervisor import Supervisor
from trkx.plugin.space_points import SpacePoints

NEEDED = ("pytriton", "torch", "numba")
N_EVENTS = 40
FREE = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}


def pytest_collection_modifyitems(items):
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    for item in items:
        if "service" in item.path.parts:
            item.add_marker(pytest.mark.triton)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"{', '.join(missing)} not installed"))


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """The model repository of the default pipeline."""
    return write_repository(
        tmp_path_factory.mktemp("repository"), RepositoryConfig(models=("trkx",))
    )


@pytest.fixture(scope="session")
def identity():
    return pipeline_identity("fast", "pt1")


@pytest.fixture(scope="session")
def events(tiny_sample):
    """Forty different events: nine of ten hits of simulated ones, drawn at random."""
    from trkx.io.event_files import EventFiles

    with EventFiles.open(tiny_sample) as files:
        columns = [files.read(n, truth=False).space_points for n in files.numbers]
    full = [SpacePoints.from_columns(c) for c in columns]
    rng = np.random.default_rng(1)

    def part(number):
        points = full[number % len(full)]
        kept = np.sort(rng.permutation(len(points))[: int(0.9 * len(points))])
        names = ("x", "y", "z", "geometry_id", "size0", "size1")
        return SpacePoints(*(getattr(points, name)[kept] for name in names), event=number)

    return [part(number) for number in range(N_EVENTS)]


@pytest.fixture(scope="session")
def pipeline():
    return load_pipeline("gnn", "pt1", threads=1)


@pytest.fixture(scope="session")
def expected(events, pipeline):
    """What the pipeline finds in this process."""
    return [pipeline(points) for points in events]


@contextlib.contextmanager
def supervision(server):
    """What `trkx serve` does with a server."""
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor(server).watch, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def start_server(repository):
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(folder=None, supervised=False, **settings):
            config = ServerConfig(folder or repository, **{**FREE, **settings})
            server = stack.enter_context(TritonServer(config))
            if supervised:
                stack.enter_context(supervision(server))
            return server

        yield start


@pytest.fixture(scope="session")
def server(repository):
    """One server for all tests that leave it alone."""
    with TritonServer(ServerConfig(repository, **FREE)) as running:
        yield running


@pytest.fixture
def client(identity, pipeline):
    """Clients that close with the test; impatient ones, unless told otherwise."""
    with contextlib.ExitStack() as stack:

        def make(urls, *, seconds=20.0, attempts=2, **settings):
            policy = RetryPolicy(attempts, seconds, 10 * seconds)
            settings = {"identity": identity, "policy": policy, "in_flight": 8, **settings}
            config = RemoteConfig.of(urls, **settings)
            remote = RemotePipeline(config, in_process=lambda: pipeline)
            stack.callback(remote.close)
            return remote

        yield make


def assert_same(found, expected):
    """The same candidates, label by label and hit by hit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.hits, other.hits)
        np.testing.assert_array_equal(one.offsets, other.offsets)
        # Kernels compiled here, or read from the cache there, may differ in a score's last bit.
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


@pytest.fixture
def same():
    return assert_same


class Proxy:
    """Passes TCP connections on to a server, and damages what comes back if told to."""

    def __init__(self, port):
        self.target = port
        self.damage = None  # function of (bytes of a chunk) → bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self._open += [near, far]
                for a, b, back in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pump, args=(a, b, back), daemon=True).start()

    def _pump(self, source, target, back):
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                target.sendall(self.damage(chunk) if back and self.damage else chunk)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self):
        for s in self._open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


@pytest.fixture
def proxy():
    with contextlib.ExitStack() as stack:

        def make(port):
            made = Proxy(port)
            stack.callback(made.close)
            return made

        yield make
