"""Weights and settings of single stages."""

import json
from dataclasses import dataclass

import pytest

from trkx.plugin.errors import StageError, WeightsError
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.stage_weights import StageWeights

torch = pytest.importorskip("torch")


@dataclass(frozen=True)
class Example:
    radius: float = 0.1
    nearest: int = 50
    layers: tuple[int, ...] = ()

    def __post_init__(self):
        if self.radius <= 0:
            raise ValueError(f"radius is {self.radius}; it must be positive")


def test_settings_become_a_dataclass():
    found = read_settings(
        Example, {"radius": 1, "layers": [1, 2], "weights": "x"}, "s", ("weights",)
    )
    assert found == Example(1.0, 50, (1, 2))
    assert isinstance(found.radius, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"radus": 1.0}, "no setting 'radus'; did you mean 'radius'"),
        ({"nearest": 1.5}, "expected int, such as 50"),
        ({"nearest": True}, "expected int"),
        ({"radius": "wide"}, "expected float"),
        ({"radius": -1.0}, "it must be positive"),
    ],
)
def test_bad_settings_say_which(table, message):
    with pytest.raises(StageError, match=message):
        read_settings(Example, table, "metric_learning")


def test_paths_of_a_pipeline_file_are_relative_to_it(tmp_path):
    assert StageContext(tmp_path).path("a") == tmp_path / "a"
    assert StageContext(tmp_path).path("/b").as_posix() == "/b"


@pytest.fixture
def written(tmp_path):
    network = torch.nn.Linear(2, 3)
    return network, StageWeights.write(
        tmp_path / "w", "filter", network, {"inputs": 2}, {"features": ["r", "z"]}
    )


def test_weights_come_back_as_written(written):
    network, weights = written
    again = StageWeights.open(weights.path.with_suffix(""), "filter")
    assert again.card["network"] == {"inputs": 2} and again.card["features"] == ["r", "z"]
    filled = again.load_into(torch.nn.Linear(2, 3))
    assert torch.equal(filled.weight, network.weight) and not filled.training


def test_weights_of_another_stage_or_shape_are_refused(written):
    _, weights = written
    with pytest.raises(WeightsError, match=r"stage 'filter', not of 'embedding'"):
        StageWeights.open(weights.path, "embedding")
    with pytest.raises(WeightsError, match="do not fit the network"):
        weights.load_into(torch.nn.Linear(5, 3))


def test_changed_or_missing_files_are_refused(written):
    _, weights = written
    data = weights.path.read_bytes()
    weights.path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsError, match="corrupt or was replaced"):
        StageWeights.open(weights.path)
    card = weights.path.with_suffix(".json")
    card.write_text(json.dumps({"format": "other"}))
    with pytest.raises(WeightsError, match="format 'other'"):
        StageWeights.open(weights.path)
    card.write_text("{")
    with pytest.raises(WeightsError, match="not JSON"):
        StageWeights.open(weights.path)
    card.unlink()
    with pytest.raises(WeightsError, match="no file"):
        StageWeights.open(weights.path)
