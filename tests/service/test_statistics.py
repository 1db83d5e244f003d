"""What a job prints and records of its service."""

import json

import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.job_service import seconds_per_event

PARTS = {"client", "queue", "compute_input", "compute_infer", "compute_output", "network"}


def run(sample, out, *options):
    return main(["run", "--input", str(sample), "--out", str(out), "--no-report", *options])


def test_time_is_that_of_the_wall_and_its_parts_add_up(server, tiny_sample, tmp_path, capsys):
    options = ("--fitter", "none", "--backend", "triton", "--url", server.grpc_url)
    assert run(tiny_sample, tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    assert "seconds per event (wall time)" in said
    assert "ms per event: client" in said and "network" in said
    document = json.loads((tmp_path / "out" / "performance.json").read_text())
    record = document["service"]["gnn"]
    assert set(record["seconds_per_event"]) == PARTS
    assert all(seconds >= 0 for seconds in record["seconds_per_event"].values())
    finding = document["finders"]["gnn"]["seconds_per_event"]
    assert finding["clock"] == "wall"
    whole = finding["stages"]["finding"]
    # The median of three events may be less than their mean, but not than a third of it.
    assert whole["max"] >= record["seconds_per_event"]["compute_infer"]


def test_parts_of_the_time():
    client = {"events": 2, "answered_by": {"a": 2}, "client_seconds": 0.2, "waiting_seconds": 4.0}
    counts = {"success_count": 2, "queue_ns": 10**9, "compute_input_ns": 0}
    servers = {"a": counts | {"compute_infer_ns": 2 * 10**9, "compute_output_ns": 0}}
    found = seconds_per_event(client, servers)
    assert found["client"] == pytest.approx(0.1) and found["queue"] == pytest.approx(0.5)
    assert found["compute_infer"] == pytest.approx(1.0) and found["network"] == pytest.approx(0.5)
    assert seconds_per_event({"answered_by": {"in-process": 3}}, servers) == {}


@pytest.mark.parametrize("finder", ["classical", "ckf", "truth"])
def test_finders_that_ask_no_server(finder, tiny_sample, tmp_path, capsys):
    service = ("--backend", "triton", "--url", "localhost")
    assert run(tiny_sample, tmp_path / "out", "--finder", finder, *service) == 2
    said = capsys.readouterr().err
    assert f"{finder} would not ask servers" in said and "--backend local" in said


def test_graphs_stay_on_the_servers(tiny_sample, tmp_path, capsys):
    service = ("--backend", "triton", "--url", "localhost", "--dump-graphs", str(tmp_path / "g"))
    assert run(tiny_sample, tmp_path / "out", *service) == 2
    assert "graphs stay on the servers; use --backend local" in capsys.readouterr().err
