"""The hit table: space points sorted into search cells, with what the kernels need per hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.plugin import geometry_kernels as g
from trkx.plugin.layers import Layers
from trkx.plugin.space_points import SpacePoints

N_ALONG = 48  # cells along each layer
N_PHI = 128  # cells in azimuth
ANYTHING = 1e9  # not infinity: the kernels are compiled with fast mathematics


@dataclass(frozen=True)
class HitTable:
    """N hits sorted by (layer, cell along the layer, cell in azimuth)."""

    hit: np.ndarray  # (N, N_COLUMNS) float32
    layer: np.ndarray  # (N,) int32
    module: np.ndarray  # (N,) int32
    size: np.ndarray  # (N, 2) float32, cluster extents in channels, 0 where unknown
    sign: np.ndarray  # (N,) float32, +1 for z >= 0, -1 below
    row: np.ndarray  # (N,) int64, row of the space point in input order
    cell_start: np.ndarray  # (L * N_ALONG * N_PHI + 1,) int32

    def __len__(self) -> int:
        return len(self.row)


def make_hit_table(
    points: SpacePoints,
    layers: Layers,
    slopes: np.ndarray | None = None,
    beam_spot: tuple[float, float] = (0.0, 0.0),
) -> HitTable:
    """Sort the space points into cells.

    Args:
        points: N space points.
        layers: the detector's layers.
        slopes: (L, 2, sizes, 2) |slope| ranges per cluster size; None: no cluster-shape cut.
        beam_spot: x and y of the beam line, mm; subtracted from all positions.
    """
    layer, module = layers.index(points.geometry_id)
    x = points.x - np.float32(beam_spot[0])
    y = points.y - np.float32(beam_spot[1])
    r = np.maximum(np.hypot(x, y), np.float32(1e-3))
    phi = np.arctan2(y, x)
    along = np.where(layers.barrel[layer], points.z, r)
    low, high = layers.along[layer, 0], layers.along[layer, 1]
    a = np.clip((along - low) / (high - low) * N_ALONG, 0, N_ALONG - 1).astype(np.int32)
    b = np.clip((phi + np.pi) * (N_PHI / (2 * np.pi)), 0, N_PHI - 1).astype(np.int32)
    cell = (layer * N_ALONG + a) * N_PHI + b
    row = np.argsort(cell, kind="stable")
    counts = np.bincount(cell, minlength=len(layers) * N_ALONG * N_PHI)
    layer, module, r = layer[row], module[row], r[row]
    table = np.zeros((len(row), g.N_COLUMNS), np.float32)
    table[:, g.X], table[:, g.Y], table[:, g.Z] = x[row], y[row], points.z[row]
    table[:, g.R], table[:, g.PHI] = r, phi[row]
    table[:, g.CX] = table[:, g.X] / (r * r)
    table[:, g.CY] = table[:, g.Y] / (r * r)
    table[:, g.SLOPE0_HIGH] = table[:, g.SLOPE1_HIGH] = ANYTHING
    size = np.zeros((len(row), 2), np.float32)
    if len(layers.frames):
        axes = layers.frames[module]
        table[:, g.U : g.V], table[:, g.V : g.W] = axes[:, :3], axes[:, 3:]
        table[:, g.W : g.W + 3] = np.cross(axes[:, :3], axes[:, 3:])
        if points.size0 is not None and points.size1 is not None:
            size[:, 0], size[:, 1] = points.size0[row], points.size1[row]
            if slopes is not None:
                for axis, column in ((0, g.SLOPE0_LOW), (1, g.SLOPE1_LOW)):
                    n = np.minimum(size[:, axis], slopes.shape[2] - 1).astype(np.int32)
                    table[:, column : column + 2] = slopes[layer, axis, n]
    return HitTable(
        hit=table,
        layer=layer,
        module=module,
        size=size,
        sign=np.where(table[:, g.Z] >= 0, 1, -1).astype(np.float32),
        row=row,
        cell_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
    )
