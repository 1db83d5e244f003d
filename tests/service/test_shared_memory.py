"""Events by shared memory: the same tracks, nothing left behind, plain requests where it fails."""

import os
import subprocess
import sys

import numpy as np
import pytest

from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs
from trkx.plugin.serving.processes import SHARED_MEMORY
from trkx.plugin.serving.shared_memory import SharedMemoryTransport
from trkx.plugin.serving.transport import Call, connect


def regions_here():
    return [path.name for path in SHARED_MEMORY.glob("trkx-client-*")]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_same_tracks(protocol, server, client, events, expected, same):
    url = server.grpc_url if protocol == "grpc" else server.http_url
    remote = client(url, fallback=())
    same([f.result() for f in [remote.submit(points) for points in events]], expected)
    transport = remote.servers[0].transport
    assert transport.count == len(events), "all of them by shared memory"
    assert 1 <= len(transport.shared(5.0)) <= 8, "one region per event in flight"
    assert regions_here() == [], "they have no names any more"
    remote.close()
    assert connect(server.endpoint).shared(5.0) == []


def test_a_server_that_is_started_anew_reads_plain_requests(
    start_server, client, events, expected, same
):
    server = start_server()
    remote = client(server.grpc_url, fallback=(), seconds=60.0)
    same([remote(points) for points in events[:2]], expected[:2])
    server.restart()
    same([remote(points) for points in events[2:5]], expected[2:5])
    assert remote.servers[0].transport.count == 4, "one was plain: the server knew no region"


def test_a_server_that_shares_no_memory(server, events, monkeypatch):
    transport = SharedMemoryTransport(connect(server.endpoint))
    monkeypatch.setattr("trkx.plugin.serving.shared_memory.SHARED_MEMORY", server.log.parent)
    call = Call("trkx", event_inputs(events[0], (0.0, 0.0)), CLIENT_OUTPUTS)
    found = transport.infer(call, 30.0)
    assert transport.count == 0 and found["OFFSETS"][0] == 0
    transport.close()


KILLED = """
import os, signal, sys
import numpy as np
from trkx.plugin.serving.endpoint import parse_endpoints
from trkx.plugin.serving.shared_memory import SharedMemoryTransport
from trkx.plugin.serving.transport import connect
transport = SharedMemoryTransport(connect(parse_endpoints(sys.argv[1])[0]))
assert transport._take(1000) is not None
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_client_leaves_is_released(server, client, events, expected, same):
    killed = subprocess.run([sys.executable, "-c", KILLED, server.grpc_url], capture_output=True)
    assert killed.returncode < 0, killed.stderr
    assert regions_here() == []
    transport = connect(server.endpoint)
    assert len(transport.shared(5.0)) == 1
    remote = client(server.grpc_url, fallback=())
    same([remote(events[0])], expected[:1])
    (own,) = transport.shared(5.0)
    assert own.split("-")[2] == str(os.getpid())
    transport.close()


def test_what_may_still_be_read_is_not_written_again(server, events):
    """An answer that did not come in time: its memory waits for the next answer."""
    transport = SharedMemoryTransport(connect(server.endpoint))
    call = Call("trkx", event_inputs(events[0], (0.0, 0.0)), CLIENT_OUTPUTS)
    transport.infer(call, 30.0)
    (first,) = transport._free
    with pytest.raises(Exception, match="Deadline"):
        transport.infer(call, 1e-4)
    assert transport._free == [] and [r for _, r in transport._left] == [first]
    before = first.memory.copy()
    transport.infer(call, 30.0)
    np.testing.assert_array_equal(first.memory, before)
    assert transport._left == [] and len(transport._free) == 1
    transport.close()
