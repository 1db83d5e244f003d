"""`trkx prune` on three small events."""

import json

import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.pruning_study import PruningConfig
from trkx.io.errors import ConfigError

CONFIG = """
target = "pt1"
out = "gnn"
input = ["{sample}"]
[before.graph_construction]
stage = "layer_map"
[after.track_building]
stage = "walkthrough"
[network]
width = 8
steps = 2
[optimisation]
epochs = 1
threads = 1
logger = "none"
"""


@pytest.fixture(scope="module")
def trained(tiny_sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prune")
    (folder / "gnn.toml").write_text(CONFIG.format(sample=tiny_sample))
    arguments = ["train", "interaction_gnn", "--config", str(folder / "gnn.toml"), "--quiet"]
    # The shared sample has a seed of test events, which trainings refuse to hide.
    assert main([*arguments, "--out", str(folder / "models")]) == 0
    return folder


def prune(folder, *more):
    weights = str(folder / "models" / "gnn")
    return main(["prune", weights, "--config", str(folder / "gnn.toml"), "--quiet", *more])


@pytest.mark.parametrize("by", ["taylor", "magnitude"])
def test_networks_get_smaller_step_by_step(trained, tiny_sample, tmp_path, by):
    out = tmp_path / "pruned"
    arguments = ("--out", str(out), "--validation", str(tiny_sample), "--by", by)
    assert prune(trained, *arguments, "--fractions", "0.2,0.4") == 0
    found = json.loads((out / "pruning.json").read_text())
    rows = found["rows"]
    assert [row["fraction"] for row in rows] == [0, 0.2, 0.4] and found["by"] == by
    assert rows[0]["weights"] > rows[1]["weights"] > rows[2]["weights"]
    assert rows[1]["cost"] <= 0.8 and rows[2]["cost"] <= 0.6
    assert all(0 < row["auc"] <= 1 and row["targets"] > 0 for row in rows)
    assert (out / "pruning.png").read_bytes().startswith(b"\x89PNG")
    card = json.loads((out / "pruned_40.json").read_text())
    assert card["network"]["width"] == rows[2]["width"] and card["pruning"]["by"] == by
    assert card["extent"]["r"] > 500


def test_the_pruned_network_is_a_stage_like_others(trained, tiny_sample, tmp_path):
    from trkx.plugin.edge_network import EdgeNetworkClassifier
    from trkx.plugin.stage_settings import StageContext

    arguments = ("--out", str(tmp_path), "--validation", str(tiny_sample), "--fractions", "0.3")
    assert prune(trained, *arguments) == 0
    stage = EdgeNetworkClassifier.from_settings({"weights": "pruned_30"}, StageContext(tmp_path))
    assert len(set(stage.network.config.hidden)) >= 1


def test_what_cannot_be_pruned(trained, tmp_path, capsys):
    assert prune(trained, "--out", str(tmp_path)) == 2
    assert "[validation]" in capsys.readouterr().err
    assert prune(trained, "--out", str(tmp_path), "--fractions", "much") == 2
    assert "write numbers" in capsys.readouterr().err
    for bad in ({"fractions": (0.5, 0.3)}, {"fractions": ()}, {"by": "luck"}, {"epochs": 0}):
        with pytest.raises(ConfigError):
            PruningConfig(**bad)
