"""Displaced tracks on the toy detector: free triplets, their chains, and two passes."""

import dataclasses

import numpy as np
import pytest
from trkx_toy import N_MODULES, RADII, toy_event

from trkx.algorithms.track_counts import TrackCounts
from trkx.plugin import Pipeline
from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.displaced_graph import N_EDGE_FEATURES, DisplacedGraph, DisplacedGraphConfig
from trkx.plugin.errors import StageError, WeightsError
from trkx.plugin.free_map_learning import FreeMapConfig, learn_free_map
from trkx.plugin.free_triplets import chain_lengths, free_triplet_table, median_curvatures
from trkx.plugin.geometry_kernels import N_COLUMNS, X, Y, Z
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layer_map_graph import LayerMapGraph
from trkx.plugin.layer_map_learning import LayerMapConfig
from trkx.plugin.second_pass import SecondPass, SecondPassConfig
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.triplets import group_by
from trkx.plugin.viterbi import ViterbiConfig, ViterbiTrackBuilder

R_BEND = 2500.0  # mm, of 1.5 GeV in 2 T


def helices(rng, n):
    """(n, 8, 3) positions on the cylinders, NaN inside the production radius; vertices (n, 3)."""
    radius = rng.uniform(5.0, 60.0, n)
    at, phi = rng.uniform(-np.pi, np.pi, (2, n))
    # Within 60 degrees of the radius, so that impact parameters reach 52 mm.
    phi = at + rng.uniform(-1.0, 1.0, n)
    bend = rng.choice([-1.0, 1.0], n) * rng.uniform(1800.0, 9000.0, n)
    cot, z0 = rng.uniform(-0.5, 0.5, n), rng.normal(0, 50, n)
    s = np.linspace(0, 720, 3000)
    vertex = np.stack([radius * np.cos(at), radius * np.sin(at), z0], axis=1)
    angle = phi[:, None] + s / bend[:, None]
    x = vertex[:, :1] + bend[:, None] * (np.sin(angle) - np.sin(phi)[:, None])
    y = vertex[:, 1:2] - bend[:, None] * (np.cos(angle) - np.cos(phi)[:, None])
    points = np.stack([x, y, z0[:, None] + cot[:, None] * s], axis=2)
    out = np.full((n, len(RADII), 3), np.nan)
    for k, r in enumerate(RADII):
        beyond = np.hypot(x, y) > r
        first = beyond.argmax(axis=1)
        inside = (first > 0) & (radius < r)
        out[inside, k] = points[np.flatnonzero(inside), first[inside]]
    pt = np.abs(bend) * 0.6e-3
    return out, vertex, pt.astype(np.float32), np.arcsinh(cot).astype(np.float32)


def displaced_event(seed, n=60, with_prompt=False):
    """Helices from anywhere within 60 mm of the beam line; the same event type as the toy's."""
    rng = np.random.default_rng(seed)
    position, vertex, pt, eta = helices(rng, n)
    particle, layer = np.nonzero(np.isfinite(position[:, :, 0]))
    hit = position[particle, layer] + rng.normal(0, 0.02, (len(layer), 3))
    sector = (np.arctan2(hit[:, 1], hit[:, 0]) + np.pi) / (2 * np.pi) * N_MODULES
    ids = ((1 << 56) | ((layer + 1) << 36) | ((sector.astype(int) % N_MODULES + 1) << 8)).astype(
        np.uint64
    )
    x, y, z = hit.astype(np.float32).T
    event = LabelledEvent(
        SpacePoints(x, y, z, ids), np.arange(len(x) + 1), particle, pt, eta,
        np.ones(n, np.float32), vertex.astype(np.float32),
    )  # fmt: skip
    return joined(toy_event(seed), event) if with_prompt else event


def joined(one, two):
    """Both events as one."""
    a, b = one.space_points, two.space_points
    columns = (np.concatenate([getattr(a, c), getattr(b, c)]) for c in ("x", "y", "z"))
    both = [np.concatenate([getattr(one, c), getattr(two, c)]) for c in ("pt", "eta", "charge")]
    return LabelledEvent(
        SpacePoints(*columns, np.concatenate([a.geometry_id, b.geometry_id])),
        np.concatenate([one.offsets, one.offsets[-1] + two.offsets[1:]]),
        np.concatenate([one.particle, len(one.pt) + two.particle]),
        *both,
        np.concatenate([one.vertex, two.vertex]),
    )


@pytest.fixture(scope="module")
def free_map(toy_map):
    doublets = LayerMapConfig(doublet_quantile=0.998, pair_fraction=1e-3, margin=1.3)
    config = FreeMapConfig(doublets=doublets, quantile=0.998, margin=1.3)
    events = [displaced_event(seed) for seed in range(100, 120)]
    return learn_free_map(events, toy_map, config, {"seed": "toy"})


def classical(layer_map, constructor):
    builder = ViterbiTrackBuilder(ViterbiConfig(min_hits=5), layer_map)
    return Pipeline(constructor, [], builder)


def summary(pipeline, events):
    counts = TrackCounts()
    for event in events:
        counts.add(event, pipeline(event.space_points), pt_min=1.0)
    return counts.summary()


def test_a_helix_has_no_residual_wherever_it_comes_from():
    position, *_ = helices(np.random.default_rng(1), 20)
    outer = position[:, 2:].reshape(-1, 3)
    hit = np.zeros((len(outer), N_COLUMNS), np.float32)
    hit[:, X], hit[:, Y], hit[:, Z] = outer.T
    i = np.arange(len(outer)).reshape(20, 6)[:, :4].ravel()
    barrel, layer = np.ones(1, bool), np.zeros(len(outer), np.int32)
    along, curvature = free_triplet_table(hit, barrel, layer, i, i + 1, i + 2).T
    assert np.abs(along).max() < 0.1
    curvature = np.abs(curvature).reshape(20, 4)
    assert (np.ptp(curvature, axis=1) < 2e-5).all()


