"""Networks leave and enter as TorchScript and ONNX with unchanged scores."""

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
