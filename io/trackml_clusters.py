"""Clusters of the TrackML challenge from their cells: position, extent and direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trkx.io.trackml_event import rows_of_ids

__all__ = ["ClusterShapes", "cluster_shapes"]


@dataclass(frozen=True)
class ClusterShapes:
    """Shapes of N clusters, in channels of the module; each attribute has shape (N,).

    Channel `ch0` counts along the module's u (`rot_xu`, …; pitch `pitch_u`) and `ch1` along v, both
    from the module's corner: in local coordinates a channel's middle is at `(ch + 0.5) * pitch -
    half_length`, with `module_maxhu` (trapezoids, too) and `module_hv` as half lengths. The
    challenge's hits are at the charge-weighted middle of their cells to 0.01 channels, but for a
    constant that corrects the drift of charge in the field: +0.362, -0.377 and -0.235 channels
    in u in the barrel volumes 8, 13 and 17, none in v and in the endcaps (measured on the
    events 1 and 21000).

    Attributes:
        n_cells: int64, number of cells; 0: a hit without cells.
        charge: float64, sum of `value`.
        position0, position1: float64, charge-weighted mean of `ch0` and `ch1`; NaN without cells.
        size0, size1: int64, extent from the first to the last channel, gaps included; 0 without
            cells.
        covariance: float64, shape (3, N): charge-weighted second moments of channels 0 with 0, 0
            with 1 and 1 with 1 about the mean, channels²; 0 without cells.
    """

    n_cells: np.ndarray
    charge: np.ndarray
    position0: np.ndarray
    position1: np.ndarray
    size0: np.ndarray
    size1: np.ndarray
    covariance: np.ndarray

    def direction(self, pitch_u: np.ndarray | float, pitch_v: np.ndarray | float) -> np.ndarray:
        """Direction of the clusters' long axes on their modules.

        A particle leaves its charge along the projection of its path, so that this is the
        direction of the particle in the plane of the module, up to its sign.

        Args:
            pitch_u, pitch_v: size of a channel in mm, shape (N,) or one for all.

        Returns:
            shape (N, 2), unit vectors along u and v with u ≥ 0; zeros where a cluster has no
            direction: a single cell, or as wide as long.
        """
        uu, uv, vv = self.covariance
        uu, uv, vv = uu * np.square(pitch_u), uv * pitch_u * pitch_v, vv * np.square(pitch_v)
        angle = 0.5 * np.arctan2(2 * uv, uu - vv)  # within ±90°, so that u ≥ 0
        round_ = np.hypot(2 * uv, uu - vv) <= 1e-9 * (uu + vv)
        vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.where(round_[:, None], 0.0, vectors)


def cluster_shapes(hit_id: np.ndarray, cells: Mapping[str, np.ndarray] | None) -> ClusterShapes:
    """Gather the cells of each hit; they may be in any order.

    A cell that is listed twice for a hit counts twice in its charge, once in its extent. A hit
    whose cells have no charge at all is taken to have equal charges.

    Args:
        hit_id: shape (N,), the hits.
        cells: `hit_id`, `ch0`, `ch1` and `value`, each of shape (C,); cells of other hits are left
            out. None: there are none.
    """
    n = len(hit_id)
    if cells is None:
        empty = np.zeros(0, dtype=np.int64)
        cells = {"hit_id": empty, "ch0": empty, "ch1": empty, "value": empty}
    row = rows_of_ids(hit_id, cells["hit_id"])
    known = row >= 0
    row, value = row[known], cells["value"][known].astype(np.float64)
    channels = [cells[name][known].astype(np.int64) for name in ("ch0", "ch1")]
    n_cells = np.bincount(row, minlength=n)
    charge = np.bincount(row, value, n)
    weight = np.where(charge[row] > 0, value, 1.0)
    total = np.bincount(row, weight, n).astype(np.float64)
    total[n_cells == 0] = np.nan
    means = [np.bincount(row, weight * channel, n) / total for channel in channels]
    apart = [channel - mean[row] for channel, mean in zip(channels, means, strict=True)]
    moments = [
        np.nan_to_num(np.bincount(row, weight * apart[i] * apart[j], n) / total)
        for i, j in ((0, 0), (0, 1), (1, 1))
    ]
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    sizes: list[np.ndarray] = []
    for channel in channels:
        size = np.zeros(n, dtype=np.int64)
        if len(starts):
            by_hit = channel[order]
            span = np.maximum.reduceat(by_hit, starts) - np.minimum.reduceat(by_hit, starts)
            size[row[order][starts]] = span + 1
        sizes.append(size)
    return ClusterShapes(
        n_cells, charge, means[0], means[1], sizes[0], sizes[1], covariance=np.stack(moments)
    )
