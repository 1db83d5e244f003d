"""Pipeline files: the shipped one is today's chain; bad ones are named by file and table."""

import numpy as np
import pytest

from trkx.algorithms.labelled_events import labelled_events
from trkx.io.event_files import EventFiles
from trkx.plugin import Pipeline, load_pipeline
from trkx.plugin.errors import DeviceError, StageError, WeightsError
from trkx.plugin.layer_map_graph import LayerMapGraph
from trkx.plugin.load import graph_config
from trkx.plugin.network_classifier import NetworkClassifier
from trkx.plugin.pipeline_file import PipelineFile, shipped_pipelines
from trkx.plugin.registry import BUILT_IN
from trkx.plugin.stage_weights import StageWeights
from trkx.plugin.viterbi import ViterbiConfig, ViterbiTrackBuilder
from trkx.plugin.weights import find_model

GOOD = """
name = "mine"
description = "for tests"

[graph_construction]
stage = "layer_map"
min_hits = 5

[track_building]
stage = "viterbi"
min_hits = 6
"""


@pytest.fixture
def file(tmp_path):
    """Write a pipeline file after replacements in a good one."""

    def write(replacements=None):
        text = GOOD
        for old, new in (replacements or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", shipped_pipelines())
def test_shipped_files_are_named_as_they_are_and_their_stages_are_known(name):
    pipeline = PipelineFile.read(name)
    assert pipeline.name == name
    assert pipeline.is_shipped
    assert pipeline.description
    for table in pipeline.stages:
        assert table.stage in BUILT_IN[table.kind]
        if "weights" in table.settings:
            StageWeights.open(pipeline.path.parent / table.settings["weights"])


@pytest.mark.parametrize("target", ["pt1", "pt05"])
def test_the_fast_pipeline_is_the_chain_of_the_finder_gnn(tiny_sample, target):
    model = find_model(target)
    by_hand = Pipeline(
        LayerMapGraph(model.layer_map(), graph_config()),
        [NetworkClassifier(model.network())],
        ViterbiTrackBuilder(ViterbiConfig(complete=True), model.layer_map()),
    )
    event = next(iter(labelled_events(EventFiles.open(tiny_sample))))
    expected = by_hand(event.space_points)
    for options in ({}, {"finder": "fast"}, {"pipeline": "fast"}):
        found = load_pipeline(target=target, **options)(event.space_points)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_settings_reach_the_stages(file):
    pipeline = load_pipeline(pipeline=file())
    assert pipeline.graph_constructor.config.min_hits == 5
    assert pipeline.track_builder.config.min_hits == 6
    assert pipeline.edge_classifiers == []
    assert pipeline.meta["pipeline"] == "mine"
    assert pipeline.meta["stages"][0] == {"stage": "layer_map", "min_hits": 5}


def test_one_classifier_needs_no_double_brackets(file):
    text = '[edge_classification]\nstage = "fast"\n[track_building]'
    (table,) = PipelineFile.read(file({"[track_building]": text})).edge_classification
    assert table.stage == "fast"


def test_models_are_relative_to_the_file(file, tmp_path):
    model = find_model("pt05").folder
    (tmp_path / "model").symlink_to(model)
    path = file({"min_hits = 5": 'model = "model"'})
    layer_map = load_pipeline(pipeline=path).graph_constructor.layer_map
    assert layer_map.meta == find_model("pt05").layer_map().meta
    path = file({"min_hits = 5": 'model = "none"'})
    with pytest.raises(WeightsError, match=r"mine.toml, \[graph_construction\]: model .*none: no"):
        load_pipeline(pipeline=path)


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        ({'"mine"': "3"}, "key 'name' is 3; give one of small letters"),
        ({'"mine"': '"My chain"'}, "key 'name' is 'My chain'"),
        ({'name = "mine"': ""}, "key 'name' is none"),
        ({'"for tests"': "[]"}, r"key 'description' is \[\]"),
        ({"description": "desciption"}, "unknown key 'desciption'; did you mean 'description'"),
        ({"description": 'target = "pt2"\ndescription'}, "key 'target' is 'pt2'; expected pt1 or"),
        ({"description": "target = []\ndescription"}, r"key 'target' is \[\]"),
        ({"track_building": "track_bulding"}, "unknown key 'track_bulding'; did you mean 'track_b"),
        ({'[track_building]\nstage = "viterbi"': "[other]"}, "unknown key 'other'"),
        (
            {'stage = "layer_map"': 'stage = "layermap"'},
            r"\[graph_construction\]: no stage 'layermap' .*did you mean 'layer_map'",
        ),
        ({'stage = "layer_map"\n': ""}, r"\[graph_construction\]: no key 'stage'; name the"),
        ({'stage = "layer_map"': "stage = 1"}, r"\[graph_construction\]: key 'stage' is 1"),
        ({"=": ":"}, "not TOML"),
    ],
)
def test_bad_files_name_file_and_table(file, replacements, message):
    with pytest.raises(StageError, match=rf"^pipeline file .*mine.toml[:,] .*{message}") as error:
        PipelineFile.read(file(replacements))
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_table_and_tables_that_are_none(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[graph_construction]\nstage = "layer_map"\n')
    with pytest.raises(StageError, match=r"mine.toml: no table \[track_building\]"):
        PipelineFile.read(path)
    path.write_text('name = "mine"\nedge_classification = "fast"\n')
    with pytest.raises(StageError, match="'edge_classification' is 'fast'; expected a table"):
        PipelineFile.read(path)
    path.write_text('name = "mine"\ngraph_construction = "layer_map"\n')
    with pytest.raises(StageError, match="'graph_construction' is 'layer_map'; expected a table"):
        PipelineFile.read(path)


def test_the_number_of_a_bad_classifier_is_said(file):
    classifiers = '[[edge_classification]]\nstage = "fast"\n[[edge_classification]]\nstage = "fst"'
    path = file({"[track_building]": f"{classifiers}\n[track_building]"})
    with pytest.raises(StageError, match=r"\[\[edge_classification\]\] number 2: no stage 'fst'"):
        PipelineFile.read(path)


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        ({"min_hits = 6": "min_hit = 6"}, "no setting 'min_hit'; did you mean 'min_hits'"),
        ({"min_hits = 6": 'min_hits = "6"'}, "setting 'min_hits' is '6'; expected int"),
        ({"min_hits = 6": "model = 6"}, "setting 'model' is 6; expected the path of a folder"),
    ],
)
def test_bad_settings_name_file_and_table(file, replacements, message):
    path = file(replacements)
    with pytest.raises(StageError, match=rf"mine.toml, \[track_building\]: .*{message}"):
        PipelineFile.read(path).build()


