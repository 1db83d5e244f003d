"""Servers fail in every way; no event is lost, none is found twice, none differs."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.repository import RepositoryConfig, trkx_model, write_model
from trkx.plugin.serving.server import ServerConfig, TritonServer

MODULE = "trkx.plugin.serving.trkx_model"


def run_events(remote, events):
    """All events in flight at once, results in their order."""
    return [future.result() for future in [remote.submit(points) for points in events]]


def answers(remote):
    """Where events were answered: as many as there were events, none twice."""
    counts = remote.counters.as_json()
    assert sum(counts["answered_by"].values()) == counts["events"]
    return counts["answered_by"]


def later(seconds, call, *arguments):
    timer = threading.Timer(seconds, call, arguments)
    timer.start()
    return timer


def test_a_server_that_is_killed(start_server, client, events, expected, same):
    server = start_server()
    remote = client(server.grpc_url)
    timer = later(0.3, os.kill, server.pid, signal.SIGKILL)
    same(run_events(remote, events), expected)
    timer.join()
    assert answers(remote)["in-process"] > 0
    assert remote.counters.as_json()["breakers_opened"] == 1


def test_a_server_that_is_killed_and_comes_back(start_server, client, events, expected, same):
    server = start_server()
    ports = {"grpc_port": server.config.grpc_port, "http_port": server.config.http_port}
    remote = client(server.grpc_url, fallback=(), attempts=40, seconds=10.0, breaker_failures=1000)

    def kill_and_start():
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        start_server(**ports)

    timer = later(0.3, kill_and_start)
    same(run_events(remote, events), expected)
    timer.join()
    assert answers(remote) == {server.grpc_url: len(events)}
    assert remote.counters.as_json()["retries"] > 0


LONG = pytest.mark.skipif(
    "TRKX_SLOW" not in os.environ, reason="takes a minute; set TRKX_SLOW=1 to run it"
)


@pytest.mark.parametrize("until", [3.0, pytest.param(30.0, marks=[pytest.mark.slow, LONG])])
def test_a_server_that_is_frozen(until, start_server, client, events, expected, same):
    # Triton may end by being thawed: locks between its processes have expired.
    server = start_server(supervised=True)
    remote = client(server.grpc_url, seconds=1.0, breaker_seconds=1.0)
    freeze = later(0.2, os.killpg, server.pid, signal.SIGSTOP)
    thaw = later(until, os.killpg, server.pid, signal.SIGCONT)
    same(run_events(remote, events), expected)
    freeze.join()
    thaw.join()
    assert answers(remote)["in-process"] > 0
    before = answers(remote).get(server.grpc_url, 0)
    ask_until_answered(remote, server, events, expected, same, before)
    assert answers(remote)[server.grpc_url] > before, "it is asked again once it answers"


def ask_until_answered(remote, server, events, expected, same, before, seconds=180.0):
    """Ask until the server has answered more than `before`; meanwhile the fallback does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and answers(remote).get(server.grpc_url, 0) <= before:
        same([remote(events[0])], expected[:1])
        time.sleep(0.2)


def test_one_of_two_servers_goes(start_server, client, events, expected, same):
    first, second = start_server(), start_server()
    remote = client(f"{first.grpc_url},{second.grpc_url}", fallback=("endpoint",))
    timer = later(0.3, os.kill, first.pid, signal.SIGKILL)
    same(run_events(remote, events), expected)
    timer.join()
    found = answers(remote)
    assert found[second.grpc_url] > found.get(first.grpc_url, 0)


def test_the_less_loaded_of_two_servers_is_asked(start_server, client, events, expected, same):
    urls = [start_server().grpc_url for _ in range(2)]
    remote = client(",".join(urls), fallback=("endpoint",))
    same(run_events(remote, events), expected)
    assert min(answers(remote).get(url, 0) for url in urls) > len(events) // 8


def test_grpc_that_goes_is_replaced_by_http(server, client, events, expected, same):
    remote = client(f"grpc://127.0.0.1:1,{server.http_url}", fallback=("http",))
    same([remote(points) for points in events[:5]], expected[:5])
    assert answers(remote) == {server.http_url: 5}


def test_refused_at_the_start(client, events, expected, same):
    remote = client("grpc://127.0.0.1:1")
    remote.check()
    same(run_events(remote, events), expected)
    assert answers(remote) == {"in-process": len(events)}
    with pytest.raises(ServiceError, match="no server answers.*allow a fallback"):
        client("grpc://127.0.0.1:1", fallback=("endpoint", "http")).check()


def test_a_job_starts_a_server_of_its_own(events, expected, same):
    from trkx.plugin.serving.local_server import LocalServer
    from trkx.plugin.serving.remote_pipeline import RemoteConfig, RemotePipeline

    own = LocalServer("fast", "pt1")
    config = RemoteConfig.of("grpc://127.0.0.1:1", fallback=("server",), in_flight=8)
    remote = RemotePipeline(config, own.start, closing=own.stop)
    try:
        same(run_events(remote, events[:10]), expected[:10])
        assert remote.counters.as_json()["servers_started"] == 1
    finally:
        remote.close()


