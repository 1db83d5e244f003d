"""Networks leave and enter as TorchScript and ONNX with unchanged scores."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError, WeightsError
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from trkx.plugin.edge_network import EdgeNetworkClassifier, make_network  # noqa: E402
from trkx.plugin.export import export_onnx, export_torchscript  # noqa: E402
from trkx.plugin.foreign_networks import (  # noqa: E402
    ForeignEdgeClassifier,
    ForeignEdgeNetwork,
    load_foreign,
)
from trkx.plugin.metric_learning import MetricLearning  # noqa: E402
from trkx.plugin.pipeline_file import PipelineFile  # noqa: E402

NETWORKS = {
    "filter": {"node_features": 3, "edge_features": 6},
    "interaction_gnn": {"node_features": 3, "edge_features": 6, "width": 8, "steps": 2},
    "attention_gnn": {"node_features": 3, "edge_features": 0},
}
EXPORTS = {".pt": export_torchscript, ".onnx": export_onnx}


def network_of(stage):
    torch.manual_seed(1)
    return make_network(stage, NETWORKS[stage]).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The file of a stage's network in a format; exporting takes seconds, so only once."""
    folder = tmp_path_factory.mktemp("exported")

    def file(stage, ending):
        path = folder / f"{stage}{ending}"
        if not path.exists():
            EXPORTS[ending](network_of(stage), path, 3, NETWORKS[stage]["edge_features"])
        return path

    return file


@pytest.mark.parametrize("ending", EXPORTS)
@pytest.mark.parametrize("stage", NETWORKS)
def test_exported_networks_give_the_same_scores(stage, ending, exported):
    network = network_of(stage)
    edge_features = NETWORKS[stage]["edge_features"]
    model = load_foreign(exported(stage, ending))
    for nodes, edges in ((50, 300), (3, 2)):
        inputs = (torch.randn(nodes, 3), torch.randint(0, nodes, (2, edges)))
        if edge_features:
            inputs += (torch.randn(edges, edge_features),)
        with torch.inference_mode():
            torch.testing.assert_close(
                model(*inputs).reshape(-1), network(*inputs), rtol=0, atol=1e-5
            )


@pytest.mark.parametrize("ending", EXPORTS)
def test_a_model_of_others_is_a_stage(ending, exported):
    network = network_of("interaction_gnn")
    path = exported("interaction_gnn", ending)
    rng = np.random.default_rng(2)
    x, y, z = rng.normal(0, 300, (3, 40)).astype(np.float32)
    points = SpacePoints(x, y, z, np.arange(40, dtype=np.uint64))
    graph = edge_graph(points, rng.integers(0, 40, (2, 100)))
    names = ["dr", "dphi", "dz", "deta", "phislope", "rphislope"]
    common = {"features": ["r", "phi", "z"], "scales": [1000.0, 3.14, 1000.0]}
    settings = {"model": path.name, "edge_features": names, **common}
    stage = ForeignEdgeClassifier.from_settings(settings, StageContext(path.parent))
    ours = EdgeNetworkClassifier(network, {**common, "edge_features": names})
    np.testing.assert_allclose(stage(graph).edge_scores, ours(graph).edge_scores, atol=1e-5)


class OneEdgeAtATime(torch.nn.Module):
    """Scores by the difference of a feature: another direction, another sign."""

    def forward(self, x, edge_index):
        return (x[edge_index[1], 0] - x[edge_index[0], 0]).unsqueeze(1)


@pytest.mark.parametrize("chunks", [1, 3])
def test_undirected_models_keep_the_score_of_the_first_direction(chunks):
    x = torch.arange(5.0)[:, None]
    index = torch.tensor([[0, 4, 1, 2], [1, 0, 3, 2]])
    found = ForeignEdgeNetwork(OneEdgeAtATime(), undirected=True, chunks=chunks)(x, index)
    assert found.tolist() == [1, -4, 2, 0]


def test_what_is_no_model_is_refused(tmp_path):
    for name in ("model.pt", "model.onnx"):
        with pytest.raises(WeightsError, match="no such file"):
            load_foreign(tmp_path / name)
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(WeightsError, match="is no (TorchScript|ONNX) model"):
            load_foreign(tmp_path / name)


@pytest.mark.parametrize("ending", EXPORTS)
def test_a_wrong_number_of_features_is_said(ending, exported):
    wrapped = ForeignEdgeNetwork(load_foreign(exported("filter", ending)))
    index = torch.zeros((2, 4), dtype=torch.int64)
    with pytest.raises(StageError, match="4 node and 6 edge features|reads 3 inputs"):
        wrapped(torch.zeros(5, 4), index, torch.zeros(4, 6))
    with pytest.raises(StageError, match="reads 3 inputs|0 edge features|None"):
        wrapped(torch.zeros(5, 3), index)


