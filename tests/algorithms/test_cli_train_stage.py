"""`trkx train STAGE --config FILE`: a filter from a configuration, gone on with, used, refused."""

import json
import tomllib

import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.cli.train import CONFIGURED_STAGES
from trkx.algorithms.training_events import EventSelection, open_events
from trkx.io.errors import ConfigError
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.training.stages import TRAINERS

CONFIG = """
events = 2
input = ["SAMPLE"]

[before.graph_construction]
stage = "layer_map"

[use]
cut = 0.5

[after.track_building]
stage = "walkthrough"

[validation]
input = ["SAMPLE"]
events = 1

[network]
width = 16

[optimisation]
epochs = 40
learning_rate = 0.02
score_epochs = 10
threads = 1
"""


@pytest.fixture(scope="module")
def config(tiny_sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "filter.toml"
    path.write_text(CONFIG.replace("SAMPLE", str(tiny_sample)))
    return path


def train(config, folder, *options, stage="filter"):
    return main(["train", stage, "--config", str(config), "--out", str(folder), *options])


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """Trained in two goes."""
    folder = tmp_path_factory.mktemp("models")
    assert train(config, folder, "--set", "optimisation.max_minutes=1e-9") == 0
    assert not StageWeights.open(folder / "filter").card["training"]["finished"]
    assert train(config, folder) == 0
    return folder


@pytest.fixture
def refused(capsys):
    def call(*arguments):
        capsys.readouterr()
        assert train(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("trkx train: error: ")
        assert len(err.splitlines()) == 1, err
        return err

    return call


def test_the_stages_are_those_there_are():
    assert set(CONFIGURED_STAGES) == set(TRAINERS)


def test_the_card_says_where_the_weights_come_from(trained, config):
    card = StageWeights.open(trained / "filter", "filter").card
    training = card["training"]
    assert training["finished"]
    assert training["epochs"] == 40
    assert training["settings"]["learning_rate"] == 0.02
    assert training["configuration"]["before"] == {"graph_construction": {"stage": "layer_map"}}
    assert card["training_input"][0]["seed"] == 600001
    assert card["versions"]["torch"]
    assert card["pt_min"] == 1.0
    assert card["extent"]["r"] > 900
    assert str(config.parent.parent) not in json.dumps(card)
    assert [score["epoch"] for score in training["scores"]] == [10, 20, 30, 40]
    assert training["scores"][-1]["efficiency"] > 0.8


def test_it_is_a_stage_of_a_pipeline(trained, tiny_sample, tmp_path):
    pipeline = tmp_path / "mine.toml"
    weights = trained / "filter.safetensors"
    pipeline.write_text(
        'name = "mine"\n[graph_construction]\nstage = "layer_map"\n'
        f'[edge_classification]\nstage = "filter"\nweights = "{weights}"\ncut = 0.5\n'
        '[track_building]\nstage = "walkthrough"\n'
    )
    from trkx.algorithms.labelled_events import labelled_events
    from trkx.algorithms.track_counts import TrackCounts
    from trkx.io.event_files import EventFiles
    from trkx.plugin.pipeline_file import PipelineFile

    event = next(labelled_events(EventFiles.open([str(tiny_sample)])))
    counts = TrackCounts()
    counts.add(event, PipelineFile.read(pipeline).build()(event.space_points), 1.0)
    scores = StageWeights.open(weights).card["training"]["scores"]
    assert counts.summary()["efficiency"] == pytest.approx(
        max(score["efficiency"] for score in scores)
    )


def test_a_pipeline_file_says_what_is_before_and_after(config, tmp_path):
    from trkx.algorithms.training_file import TrainingFile

    pipeline = tmp_path / "mine.toml"
    pipeline.write_text(
        'name = "mine"\n[graph_construction]\nstage = "layer_map"\n'
        '[[edge_classification]]\nstage = "filter"\nweights = "f"\ncut = 0.1\n'
        '[[edge_classification]]\nstage = "interaction_gnn"\nweights = "g"\n'
        '[track_building]\nstage = "walkthrough"\n'
    )
    path = tmp_path / "gnn.toml"
    path.write_text(f'pipeline = "{pipeline}"\ninput = ["somewhere"]\n')
    file = TrainingFile.read(path, "filter", ["optimisation.epochs=3", "out=mine"])
    assert [spec.stage for spec in file.before] == ["layer_map"]
    assert [spec.stage for spec in file.after] == ["interaction_gnn", "walkthrough"]
    assert file.use == {"cut": 0.1}
    assert file.fit.epochs == 3
    assert file.out == "mine"
    with pytest.raises(ConfigError, match="has no stage 'hierarchical'"):
        TrainingFile.read(path, "hierarchical")


def test_what_is_finished_is_kept(trained, config, refused):
    before = (trained / "filter.json").read_bytes()
    message = refused(config, trained)
    assert "finished already" in message
    assert "--force" in message
    assert (trained / "filter.json").read_bytes() == before


def test_simulated_on_the_fly_and_removed(tmp_path):
    """Three epochs on two chunks of one event each, none of which stays."""
    selection = EventSelection(
        events=2, chunk=1, keep=False, simulation={"seed": 5, "pileup": 0.0, "noise": 0.0}
    )
    events = open_events(selection, tmp_path, threads=1)
    assert (len(events), events.n_chunks) == (2, 2)
    first, second = events
    assert not list(tmp_path.iterdir())
    (again,) = events.chunk(2)
    assert (again.space_points.x == first.space_points.x).all()
    assert len(again.space_points) != len(second.space_points)
    assert events.provenance[0]["seed"] == 5


def test_chunks_of_stored_events(tiny_sample):
    events = open_events(EventSelection(input=(str(tiny_sample),), chunk=1), tiny_sample)
    assert [events.bounds(number) for number in range(4)] == [(0, 1), (1, 2), (2, 3), (0, 1)]
    assert [len(list(events.chunk(number))) for number in (0, 5)] == [1, 1]
    whole = open_events(EventSelection(input=(str(tiny_sample),), chunk=2), tiny_sample)
    assert whole.n_chunks == 1
    assert len(list(whole)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("chunks=3", "unknown key 'chunks'; did you mean 'chunk'?"),
        ("optimisation.epoch=3", "no setting 'epoch'; did you mean 'epochs'?"),
        ("optimisation.epochs=0", "epochs is 0; give at least 1"),
        ("network.depth=3", "unexpected keyword argument 'depth'"),
        ("data.features=['r']", "1 features, but 5 scales"),
        ("data.focus=1", "no setting 'focus'; did you mean 'focal'?"),
        ("before.graph_construction.stage='magic'", "magic"),
        ("before.track_construction.stage='magic'", "unknown table 'track_construction'"),
        ("simulation.seed=1", "give either input or a table [simulation]"),
        ("events=-1", "events is -1; give 0 or more"),
        ("target=pt2", "target is 'pt2'; choose one of pt1, pt05"),
        ("stage=module_map", "is for stage 'module_map', not 'filter'"),
        ("validation.inputs=1", "[validation]: unknown key 'inputs'"),
        ("events", "--set events: give NAME=VALUE"),
    ],
)
def test_configurations_that_make_no_sense(change, message, config, tmp_path, refused):
    assert message in refused(config, tmp_path / "out", "--set", change)


def test_no_stages_before(config, tmp_path, refused):
    path = tmp_path / "alone.toml"
    content = tomllib.loads(config.read_text())
    path.write_text(f'input = ["{content["input"][0]}"]')
    assert "needs the stages before it" in refused(path, tmp_path / "out")


def test_no_configuration(tmp_path, capsys, config):
    assert main(["train", "filter", "--out", str(tmp_path)]) == 2
    assert "give --config FILE" in capsys.readouterr().err
    assert main(["train", "gnn", "--out", str(tmp_path), "--config", str(config)]) == 2
    assert "--config and --set are for single stages" in capsys.readouterr().err
    assert train(config, tmp_path, "--epochs", "3") == 2
    assert "--epochs is not for stage 'filter'" in capsys.readouterr().err
    assert train(tmp_path / "none.toml", tmp_path) == 2
    assert "No such file" in capsys.readouterr().err


def test_seeds_for_tests_are_refused():
    selection = EventSelection(events=1, simulation={"seed": 900000})
    with pytest.raises(ConfigError, match="for tests only"):
        open_events(selection, None)
    with pytest.raises(ConfigError, match="needs the number of events"):
        EventSelection(simulation={"seed": 1})
    with pytest.raises(ConfigError, match="no events to train on"):
        EventSelection()
