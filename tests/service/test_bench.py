"""The bench of the service measures what it says."""

import json

import pytest

from trkx.algorithms.cli.main import main


def test_throughput_and_overhead(tiny_sample, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    command = ["bench", "service", "--input", str(tiny_sample), "--events", "2"]
    command += ["--concurrency", "1,2", "--instances", "1", "--out", str(tmp_path)]
    assert main(command) == 0
    found = json.loads((tmp_path / "service.json").read_text())
    ways = [(t["way"], t["concurrency"]) for t in found["throughput"]]
    assert ways == [("direct", 1), ("direct", 2), ("grpc", 1), ("grpc", 2)]
    assert all(t["events_per_second"] > 0 for t in found["throughput"])
    assert found["overhead"]["bytes_sent"] > 20 * found["space_points"]
    assert (tmp_path / "service.png").stat().st_size > 1000
    assert "overhead" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["0", "two", ""])
def test_lists_that_are_none(wrong, tiny_sample, capsys):
    arguments = ["--input", str(tiny_sample), "--concurrency", wrong]
    assert main(["bench", "service", *arguments]) == 2
    assert "--concurrency" in capsys.readouterr().err
