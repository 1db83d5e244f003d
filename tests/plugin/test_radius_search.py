"""Neighbour search in the embedding space: every method against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trkx.plugin.errors import StageError
from trkx.plugin.radius_search import METHODS, PRECISIONS, radius_search


def brute_force(x, radius, k, queries=None):
    x = np.asarray(x, np.float32).astype(np.float64)
    edges = []
    for i in range(len(x)) if queries is None else queries:
        d2 = np.zeros(len(x))
        for axis in range(x.shape[1]):
            d2 += (x[i, axis] - x[:, axis]) ** 2
        near = [j for j in np.lexsort((np.arange(len(x)), d2)) if j != i and d2[j] <= radius**2]
        edges += [(i, j) for j in near[:k]]
    return np.array(edges, np.int64).reshape(-1, 2).T


def ready(method):
    if method == "faiss":
        pytest.importorskip("faiss")
    if method == "torch":
        pytest.importorskip("torch")
    return method


@pytest.fixture(params=METHODS)
def method(request):
    return ready(request.param)


def test_three_points_on_a_line(method):
    x = np.array([[0.0], [1.0], [3.0]])
    assert radius_search(x, 1.5, 5, method).tolist() == [[0, 1], [1, 0]]
    assert radius_search(x, 2.0, 1, method).tolist() == [[0, 1, 2], [1, 0, 1]]
    assert radius_search(x, 2.0, 5, method).tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]


def test_few_points(method):
    assert radius_search(np.zeros((0, 8)), 1, 5, method).shape == (2, 0)
    assert radius_search(np.zeros((1, 8)), 1, 5, method).shape == (2, 0)
    assert radius_search(np.zeros((3, 8)), 1, 0, method).shape == (2, 0)


def test_duplicates_are_neighbours_and_the_lower_row_wins(method):
    x = np.zeros((5, 2))
    edges = radius_search(x, 0.5, 2, method)
    assert edges.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4], [1, 2, 0, 2, 0, 1, 0, 1, 0, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_clusters_of_different_density(method, seed):
    rng = np.random.default_rng(seed)
    d = (2, 8, 12)[seed]
    centre = rng.normal(size=(60, d)) * 3
    x = centre[rng.integers(0, 60, 400)] + rng.normal(size=(400, d)) * rng.choice(
        [0.01, 0.1, 1.0], (400, 1)
    )
    x = x.astype(np.float32)
    for k in (1, 7, 1000):
        assert np.array_equal(radius_search(x, 0.7, k, method), brute_force(x, 0.7, k))
    queries = rng.permutation(400)[:50]
    assert np.array_equal(
        radius_search(x, 0.7, 7, method, queries), brute_force(x, 0.7, 7, queries)
    )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_lattices_full_of_ties(data):
    n, d = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 4))
    flat = data.draw(st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d))
    x = np.array(flat, np.float32).reshape(n, d)
    radius, k = data.draw(st.sampled_from([0.5, 1.0, 2**0.5, 2.0])), data.draw(st.integers(1, 6))
    expected = brute_force(x, radius, k)
    for method in METHODS:
        try:
            assert np.array_equal(radius_search(x, radius, k, method), expected), method
        except ImportError:
            continue


def test_bad_input(method):
    x = np.zeros((4, 2))
    x[2, 1] = np.nan
    with pytest.raises(StageError, match="1 of 4 points are not finite, the first in row 2"):
        radius_search(x, 1.0, 5, method)
    with pytest.raises(StageError, match="the radius is -1"):
        radius_search(np.zeros((4, 2)), -1, 5, method)
    with pytest.raises(StageError, match="k is -2"):
        radius_search(np.zeros((4, 2)), 1, -2, method)
    with pytest.raises(StageError, match=r"expected \(N, d\)"):
        radius_search(np.zeros(4), 1, 2, method)
    with pytest.raises(StageError, match="rows 0 to 4 of 4 points"):
        radius_search(np.zeros((4, 2)), 1, 2, method, np.array([0, 4]))


def test_unknown_method():
    with pytest.raises(StageError, match="no search method 'fast'"):
        radius_search(np.zeros((4, 2)), 1, 2, "fast")
    with pytest.raises(StageError, match="no precision 'float16'; choose one of float32, float64"):
        radius_search(np.zeros((4, 2)), 1, 2, "grid", precision="float16")


@pytest.mark.parametrize("shift", [0.0, 30.0, 3e4])
@pytest.mark.parametrize(
    ("method", "precision"), [(m, p) for m, ps in PRECISIONS.items() for p in ps]
)
def test_precision_changes_nothing(method, precision, shift):
    """Not even far from the origin, where coordinates are rounded to a part of the radius."""
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(300, 4)) + shift).astype(np.float32)
    x[:5] *= 100  # a few stragglers
    edges = radius_search(x, 0.8, 6, ready(method), precision=precision)
    assert np.array_equal(edges, brute_force(x, 0.8, 6))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_tensors_stay_where_they_are(device):
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    from trkx.plugin.radius_search_torch import radius_search_tensor

    x = np.random.default_rng(2).normal(size=(500, 8)).astype(np.float32)
    points = torch.from_numpy(x).to(device)
    queries = torch.arange(0, 500, 7, device=device)
    for precision in PRECISIONS["torch"]:
        edges = radius_search_tensor(points, 2.0, 9, queries, precision)
        assert edges.device.type == device
        assert np.array_equal(edges.cpu(), brute_force(x, 2.0, 9, range(0, 500, 7)))
    points[3, 2] = float("nan")
    with pytest.raises(StageError, match="not finite"):
        radius_search_tensor(points, 2.0, 9)
    with pytest.raises(StageError, match="no precision 'int8'"):
        radius_search_tensor(points, 2.0, 9, precision="int8")
