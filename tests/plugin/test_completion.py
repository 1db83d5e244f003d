"""Completion on hand-made helices: what is missing is found, what is alien is left."""

import numpy as np
import pytest

from trkx.plugin.completion import CompletionConfig, complete_tracks, kept_tracks
from trkx.plugin.completion_kernels import ADDED, CHI2, CURVATURE, HOLES
from trkx.plugin.completion_learning import fit_quality, learn_resolution
from trkx.plugin.hit_table import make_hit_table
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layers import Layers
from trkx.plugin.space_points import SpacePoints

RADII = np.array([30.0, 70.0, 115.0, 170.0, 260.0, 360.0, 500.0, 660.0])  # mm
N_MODULES = 64


def barrel():
    """Eight cylinders of 64 sectors each."""
    n = len(RADII)
    return Layers(
        volume=np.ones(n, np.int32),
        layer=np.arange(1, n + 1, dtype=np.int32),
        barrel=np.ones(n, bool),
        mirror=np.arange(n, dtype=np.int32),
        along=np.tile(np.array([-600.0, 600.0], np.float32), (n, 1)),
        across=np.stack([RADII - 1, RADII + 1], axis=1).astype(np.float32),
        module_offset=(N_MODULES * np.arange(n + 1)).astype(np.int32),
        frames=np.zeros((0, 6), np.float32),
    )


def bare_map(quality=()):
    """A map that knows layers and resolutions only."""
    empty = np.zeros(0, np.float32)
    return LayerMap(
        barrel(), empty, empty, empty, empty, empty, empty, empty, empty, empty,
        np.full(6, 1.0, np.float32), {"pt_min": 1.0},
        resolution=np.tile(np.array([0.02, 0.1], np.float32), (len(RADII), 1)),
        quality=np.array(quality, np.float32),
    )  # fmt: skip


def helix(pt, phi, cot, z0=0.0, x0=0.0):
    """(8, 3) crossings of a helix that starts at (x0, 0, z0) with the cylinders."""
    s = np.linspace(0, 900, 90001)
    kappa = 0.6e-3 / pt
    x = x0 + (np.sin(phi + kappa * s) - np.sin(phi)) / kappa
    y = -(np.cos(phi + kappa * s) - np.cos(phi)) / kappa
    at = np.searchsorted(np.hypot(x, y), RADII)
    return np.stack([x[at], y[at], z0 + cot * s[at]], axis=1)


def table_of(positions, layer):
    x, y, z = positions.T.astype(np.float32)
    sector = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * N_MODULES).astype(np.uint64)
    gid = (np.uint64(1) << np.uint64(56)) | (
        (layer.astype(np.uint64) + np.uint64(1)) << np.uint64(36)
    )
    gid |= (sector % np.uint64(N_MODULES)) << np.uint64(8)
    return make_hit_table(SpacePoints(x=x, y=y, z=z, geometry_id=gid), barrel())


