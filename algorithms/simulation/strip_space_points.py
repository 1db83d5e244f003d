"""Space points of strips: every crossing of a strip on one side with one on the other.

Where several particles cross a module, strips of different ones cross as well: these ghosts are
space points that belong to no particle.
"""

from __future__ import annotations

import numpy as np


def cross_strips(
    center1: np.ndarray,
    half1: np.ndarray,
    center2: np.ndarray,
    half2: np.ndarray,
    vertex: np.ndarray | tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the lines from `vertex` that meet both strips of each pair.

    Args:
        center1, center2: (N, 3) middles of the strips, mm.
        half1, half2: (N, 3) vectors from the middle of each strip to its end, mm.
        vertex: (3,) where the particles are taken to come from, mm.

    Returns:
        (N, 3) space points, half way between the two strips on that line, mm, and (N,) (N,) where
        it meets them, in units of their half lengths: within ±1 on the strip. NaN for pairs that
        no line from the vertex meets.

    References: ATLAS, Eur. Phys. J. C 77, 673 (2017), arXiv:1704.07983, section 3.1; as in ACTS'
    StripSpacePointBuilder.
    """
    a, b = center1 - np.asarray(vertex), center2 - np.asarray(vertex)
    plane1, plane2 = np.cross(a, half1), np.cross(b, half2)

    def at(center: np.ndarray, half: np.ndarray, plane: np.ndarray) -> np.ndarray:
        """Where the strip leaves the plane of the vertex and the other strip."""
        slope = (half * plane).sum(axis=1)
        return -np.divide(
            (center * plane).sum(axis=1), slope, out=np.full(len(slope), np.nan), where=slope != 0
        )

    along1, along2 = at(a, half1, plane2), at(b, half2, plane1)
    point1, point2 = center1 + along1[:, None] * half1, center2 + along2[:, None] * half2
    return 0.5 * (point1 + point2), along1, along2


def pair_sides(module: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a cluster on side 1 with one on side 2 of the same module.

    Args:
        module, side: (M,) of the clusters; side 1 or 2.

    Returns:
        rows of the first and of the second cluster, int64, sorted by the first.
    """
    front, back = np.flatnonzero(side == 1), np.flatnonzero(side == 2)
    back = back[np.argsort(module[back], kind="stable")]
    low = np.searchsorted(module[back], module[front], side="left")
    count = np.searchsorted(module[back], module[front], side="right") - low
    first = np.repeat(front, count)
    start = np.repeat(low - np.cumsum(count) + count, count)
    return first, back[start + np.arange(len(first))]


def strip_space_points(
    module: np.ndarray,
    side: np.ndarray,
    center: np.ndarray,
    half: np.ndarray,
    tolerance: float,
    vertex: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make the space points of one event.

    Args:
        module, side: (M,) of the clusters; side 1 or 2.
        center: (M, 3) middles of their strips, mm.
        half: (M, 3) vectors from there to the ends of the strips, mm.
        tolerance: how far beyond its end a strip may be crossed, in units of its half length.
        vertex: where the particles are taken to come from, mm.

    Returns:
        (S,) and (S,) rows of the first and second cluster, int64, and (S, 3) positions, mm.
    """
    first, second = pair_sides(module, side)
    position, along1, along2 = cross_strips(
        center[first], half[first], center[second], half[second], vertex
    )
    # Comparisons with NaN are False: pairs that do not cross go as well.
    with np.errstate(invalid="ignore"):
        crossed = np.maximum(np.abs(along1), np.abs(along2)) <= 1.0 + tolerance
    return first[crossed], second[crossed], position[crossed]


def crossing_variances(variance1: np.ndarray, variance2: np.ndarray, stereo: float) -> np.ndarray:
    """(N, 2) variances across and along the module, mm², of crossed strips.

    Args:
        variance1, variance2: (N,) of the coordinates across the strips, mm².
        stereo: angle of each strip to the axis of the module, of opposite signs, rad.
    """
    total = variance1 + variance2
    return np.stack([total / (2 * np.cos(stereo)) ** 2, total / (2 * np.sin(stereo)) ** 2], axis=1)
