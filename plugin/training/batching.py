"""Batches of nearly equal size from graphs of very different sizes.

In data-parallel training every step lasts as long as its slowest process. Graphs of one event
each differ by a factor of ten between low and high pile-up, so that sharing out events leaves
most processes waiting; sharing out edges does not.
"""

from __future__ import annotations

import numpy as np

Step = list[list[int]]  # examples of each batch of one step

# Spread of the order in which examples are dealt out: batches differ from epoch to epoch.
_JITTER = 0.2


def plan_epoch(
    sizes: np.ndarray,
    batches_per_step: int,
    batch_size: int = 0,
    seed: tuple[int, ...] = (0,),
    balance: bool = True,
    n_steps: int | None = None,
) -> list[Step]:
    """Deal the examples of one epoch out to steps and batches.

    Every example is used once; where there are fewer than one batch each, some are used again.
    The plan depends on the arguments alone, so that all processes make the same one.

    Args:
        sizes: (n,) edges of each example.
        batches_per_step: number of batches that are worked on at the same time.
        batch_size: edges per batch; 0: one example per batch.
        seed: of the order, such as (seed, epoch).
        balance: longest first, each to the emptiest batch, and batches of like sizes in one
            step. False: in random order, as many examples in each batch.
        n_steps: number of steps; None: as many as `batch_size` asks for.

    Returns:
        steps of `batches_per_step` batches of rows of `sizes`; empty without examples.
    """
    sizes = np.asarray(sizes, np.float64)
    n = len(sizes)
    if n == 0:
        return []
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    if n < batches_per_step:
        order = np.resize(order, batches_per_step)
    if n_steps is None:
        n_steps = count_steps(sizes, batches_per_step, batch_size)
    n_batches = max(1, min(n_steps, len(order) // batches_per_step)) * batches_per_step
    batches: list[list[int]] = [[] for _ in range(n_batches)]
    if not balance:
        for position, example in enumerate(order):
            batches[position % n_batches].append(int(example))
    else:
        load = np.zeros(n_batches)
        jitter = rng.uniform(1 - _JITTER, 1 + _JITTER, len(order))
        for example in order[np.argsort(-sizes[order] * jitter, kind="stable")]:
            emptiest = int(np.argmin(load))
            batches[emptiest].append(int(example))
            load[emptiest] += max(sizes[example], 1)  # an empty graph fills a place, too
        batches = [batches[i] for i in np.argsort(load, kind="stable")]
    steps = [batches[i : i + batches_per_step] for i in range(0, n_batches, batches_per_step)]
    while len(steps) < n_steps:  # asked for more steps than there are examples for
        steps += steps[: n_steps - len(steps)]
    # Within a step too: or rank 0 would always have the smallest batch.
    return [
        [steps[i][j] for j in rng.permutation(batches_per_step)] for i in rng.permutation(n_steps)
    ]


def count_steps(sizes: np.ndarray, batches_per_step: int, batch_size: int = 0) -> int:
    """Steps per epoch: of batches with about `batch_size` edges; 0: one example each."""
    n = len(sizes)
    if batch_size <= 0:
        return max(1, n // batches_per_step)
    wanted = round(float(np.sum(sizes)) / (batch_size * batches_per_step))
    return max(1, min(wanted, n // batches_per_step))


def idle_share(loads: np.ndarray) -> float:
    """Share of their time that processes wait for the slowest of their step.

    Args:
        loads: (steps, processes) work of each batch, in any unit.
    """
    loads = np.asarray(loads, np.float64)
    busy, total = loads.sum(), loads.shape[1] * loads.max(axis=1, initial=0).sum()
    return float(1 - busy / total) if total > 0 else 0.0
