"""The rings of the GenericDetector's modules: what a rotation about the beam line leaves alike."""

from __future__ import annotations

import numpy as np

from trkx.algorithms.simulation.modules import ModuleTable, module_table
from trkx.plugin.module_map import Modules

__all__ = ["module_rings"]

RESOLUTION = 2.0
"""Modules of one layer whose centres agree so well in r and in z make a ring (mm)."""


def module_rings(table: ModuleTable | None = None) -> Modules:
    """The detector's modules, with rings as cells, and the mirror image of each ring.

    A ring whose mirror image at -z is no ring is its own mirror image.
    """
    table = table or module_table()
    r, z = np.hypot(table.center[:, 0], table.center[:, 1]), table.center[:, 2]
    place = np.round(np.stack([r, z], axis=1) / RESOLUTION)
    _, cell = np.unique(
        np.column_stack([table.layer_key.astype(np.float64), place]), axis=0, return_inverse=True
    )
    count = np.bincount(cell)
    ring_r, ring_z = np.bincount(cell, r) / count, np.bincount(cell, z) / count
    distance = np.hypot(ring_r[:, None] - ring_r, ring_z[:, None] + ring_z)
    mirror = np.argmin(distance, axis=1)
    found = (distance.min(axis=1) < RESOLUTION) & (mirror[mirror] == np.arange(len(mirror)))
    mirror = np.where(found, mirror, np.arange(len(mirror)))
    return Modules(table.geometry_id, cell.astype(np.int32), mirror.astype(np.int32))
