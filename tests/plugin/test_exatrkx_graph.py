"""Graphs on FEATURES, and the networks on them as TorchScript."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from trkx.plugin.errors import SpacePointError
from trkx.plugin.exatrkx_graph import features_graph, given_graph, scaled_features, unscaled
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.space_points import SpacePoints

# r / 1000 mm, phi / pi, z / 1000 mm; hit 2 is the innermost.
FEATURES = np.array([[0.2, 0.1, 0.2], [0.3, 0.1, 0.3], [0.1, 0.1, 0.1]], np.float32)


@pytest.fixture(scope="module")
def stages():
    file = PipelineFile.read("exatrkx")
    return [file.make_stage(table, "cpu", "pt1") for table in file.stages]


@pytest.fixture(scope="module")
def points(tiny_sample):
    from trkx.io.event_files import EventFiles

    with EventFiles.open(tiny_sample) as files:
        return SpacePoints.from_columns(files.read(files.numbers[0], truth=False).space_points)


def test_features_are_scaled_around_the_beam_line():
    points = SpacePoints(
        *np.array([[301.0], [401.0], [-2000.0]], np.float32), np.zeros(1, np.uint64)
    )
    found = scaled_features(points, (1.0, 1.0))
    np.testing.assert_allclose(found, [[0.5, np.arctan2(4, 3) / np.pi, -2.0]], rtol=1e-6)
    np.testing.assert_allclose(unscaled(found), [[500.0, np.arctan2(4, 3), -2000.0]], rtol=1e-6)


def test_edges_go_outward_and_are_there_once():
    graph = features_graph(FEATURES, np.array([[0, 1, 1, 2], [1, 0, 2, 2]]))
    assert graph.edge_index.T.tolist() == [[2, 1], [0, 1]]
    assert len(set(graph.module)) == 3


def test_given_edges_keep_their_order():
    graph = given_graph(FEATURES, np.array([[0, 1, 2], [1, 2, 0]]))
    assert graph.edge_index.T.tolist() == [[0, 1], [2, 1], [2, 0]]
    with pytest.raises(SpacePointError, match=r"edges name hits 0 to 3, but there are 3 hits"):
        given_graph(FEATURES, np.array([[0], [3]]))
    with pytest.raises(SpacePointError, match=r"shape \(3, 2\); expected \(2, E\)"):
        given_graph(FEATURES, np.zeros((3, 2), np.int64))


def test_nothing_but_features_counts(stages, points):
    """Modules and cluster sizes change nothing: a service does not get them."""
    bare = SpacePoints(points.x, points.y, points.z, np.zeros(len(points), np.uint64))
    one, other = stages[0](points), stages[0](bare)
    assert one.n_edges > 1000
    np.testing.assert_array_equal(one.edge_index, other.edge_index)
    again = stages[0].graph(scaled_features(points))
    np.testing.assert_array_equal(one.edge_index, again.edge_index)
    np.testing.assert_array_equal(one.node_features, again.node_features)


def test_torchscript_gives_what_the_stages_give(stages, points, tmp_path):
    from trkx.plugin.foreign_networks import load_torchscript
    from trkx.plugin.serving.exatrkx_torchscript import write_scripts

    for name in ("embed", "filter", "gnn"):
        (tmp_path / name / "1").mkdir(parents=True)
    paths = write_scripts(PipelineFile.read("exatrkx"), "pt1", tmp_path, "1")
    embed, filter, gnn = (load_torchscript(path) for path in paths)
    features = scaled_features(points)
    graph = stages[0].graph(features)
    x = torch.from_numpy(features)
    edges = torch.from_numpy(graph.edge_index).long()
    turned = edges.clone()
    turned[:, ::2] = edges[:, ::2].flip(0)  # frnn of others gives edges any direction
    with torch.inference_mode():
        found = [embed(x), filter(x, turned), gnn(x, edges), filter(x, edges[:, :0])]
    np.testing.assert_allclose(found[0], stages[0].embed_features(features), atol=2e-4)
    assert found[1].shape == (graph.n_edges, 1)
    for scores, stage in zip(found[1:3], stages[1:3], strict=True):
        expected = stage.scores(graph)
        close = np.isclose(scores.numpy().ravel(), expected, rtol=1e-3, atol=1e-3)
        assert close.mean() > 0.9999
    assert found[3].shape == (0, 1)