def test_files_and_names_that_are_not_there(tmp_path):
    with pytest.raises(StageError, match="no pipeline 'fats'; did you mean 'fast'"):
        PipelineFile.read("fats")
    with pytest.raises(StageError, match=r"none.toml: no such file"):
        PipelineFile.read(tmp_path / "none.toml")
    with pytest.raises(StageError, match="is a folder, not a file"):
        PipelineFile.read(tmp_path)
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StageError, match=r"bad.toml: not TOML"):
        PipelineFile.read(tmp_path / "bad.toml")


def test_targets_and_model_folders_that_do_not_fit(file):
    with pytest.raises(StageError, match="made for target pt1, not for 'pt05'; pass --target pt1"):
        load_pipeline(pipeline=file(), target="pt05")
    assert PipelineFile.read("fast").check_target(None) == "pt1"
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"pipeline 'fast', \[\[edge_classification\]\]: dev"):
            load_pipeline("fast", device="cuda")


def test_a_network_refuses_the_graph_of_another_model(file):
    classifier = '[edge_classification]\nstage = "fast"\n[track_building]'
    path = file({"[track_building]": classifier})
    pipeline = load_pipeline(pipeline=path)
    graph = pipeline.graph_constructor(_points())
    from dataclasses import replace

    other = replace(
        graph,
        edge_index=np.zeros((2, 1), np.int32),
        edge_pair=np.zeros(1, np.int64),
        edge_features=np.zeros((1, 2), np.float32),
    )
    with pytest.raises(StageError, match="stage 'fast': its network reads 16 features of each"):
        pipeline.edge_classifiers[0](other)


def _points():
    from trkx.plugin.load import two_hits

    layers = find_model("pt1").layer_map().layers
    return two_hits(int(layers.volume[0]), int(layers.layer[0]))


def test_a_failing_third_party_stage_is_named_with_its_package(file, monkeypatch):
    from trkx.plugin import pipeline_file
    from trkx.plugin.registry import StageEntry

    class Broken:
        @classmethod
        def from_settings(cls, settings, context):
            raise KeyError("radius")

        def __call__(self, graph): ...

    entry = StageEntry("track_builders", "broken", "m:Broken", "their_package", "0.1")
    monkeypatch.setattr(StageEntry, "load", lambda self: Broken)
    monkeypatch.setattr(pipeline_file, "find_stage", lambda kind, name: entry)
    with pytest.raises(StageError, match=r"stage 'broken' of their_package 0.1 failed: KeyError"):
        PipelineFile.read(file()).build()