def run(tracks, chains, config=None, noise=0, seed=3):
    """Complete chains given as lists of (track, layer); hits come back in the same form."""
    rng = np.random.default_rng(seed)
    positions = np.concatenate(tracks)
    layer = np.tile(np.arange(len(RADII)), len(tracks))
    if noise:
        where = rng.integers(0, len(RADII), noise)
        phi = rng.uniform(-np.pi, np.pi, noise)
        z = rng.uniform(-500, 500, noise)
        extra = np.stack([RADII[where] * np.cos(phi), RADII[where] * np.sin(phi), z], axis=1)
        positions, layer = np.concatenate([positions, extra]), np.concatenate([layer, where])
    table = table_of(positions, layer)
    node = np.empty(len(table), np.int64)
    node[table.row] = np.arange(len(table))
    starts = np.cumsum([0] + [len(c) for c in chains]).astype(np.int64)
    nodes = np.array([node[8 * t + k] for c in chains for t, k in c], np.int64)
    done = complete_tracks(
        table, bare_map(), starts, nodes, np.ones(len(chains), np.float32),
        config or CompletionConfig(),
    )  # fmt: skip
    found = []
    for n, hits in zip(done.n_hits, done.hits, strict=True):
        rows = table.row[hits[:n]]
        found.append([(int(r) // 8, int(r) % 8) if r < 8 * len(tracks) else None for r in rows])
    return found, done


TRACK = helix(2.0, 0.4, 0.3)


@pytest.mark.parametrize("missing", [(3,), (0, 1), (6, 7), (0, 4, 7)])
@pytest.mark.parametrize("displaced", [False, True])
def test_missing_hits_are_found(missing, displaced):
    track = helix(1.5, 0.2, -0.5, 20.0, 15.0) if displaced else TRACK
    chain = [(0, k) for k in range(8) if k not in missing]
    (found,), done = run([track], [chain], noise=400)
    assert found == [(0, k) for k in range(8)]
    assert done.summary[0, ADDED] == len(missing)
    assert done.summary[0, HOLES] == 0


def test_noise_far_from_the_track_is_left():
    chain = [(0, k) for k in range(8) if k != 4]
    other = helix(3.0, 2.0, -0.2)
    (found,), done = run([np.where(np.arange(8)[:, None] == 4, other, TRACK)], [chain])
    assert found == chain
    assert done.summary[0, HOLES] == 1


def test_curvature_is_that_of_the_helix():
    for pt in (0.6, 1.0, 20.0):
        _, done = run([helix(pt, -1.0, 0.8)], [[(0, k) for k in range(8)]])
        assert done.summary[0, CURVATURE] == pytest.approx(0.6e-3 / pt, abs=2e-6)
        assert done.summary[0, CHI2] < 5


def test_pieces_of_one_helix_grow_together():
    pieces = [[(0, k) for k in range(5)], [(0, 5), (0, 6), (0, 7)]]
    found, done = run([TRACK], pieces)
    assert found[0] == [(0, k) for k in range(8)]
    assert found[1] == []
    assert kept_tracks(done, bare_map(), CompletionConfig(), True).tolist() == [True, False]
    # Long pieces keep their hits.
    found, _ = run([TRACK], pieces, CompletionConfig(weak_hits=2))
    assert [len(f) for f in found] == [5, 3]


def test_a_hit_is_used_once():
    near = helix(2.0, 0.4002, 0.3)
    chains = [[(0, k) for k in range(6)], [(1, k) for k in range(5)]]
    found, _ = run([TRACK, near], chains)
    hits = found[0] + found[1]
    assert len(hits) == len(set(hits))


def test_soft_short_and_bad_tracks_are_dropped():
    config = CompletionConfig(passes=0)
    tracks = [helix(p, 0.5 * i, 0.1) for i, p in enumerate((2.0, 0.5, 2.0))]
    chains = [[(0, k) for k in range(8)], [(1, k) for k in range(8)], [(2, k) for k in range(4)]]
    _, done = run(tracks, chains, config)
    assert kept_tracks(done, bare_map(), config, True).tolist() == [True, False, False]
    # A regression that calls everything bad drops what it judges: tracks of seven hits.
    n = done.features(1.0).shape[1]
    bad = bare_map([-100.0] + [0.0] * (n - 1))
    assert kept_tracks(done, bad, config, True).tolist() == [False, False, False]
    assert kept_tracks(done, bad, config, False).tolist() == [True, False, False]


def test_no_tracks():
    found, done = run([TRACK], [])
    assert found == [] and len(done.features(1.0)) == 0
    assert len(kept_tracks(done, bare_map(), CompletionConfig(), True)) == 0


def test_quality_tells_good_from_bad():
    rng = np.random.default_rng(1)
    good = rng.random(400) < 0.7
    features = np.stack([np.ones(400), np.where(good, 1.0, -1.0) + rng.normal(0, 0.4, 400)], axis=1)
    weights = fit_quality(features, good, np.ones(400))
    assert weights.dtype == np.float32
    assert np.mean((features @ weights > 0) == good) > 0.97


def test_resolution_is_that_of_the_residuals():
    rng = np.random.default_rng(2)
    rows = []
    for j in range(1, 7):
        residuals = rng.normal(0, 1, (4000, 2)) * [0.03 * 1.22, 0.2 * 1.22]
        rows.append(np.column_stack([np.tile([j - 1, j, j + 1], (4000, 1)), residuals]))
    found = learn_resolution(np.concatenate(rows), barrel())
    assert found.shape == (8, 2)
    assert np.allclose(found, [0.03, 0.2], rtol=0.06)
    assert learn_resolution(np.zeros((0, 5)), barrel()).shape == (0, 2)
