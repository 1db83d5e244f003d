"""The detector as arrays, measurement errors and noise clusters."""

import json

import numpy as np
import pytest

from trkx.algorithms.simulation.modules import (
    config_path,
    module_table,
    read_readout,
)
from trkx.algorithms.simulation.noise import noise_clusters
from trkx.io.errors import GeometryIdError

GEOMETRIC = config_path("generic-digi-geometric")


@pytest.fixture(scope="module")
def modules():
    return module_table()


def test_all_modules_are_there(modules):
    assert len(modules.geometry_id) == 18728
    assert np.all(np.diff(modules.geometry_id.astype(np.int64)) > 0)
    np.testing.assert_allclose(np.linalg.norm(modules.axis_u, axis=1), 1.0)
    np.testing.assert_allclose((modules.axis_u * modules.axis_v).sum(axis=1), 0.0, atol=1e-9)


def test_outlines_are_those_of_the_trackml_detector(modules):
    # volume → half widths at both ends and half length of the first module (detectors.csv)
    for volume, outline in {
        8: (8.4, 8.4, 36.0),
        12: (16.4, 24.2, 78.0),
        13: (24.0, 24.0, 54.0),
        17: (24.0, 24.0, 54.0),
    }.items():
        first = np.flatnonzero(modules.volume == volume)[0]
        found = modules.half_low[first], modules.half_high[first], modules.half_v[first]
        assert found == pytest.approx(outline)


def test_local_and_global_are_inverse(modules):
    rng = np.random.default_rng(1)
    module = rng.integers(0, len(modules.geometry_id), 1000)
    local = rng.uniform(-8.0, 8.0, (1000, 2))
    back = modules.to_local(module, modules.to_global(module, local))
    np.testing.assert_allclose(back, local, atol=1e-9)


def test_unknown_geometry_id_is_named(modules):
    assert modules.index(modules.geometry_id[[5, 3]]).tolist() == [5, 3]
    with pytest.raises(GeometryIdError, match="12345"):
        modules.index(np.array([modules.geometry_id[0], 12345], dtype=np.uint64))


def test_configurations_cover_all_volumes_and_name_their_source():
    for name in ("generic-digi-geometric", "generic-digi-smearing"):
        config = json.loads(config_path(name).read_text(encoding="utf-8"))
        assert "detectors.csv" in config["source"]
        assert sorted(e["volume"] for e in config["entries"]) == [7, 8, 9, 12, 13, 14, 16, 17, 18]


def test_space_point_selections_are_read_by_acts():
    import acts.examples.json

    layers = {
        name: [
            (i.volume, i.layer)
            for i in acts.examples.json.readJsonGeometryList(
                str(config_path(f"generic-spacepoints-{name}"))
            )
        ]
        for name in ("all", "pixel", "pixel-first-short-strips", "short-strips")
    }
    assert layers["pixel"] == [(7, 0), (8, 0), (9, 0)]
    assert layers["pixel-first-short-strips"] == [*layers["pixel"], (13, 2)]
    assert layers["short-strips"] == [(12, 0), (13, 0), (14, 0)]
    assert len(layers["all"]) == 9


def test_variances_follow_cluster_size_and_edges(modules):
    readout = read_readout(GEOMETRIC)
    barrel = np.flatnonzero(modules.volume == 8)[[0, 0, 0]]
    size = np.array([[1, 1], [2, 10], [2, 10]])
    local = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 35.75]])
    variance = readout.variances(modules, barrel, local, size)
    sigma = np.sqrt(variance)
    assert sigma[1, 0] < sigma[0, 0] < 0.05
    assert sigma[1, 1] < 0.01
    # Ten channels of 56.25 µm that end at the edge: half the length over the root of three.
    assert sigma[2, 1] == pytest.approx(10 * 0.05625 / np.sqrt(12), rel=0.01)
    assert sigma[2, 0] == sigma[1, 0]


def test_noise_share_layers_and_positions(modules):
    rng = np.random.default_rng(2)
    readout = read_readout(GEOMETRIC)
    discs = np.flatnonzero(modules.layer_key == modules.layer_key[modules.volume == 12][0])
    barrel = np.flatnonzero(modules.layer_key == modules.layer_key[modules.volume == 8][0])
    real = np.concatenate([rng.choice(discs, 30000), rng.choice(barrel, 10000)])
    size = np.where(rng.random((40000, 2)) < 0.5, 1, 4)
    module, local, sizes = noise_clusters(rng, 0.15, real, size, modules, readout)
    assert len(module) == pytest.approx(40000 * 0.15 / 0.85, abs=5 * np.sqrt(7059))
    in_discs = np.isin(module, discs)
    assert np.isin(module[~in_discs], barrel).all()
    assert in_discs.mean() == pytest.approx(0.75, abs=0.03)
    assert sizes.mean() == pytest.approx(2.5, abs=0.1)
    assert (np.abs(local[:, 1]) <= modules.half_v[module]).all()
    wide = sizes[:, 0] > 1
    half = modules.half_u(module, local[:, 1])
    # The outline is slanted: moving v to the centre of a channel may leave it by a hair.
    assert (np.abs(local[wide, 0]) <= half[wide] + 0.1).all()
    # One channel wide: at the centre of a channel.
    pitch = readout.pitch[modules.volume[module[~wide]], 0]
    edge = readout.edge[modules.volume[module[~wide]], 0]
    channel = (local[~wide, 0] - edge) / pitch
    np.testing.assert_allclose(channel - np.floor(channel), 0.5, atol=1e-6)
    # Uniform over the trapezoid: the wide end has more.
    ring = in_discs & (modules.half_low[module] == 16.4)
    upper = (local[ring, 1] > 0).mean()
    assert upper == pytest.approx((20.3 + 24.2) / (16.4 + 2 * 20.3 + 24.2), abs=0.06)


def test_no_measurements_no_noise(modules):
    none = np.empty(0, dtype=np.int64)
    module, local, sizes = noise_clusters(
        np.random.default_rng(0),
        0.15,
        none,
        np.empty((0, 2), dtype=np.int64),
        modules,
        read_readout(GEOMETRIC),
    )
    assert module.shape == (0,) and local.shape == (0, 2) and sizes.shape == (0, 2)
