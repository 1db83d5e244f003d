"""True doublets and triplets of a hand-drawn event."""

import numpy as np

from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.truth_edges import (
    any_shared_particle,
    crossings,
    true_doublets,
    true_triplets,
)


def small_event():
    """One particle on layers 0, 1, 1 (overlap), 2; a second on layers 0 and 1; hit 3 is merged."""
    x = np.array([10.0, 20.0, 20.5, 30.0, 10.0, 0.0], np.float32)
    y = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 5.0], np.float32)
    layer = np.array([0, 1, 1, 2, 0, 0])
    truth = [[0], [0], [0], [0, 1], [1], []]
    event = LabelledEvent(
        space_points=SpacePoints(x, y, 0 * x, np.zeros(6, np.uint64)),
        offsets=np.cumsum([0] + [len(t) for t in truth]),
        particle=np.array([p for t in truth for p in t]),
        pt=np.array([2.0, 3.0], np.float32),
        eta=np.zeros(2, np.float32),
        charge=np.ones(2, np.float32),
        vertex=np.zeros((2, 3), np.float32),
    )
    return event, layer


def test_overlap_hits_both_connect_to_the_neighbouring_layers():
    event, layer = small_event()
    doublets, particle = true_doublets(crossings(event, layer, np.array([True, False])))
    assert {tuple(d) for d in doublets.T} == {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert (particle == 0).all()
    triplets = true_triplets(doublets, particle)
    assert {tuple(t) for t in triplets.T} == {(0, 1, 3), (0, 2, 3)}


def test_a_merged_hit_belongs_to_both_particles():
    event, layer = small_event()
    doublets, particle = true_doublets(crossings(event, layer, np.array([True, True])))
    assert (4, 3) in {tuple(d) for d in doublets[:, particle == 1].T}
    shared = any_shared_particle(event, np.array([1, 4, 0, 5]), np.array([3, 3, 4, 0]))
    assert shared.tolist() == [0, 1, -1, -1]


def test_no_particles_no_edges():
    event, layer = small_event()
    doublets, particle = true_doublets(crossings(event, layer, np.zeros(2, bool)))
    assert doublets.shape == (2, 0)
    assert true_triplets(doublets, particle).shape == (3, 0)
