"""The twelve features of GNN4ITk on a pixel and a strip that are written by hand."""

import numpy as np
import pytest

from trkx.plugin.errors import StageError
from trkx.plugin.node_features import (
    ACORN_FEATURES,
    GNN4ITK_FEATURES,
    GNN4ITK_SCALES,
    point_features,
    select_features,
)
from trkx.plugin.space_points import SpacePoints

# A pixel whose cluster is a little off its space point, and a strip space point between two strips.
PIXEL, PIXEL_CLUSTER = (30.0, 40.0, 100.0), (33.0, 44.0, 101.0)
STRIP, FIRST, SECOND = (300.0, 400.0, -50.0), (303.0, 404.0, -49.0), (297.0, 396.0, -51.0)


@pytest.fixture
def points():
    x, y, z = np.array([PIXEL, STRIP], np.float32).T
    missing = (np.nan,) * 3
    clusters = np.array([[PIXEL_CLUSTER, missing], [FIRST, SECOND]], np.float32)
    return SpacePoints(x, y, z, np.ones(2, np.uint64), strip=np.array([False, True]),
                       clusters=clusters)  # fmt: skip


def four(place, radius=None, eta=None):
    r = np.hypot(*place[:2])
    values = [r, np.arctan2(place[1], place[0]), place[2], np.arcsinh(place[2] / r)]
    values[0] = values[0] if radius is None else radius
    values[3] = values[3] if eta is None else eta
    return values


def test_as_acts_makes_them(points):
    """The second cluster of a pixel is its first again."""
    table = select_features(*point_features(points), GNN4ITK_FEATURES)
    np.testing.assert_allclose(
        table[0], [*four(PIXEL), *four(PIXEL_CLUSTER), *four(PIXEL_CLUSTER)], rtol=1e-5
    )
    np.testing.assert_allclose(table[1], [*four(STRIP), *four(FIRST), *four(SECOND)], rtol=1e-5)


def test_as_acorn_makes_them(points):
    """Clusters of pixels have r, phi and eta of the space point, and z of their own."""
    table = select_features(*point_features(points), ACORN_FEATURES)
    here = four(PIXEL)
    cluster = [here[0], here[1], PIXEL_CLUSTER[2], here[3]]
    np.testing.assert_allclose(table[0], [*here, *cluster, *cluster], rtol=1e-5)
    np.testing.assert_allclose(table[1], [*four(STRIP), *four(FIRST), *four(SECOND)], rtol=1e-5)


def test_scales(points):
    plain = select_features(*point_features(points), GNN4ITK_FEATURES)
    scaled = select_features(*point_features(points), GNN4ITK_FEATURES, GNN4ITK_SCALES)
    np.testing.assert_allclose(scaled * np.float32(GNN4ITK_SCALES), plain, rtol=1e-6)
    assert GNN4ITK_SCALES[:4] == (1000.0, np.pi, 1000.0, 1.0)


def test_zeros_for_the_second_cluster_of_a_pixel(points):
    """The third variant is one of the network: `padded = 4`."""
    torch = pytest.importorskip("torch")
    from trkx.plugin.heterogeneous_gnn import HeterogeneousGnn, HeterogeneousGnnConfig

    features = select_features(*point_features(points), (*GNN4ITK_FEATURES, "is_strip"))
    x = torch.from_numpy(features)
    edges = torch.tensor([[0], [1]])
    shape = {"node_features": 13, "edge_features": 0, "width": 4, "steps": 1}
    for padded, second in ((0, features[0, 8:12]), (4, np.zeros(4))):
        network = HeterogeneousGnn(HeterogeneousGnnConfig(padded=padded, **shape))
        (pixel, strip), _, _ = network.by_type(x, edges)
        np.testing.assert_array_equal(pixel[0, 8:], np.float32(second))
        np.testing.assert_array_equal(strip[0], features[1, :12])


def test_no_clusters_no_features(points):
    plain = SpacePoints(points.x, points.y, points.z, points.geometry_id)
    for names in (GNN4ITK_FEATURES, ACORN_FEATURES):
        with pytest.raises(StageError, match="Features of clusters need space points with clus"):
            select_features(*point_features(plain), names)
