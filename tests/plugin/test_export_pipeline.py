"""Pipelines leave for ACTS' GNN plugin: same scores, same tracks, and all that must be told."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trkx_toy import toy_event  # noqa: E402

from trkx.plugin.acts_form import FIRST, ActsEdgeNetwork, ActsEdges, ActsNodes  # noqa: E402
from trkx.plugin.edge_features import EDGE_SCALES, GNN4ITK_EDGE_SCALES, edge_features  # noqa: E402
from trkx.plugin.edge_network import make_network  # noqa: E402
from trkx.plugin.embedding import (  # noqa: E402
    EMBEDDING_FEATURES,
    EMBEDDING_SCALES,
    Embedding,
    EmbeddingConfig,
)
from trkx.plugin.errors import MissingExtraError, StageError  # noqa: E402
from trkx.plugin.export_check import sample_graph  # noqa: E402
from trkx.plugin.export_pipeline import export_pipeline  # noqa: E402
from trkx.plugin.foreign_networks import load_foreign  # noqa: E402
from trkx.plugin.node_features import GNN4ITK_FEATURES, GNN4ITK_SCALES  # noqa: E402
from trkx.plugin.pipeline_file import PipelineFile  # noqa: E402
from trkx.plugin.stage_weights import StageWeights  # noqa: E402

MINE = """
name = "mine"
[graph_construction]
stage = "metric_learning"
weights = "models/embedding"
radius = 0.8
k = 20
overlap_max = inf
[[edge_classification]]
stage = "filter"
weights = "models/filter"
cut = 0.3
[[edge_classification]]
stage = "interaction_gnn"
weights = "models/gnn"
cut = 0.4
[track_building]
stage = "connected_components"
score_cut = 0.45
min_hits = 3
"""


def write(folder, name, stage, features, edges, **shape):
    """Untrained weights of an edge network."""
    about = {"features": list(features), "scales": [100.0 + i for i in range(len(features))]}
    about |= {"edge_features": list(edges)}
    shape |= {"node_features": len(features), "edge_features": len(edges)}
    network = make_network(stage, shape)
    StageWeights.write(folder / name, stage, network, shape, about)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A pipeline file of an embedding, a filter with features of the constructor, and a GNN."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("mine")
    shape = EmbeddingConfig(width=16, depth=2).to_dict()
    about = {"features": list(EMBEDDING_FEATURES), "scales": list(EMBEDDING_SCALES)}
    embedding = Embedding(EmbeddingConfig(**shape))
    StageWeights.write(folder / "models/embedding", "metric_learning", embedding, shape, about)
    given = ["own_2", "dr", "dphi", "own_0", "z0", "curvature"]
    write(folder / "models", "filter", "filter", ["r", "z", "size0"], given, width=16)
    names = ["phi", "cluster2_r", "eta"], ["dphi", "phislope", "rphislope", "deta", "dz"]
    write(folder / "models", "gnn", "interaction_gnn", *names, width=16, steps=2)
    names = ["r", "cos_phi", "is_strip"], []
    write(folder / "models", "typed", "heterogeneous_gnn", *names, width=8, steps=2)
    (folder / "mine.toml").write_text(MINE)
    return folder / "mine.toml"


@pytest.mark.parametrize("scales", [EDGE_SCALES, GNN4ITK_EDGE_SCALES])
def test_edge_features_inside_are_those_of_the_stages(scales):
    graph = sample_graph()
    names = ["own_1", *list(scales)[::-1], "own_0"]
    divide = [2.0, *list(scales.values())[::-1], 3.0]
    expected = torch.from_numpy(edge_features(graph, names, divide))
    x = torch.from_numpy(graph.features(FIRST))
    index = torch.from_numpy(graph.edge_index).long()
    found = ActsEdges(names, divide)(x, index, expected[:, [0, -1]])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_hits_at_one_radius_have_slope_zero():
    x = torch.tensor([[50.0, 0.1, 3.0, 0.06], [50.0, 0.2, 9.0, 0.18]])
    found = ActsEdges(["phislope", "z0", "dphi"], None)(x, torch.tensor([[0], [1]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 3.0 / 50.0, 0.1 / 0.03]]))


def test_edges_of_any_direction_are_turned_outward():
    class Difference(torch.nn.Module):
        def forward(self, x, edge_index, edge_attr=None):
            return (x[edge_index[1]] - x[edge_index[0]])[:, 0]

    x = torch.tensor([[10.0, 0.0, 0.0, 0.0], [20.0, 0.0, 0.0, 0.0], [1.0, 0.0, 90.0, 5.0]])
    index = torch.tensor([[0, 1, 2], [1, 0, 1]])
    nodes = ActsNodes(FIRST, ["r"], None)
    assert ActsEdgeNetwork(Difference(), nodes, None, True)(x, index).tolist() == [10, 10, -19]
    assert ActsEdgeNetwork(Difference(), nodes, None, False)(x, index).tolist() == [10, -10, 19]


def test_the_exported_pipeline_finds_the_same_tracks(mine, tmp_path):
    result = export_pipeline(PipelineFile.read(mine), tmp_path)
    assert [n.file for n in result.networks] == [
        "1_metric_learning.pt", "2_filter.pt", "3_interaction_gnn.pt"
    ]  # fmt: skip
    assert max(n.difference for n in result.networks) < 1e-5
    event = toy_event(1, n_particles=20, n_noise=20).space_points
    event = replace(event, size0=np.ones(len(event)), size1=np.ones(len(event)))
    event = event.with_types(single_clusters=True)
    ours, theirs = {}, {}
    for path, seen in ((mine, ours), (tmp_path / "pipeline.toml", theirs)):
        pipeline = replace(PipelineFile.read(path).build(), hooks=[seen.__setitem__])
        seen["tracks"] = pipeline(event)
    assert theirs["edge_classification_2"].n_edges > 20
    for stage in ("graph_construction", "edge_classification_1", "edge_classification_2"):
        np.testing.assert_array_equal(theirs[stage].edge_index, ours[stage].edge_index)
    np.testing.assert_allclose(theirs[stage].edge_scores, ours[stage].edge_scores, atol=1e-5)
    np.testing.assert_array_equal(theirs["tracks"].hits, ours["tracks"].hits)
    assert PipelineFile.read(tmp_path / "pipeline.toml").name == "mine_exported"


def test_what_acts_must_be_told(mine, tmp_path):
    file = PipelineFile.read(mine)
    export_pipeline(file, tmp_path)
    told = json.loads((tmp_path / "export.json").read_text())
    assert told["nodeFeatures"] == [
        "R", "Phi", "Z", "Eta", "ClusterX", "ClusterY", "Cluster2R"
    ]  # fmt: skip
    assert told["featureScales"] == [1.0] * 7
    embedding, first, second = told["networks"]
    assert embedding["settings"] == {"radius": 0.8, "k": 20}
    assert (first["settings"], second["settings"]) == ({"cut": 0.3}, {"cut": 0.4})
    assert first["edge_attr"] == ["own_2", "own_0"]
    assert first["edge_scales"] == [1.0, 100.0, 0.03, 1.0, 50.0, 3e-4]
    assert "metric_learning' makes and ACTS does not" in first["notes"][0]
    assert second["edge_attr"] == second["notes"] == []
    readme = (tmp_path / "README.md").read_text()
    assert "e.R, e.Phi, e.Z, e.Eta, e.ClusterX, e.ClusterY, e.Cluster2R" in readme
    assert "embeddingDim=8" in readme and "rVal=0.8, knnVal=20" in readme
    # Components of trkx take edges above their own cut, those of ACTS whatever is left.
    assert 'modelPath="3_interaction_gnn.pt", cut=0.45' in readme
    compile(readme.partition("```python\n")[2].partition("```")[0], "README.md", "exec")


def test_onnx_brings_the_embedding_as_torchscript_too(mine, tmp_path):
    for module in ("onnxruntime", "onnxscript"):
        pytest.importorskip(module)
    file = PipelineFile.read(mine)
    file = replace(file, edge_classification=file.edge_classification[:1])
    found = export_pipeline(file, tmp_path, "onnx")
    assert [n.file for n in found.networks] == [
        "1_metric_learning.onnx", "1_metric_learning.pt", "2_filter.onnx"
    ]  # fmt: skip
    assert load_foreign(tmp_path / "2_filter.onnx").names == ["x", "edge_index", "edge_attr"]
    assert (
        'OnnxEdgeClassifier(level=level, modelPath="2_filter.onnx", cut=0.45)'
        in (tmp_path / "README.md").read_text()
    )


def test_features_that_acts_lacks_are_noted(mine, tmp_path):
    path = mine.parent / "typed.toml"
    path.write_text(
        'name = "typed"\n[graph_construction]\nstage = "geometric"\n[[edge_classification]]\n'
        'stage = "heterogeneous_gnn"\nweights = "models/typed"\n'
        '[track_building]\nstage = "viterbi"\n'
    )
    result = export_pipeline(PipelineFile.read(path), tmp_path)
    assert "no node feature is_strip" in result.notes[0]
    assert result.as_json()["nodeFeatures"] == ["R", "Phi", "Z", "Eta", None]
    assert "no node feature is_strip" in (tmp_path / "README.md").read_text()
    assert "'viterbi' of trkx does not" in (tmp_path / "README.md").read_text()


def test_pipelines_that_cannot_be_exported(mine, tmp_path, monkeypatch):
    with pytest.raises(StageError, match=r"fast.*no network that can be exported; ACTS has"):
        export_pipeline(PipelineFile.read("fast"), tmp_path)
    with pytest.raises(StageError, match="no format 'tensorrt'"):
        export_pipeline(PipelineFile.read(mine), tmp_path, "tensorrt")
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"onnxscript.*pip install 'trkx\[onnx\]'"):
        export_pipeline(PipelineFile.read(mine), tmp_path, "onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_with_other_scores_is_refused(mine, tmp_path, monkeypatch):
    from trkx.plugin import export_check

    monkeypatch.setattr(export_check, "TOLERANCE", -1.0)
    with pytest.raises(StageError, match=r"1_metric_learning.pt: its scores differ"):
        export_pipeline(PipelineFile.read(mine), tmp_path)


def test_networks_of_gnn4itk_read_what_acts_computes():
    graph = sample_graph()
    nodes = ActsNodes(GNN4ITK_FEATURES, GNN4ITK_FEATURES, GNN4ITK_SCALES)
    x = torch.from_numpy(graph.features(GNN4ITK_FEATURES))
    expected = graph.features(GNN4ITK_FEATURES, GNN4ITK_SCALES)
    torch.testing.assert_close(nodes(x), torch.from_numpy(expected))
