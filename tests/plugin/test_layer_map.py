"""Learning the map, building graphs, and classical track finding on the toy detector."""

import dataclasses

import numpy as np
import pytest

from trkx.algorithms.track_counts import TrackCounts
from trkx.plugin import Pipeline, SpacePoints
from trkx.plugin.errors import DetectorMismatchError, WeightsError
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layer_map_graph import LayerMapGraph
from trkx.plugin.truth_edges import crossings, true_doublets
from trkx.plugin.viterbi import ViterbiTrackBuilder


@pytest.fixture(scope="module")
def classical(toy_map):
    return Pipeline(LayerMapGraph(toy_map), [], ViterbiTrackBuilder(layer_map=toy_map))


def test_the_map_contains_the_true_edges_of_unseen_events(toy_events, toy_map):
    event = toy_events[11]
    graph = LayerMapGraph(toy_map)(event.space_points)
    layer, _ = toy_map.layers.index(event.space_points.geometry_id)
    true, _ = true_doublets(crossings(event, layer, event.targets(1.0)))
    n = len(event.space_points)
    source, target = graph.space_point[graph.edge_index]
    assert np.isin(true[0] * n + true[1], source * n + target).mean() > 0.97
    assert graph.n_edges < 0.1 * n * n


def test_every_edge_follows_the_edges_that_end_where_it_starts(toy_events, toy_map):
    graph = LayerMapGraph(toy_map)(toy_events[11].space_points)
    first, second = graph.triplet_index
    assert (first < second).all()
    assert (np.diff(second) >= 0).all()
    assert (graph.edge_index[1, first] == graph.edge_index[0, second]).all()


def test_classical_finding_is_efficient_and_pure(toy_events, classical):
    counts = TrackCounts()
    for event in toy_events[10:]:
        counts.add(event, classical(event.space_points), pt_min=1.0)
    summary = counts.summary()
    assert summary["efficiency"] > 0.97
    assert summary["fakes"] < 0.02
    assert summary["purity"] > 0.98


def test_the_order_of_the_space_points_changes_nothing(toy_events, classical):
    points = toy_events[10].space_points
    order = np.random.default_rng(3).permutation(len(points))
    shuffled = SpacePoints(*(getattr(points, c)[order] for c in ("x", "y", "z", "geometry_id")))

    def tracks(candidates, index):
        hits = index[candidates.hits]
        return {frozenset(h) for h in np.split(hits, candidates.offsets[1:-1])}

    assert tracks(classical(points), np.arange(len(points))) == tracks(classical(shuffled), order)


def test_a_hit_is_on_one_track_at_most(toy_events, classical):
    candidates = classical(toy_events[10].space_points)
    assert len(np.unique(candidates.hits)) == len(candidates.hits)
    labels = candidates.labels
    assert labels.max() == len(candidates) - 1
    assert (np.bincount(labels[labels >= 0]) == np.diff(candidates.offsets)).all()


def test_a_known_beam_spot_is_followed(toy_events, classical):
    points = toy_events[10].space_points
    moved = dataclasses.replace(points, x=points.x + np.float32(2.0), y=points.y - np.float32(1.0))
    assert len(classical(moved, beam_spot=(2.0, -1.0))) == len(classical(points))


@pytest.mark.parametrize("n", [0, 1])
def test_events_with_hardly_any_hits_have_no_tracks(toy_events, classical, n):
    points = toy_events[10].space_points
    few = SpacePoints(*(getattr(points, c)[:n] for c in ("x", "y", "z", "geometry_id")))
    candidates = classical(few)
    assert len(candidates) == 0
    assert candidates.labels.tolist() == [-1] * n


def test_all_noise_is_an_ordinary_event(classical):
    from trkx_toy import toy_event

    event = toy_event(99, n_particles=0, n_noise=200)
    assert len(classical(event.space_points)) <= 1


def test_an_unknown_module_is_named(toy_events, classical):
    points = toy_events[10].space_points
    gid = points.geometry_id.copy()
    gid[5] = (np.uint64(9) << np.uint64(56)) | (np.uint64(2) << np.uint64(36))
    with pytest.raises(DetectorMismatchError, match="row 5: volume 9, layer 2"):
        classical(dataclasses.replace(points, geometry_id=gid))


def test_map_round_trip_and_corruption(toy_map, tmp_path):
    path = tmp_path / "map.npz"
    toy_map.save(path)
    loaded = LayerMap.load(path)
    assert loaded.meta == {"seed": "toy"}
    for field in dataclasses.fields(LayerMap):
        value = getattr(toy_map, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(loaded, field.name), value)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="corrupt"):
        LayerMap.load(path)
    with pytest.raises(WeightsError, match="no such file"):
        LayerMap.load(tmp_path / "none.npz")


def test_timing_names_every_stage(toy_events, classical):
    timing = classical(toy_events[10].space_points).timing
    assert list(timing) == ["graph_construction", "track_building"]
    assert all(seconds > 0 for seconds in timing.values())


def test_hooks_see_the_graph_after_every_stage(toy_events, toy_map):
    seen = []
    pipeline = Pipeline(
        LayerMapGraph(toy_map),
        [],
        ViterbiTrackBuilder(layer_map=toy_map),
        hooks=[lambda stage, graph: seen.append((stage, graph.n_edges > 0))],
    )
    pipeline(toy_events[10].space_points)
    assert seen == [("graph_construction", True)]
