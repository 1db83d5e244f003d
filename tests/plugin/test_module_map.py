"""Module maps: statistics on paper, merging, symmetry, cuts, and the graphs they make."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from trkx.plugin.edge_features import edge_features
from trkx.plugin.errors import DetectorMismatchError, StageError, WeightsError
from trkx.plugin.module_map import ModuleMap, Modules, TripletStatistics
from trkx.plugin.module_map_graph import ModuleMapGraph, ModuleMapGraphConfig
from trkx.plugin.module_map_kernels import triplet_quantities
from trkx.plugin.module_map_learning import (
    ModuleMapLearner,
    ModuleMapLearningConfig,
    coverage,
    event_triplets,
    hit_columns,
    learn_module_map,
)
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.truth_edges import any_shared_particle

toy = sys.modules["trkx_toy"]
LOOSE = ModuleMapGraphConfig(method="minmax", margin=0.05, occurrences=1)


def gid(volume, layer, sensitive):
    parts = (volume, layer, sensitive)
    return sum(np.uint64(p) << np.uint64(s) for p, s in zip(parts, (56, 36, 8), strict=True))


@pytest.fixture(scope="module")
def modules():
    """The toy's eight layers of 64 modules, each layer a ring, mirror of itself."""
    sectors = range(1, toy.N_MODULES + 1)
    ids = [gid(1, layer, k) for layer in range(1, 9) for k in sectors]
    cell = np.repeat(np.arange(8), toy.N_MODULES)
    ring = np.arange(8, dtype=np.int32)
    return Modules(np.array(ids, np.uint64), cell.astype(np.int32), ring)


@pytest.fixture(scope="module")
def toy_module_map(toy_events, modules):
    return learn_module_map(toy_events[:10], modules)


def test_quantities_on_paper():
    """Hits at radii 10, 20 and 30 on a line in r-z, the last one off in azimuth."""
    x, y, z = [10.0, 20.0, 0.0], [0.0, 0.0, 30.0], [5.0, 6.0, 7.0]
    points = SpacePoints(*np.array([x, y, z], np.float32), np.zeros(3, np.uint64))
    found = triplet_quantities(hit_columns(points), np.array([[0], [1], [2]]), True)[0]
    eta = np.arcsinh(np.array(z) / [10.0, 20.0, 30.0])
    half = np.pi / 2
    inner, outer = [4.0, 0.0, 0.0, eta[0] - eta[1]], [4.0, half, half / 10, eta[1] - eta[2]]
    # dy/dx of the outer doublet is 30 / -20, and both dz/dr are 0.1.
    np.testing.assert_allclose(found, [*inner, *outer, 1.5, 0.0], atol=1e-6)


def test_turned_slopes_do_not_depend_on_the_azimuth(toy_events):
    points = toy_events[0].space_points
    triplet = event_triplets(toy_events[0], 1.0)
    c, s = np.cos(1.0), np.sin(1.0)
    x, y = points.x * c - points.y * s, points.x * s + points.y * c
    turned = replace(points, x=x.astype(np.float32), y=y.astype(np.float32))
    for frame, same in ((True, True), (False, False)):
        a, b = (triplet_quantities(hit_columns(p), triplet, frame) for p in (points, turned))
        assert np.allclose(a, b, atol=1e-3) == same


def test_statistics_on_paper():
    values = np.zeros((4, 10), np.float32)
    values[:, 0] = [1.0, 3.0, 5.0, 10.0]
    s = TripletStatistics.of(np.array([7, 7, 7, 2]), values)
    assert s.key.tolist() == [2, 7] and s.count.tolist() == [1, 3]
    assert s.low[:, 0].tolist() == [10.0, 1.0] and s.high[:, 0].tolist() == [10.0, 5.0]
    assert s.mean[1, 0] == 3.0 and s.rms[1, 0] == pytest.approx(np.sqrt(8 / 3))
    assert s.windows("minmax", margin=0.5)[1, 0].tolist() == [-1.0, 7.0]
    # Seen too rarely for its rms to say anything.
    assert s.windows("meanrms", 0.1, 0.0)[1, 0].tolist() == [1.0, 5.0]
    often = TripletStatistics.combine([s] * 4)
    low, high = often.windows("meanrms", 1.0, 0.0)[1, 0]
    assert (low, high) == pytest.approx((3 - np.sqrt(8 / 3), 3 + np.sqrt(8 / 3)))
    with pytest.raises(StageError, match="no method 'best'"):
        s.windows("best")