def test_chains_are_as_long_as_triplets_agree():
    # Triplets 0-1-2-3 of doublets 0…4 in a row; the curvature changes after the second.
    first, second = np.arange(4, dtype=np.int32), np.arange(1, 5, dtype=np.int32)
    curvature = np.array([1.0, 1.1, 3.0, 3.1], np.float32)
    offset, order = group_by(second, 5)
    inward, outward, change = chain_lengths(
        np.arange(4), first, second, curvature, np.full(4, 0.5, np.float32), offset, order
    )
    assert inward.tolist() == [1, 2, 1, 2]
    assert outward.tolist() == [2, 1, 2, 1]
    np.testing.assert_allclose(change, 0.2, rtol=1e-5)


def test_a_wrong_hit_does_not_bend_a_track():
    angle = np.linspace(0, 0.2, 9)
    hit = np.zeros((9, N_COLUMNS), np.float32)
    hit[:, X], hit[:, Y] = R_BEND * np.sin(angle), R_BEND * (1 - np.cos(angle))
    starts, nodes = np.array([0, 9, 12]), np.array([*range(9), 0, 4, 8])
    np.testing.assert_allclose(median_curvatures(hit, starts, nodes), 1 / R_BEND, rtol=1e-2)
    hit[4, Y] += 60.0
    bent, three = median_curvatures(hit, starts, nodes)
    assert bent == pytest.approx(1 / R_BEND, rel=0.02)
    assert three > 2 / R_BEND


def test_displaced_tracks_are_found(free_map):
    events = [displaced_event(seed) for seed in range(3)]
    found = summary(classical(free_map, DisplacedGraph(free_map)), events)
    assert found["efficiency"] > 0.9
    assert found["purity"] > 0.98


def test_edges_are_in_order(free_map):
    graph = DisplacedGraph(free_map)(displaced_event(5).space_points)
    first, second = graph.triplet_index
    assert graph.n_triplets > 100
    assert (first < second).all()
    assert (np.diff(second) >= 0).all()
    assert (graph.edge_index[1, first] == graph.edge_index[0, second]).all()
    assert graph.edge_features.shape == (graph.n_edges, N_EDGE_FEATURES)
    assert np.isfinite(graph.edge_features).all()
    assert np.abs(graph.triplet_features).max() < 10
    longer = DisplacedGraph(free_map, DisplacedGraphConfig(min_hits=8))
    assert longer(displaced_event(5).space_points).n_edges < graph.n_edges


def test_nothing_gives_no_graph(free_map):
    points = displaced_event(5).space_points
    graph = DisplacedGraph(free_map)(points.take(np.arange(2)))
    assert (graph.n_edges, graph.n_triplets) == (0, 0)
    assert len(classical(free_map, DisplacedGraph(free_map))(points.take(np.arange(2)))) == 0


def test_two_passes_find_both_kinds(toy_map, free_map):
    first = classical(toy_map, LayerMapGraph(toy_map))
    both = classical(free_map, SecondPass(first, DisplacedGraph(free_map)))
    events = [displaced_event(seed, with_prompt=True) for seed in range(3)]
    alone, together = summary(first, events), summary(both, events)
    assert together["efficiency"] > 0.93
    assert together["efficiency"] > alone["efficiency"] + 0.2
    candidates = both(events[0].space_points)
    assert len(np.unique(candidates.hits)) == len(candidates.hits)
    assert candidates.n_space_points == len(events[0].space_points)
    graph = both.graph_constructor(events[0].space_points)
    long = np.repeat(np.diff(graph.found.offsets) >= 7, np.diff(graph.found.offsets))
    assert not np.isin(graph.found.hits[long], graph.space_point).any()


def test_joined_tracks_share_no_hits():
    one = TrackCandidates(8, np.array([0, 3, 5]), np.array([0, 1, 2, 3, 4]), np.ones(2, np.float32))
    two = TrackCandidates(8, np.array([0, 3]), np.array([4, 5, 6]), np.zeros(1, np.float32))
    both = one.joined(two)
    assert both.labels.tolist() == [0, 0, 0, -1, 1, 1, 1, -1]
    assert both.scores.tolist() == [1, 0]
    nothing = TrackCandidates.empty(8)
    assert one.joined(nothing).labels.tolist() == one.labels.tolist()
    assert nothing.joined(two).labels.tolist() == two.labels.tolist()


def test_the_map_keeps_its_windows(free_map, tmp_path):
    free_map.save(tmp_path / "map.npz")
    again = LayerMap.load(tmp_path / "map.npz")
    np.testing.assert_array_equal(again.free, free_map.free)
    assert (again.free[again.free[..., 0] > 0] > 0).all()


def test_a_map_of_the_beam_line_is_refused(toy_map):
    with pytest.raises(WeightsError, match="no windows for triplets that do not come from"):
        DisplacedGraph(dataclasses.replace(toy_map))


def test_triplets_have_three_hits():
    with pytest.raises(ValueError, match="min_hits is 2; triplets have 3"):
        DisplacedGraphConfig(min_hits=2)


@pytest.mark.parametrize(
    "settings", [{"first": "large_radius"}, {"first": "fast", "constructor": "second_pass"}]
)
def test_no_second_pass_of_second_passes(settings):
    with pytest.raises(StageError, match="must not be second passes themselves"):
        SecondPass.from_settings(settings, StageContext())
    assert SecondPassConfig().first == "fast"
