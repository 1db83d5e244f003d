"""Input data for perf_analyzer: what it holds, sent back, finds what the events give."""

import json

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, EVENT_INPUTS, read_candidates
from trkx.plugin.serving.transport import Call, connect

TYPES = {"FP32": np.float32, "UINT64": np.uint64, "UINT32": np.uint32}


def write(tiny_sample, path, *options):
    return main(["serve", "--perf-data", str(path), "--input", str(tiny_sample), *options])


def test_its_content_is_a_request(server, tiny_sample, tmp_path, client, capsys):
    from trkx.algorithms.service_bench import read_points

    assert write(tiny_sample, tmp_path / "data.json", "--events", "1:3") == 0
    assert "2 events" in capsys.readouterr().out
    entries = json.loads((tmp_path / "data.json").read_text())["data"]
    assert len(entries) == 2
    types = {spec.name: TYPES[spec.data_type] for spec in EVENT_INPUTS}
    transport = connect(server.endpoint)
    here = client(server.grpc_url, fallback=())
    for entry, points in zip(entries, read_points([str(tiny_sample)], 3)[1:], strict=True):
        tensors = {
            name: np.array(t["content"], types[name]).reshape(t["shape"])
            for name, t in entry.items()
        }
        found = transport.infer(Call("trkx", tensors, CLIENT_OUTPUTS), 30.0)
        labels = read_candidates(found, len(points))[0].labels
        np.testing.assert_array_equal(labels, here(points).labels)
    transport.close()


@pytest.mark.parametrize(("model", "width"), [("gnn_tracks", 8), ("exatrkx", 3)])
def test_features(model, width, tiny_sample, tmp_path):
    assert write(tiny_sample, tmp_path / "data.json", "--events", "0", "--model", model) == 0
    (entry,) = json.loads((tmp_path / "data.json").read_text())["data"]
    shape = entry["FEATURES"]["shape"]
    assert shape[1] == width and len(entry["FEATURES"]["content"]) == shape[0] * width


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "trkx_reco"), "no data for model 'trkx_reco'; choose one of trkx"),
        (("--events", "0:99"), "99"),
        (("--events", "x"), "no range of events"),
    ],
)
def test_what_cannot_be_written(options, message, tiny_sample, tmp_path, capsys):
    assert write(tiny_sample, tmp_path / "data.json", *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_it_needs_events(tmp_path, capsys):
    assert main(["serve", "--perf-data", str(tmp_path / "data.json")]) == 2
    assert "pass --input" in capsys.readouterr().err
