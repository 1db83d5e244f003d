"""Counting tracks of TrackML events, on events that can be checked on paper."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trkx.algorithms.trackml_evaluation import TrackMLCounts, count_tracks, share
from trkx.io.errors import InputFileError
from trkx.io.trackml_event import TrackMLEvent

PIXEL, STRIP = 8, 13
NOISE = 0


def event(particle: list[int], volume: list[int], **truth: object) -> TrackMLEvent:
    """Hits of particles 1 and 2 (pT 2 GeV, at the beam line and 5 mm off) and of noise."""
    n = len(particle)
    hit_id = np.arange(n) + 1
    column = {
        "px": np.full(2, 2.0),
        "py": np.zeros(2),
        "pz": np.zeros(2),
        "vx": np.array([0.0, 5.0]),
        "vy": np.zeros(2),
        "vz": np.zeros(2),
        "q": np.array([1.0, -1.0]),
        "nhits": np.bincount(particle, minlength=3)[1:],
    }
    return TrackMLEvent(
        1,
        {"hit_id": hit_id, "volume_id": np.array(volume)},
        particles={"particle_id": np.array([1, 2], np.uint64), **column},
        truth={"hit_id": hit_id, "particle_id": np.array(particle, np.uint64)},
    )


def tracks(*hits: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, hits)]), np.array([h for track in hits for h in track])


# Four pixel and four strip hits of each particle, then two of noise in pixels.
TWO = event([1] * 8 + [2] * 8 + [NOISE] * 2, ([PIXEL] * 4 + [STRIP] * 4) * 2 + [PIXEL] * 2)


def test_complete_tracks_are_found_by_both_rules() -> None:
    found = tracks(list(range(8)), list(range(8, 16)))
    for rule in ("pixel", "all"):
        counts = count_tracks(TWO, *found, pt_min=1.0, rule=rule)
        assert counts == TrackMLCounts(2, 2, 1, 1, 2, 0, 0)
    assert count_tracks(TWO, *found, pt_min=3.0).targets == 0


def test_by_the_pixel_rule_strips_do_not_matter() -> None:
    # The pixel hits of 1 with the strip hits of 2.
    mixed = tracks([0, 1, 2, 12, 13, 14, 15])
    pixel = count_tracks(TWO, *mixed, pt_min=1.0, rule="pixel")
    assert (pixel.found, pixel.fakes) == (1, 0)
    every = count_tracks(TWO, *mixed, pt_min=1.0, rule="all")
    assert (every.found, every.fakes) == (0, 1)


def test_more_than_half_is_asked_for_twice() -> None:
    half_of_particle = tracks(
        [0, 1, 4, 5, 6, 7, 12]
    )  # two of four pixel hits, and too few to count
    counts = count_tracks(TWO, *half_of_particle, pt_min=1.0)
    assert (counts.found, counts.tracks, counts.fakes) == (0, 0, 0)
    half_of_track = tracks([0, 1, 2, 8, 16, 17, 4])  # three of six pixel hits
    counts = count_tracks(TWO, *half_of_track, pt_min=1.0)
    assert (counts.found, counts.tracks, counts.fakes) == (0, 1, 1)


def test_short_tracks_find_particles_but_are_no_fakes_and_twins_are_duplicates() -> None:
    counts = count_tracks(TWO, *tracks([0, 1, 2]), pt_min=1.0)
    assert (counts.found, counts.tracks) == (1, 0)
    long = event([1] * 17, [PIXEL] * 17)
    counts = count_tracks(long, *tracks(list(range(9)), list(range(9, 17))), pt_min=1.0)
    assert (counts.found, counts.fakes, counts.duplicates) == (1, 1, 0)


def test_particles_with_few_hits_are_no_targets() -> None:
    short = event([1] * 6 + [2] * 7, [PIXEL] * 6 + [PIXEL] * 2 + [STRIP] * 5)
    counts = count_tracks(short, *tracks([0, 1, 2, 3, 4, 5]), pt_min=1.0, rule="pixel")
    assert counts.targets == 0
    assert count_tracks(short, *tracks([0]), pt_min=1.0, rule="all").targets == 1


def test_truth_must_cover_the_hits_that_count() -> None:
    truth = {name: column[TWO.hits["volume_id"] == PIXEL] for name, column in TWO.truth.items()}
    pixels = dataclasses.replace(TWO, truth=truth)
    assert count_tracks(pixels, *tracks(list(range(8))), pt_min=1.0).found == 1
    with pytest.raises(
        InputFileError, match="covers 10 of the 18 hits that count by the rule 'all'"
    ):
        count_tracks(pixels, *tracks([0]), pt_min=1.0, rule="all")
    with pytest.raises(InputFileError, match="no truth"):
        count_tracks(dataclasses.replace(TWO, truth=None), *tracks([0]), pt_min=1.0)


def test_counts_add_up_and_shares_have_errors() -> None:
    total = TrackMLCounts(10, 9, 8, 8, 12, 1, 0) + TrackMLCounts(10, 10, 9, 9, 8, 0, 1)
    assert total == TrackMLCounts(20, 19, 17, 17, 20, 1, 1)
    assert total.efficiency[0] == 0.95
    assert total.fake_rate[0] == 0.05
    assert share(50, 100)[1] == pytest.approx(0.05, rel=0.01)
    assert share(100, 100)[1] == pytest.approx(0.005, rel=0.02)
    assert np.isnan(share(0, 0)[0])
