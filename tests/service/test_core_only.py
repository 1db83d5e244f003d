"""The whole chain by the service, in a process that has neither torch nor numba."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot

CLIENT = Path(__file__).parents[2] / "bench" / "service_client.py"


def run(out, sample, *options):
    command = [sys.executable, "-W", "error", CLIENT, "--input", sample, "--out", out, *options]
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def jobs(server, tiny_sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    said = run(folder / "service", tiny_sample, "--url", server.grpc_url)
    run(folder / "local", tiny_sample)
    return folder, said


def test_no_library_of_machine_learning_is_there(jobs):
    assert "torch, numba: cannot be imported" in jobs[1]


def test_the_tracks_are_those_found_in_process(jobs):
    tables = []
    for name in ("service", "local"):
        with uproot.open(jobs[0] / name / "tracksummary_gnn_kf.root") as file:
            (tree,) = (v for v in file.values() if isinstance(v, uproot.TTree))
            tables.append(tree.arrays(library="ak"))
    one, other = tables
    assert one.fields == other.fields and len(one) == len(other) == 3
    for field in one.fields:
        assert str(one[field].type) == str(other[field].type)
        for a, b in zip(one[field].to_list(), other[field].to_list(), strict=True):
            np.testing.assert_equal(a, b)


def test_events_were_found_by_the_server(jobs, server):
    assert f"3 events by {server.grpc_url}" in jobs[1]
