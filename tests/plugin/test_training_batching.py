"""Batches of equal size from graphs of different sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trkx.plugin.training.batching import count_steps, idle_share, plan_epoch


def loads(plan, sizes):
    return np.array([[sizes[batch].sum() for batch in step] for step in plan])


def test_four_graphs_on_two_processes():
    """10 and 1 on one side, 6 and 5 on the other: nobody waits."""
    sizes = np.array([10, 1, 6, 5])
    ((first, second),) = plan_epoch(sizes, batches_per_step=2, batch_size=11)
    assert {sizes[first].sum(), sizes[second].sum()} == {11}


def test_one_graph_per_batch_pairs_those_of_like_size():
    sizes = np.array([100, 1, 99, 2, 98, 97])
    plan = plan_epoch(sizes, 2)
    assert all(len(batch) == 1 for step in plan for batch in step)
    assert idle_share(loads(plan, sizes)) < 0.02


def test_idle_share_on_paper():
    assert idle_share(np.array([[2, 1], [1, 1]])) == pytest.approx(1 / 6)
    assert idle_share(np.zeros((3, 2))) == 0
    assert idle_share(np.zeros((0, 2))) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=60),
    st.integers(1, 4),
    st.sampled_from([0, 50, 500, 5000]),
    st.booleans(),
)
def test_every_example_is_used_once(sizes, ranks, batch_size, balance):
    sizes = np.array(sizes)
    plan = plan_epoch(sizes, ranks, batch_size, (1, 2), balance)
    assert len(plan) == count_steps(sizes, ranks, batch_size)
    assert all(len(step) == ranks and all(step) for step in plan)
    used = np.bincount([i for step in plan for batch in step for i in batch])
    if len(sizes) >= ranks:
        assert (used == 1).all()
    else:
        assert used.min() >= 1  # so that every process has something to do


def test_balance_beats_chance_by_far():
    """Sizes as of μ = 20 to 300."""
    sizes = np.random.default_rng(1).choice([20, 60, 140, 200, 300], 200) * 100
    chance = loads(plan_epoch(sizes, 2, balance=False), sizes)
    even = loads(plan_epoch(sizes, 2, 30000), sizes)
    assert idle_share(chance) > 0.2
    assert idle_share(even) < 0.02
    assert even.sum() == sizes.sum()


def test_the_plan_depends_on_the_seed_alone():
    sizes = np.arange(1, 40)
    assert plan_epoch(sizes, 2, 100, (1, 0)) == plan_epoch(sizes, 2, 100, (1, 0))
    assert plan_epoch(sizes, 2, 100, (1, 0)) != plan_epoch(sizes, 2, 100, (1, 1))


def test_a_number_of_steps_that_was_agreed():
    """Of later chunks of a stream: as many steps, whatever their events are."""
    for n in (1, 5, 30):
        assert len(plan_epoch(np.full(n, 10), 2, 20, n_steps=7)) == 7
    assert plan_epoch(np.zeros(0), 2) == []
