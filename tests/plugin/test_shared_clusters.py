"""Clusters on several tracks: hand-drawn tracks whose answer can be checked on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.errors import StageError
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.shared_clusters import (
    SharedClusters,
    SharedClustersConfig,
    cluster_numbers,
    shared_share,
)
from trkx.plugin.space_points import SpacePoints


def make_points(pairs):
    """Space points of clusters (first, second) by number; second -1: a pixel."""
    pairs = np.array(pairs)
    place = np.random.default_rng(0).normal(0, 100, (pairs.max() + 1, 3)).astype(np.float32)
    clusters = np.stack([place[pairs[:, 0]], place[pairs[:, 1]]], axis=1)
    clusters[pairs[:, 1] < 0, 1] = np.nan
    x = np.arange(len(pairs), dtype=np.float32)
    return SpacePoints(
        x, x, x, np.ones(len(pairs), np.uint64), strip=pairs[:, 1] >= 0, clusters=clusters
    )


def make_tracks(tracks, scores, n):
    offsets = np.cumsum([0, *map(len, tracks)])
    return TrackCandidates(
        n, offsets, np.concatenate(tracks).astype(np.int64), np.array(scores, np.float32)
    )


def tracks_of(candidates):
    return [
        candidates.hits[a:b].tolist()
        for a, b in zip(candidates.offsets[:-1], candidates.offsets[1:], strict=True)
    ]


# Two particles cross a module: strips 10, 11 on one side, 12, 13 on the other. Space points 3 and 4
# are true, 5 and 6 the ghosts. Track 0 has the ghost 5, which takes strip 10 from track 1.
PAIRS = [
    [0, -1],
    [1, -1],
    [2, -1],
    [10, 12],
    [11, 13],
    [10, 13],
    [11, 12],
    [4, -1],
    [5, -1],
    [6, -1],
]
TRACKS = [[0, 1, 2, 5], [7, 8, 9, 3]]


def resolve(tracks, scores, **settings):
    points = make_points(PAIRS)
    found = SharedClusters(SharedClustersConfig(**{"min_hits": 3} | settings))(
        make_tracks(tracks, scores, len(PAIRS)), points
    )
    return tracks_of(found), found, points


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.4, 0.9], [[0, 1, 2], [7, 8, 9, 3]]), ([0.9, 0.4], [[0, 1, 2, 5], [7, 8, 9]])],
)
def test_the_better_track_keeps(scores, expected):
    assert resolve(TRACKS, scores)[0] == expected


def test_length_or_score():
    tracks = [[0, 1, 2, 5, 6], [7, 8, 9, 3]]
    assert resolve(tracks, [0.4, 0.9])[0] == [[0, 1, 2], [7, 8, 9, 3]]
    assert resolve(tracks, [0.4, 0.9], prefer="length")[0] == [[0, 1, 2, 5, 6], [7, 8, 9]]


def test_equal_tracks_in_their_order():
    assert resolve(TRACKS, [0.5, 0.5])[0] == [[0, 1, 2, 5], [7, 8, 9]]


def test_short_ones_are_dropped_and_free_their_clusters():
    """Track 0 loses to 1 and is too short then, so that 2 gets the strips it shared with 0."""
    tracks = [[0, 1, 5, 6], [7, 8, 9, 3], [2, 4]]
    assert resolve(tracks, [0.5, 0.9, 0.1], min_hits=2)[0] == [[0, 1], [7, 8, 9, 3], [2, 4]]
    found, candidates, _ = resolve(tracks, [0.5, 0.9, 0.1], min_hits=3)
    assert found == [[7, 8, 9, 3]]
    np.testing.assert_array_equal(candidates.scores, np.float32([0.9]))


def test_as_many_tracks_as_allowed():
    assert resolve(TRACKS, [0.4, 0.9], max_tracks=2)[0] == TRACKS


def test_share_of_shared_clusters():
    points = make_points(PAIRS)
    tracks = make_tracks(TRACKS, [0.4, 0.9], len(PAIRS))
    # Clusters 0, 1, 2, 10, 13 and 4, 5, 6, 10, 12: one of nine is on both.
    assert shared_share(tracks, points) == pytest.approx(1 / 9)
    assert (
        shared_share(SharedClusters(SharedClustersConfig(min_hits=3))(tracks, points), points) == 0
    )


def test_one_track_may_use_a_cluster_twice():
    assert resolve([[0, 3, 5], [7, 8, 9]], [0.5, 0.5])[0] == [[0, 3, 5], [7, 8, 9]]


def test_without_clusters_nothing_is_shared():
    points = replace(make_points(PAIRS), clusters=None)
    tracks = make_tracks(TRACKS, [0.4, 0.9], len(PAIRS))
    assert SharedClusters(SharedClustersConfig(min_hits=3))(tracks, points) is tracks
    assert (cluster_numbers(points, tracks.hits)[:, 1] == -1).all()


def test_no_tracks():
    points = make_points(PAIRS)
    assert len(SharedClusters()(TrackCandidates.empty(len(PAIRS)), points)) == 0
    assert shared_share(TrackCandidates.empty(len(PAIRS)), points) == 0


def test_random_tracks_are_left_without_shared_clusters():
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, 60, (400, 2))
    points = make_points(pairs)
    tracks = np.split(rng.permutation(400), 50)
    before = make_tracks(tracks, rng.random(50), 400)
    for limit in (1, 2, 3):
        config = SharedClustersConfig(max_tracks=limit, min_hits=2)
        after = SharedClusters(config)(before, points)
        cluster = cluster_numbers(points, after.hits)
        track = np.repeat(np.arange(len(after)), np.diff(after.offsets))
        pair = np.unique(np.stack([cluster.T.ravel(), np.tile(track, 2)], axis=1), axis=0)
        assert 0 < np.bincount(pair[:, 0]).max() <= limit
        assert (np.diff(after.offsets) >= 2).all() and set(after.hits) <= set(before.hits)


TOML = """\
name = "mine"
[graph_construction]
stage = "geometric"
[track_building]
stage = "connected_components"
[shared_clusters]
"""


def test_option_of_a_pipeline(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TOML + "max_tracks = 2\nprefer = 'length'\n")
    pipeline = PipelineFile.read(path).build()
    assert pipeline.shared_clusters.config == SharedClustersConfig(2, "length", 5)
    for text, message in (
        ("max_track = 1", r"mine.toml.*shared_clusters.*did you mean 'max_tracks'"),
        ("max_tracks = 0", "max_tracks is 0"),
        ("prefer = 'luck'", "choose one of score, length"),
    ):
        path.write_text(TOML + text)
        with pytest.raises(StageError, match=message):
            PipelineFile.read(path).build()
    path.write_text("shared_clusters = 3\n" + TOML.removesuffix("[shared_clusters]\n"))
    with pytest.raises(StageError, match="expected a table"):
        PipelineFile.read(path)


def test_pipeline_resolves_and_times():
    points = make_points(PAIRS)
    tracks = make_tracks(TRACKS, [0.4, 0.9], len(PAIRS))
    plain = Pipeline(None, [], None)
    assert plain.resolve(tracks, points) is tracks
    found = replace(plain, shared_clusters=SharedClusters(SharedClustersConfig(min_hits=3)))
    resolved = found.resolve(tracks, points)
    assert tracks_of(resolved) == [[0, 1, 2], [7, 8, 9, 3]]
    assert list(resolved.timing) == ["shared_clusters"]
