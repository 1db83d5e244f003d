"""`trkx export`: files for ACTS, or one line that says why not."""

import json

import pytest

torch = pytest.importorskip("torch")

from trkx.algorithms.cli.main import main  # noqa: E402
from trkx.plugin.edge_network import make_network  # noqa: E402
from trkx.plugin.stage_weights import StageWeights  # noqa: E402

MINE = """
name = "mine"
[graph_construction]
stage = "geometric"
[[edge_classification]]
stage = "filter"
weights = "filter"
cut = 0.2
[track_building]
stage = "walkthrough"
"""


@pytest.fixture
def mine(tmp_path):
    shape = {"node_features": 2, "edge_features": 1, "width": 8}
    about = {"features": ["r", "sin_phi"], "scales": [100.0, 1.0], "edge_features": ["dphi"]}
    network = make_network("filter", shape)
    StageWeights.write(tmp_path / "filter", "filter", network, shape, about)
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def test_an_export_says_what_it_wrote_and_how_well(mine, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    command = ["export", "--pipeline", str(mine), "--out", str(out)]
    assert main(command) == 0
    assert "2_filter.pt" in capsys.readouterr().out
    files = {"2_filter.pt", "README.md", "export.json", "pipeline.toml"}
    assert {path.name for path in out.iterdir()} == files
    (network,) = json.loads((out / "export.json").read_text())["networks"]
    assert 0 <= network["difference"] < 1e-5
    assert main(["stages", "--pipeline", str(out / "pipeline.toml")]) == 0
    assert 'model = "2_filter.pt"' in capsys.readouterr().out
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_what_cannot_be_exported_is_said_in_one_line(mine, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main(["export", "--pipeline", "fast", *out]) == 2
    assert "no network that can be exported" in capsys.readouterr().err
    (tmp_path / "filter.json").unlink()
    assert main(["export", "--pipeline", str(mine), *out]) == 2
    error = capsys.readouterr().err
    assert "mine.toml" in error and "no file" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
