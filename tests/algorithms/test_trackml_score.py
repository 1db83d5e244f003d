"""Score and weights of the TrackML challenge on cases that can be checked on paper."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.trackml_score import score_event, score_hits
from trkx.algorithms.trackml_weights import hit_weights, order_weights, pt_weight
from trkx.io.errors import EventContentError, InputFileError
from trkx.io.trackml_event import TrackMLEvent
from trkx.io.trackml_files import TrackMLFiles

A, B, NOISE = 11, 22, 0
# Four hits of A of weight 0.1 each, four of B of 0.15, two of noise.
PARTICLE = np.array([A, A, A, A, B, B, B, B, NOISE, NOISE], dtype=np.uint64)
WEIGHT = np.array([0.1] * 4 + [0.15] * 4 + [0.0] * 2)


@pytest.mark.parametrize(
    ("track", "score", "good"),
    [
        pytest.param([1, 1, 1, 1, 2, 2, 2, 2, -1, -1], 1.0, 2, id="perfect"),
        pytest.param([1, 1, 1, -1, -1, -1, -1, -1, 1, -1], 0.3, 1, id="3 of 4 hits, 3 of 4 of A"),
        pytest.param([1, 1, -1, -1, -1, -1, -1, -1, -1, -1], 0.0, 0, id="only half of A"),
        pytest.param([1, 1, 1, -1, 1, 1, 1, -1, -1, -1], 0.0, 0, id="half of the track each"),
        pytest.param([1, 1, 1, 1, 1, 1, 1, -1, -1, -1], 0.4, 1, id="4 of 7 hits: those of A"),
        pytest.param([1, 1, 1, 2, 2, 2, 2, 2, -1, -1], 0.9, 2, id="a hit on the wrong track"),
        pytest.param([1, 1, 2, 2, 3, 3, 3, 4, -1, -1], 0.45, 1, id="A in halves, B in 3 and 1"),
        pytest.param([0, 0, 0, 0, -1, -1, -1, -1, -1, -1], 0.4, 1, id="track 0 is a track"),
        pytest.param([5] * 10, 0.0, 0, id="all on one"),
        pytest.param([-1] * 10, 0.0, 0, id="none"),
        pytest.param(
            [7, 7, 7, 7, -1, -1, -1, -1, 8, 8], 0.4, 2, id="noise makes a track, weighs 0"
        ),
    ],
)
def test_hand_made_cases(track, score, good):
    found = score_hits(np.array(track), PARTICLE, WEIGHT)
    assert found[0] == pytest.approx(score)
    assert found[2] == good


def test_score_of_no_hits_and_of_no_weights():
    empty = np.zeros(0, dtype=np.int64)
    assert score_hits(empty, empty.astype(np.uint64), empty.astype(float)) == (0.0, 0, 0)
    assert score_hits(np.ones(10, np.int64), PARTICLE, np.zeros(10))[0] == 0.0


def test_score_is_that_of_counting_one_by_one():
    """Against a plain count, on random tracks; other names of tracks change nothing."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        n = 60
        particle = rng.integers(0, 6, n).astype(np.uint64)
        # Mostly right, so that there are good tracks.
        track = np.where(rng.random(n) < 0.75, particle.astype(np.int64), rng.integers(-1, 9, n))
        weight = np.where(particle > 0, rng.random(n), 0.0)
        expected = 0.0
        for name in set(track[track >= 0].tolist()):
            hits = Counter(particle[track == name].tolist())
            majority, shared = hits.most_common(1)[0]
            if 2 * shared > (track == name).sum() and 2 * shared > (particle == majority).sum():
                expected += weight[(track == name) & (particle == majority)].sum()
        score, _, _ = score_hits(track, particle, weight)
        assert score == pytest.approx(expected / weight.sum())
        names = rng.permutation(20)
        renamed = np.where(track < 0, -5, names[track] + 100)
        assert score_hits(renamed, particle, weight)[0] == pytest.approx(score)


def test_weights_along_a_track_and_with_pt():
    table = order_weights()
    assert table.shape == (21, 20)
    np.testing.assert_allclose(table.sum(axis=1)[4:], 1.0)
    assert not table[:4].any()
    # A track of nine hits has the proposal's own weights, which sum to 49.
    np.testing.assert_allclose(table[9, :9] * 49, [10, 8, 6, 5, 3, 3, 3, 5, 6])
    # One of five hits takes every second: 10, 6, 3, 3, 6.
    np.testing.assert_allclose(table[5, :5] * 28, [10, 6, 3, 3, 6])
    pt = np.array([0.04, 0.1, 0.5, 1.75, 3.0, 9.0])
    np.testing.assert_allclose(pt_weight(pt), [0, 0.2, 0.2, 0.6, 1, 1])


def toy_event(**particles):
    """Five hits of a particle of 5 hits, given out of order, one of noise, four of a secondary."""
    hit_id = np.arange(1, 11)
    secondary = (1 << 52) + (1 << 24)  # generation 1
    given = {
        "particle_id": np.array([1 << 52, secondary], dtype=np.uint64),
        "vz": np.array([10.0, 0.0]),
        "px": np.array([3.0, 0.3]),
        "py": np.array([0.0, 0.4]),
        "nhits": np.array([5, 4]),
    }
    particle_id = np.array([1 << 52] * 5 + [0] + [secondary] * 4, dtype=np.uint64)
    tz = np.array([0.0, -10.0, 25.0, 12.0, 50.0, 3.0, 1.0, 2.0, 3.0, 4.0])
    zero = np.zeros(10)
    return TrackMLEvent(
        3,
        {"hit_id": hit_id, "x": zero, "y": zero, "z": tz},
        particles={**given, **particles},
        truth={"hit_id": hit_id, "particle_id": particle_id, "tz": tz},
    )


