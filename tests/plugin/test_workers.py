"""Kernels on pieces of a range, in one thread or several."""

import numpy as np
import pytest
from numba import njit

from trkx.plugin.load import load_pipeline
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.workers import get_threads, joined, joined_offsets, pieces, run, set_threads


@pytest.fixture
def threads():
    """Set the threads of a test; afterwards they are what they were."""
    before = get_threads()
    yield set_threads
    set_threads(before)


@njit(nogil=True)
def squares(begin, end, values, out):
    for i in range(begin, end):
        out[i] = values[i] ** 2
    return end - begin


@pytest.mark.parametrize("n", [0, 1, 7, 128, 129, 1000])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_pieces_cover_the_range_once(n, n_threads):
    found = pieces(n, 16, n_threads)
    assert [i for start, stop in found for i in range(start, stop)] == list(range(n))
    assert all(start % 16 == 0 for start, _ in found)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_all_of_a_kernel_is_run(threads, n_threads):
    threads(n_threads)
    values = np.arange(1000.0)
    out = np.full(1000, -1.0)
    assert sum(run(squares, 1000, values, out, block=10)) == 1000
    np.testing.assert_array_equal(out, values**2)


def test_offsets_of_pieces_are_joined():
    parts = [np.array([0, 2, 3]), np.array([0, 0, 4])]
    np.testing.assert_array_equal(joined_offsets(parts), [0, 2, 3, 3, 7])
    np.testing.assert_array_equal(joined(parts), [0, 2, 3, 0, 0, 4])
    assert joined(parts[:1]) is parts[0]
    assert joined_offsets(parts[1:]) is parts[1]


def test_no_thread_is_refused():
    with pytest.raises(ValueError, match="0 is not a positive number"):
        set_threads(0)


def test_tracks_do_not_depend_on_the_threads(threads, tiny_sample):
    from trkx.io.event_files import EventFiles

    with EventFiles.open(tiny_sample) as files:
        points = SpacePoints.from_columns(files.read(files.numbers[0], truth=False).space_points)
    pipeline = load_pipeline("gnn", "pt1", threads=1)
    one = pipeline(points)
    threads(2)
    two = pipeline(points)
    assert one.labels.max() > 20
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.hits, two.hits)
    np.testing.assert_array_equal(one.scores, two.scores)