def assert_same(a, b):
    for name in ("key", "count", "low", "high"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("total", "squares"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("symmetry", ["none", "phi", "phi_z"])
def test_two_halves_merge_to_the_whole(toy_events, modules, symmetry):
    config = ModuleMapLearningConfig(symmetry=symmetry, buffer=2)
    whole = learn_module_map(toy_events, modules, config)
    halves = [learn_module_map(toy_events[k::2], modules, config) for k in (0, 1)]
    assert_same(halves[0].merge(halves[1]).statistics, whole.statistics)
    assert whole.modules.n_cells == (len(modules.geometry_id) if symmetry == "none" else 8)


def test_a_learner_goes_on(toy_events, modules):
    first, second = ModuleMapLearner(modules), ModuleMapLearner(modules)
    for event in toy_events[:5]:
        first.add(event)
    second.go_on_from(first.seen())
    for event in toy_events[5:]:
        second.add(event)
    found = second.map()
    assert found.meta["events"] == len(toy_events)
    assert_same(found.statistics, learn_module_map(toy_events, modules).statistics)


def test_memory_does_not_grow_with_the_events(toy_events, modules):
    """The same events again add counts, and nothing else."""
    once = learn_module_map(toy_events, modules).statistics
    thrice = learn_module_map(toy_events * 3, modules).statistics
    assert len(once) == len(thrice)
    np.testing.assert_array_equal(3 * once.count, thrice.count)


def test_maps_that_do_not_go_together(toy_events, modules):
    maps = [
        learn_module_map(toy_events[:1], modules, ModuleMapLearningConfig(symmetry=symmetry))
        for symmetry in ("none", "phi")
    ]
    with pytest.raises(StageError, match="cannot be merged"):
        maps[0].merge(maps[1])


def test_mirror_image(toy_module_map):
    m = toy_module_map
    assert_same(m.mirrored().mirrored().statistics, m.statistics)
    assert_same(m.mirrored().statistics, m.statistics)  # symmetry is 'phi_z'
    window = m.statistics.windows("minmax")
    np.testing.assert_allclose(window[:, 0, 0], -window[:, 0, 1], rtol=1e-6)  # z0


def test_symmetry_needs_fewer_events(toy_events, modules):
    covered = {}
    for symmetry in ("none", "phi"):
        config = ModuleMapLearningConfig(symmetry=symmetry)
        found = learn_module_map(toy_events[:3], modules, config)
        covered[symmetry] = coverage(found, toy_events[11], 1.0)
    assert covered["phi"][0] == covered["phi"][1] > covered["none"][0]


def test_save_and_load(toy_module_map, tmp_path):
    path = tmp_path / "map.npz"
    toy_module_map.save(path)
    found = ModuleMap.load(path)
    for name in ("key", "count", "low", "high"):
        a, b = (getattr(m.statistics, name) for m in (found, toy_module_map))
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(found.statistics.rms, toy_module_map.statistics.rms, rtol=1e-4)
    assert found.meta == toy_module_map.meta and found.frame == "hit"
    assert Modules.load(path).n_cells == 8
    with pytest.raises(WeightsError, match="no such file"):
        ModuleMap.load(tmp_path / "other.npz")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="cannot be read as a module map"):
        ModuleMap.load(path)
    with pytest.raises(WeightsError, match="cannot be read as modules"):
        Modules.load(path)


def true_share(graph, event, triplet):
    """Share of the doublets of true triplets that are edges."""
    n = len(event.space_points)
    doublets = np.unique(np.concatenate([triplet[:2], triplet[1:]], axis=1), axis=1)
    edges = graph.space_point[graph.edge_index].astype(np.int64)
    return np.isin(doublets[0] * n + doublets[1], edges[0] * n + edges[1]).mean()


@pytest.mark.parametrize("symmetry", ["none", "phi_z"])
def test_graph_has_the_true_edges(toy_events, modules, symmetry):
    """Of an event the map was learned from, with the cuts that were seen: all of them."""
    config = ModuleMapLearningConfig(symmetry=symmetry)
    module_map = learn_module_map(toy_events, modules, config)
    event = toy_events[0]
    graph = ModuleMapGraph(module_map, LOOSE)(event.space_points)
    assert true_share(graph, event, event_triplets(event, 0.9, 4.2, 6)) == 1.0
    a, b = graph.edge_index
    r, z = graph.features(("r", "z")).T
    assert (np.hypot(r, z)[b] > np.hypot(r, z)[a]).all()
    # Every edge follows those that end where it starts, and is on a triplet.
    last_in = np.full(graph.n_nodes, -1)
    np.maximum.at(last_in, b, np.arange(graph.n_edges))
    assert (last_in[a] < np.arange(graph.n_edges)).all()
    first, second = graph.triplet_index
    assert (b[first] == a[second]).all() and (np.diff(second) >= 0).all()
    assert np.unique(graph.triplet_index).tolist() == list(range(graph.n_edges))
    assert np.isfinite(graph.edge_features).all() and np.isfinite(graph.triplet_features).all()


def test_graph_of_a_new_event(toy_events, toy_module_map):
    event = toy_events[11]
    graph = ModuleMapGraph(toy_module_map)(event.space_points)
    assert true_share(graph, event, event_triplets(event, 1.0)) > 0.97
    true = any_shared_particle(event, *graph.space_point[graph.edge_index]) >= 0
    assert true.mean() > 0.5
    tight = ModuleMapGraph(toy_module_map, ModuleMapGraphConfig(n_rms=2.0))(event.space_points)
    longer = ModuleMapGraph(toy_module_map, ModuleMapGraphConfig(min_hits=7))(event.space_points)
    assert graph.n_edges > tight.n_edges > 300 and graph.n_edges >= longer.n_edges > 300


def edge_set(graph):
    return set(map(tuple, graph.space_point[graph.edge_index].T.tolist()))


def test_order_of_the_hits_changes_nothing(toy_events, toy_module_map):
    points = toy_events[11].space_points
    stage = ModuleMapGraph(toy_module_map)
    order = np.random.default_rng(3).permutation(len(points))
    shuffled = stage(points.take(order))
    found = {(order[a], order[b]) for a, b in edge_set(shuffled)}
    assert found == edge_set(stage(points))


def test_a_beam_spot_is_subtracted(toy_events, toy_module_map):
    points = toy_events[11].space_points
    stage = ModuleMapGraph(toy_module_map)
    moved = replace(points, x=points.x + np.float32(0.5), y=points.y - np.float32(0.25))
    a, b = edge_set(stage(points)), edge_set(stage(moved, (0.5, -0.25)))
    assert len(a & b) >= 0.999 * max(len(a), len(b))  # positions are rounded


def test_room_for_doublets_grows(toy_events, toy_module_map):
    stage = ModuleMapGraph(toy_module_map)
    points = toy_events[11].space_points
    wanted = edge_set(stage(points))
    stage._room = [0.0, 0.0]
    assert edge_set(stage(points)) == wanted


def test_without_triplets(toy_events, toy_module_map):
    points = toy_events[11].space_points
    with_them = ModuleMapGraph(toy_module_map)(points)
    graph = ModuleMapGraph(toy_module_map, ModuleMapGraphConfig(triplets=False))(points)
    assert graph.n_triplets == 0 < with_them.n_triplets
    np.testing.assert_array_equal(graph.edge_features, with_them.edge_features)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_events_of_few_hits(toy_module_map, n):
    points = toy.toy_event(1).space_points
    graph = ModuleMapGraph(toy_module_map)(points.take(np.arange(n)))
    assert (graph.n_nodes, graph.n_edges, graph.n_triplets) == (n, 0, 0)


def test_hits_of_another_detector(toy_events, toy_module_map):
    points = toy_events[0].space_points
    other = replace(points, geometry_id=points.geometry_id + np.uint64(1 << 56))
    with pytest.raises(DetectorMismatchError, match="geometry id"):
        ModuleMapGraph(toy_module_map)(other)


def test_from_settings(toy_module_map, tmp_path):
    toy_module_map.save(tmp_path / "map.npz")
    context = StageContext(folder=tmp_path)
    stage = ModuleMapGraph.from_settings({"map": "map.npz", "n_rms": 5}, context)
    assert stage.config == ModuleMapGraphConfig(n_rms=5.0)
    for settings, message in (
        ({}, "map = "),
        ({"map": "map.npz", "n_rmss": 5}, "did you mean 'n_rms'"),
        ({"map": "map.npz", "min_hits": 2}, "at least 3"),
        ({"map": "map.npz", "method": "best"}, "choose one of"),
        ({"map": "map.npz", "occurrences": 10**9}, "lower 'occurrences'"),
    ):
        with pytest.raises(StageError, match=message):
            ModuleMapGraph.from_settings(settings, context)


def test_bad_learning_settings(modules):
    for settings in ({"symmetry": "r"}, {"frame": "global"}, {"buffer": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            ModuleMapLearningConfig(**settings)
    with pytest.raises(StageError, match="no triplet of a particle above"):
        ModuleMapLearner(modules).map()
    with pytest.raises(StageError, match="no frame"):
        ModuleMap(modules, TripletStatistics.empty(), "local")


def test_edge_networks_read_the_features_of_the_map(toy_events, toy_module_map):
    graph = ModuleMapGraph(toy_module_map)(toy_events[11].space_points)
    found = edge_features(graph, ("own_12", "dr", "own_5"), (1.0, 100.0, 2.0))
    np.testing.assert_array_equal(found[:, 0], graph.edge_features[:, 12])
    np.testing.assert_allclose(found[:, 2], graph.edge_features[:, 5] / 2, rtol=1e-6)
    with pytest.raises(StageError, match="no edge feature 'own_16'"):
        edge_features(graph, ("own_16",))