def test_weights_of_both_phases():
    event = toy_event()
    # |tz - 10| is 10, 20, 15, 2, 40: places 1, 3, 2, 0, 4, of weights 10, 6, 3, 3, 6; pT 3: 1.
    first = np.array([6, 3, 3, 10, 6]) / 28
    # pT 0.5 weighs 0.2; places 0 to 3 of four hits.
    second = 0.2 * order_weights()[4, :4]
    accuracy = hit_weights(event)
    np.testing.assert_allclose(accuracy, [*first / 1.2, 0.0, *second / 1.2])
    throughput = hit_weights(event, "throughput")
    np.testing.assert_allclose(throughput, [*first, 0, 0, 0, 0, 0], atol=1e-15)
    # Measured positions stand in for true ones.
    truth = {name: event.truth[name] for name in ("hit_id", "particle_id")}
    np.testing.assert_allclose(hit_weights(dataclasses.replace(event, truth=truth)), accuracy)
    with pytest.raises(EventContentError, match="has 5 hits in the truth, but nhits is 3"):
        hit_weights(toy_event(nhits=np.array([3, 4])))
    with pytest.raises(InputFileError, match=r"without its particles; add event000000003-part"):
        hit_weights(dataclasses.replace(event, particles=None))


def test_hits_at_one_distance_share_their_place():
    event = toy_event()
    truth = {**event.truth, "tz": np.array([20.0, 0.0, 10.0, 10.0, 30.0, 0, 1, 2, 3, 4])}
    weights = hit_weights(dataclasses.replace(event, truth=truth), "throughput")
    # Distances 10, 10, 0, 0, 20: places (2 + 3) / 2, (0 + 1) / 2, rounded down, and 4.
    raw = np.array([3, 3, 10, 10, 6])
    np.testing.assert_allclose(weights[:5], raw / raw.sum())


def test_score_of_an_event(trackml_toy, tmp_path):
    folder = trackml_toy.write_folder(tmp_path)
    event = TrackMLFiles.open(folder).read(7)
    found = score_event(event, np.array([5, 4, 3]), np.array([1, 1, 1]))
    # Hits 5 and 4 (0.5 and 0.25) of the particle's three; hit 3 is noise.
    assert found.score == pytest.approx(0.75) and found.weights == "file"
    assert (found.n_tracks, found.n_good_tracks, found.n_unassigned) == (1, 1, 1)
    with pytest.raises(EventContentError, match=r"hit_id 8 of the tracks of event 7 is not among"):
        score_event(event, np.array([5, 8]), np.array([1, 1]))
    with pytest.raises(EventContentError, match="hit_id 5 of event 7 is on 2 tracks"):
        score_event(event, np.array([5, 5]), np.array([1, 2]))
    truth = {name: values[:2] for name, values in event.truth.items()}
    partial = score_event(
        dataclasses.replace(event, truth=truth), np.array([5, 4, 9]), np.array([1, 2, 2])
    )
    # Of hits 3 (noise) and 5 only; that 4 and 9 are on another track is not known.
    assert partial.score == 1.0 and partial.n_truth_hits == 2


def test_score_command(trackml_toy, tmp_path, capsys):
    folder = trackml_toy.write_folder(tmp_path / "in")
    tracks = tmp_path / "tracks.csv"
    tracks.write_text("event_id,hit_id,track_id\n7,5,1\n7,4,1\n7,9,2\n7,3,2\n")
    command = ["score", str(tracks), "--truth", str(folder)]
    assert main(command) == 0
    assert "score 0.750000, weights file; 1 of 2 tracks" in capsys.readouterr().out
    assert main([*command, "--weights", "accuracy", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    # Particles of three hits weigh nothing.
    assert document["score"] == 0.0 and document["events"][0]["weights"] == "accuracy"
    for spoilt, message in (
        ("event_id,hit_id,track_id\n8,5,1\n", "no event 8"),
        ("event_id,hit_id,track_id\n", "header only"),
        ("event_id,hit_id,track\n7,5,1\n", "column 'track_id' not in"),
        ("event_id,hit_id,track_id\n7,5,1\n7,5,2\n", "hit_id 5 of event 7 is there twice"),
    ):
        tracks.write_text(spoilt)
        assert main(command) == 2
        assert message in capsys.readouterr().err
    trackml_toy.write_folder(tmp_path / "no_truth", truth=None)
    tracks.write_text("event_id,hit_id,track_id\n7,5,1\n")
    assert main(["score", str(tracks), "--truth", str(tmp_path / "no_truth")]) == 2
    assert "without its truth" in capsys.readouterr().err
    unweighted = "hit_id,particle_id\n5,4503668346847232\n"
    trackml_toy.write_folder(tmp_path / "unweighted", truth=unweighted)
    command = ["score", str(tracks), "--truth", str(tmp_path / "unweighted")]
    assert main([*command, "--weights", "file"]) == 2
    assert "has no column 'weight'" in capsys.readouterr().err
    assert main(command) == 0
    assert "the truth covers 1 of 4 hits" in capsys.readouterr().out


def test_weights_of_a_real_event(trackml_data):
    """The weights that come with event 1 are those of the throughput phase, up to a factor: it is a
    part of a larger event."""
    event = TrackMLFiles.open(trackml_data).read(1)
    given, computed = event.truth["weight"], hit_weights(event, "throughput")
    assert np.array_equal(given > 0, computed > 0)
    np.testing.assert_allclose(given / given.sum(), computed, rtol=1e-5)
    perfect = score_event(event, event.hits["hit_id"], event.particle_id.astype(np.int64))
    assert perfect.score == pytest.approx(1.0)
