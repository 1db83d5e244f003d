"""A service finds what the pipeline finds in this process."""

import numpy as np
import pytest

from trkx.plugin.errors import ServiceError


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_labels_are_those_of_this_process(protocol, server, client, events, expected, same):
    remote = client(server.grpc_url if protocol == "grpc" else server.http_url, fallback=())
    remote.check()
    same([remote(points) for points in events], expected)
    counts = remote.counters.as_json()
    assert counts["events"] == counts["attempts"] == len(events)
    assert counts["bytes_sent"] > 40 * 1e4 and not counts["failures"]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_events_in_flight_do_not_mix(protocol, compression, server, client, events, expected, same):
    url = server.grpc_url if protocol == "grpc" else server.http_url
    remote = client(url, fallback=(), compression=compression)
    same([f.result() for f in [remote.submit(points) for points in events]], expected)
    counts = remote.counters.as_json()
    # A connection that is closed while idle is an attempt more, and no harm.
    assert sum(counts["answered_by"].values()) == len(events), counts


def test_the_servers_own_counters_are_of_this_job(server, client, events):
    remote = client(server.grpc_url, fallback=())
    remote.check()
    for points in events[:3]:
        remote(points)
    (counted,) = remote.statistics_since_check().values()
    assert counted["success_count"] == 3 and counted["compute_infer_ns"] > 0


def test_candidates_say_where_the_time_went(server, client, events):
    found = client(server.grpc_url, fallback=())(events[0])
    assert {"graph_construction", "track_building", "service"} <= set(found.timing)


def test_an_event_that_is_wrong_is_an_error_at_once(server, client, events):
    remote = client(server.grpc_url)
    wrong = events[0].__class__(
        *(events[0].x, events[0].y, events[0].z), np.full(len(events[0]), 5, np.uint64)
    )
    with pytest.raises(ServiceError, match="modules that the map does not know"):
        remote(wrong)
    assert remote.counters.as_json()["attempts"] == 1


def test_an_event_without_hits_needs_no_server(client, events):
    empty = events[0].__class__(
        *(getattr(events[0], n)[:0] for n in ("x", "y", "z")), events[0].geometry_id[:0]
    )
    assert len(client("grpc://127.0.0.1:1", fallback=())(empty)) == 0