def test_a_setting_that_is_missing_is_named(tmp_path):
    with pytest.raises(StageError, match="'model' is missing"):
        ForeignEdgeClassifier.from_settings({"cut": 0.5}, StageContext(tmp_path))


class ToyEmbedding(torch.nn.Module):
    """As ExaTrkX scripts its embedding: (N, F) → (N, 8); hits of one azimuth lie together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        direction = torch.stack([torch.cos(x[:, 1]), torch.sin(x[:, 1])], dim=1)
        return torch.nn.functional.pad(direction, (0, 6))


class ToyFilter(torch.nn.Module):
    """As ExaTrkX scripts its filter: hits of one azimuth are one track's."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return 5.0 - 1000.0 * (x[edge_index[0], 1] - x[edge_index[1], 1]).abs()


class ToyGnn(torch.nn.Module):
    """As ExaTrkX scripts its GNN; no edge may leave out a layer."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return (15.0 - 100.0 * (x[edge_index[0], 0] - x[edge_index[1], 0]).abs()).unsqueeze(1)


EXATRKX = """
name = "exatrkx"
[graph_construction]
stage = "metric_learning"
model = "embed.pt"
features = ["r", "phi", "z"]
scales = [1000.0, 1.0, 1000.0]
radius = 0.05
k = 100
support = false
[[edge_classification]]
stage = "torchscript"
model = "filter.pt"
scales = [1000.0, 1.0, 1000.0]
cut = 0.01
chunks = 5
[[edge_classification]]
stage = "torchscript"
model = "gnn.pt"
scales = [1000.0, 1.0, 1000.0]
cut = 0.5
undirected = true
[track_building]
stage = "connected_components"
score_cut = 0.5
"""


def lines_of_hits(tracks=6, layers=6):
    """Straight tracks from the origin: a track per azimuth, a layer every 100 mm."""
    r = np.tile(100.0 * np.arange(1, layers + 1), tracks)
    phi = np.repeat(np.linspace(-3, 3, tracks), layers)
    layer = np.tile(np.arange(1, layers + 1, dtype=np.uint64), tracks)
    module = np.uint64(8 << 56) | (layer << np.uint64(36)) | np.uint64(1 << 8)
    x, y, z = (a.astype(np.float32) for a in (r * np.cos(phi), r * np.sin(phi), 0.3 * r))
    return SpacePoints(x, y, z, module)


def script(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would like TorchScript to go
        torch.jit.save(torch.jit.script(network), path)


def test_a_pipeline_of_the_exatrkx_project_from_one_file(tmp_path):
    for name, network in (("embed", ToyEmbedding()), ("filter", ToyFilter()), ("gnn", ToyGnn())):
        script(network, tmp_path / f"{name}.pt")
    (tmp_path / "exatrkx.toml").write_text(EXATRKX)
    pipeline = PipelineFile.read(tmp_path / "exatrkx.toml").build()
    points = lines_of_hits()
    embedded = pipeline.graph_constructor.embed(points)
    assert embedded.shape == (36, 8)
    graphs = {}
    found = replace(pipeline, hooks=[graphs.__setitem__])(points)
    assert [graph.n_edges for graph in graphs.values()] == [6 * 15, 6 * 15, 6 * 5]
    assert sorted(found.hits.reshape(-1, 6).tolist()) == np.arange(36).reshape(6, 6).tolist()


def test_embeddings_of_others_are_checked(tmp_path):
    points = lines_of_hits()
    context = StageContext(tmp_path)
    script(ToyEmbedding(), tmp_path / "embed.pt")
    script(ToyFilter(), tmp_path / "filter.pt")

    def make(**settings):
        return MetricLearning.from_settings(settings, context)

    with pytest.raises(StageError, match="1 node features"):
        make(model="embed.pt", features=["r"])(points)
    with pytest.raises(StageError, match="3 node features"):
        make(model="filter.pt")(points)
    with pytest.raises(StageError, match="3 node features, but 2 scales"):
        make(model="embed.pt", scales=[1.0, 2.0])(points)
    for both in ({}, {"model": "embed.pt", "weights": "embedding"}):
        with pytest.raises(StageError, match="one of the two"):
            make(**both)
    script(OneNumberPerHit(), tmp_path / "flat.pt")
    with pytest.raises(StageError, match=r"gave \(36,\) for 36 hits"):
        make(model="flat.pt")(points)


class OneNumberPerHit(torch.nn.Module):
    """Not an embedding: one number per hit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]