@pytest.mark.parametrize("version", ["2", "7"])
def test_a_version_that_is_not_served(server, client, version):
    with pytest.raises(ServiceError, match=f"(version {version}|{version} is not).*"):
        client(server.grpc_url, version=version).check()


def test_another_model_is_named_beside_the_one_expected(
    start_server, tmp_path, client, events, expected, same
):
    other = trkx_model(RepositoryConfig(target="pt05"))
    write_model(tmp_path, other, MODULE)
    server = start_server(tmp_path)
    remote = client(server.grpc_url)
    with pytest.raises(ServiceError, match=r"is fast/pt05 sha256.*expects fast/pt1 sha256"):
        remote.check()
    # A server that changed its model after the check is not believed either.
    same([remote(points) for points in events[:3]], expected[:3])
    assert answers(remote) == {"in-process": 3}
    assert any("WRONG_MODEL" in what for what in remote.counters.as_json()["failures"])


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_damaged_replies(protocol, server, proxy, client, events, expected, same):
    port = server.config.grpc_port if protocol == "grpc" else server.config.http_port
    between = proxy(port)
    rng = np.random.default_rng(3)

    def damage(chunk):
        if len(chunk) < 2000 or rng.random() > 0.5:
            return chunk  # headers as a rule
        flipped = bytearray(chunk)
        flipped[len(chunk) // 2] ^= 0x55
        return bytes(flipped)

    between.damage = damage
    remote = client(f"{protocol}://127.0.0.1:{between.port}", breaker_failures=1000, seconds=5.0)
    same(run_events(remote, events), expected)
    answers(remote)
    assert remote.counters.as_json()["failures"]


def test_a_models_process_that_is_killed(start_server, client, events, expected, same):
    """As the kernel does when memory is short; Triton alone would never answer again."""
    server = start_server(supervised=True)
    remote = client(server.grpc_url, breaker_seconds=1.0)
    same([remote(events[0])], expected[:1])
    timer = later(0.3, os.kill, server.models[0], signal.SIGKILL)
    same(run_events(remote, events), expected)
    timer.join()
    before = answers(remote)[server.grpc_url]
    ask_until_answered(remote, server, events, expected, same, before)
    assert answers(remote)[server.grpc_url] > before, "it is started anew, and asked again"


def test_a_server_that_cannot_start_says_why(tmp_path):
    from trkx.plugin.errors import ServerError

    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.py").write_text("raise ImportError('no such thing')\n")
    (tmp_path / "broken" / "config.pbtxt").write_text(
        'name: "broken"\nbackend: "python"\nmax_batch_size: 0\n'
        'input [{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
        'output [{ name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
    )
    config = ServerConfig(tmp_path, grpc_port=0, http_port=0, metrics_port=0)
    with pytest.raises(ServerError, match="no such thing"), TritonServer(config):
        pass


def test_a_server_without_memory(start_server, client, events, expected, same):
    """The model's process may not have more memory than it has: what it tries fails."""
    server = start_server(supervised=True)
    remote = client(server.grpc_url, breaker_seconds=1.0)
    same([remote(events[0])], expected[:1])
    (process,) = server.models
    limits = resource.prlimit(process, resource.RLIMIT_AS, (1 << 20, -1))
    same(run_events(remote, events), expected)
    found = answers(remote)
    assert found["in-process"] > 0 and remote.counters.as_json()["failures"]
    with contextlib.suppress(ProcessLookupError):  # it may not have survived; then there is another
        resource.prlimit(process, resource.RLIMIT_AS, limits)
    before = found[server.grpc_url]
    ask_until_answered(remote, server, events, expected, same, before)
    assert answers(remote)[server.grpc_url] > before, "with memory again it is asked again"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from trkx.algorithms.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_full_disk_at_the_client(server, tiny_sample, tmp_path):
    """Files may not grow beyond a limit, as on a disk that is full; a second try has room."""

    def job(limit):
        command = ["run", "--input", tiny_sample, "--out", tmp_path / "out", "--fallback", ""]
        command += ["--backend", "triton", "--url", server.grpc_url, "--no-report"]
        command = [sys.executable, "-c", LIMITED, limit, *command]
        return subprocess.run([str(c) for c in command], capture_output=True, text=True)

    for limit in (20_000, 80_000):  # where the file is made, and where events are written
        failed = job(limit)
        assert failed.returncode == 2, failed.stderr
        assert "cannot write the results" in failed.stderr and "Traceback" not in failed.stderr
        assert not (tmp_path / "out").exists(), "neither results nor anything half written"
    done = job(1 << 30)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "job.json").exists()
