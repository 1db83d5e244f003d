"""Matching of tracks to particles: cases checked on paper, then properties."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trkx.algorithms.matching import (
    ACTS_RULE,
    DOUBLE_MAJORITY,
    SINGLE_MAJORITY,
    TrackClassification,
    match_tracks,
)


def csr(lists):
    """Offsets and values of a list of lists."""
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in lists])]).astype(np.int64)
    return offsets, np.array([value for entry in lists for value in entry], dtype=np.int64)


def match(tracks, measurement_particles, n_particles, **kwargs):
    return match_tracks(*csr(tracks), *csr(measurement_particles), n_particles, **kwargs)


MATCHED, DUPLICATE, FAKE, UNKNOWN = (
    TrackClassification.MATCHED,
    TrackClassification.DUPLICATE,
    TrackClassification.FAKE,
    TrackClassification.UNKNOWN,
)


def test_a_clean_track_matches_its_particle():
    result = match([[0, 1, 2]], [[0], [0], [0], [1]], 2)
    assert result.particle.tolist() == [0]
    assert result.purity.tolist() == [1.0]
    assert result.completeness.tolist() == [1.0]
    assert result.classification.tolist() == [MATCHED]
    assert result.found(2).tolist() == [True, False]


def test_half_is_not_a_majority():
    # Track 0: two of its four measurements are particle 0's. Track 1: pure, half of particle 1.
    truth = [[0], [0], [0], [1], [1], [1], [1], []]
    result = match([[0, 1, 3, 7], [4, 5]], truth, 2)
    assert result.particle.tolist() == [-1, -1]
    assert result.majority_particle.tolist() == [0, 1]
    assert result.classification.tolist() == [FAKE, FAKE]


def test_half_matches_by_the_rule_of_acts():
    truth = [[0], [0], [0], [1], [1], [1], [1], []]
    result = match([[0, 1, 3, 7], [4, 5]], truth, 2, rule=ACTS_RULE)
    assert result.particle.tolist() == [0, 1]


def test_single_majority_forgets_completeness():
    truth = [[0]] * 6
    assert match([[0, 1]], truth, 1, rule=DOUBLE_MAJORITY).particle.tolist() == [-1]
    assert match([[0, 1]], truth, 1, rule=SINGLE_MAJORITY).particle.tolist() == [0]


def test_merged_measurement_counts_for_each_of_its_particles():
    # Measurement 1 is merged: track [0, 1, 2] has three of particle 0, [3, 1] two of 1.
    truth = [[0], [0, 1], [0], [1], [1]]
    result = match([[0, 1, 2], [3, 1]], truth, 2)
    assert result.particle.tolist() == [0, 1]
    assert result.n_majority.tolist() == [3, 2]
    assert result.completeness == pytest.approx([1.0, 2 / 3])


def test_rule_is_tried_on_every_particle_of_the_track():
    # Particle 0 has most of the track but many more elsewhere; particle 1 is completed.
    truth = [[0, 1], [0, 1], [0], *[[0]] * 5]
    result = match([[0, 1, 2]], truth, 2)
    assert result.particle.tolist() == [1]
    assert result.n_majority.tolist() == [2]
    assert result.purity == pytest.approx([2 / 3])


def test_best_track_of_a_particle_is_the_match():
    truth = [[0]] * 6 + [[]]
    # Most shared measurements first, then purity, then lowest index.
    assert match([[0, 1, 2, 3], [0, 1, 2, 3, 4]], truth, 1).classification.tolist() == [
        DUPLICATE,
        MATCHED,
    ]
    assert match([[0, 1, 2, 3, 6], [0, 1, 2, 4]], truth, 1).classification.tolist() == [
        DUPLICATE,
        MATCHED,
    ]
    assert match([[0, 1, 2, 3], [0, 1, 2, 4]], truth, 1).classification.tolist() == [
        MATCHED,
        DUPLICATE,
    ]


def test_measurement_listed_twice_counts_once():
    result = match([[0, 0, 1]], [[0], [0], [0]], 1)
    assert result.n_measurements.tolist() == [2]
    assert result.particle.tolist() == [0]


def test_noise_and_empty_tracks():
    result = match([[0, 1], []], [[], [], [0]], 1)
    assert result.classification.tolist() == [FAKE, UNKNOWN]
    assert result.majority_particle.tolist() == [-1, -1]
    assert result.purity.tolist() == [0.0, 0.0]


def test_empty_event():
    result = match([], [], 0)
    assert len(result) == 0
    assert result.found(0).tolist() == []
    assert len(match([], [[0]], 1)) == 0


@pytest.mark.parametrize(
    ("tracks", "truth", "message"),
    [
        ([[3]], [[0]], "track_measurements must lie in 0 to 0; found 3"),
        ([[0]], [[7]], "measurement_particle_rows must lie in 0 to 0; found 7"),
    ],
)
def test_bad_index_is_named(tracks, truth, message):
    with pytest.raises(ValueError, match=message):
        match(tracks, truth, 1)


def test_bad_offsets_are_named():
    with pytest.raises(ValueError, match="track_offsets must rise from 0 to 2"):
        match_tracks([0, 1], [0, 0], [0, 1], [0], 1)


def test_rule_in_words():
    assert "more than 50%" in DOUBLE_MAJORITY.words
    assert "at least 50%" in ACTS_RULE.words
    assert " and the track holds" not in SINGLE_MAJORITY.words


events = st.integers(1, 5).flatmap(
    lambda n_particles: st.tuples(
        st.just(n_particles),
        st.lists(
            st.lists(st.integers(0, n_particles - 1), max_size=2, unique=True),
            min_size=1,
            max_size=20,
        ),
    )
)


@st.composite
def events_with_tracks(draw):
    n_particles, truth = draw(events)
    track = st.lists(st.integers(0, len(truth) - 1), max_size=8, unique=True)
    return n_particles, truth, draw(st.lists(track, max_size=6))


@settings(deadline=None, max_examples=60)
@given(events_with_tracks(), st.randoms(use_true_random=False))
def test_relabelling_tracks_and_particles_changes_nothing(event, random):
    n_particles, truth, tracks = event
    reference = match(tracks, truth, n_particles)

    new_row = list(range(n_particles))
    random.shuffle(new_row)
    order = list(range(len(tracks)))
    random.shuffle(order)
    relabelled = match(
        [random.sample(tracks[i], len(tracks[i])) for i in order],
        [[new_row[p] for p in particles] for particles in truth],
        n_particles,
    )
    assert relabelled.n_majority.tolist() == reference.n_majority[order].tolist()
    assert relabelled.purity.tolist() == reference.purity[order].tolist()
    assert relabelled.completeness.tolist() == reference.completeness[order].tolist()
    for kind in TrackClassification:
        # Ties are broken by order, so a match can change place with a duplicate on a tie only when
        # merged measurements let a track choose between particles; fakes never change.
        if kind in (FAKE, UNKNOWN):
            assert (
                (relabelled.classification == kind) == (reference.classification[order] == kind)
            ).all()


@settings(deadline=None, max_examples=60)
@given(events_with_tracks())
def test_against_counting_by_hand(event):
    n_particles, truth, tracks = event
    result = match(tracks, truth, n_particles)
    of_particle = [sum(p in entry for entry in truth) for p in range(n_particles)]
    for row, track in enumerate(tracks):
        shared = [sum(p in truth[m] for m in track) for p in range(n_particles)]
        passing = [
            p
            for p in range(n_particles)
            if 2 * shared[p] > len(track) and 2 * shared[p] > of_particle[p]
        ]
        assert (result.particle[row] >= 0) == bool(passing)
        if passing:
            assert result.n_majority[row] == max(shared[p] for p in passing)
    matched = result.classification == MATCHED
    assert matched.sum() == result.found(n_particles).sum()


def test_two_thousand_tracks_take_less_than_thirty_milliseconds():
    random = np.random.default_rng(3)
    counts = random.choice([0, 1, 2], p=[0.15, 0.82, 0.03], size=150_000)
    truth_offsets = np.concatenate([[0], np.cumsum(counts)])
    truth_rows = random.integers(0, 12_000, truth_offsets[-1])
    lengths = random.integers(5, 16, 2000)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    measurements = random.integers(0, len(counts), offsets[-1])
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        result = match_tracks(offsets, measurements, truth_offsets, truth_rows, 12_000)
        seconds.append(time.perf_counter() - start)
    assert len(result) == 2000
    assert min(seconds) < 0.03
