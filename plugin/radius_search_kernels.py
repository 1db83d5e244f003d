"""Selection of the nearest candidates, for compiled searches."""

from __future__ import annotations

import numpy as np
from numba import njit

JIT = {"cache": True, "nogil": True, "error_model": "numpy"}
_SMALL = 16  # shorter runs are sorted by insertion


@njit(inline="always", **JIT)
def _before(d, i, e, j):
    return d < e or (d == e and i < j)


@njit(**JIT)
def keep_nearest(near, distance, size, k):
    """Sort the first `size` candidates by (distance, row) in place; returns how many count."""
    stack = np.empty((64, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, size - 1
    depth = 1
    while depth > 0:
        depth -= 1
        low, high = stack[depth, 0], stack[depth, 1]
        while high - low >= _SMALL:
            middle = (low + high) // 2
            pivot, row = distance[middle], near[middle]
            i, j = low, high
            while i <= j:
                while _before(distance[i], near[i], pivot, row):
                    i += 1
                while _before(pivot, row, distance[j], near[j]):
                    j -= 1
                if i <= j:
                    distance[i], distance[j] = distance[j], distance[i]
                    near[i], near[j] = near[j], near[i]
                    i += 1
                    j -= 1
            # The larger part waits, so that the stack stays short; what lies wholly behind the
            # first k need not be sorted.
            right = i < high and i < k
            if right and high - i > j - low:
                stack[depth, 0], stack[depth, 1] = i, high
                depth += 1
                high = j
            elif right:
                stack[depth, 0], stack[depth, 1] = low, j
                depth += 1
                low = i
            else:
                high = j
        for i in range(low + 1, high + 1):
            d, row = distance[i], near[i]
            j = i - 1
            while j >= low and _before(d, row, distance[j], near[j]):
                distance[j + 1], near[j + 1] = distance[j], near[j]
                j -= 1
            distance[j + 1], near[j + 1] = d, row
    return min(size, k)
