"""Efficiency, fakes and duplicates: events of a few hits checked on paper, then properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trkx.algorithms.metrics import FinderMetrics, paired_difference
from trkx.algorithms.metrics_histograms import Counts, Mean, Profile, Ratio
from trkx.algorithms.metrics_kinematics import track_kinematics
from trkx.algorithms.metrics_truth import EventTruth, Target

# Three measurements are enough for a particle, two for a track: small enough for paper.
SMALL = Target("small", min_pt=1.0, min_measurements=3, min_track_measurements=2)


def make_particles(pt, radius=0.0, charge=1.0):
    pt = np.asarray(pt, dtype=float)
    zero = np.zeros(len(pt))
    return {
        "vx": zero + radius,
        "vy": zero,
        "vz": zero,
        "px": pt,
        "py": zero,
        "pz": 0.1 * pt,
        "q": zero + charge,
        "vertex_primary": np.arange(1, len(pt) + 1),
    }


def make_truth(particles, measurement_particles, number=0, positions=None):
    pairs = [(m, p) for m, rows in enumerate(measurement_particles) for p in rows]
    measurement, rows = np.array(pairs, dtype=int).reshape(-1, 2).T
    return EventTruth.from_pairs(
        number, particles, measurement, rows, len(measurement_particles), positions
    )


def csr(lists):
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in lists])]).astype(np.int64)
    return offsets, np.array([value for entry in lists for value in entry], dtype=np.int64)


# Measurements 0-2: particle 0; 3-5: particle 1; 6-8: particle 2, too soft; 9: noise.
TRUTH = [[0]] * 3 + [[1]] * 3 + [[2]] * 3 + [[]]


def test_an_event_on_paper():
    metrics = FinderMetrics("gnn", (SMALL,))
    truth = make_truth(make_particles([2.0, 3.0, 0.2]), TRUTH)
    # Match of particle 0; its duplicate; a fake; a track of particle 2, which is no target.
    tracks = [[0, 1, 2], [0, 1], [3, 9], [6, 7, 8]]
    matching = metrics.add_event(truth, *csr(tracks))
    assert matching.classification.tolist() == [1, 2, 3, 1]
    small = metrics.targets["small"]
    assert (small.efficiency["all"].passed, small.efficiency["all"].total) == (1, 2)
    assert (small.n_tracks, small.n_fakes, small.n_duplicates) == (4, 1, 1)
    assert small.fake_rate.value == 0.25
    assert small.quality["purity"].value == 1.0
    assert metrics.n_track_measurements.value == 2.5


def test_short_tracks_find_particles_but_are_no_fakes():
    target = Target("long", min_pt=1.0, min_measurements=3, min_track_measurements=3)
    metrics = FinderMetrics("gnn", (target,))
    truth = make_truth(make_particles([2.0, 3.0, 0.2]), TRUTH)
    metrics.add_event(truth, *csr([[0, 1], [3, 9]]))
    sums = metrics.targets["long"]
    assert sums.efficiency["all"].passed == 1
    assert (sums.n_tracks, sums.n_fakes) == (0, 0)
    assert np.isnan(sums.fake_rate.value)


def test_primaries_and_displaced_share_the_targets():
    metrics = FinderMetrics("gnn", (SMALL,))
    particles = make_particles([2.0, 3.0, 2.0], radius=np.array([0.0, 30.0, 0.9]))
    metrics.add_event(make_truth(particles, TRUTH), *csr([[3, 4, 5]]))
    efficiency = metrics.targets["small"].efficiency
    assert (efficiency["all"].passed, efficiency["all"].total) == (1, 3)
    assert (efficiency["primaries"].passed, efficiency["primaries"].total) == (0, 2)
    assert (efficiency["displaced"].passed, efficiency["displaced"].total) == (1, 1)
    radius = efficiency["all"].binned["production_radius"]
    assert radius.total[np.searchsorted(radius.edges, 30.0, side="right") - 1] == 1


def test_neutral_and_forward_particles_are_no_targets():
    particles = make_particles([2.0, 2.0, 2.0], charge=np.array([0.0, 1.0, -1.0]))
    particles["pz"] = np.array([0.0, 2.0 * np.sinh(4.1), 0.0])
    assert SMALL.select(make_truth(particles, TRUTH)).tolist() == [False, False, True]


def test_merged_measurements_count_for_both_particles():
    truth = make_truth(make_particles([2.0, 2.0]), [[0], [0, 1], [0, 1], [1]])
    metrics = FinderMetrics("gnn", (SMALL,))
    metrics.add_event(truth, *csr([[0, 1, 2], [1, 2, 3]]))
    sums = metrics.targets["small"]
    assert sums.efficiency["all"].passed == 2
    assert sums.quality["purity"].value == 1.0


@pytest.mark.parametrize("particles", [{}, make_particles([])])
def test_empty_event(particles):
    truth = make_truth(particles, [], positions=np.zeros((0, 3)))
    metrics = FinderMetrics("gnn")
    metrics.add_event(truth, *csr([]))
    assert metrics.n_events == 1
    rate = metrics.targets["pt1"].efficiency["all"].rate
    assert rate.total == 0
    assert np.isnan(rate.value)
    assert rate.interval == (0.0, 1.0)


def test_alternative_rules_are_counted_beside():
    # The only track holds exactly half of the particle: no double majority, but ACTS' rule holds.
    truth = make_truth(make_particles([2.0]), [[0]] * 4)
    metrics = FinderMetrics("gnn", (SMALL,))
    metrics.add_event(truth, *csr([[0, 1]]))
    assert metrics.targets["small"].efficiency["all"].passed == 0
    assert metrics.alternatives["acts"]["small"].sums["found"] == 1
    assert metrics.alternatives["single_majority"]["small"].sums["found"] == 1


def test_paired_difference_sees_only_what_differs():
    truth = make_truth(make_particles([2.0, 2.0, 2.0]), TRUTH)
    first, second = FinderMetrics("gnn", (SMALL,)), FinderMetrics("ckf", (SMALL,))
    first.add_event(truth, *csr([[0, 1, 2], [3, 4, 5]]))
    second.add_event(truth, *csr([[0, 1, 2], [6, 7, 8]]))
    result = paired_difference(first.targets["small"], second.targets["small"])
    assert result["only_first"] == result["only_second"] == 1
    assert result["difference"] == 0
    assert result["error"] == pytest.approx(np.sqrt(2) / 3)
    assert (
        paired_difference(first.targets["small"], FinderMetrics("x", (SMALL,)).targets["small"])
        is None
    )


def random_event(seed):
    random = np.random.default_rng(seed)
    n_particles, n_measurements = 12, 60
    particles = make_particles(
        random.uniform(0.2, 5, n_particles), random.exponential(2, n_particles)
    )
    counts = random.choice([0, 1, 2], n_measurements, p=[0.1, 0.8, 0.1])
    truth = [random.choice(n_particles, c, replace=False).tolist() for c in counts]
    positions = random.normal(0, 100, (n_measurements, 3))
    by_particle = [[m for m, rows in enumerate(truth) if p in rows] for p in range(n_particles)]
    tracks = [hits[: random.integers(1, 7)] for hits in by_particle if hits]
    tracks += [random.choice(n_measurements, 4, replace=False).tolist() for _ in range(4)]
    return particles, truth, positions, tracks


def sums_of(metrics):
    small = metrics.targets["small"]
    return {
        "efficiency": {k: (v.passed, v.total) for k, v in small.efficiency.items()},
        "eta": small.efficiency["all"].binned["eta"].to_dict(),
        "fakes": small.fakes["pt"].to_dict(),
        "tracks": (small.n_tracks, small.n_fakes, small.n_duplicates),
        "purity": round(small.quality["purity"].value, 12),
    }


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_order_of_tracks_and_particles_changes_nothing(seed):
    particles, truth, positions, tracks = random_event(seed)
    # Merged measurements may leave a track the choice between two particles, which goes by row.
    truth = [rows[:1] for rows in truth]
    reference = FinderMetrics("gnn", (SMALL,))
    reference.add_event(make_truth(particles, truth, positions=positions), *csr(tracks))

    random = np.random.default_rng(seed + 1)
    row = random.permutation(len(particles["q"]))
    shuffled = {name: np.empty_like(column) for name, column in particles.items()}
    for name, column in particles.items():
        shuffled[name][row] = column
    moved = [[int(row[p]) for p in rows] for rows in truth]
    order = random.permutation(len(tracks))
    other = FinderMetrics("gnn", (SMALL,))
    other.add_event(
        make_truth(shuffled, moved, positions=positions), *csr([tracks[i] for i in order])
    )
    assert sums_of(other) == sums_of(reference)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_merging_finders_is_adding_events(seed):
    parts, whole = [], FinderMetrics("gnn", (SMALL,))
    for number in range(3):
        particles, truth, positions, tracks = random_event(seed + number)
        event = make_truth(particles, truth, number, positions)
        part = FinderMetrics("gnn", (SMALL,))
        part.add_event(event, *csr(tracks))
        whole.add_event(event, *csr(tracks))
        parts.append(part)
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert sums_of(parts[0]) == sums_of(whole)
    assert parts[0].n_events == 3


def test_kinematics_of_a_helix():
    radius = 2.0 / (0.299792458e-3 * 2.0)  # 2 GeV in 2 T
    angle = np.array([0.01, 0.02, 0.05, 0.1])
    phi0, eta = 0.7, 1.2
    x, y = radius * np.sin(angle), radius * (1 - np.cos(angle))
    positions = np.stack(
        [
            x * np.cos(phi0) - y * np.sin(phi0),
            x * np.sin(phi0) + y * np.cos(phi0),
            radius * angle * np.sinh(eta),
        ],
        axis=1,
    )
    kinematics = track_kinematics(np.array([0, 4, 6]), np.array([3, 0, 2, 1, 0, 1]), positions)
    assert kinematics.pt[0] == pytest.approx(2.0, rel=1e-6)
    assert kinematics.eta[0] == pytest.approx(eta, rel=1e-6)
    assert kinematics.phi[0] == pytest.approx(phi0 + 0.01, rel=1e-6)
    assert np.isnan(kinematics.pt[1])


def test_histograms_on_paper():
    values = [0.0, 0.5, 1.0, 2.0, 2.1, np.nan, -0.1]
    counts = Counts([0, 1, 2])
    counts.fill(values)
    assert counts.values.tolist() == [2, 2]
    ratio = Ratio([0, 1, 2])
    ratio.fill(values, np.array([1, 0, 1, 0, 1, 1, 1], dtype=bool))
    assert (ratio.passed.tolist(), ratio.total.tolist()) == ([1, 1], [2, 2])
    profile = Profile([0, 1, 2])
    profile.fill([0.1, 0.2, 5.0], [1.0, 3.0, 9.0])
    assert profile.to_dict() == {
        "edges": [0.0, 1.0, 2.0],
        "entries": [2, 0],
        "mean": [2.0, None],
        "error": [pytest.approx(np.sqrt(0.5)), None],
    }
    with pytest.raises(ValueError, match="cannot merge"):
        counts.merge(Counts([0, 1]))
    mean = Mean()
    assert np.isnan(mean.error)
    mean.fill([1.0, 3.0])
    assert (mean.value, mean.error) == (2.0, pytest.approx(np.sqrt(0.5)))
