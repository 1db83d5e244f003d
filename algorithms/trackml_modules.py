"""Which module of ACTS' GenericDetector each module of the TrackML challenge is.

The challenge was made with an older GenericDetector, whose endcaps number their modules otherwise.
Modules are the same where their local frames are: centre and axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from trkx.algorithms.simulation.modules import ModuleTable, module_table
from trkx.io.errors import GeometryIdError
from trkx.io.trackml_detectors import TrackMLModules

__all__ = ["ModuleMatching", "match_modules"]

CENTER_TOLERANCE = 0.01
"""Largest distance of the centres, mm; `detectors.csv` has six digits, of up to 3 m."""
AXIS_TOLERANCE = 1e-4
"""Largest difference of a component of the axes."""


@dataclass(frozen=True)
class ModuleMatching:
    """One module of the detector for each module of the challenge.

    Attributes:
        ids: shape (M, 3), int64; volume, layer and module number of the challenge.
        row: shape (M,), int64; row of the `ModuleTable`, each once.
        renumbered: shape (M,), bool; whether the module has another number in ACTS.
        distance: shape (M,), mm, between the centres.
    """

    ids: np.ndarray
    row: np.ndarray
    renumbered: np.ndarray
    distance: np.ndarray

    def rows_of(self, volume: np.ndarray, layer: np.ndarray, module: np.ndarray) -> np.ndarray:
        """Rows of the `ModuleTable` of hits, shape (N,), int64.

        Raises:
            GeometryIdError: a hit is on a module that is not in `detectors.csv`.
        """
        keys, wanted = _key(*self.ids.T), _key(volume, layer, module)
        order = np.argsort(keys)
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        found = order[place]
        bad = np.flatnonzero(keys[found] != wanted)
        if len(bad):
            i = bad[0]
            raise GeometryIdError(
                f"{len(bad)} hits are on modules that detectors.csv does not have, first in row "
                f"{i}: volume_id {volume[i]}, layer_id {layer[i]}, module_id {module[i]}"
            )
        return self.row[found]


def _key(volume: np.ndarray, layer: np.ndarray, module: np.ndarray) -> np.ndarray:
    return (volume.astype(np.int64) << 32) | (layer.astype(np.int64) << 20) | module


def match_modules(challenge: TrackMLModules, detector: ModuleTable | None = None) -> ModuleMatching:
    """Match the modules one to one by their local frames.

    Args:
        challenge: what `detectors.csv` says.
        detector: modules of the tracking geometry; None: of the GenericDetector.

    Raises:
        GeometryIdError: their numbers differ, a frame has no counterpart, two have the same, or
            volume and layer are others.
    """
    detector = module_table() if detector is None else detector
    if len(challenge) != len(detector.geometry_id):
        raise GeometryIdError(
            f"detectors.csv has {len(challenge)} modules, the detector "
            f"{len(detector.geometry_id)}; they are not the same detector"
        )
    distance, row = cKDTree(detector.center).query(challenge.center)
    apart = np.maximum(
        np.abs(challenge.rotation[:, :, 0] - detector.axis_u[row]).max(axis=1),
        np.abs(challenge.rotation[:, :, 1] - detector.axis_v[row]).max(axis=1),
    )
    geometry_id = detector.geometry_id[row]
    volume = (geometry_id >> np.uint64(56)).astype(np.int64)
    layer = ((geometry_id >> np.uint64(36)) & np.uint64(0xFFF)).astype(np.int64)
    number = ((geometry_id >> np.uint64(8)) & np.uint64(0xFFFFF)).astype(np.int64)
    repeated = np.bincount(row, minlength=len(row))[row] > 1
    others = (volume != challenge.ids[:, 0]) | (layer != challenge.ids[:, 1])
    for wrong, what in (
        (distance > CENTER_TOLERANCE, "have no module of the detector at their centre"),
        (repeated, "share a module of the detector with another"),
        (apart > AXIS_TOLERANCE, "have other axes than the module of the detector there"),
        (others, "are in another volume or layer of the detector"),
    ):
        bad = np.flatnonzero(wrong)
        if len(bad):
            i = bad[0]
            names = ", ".join(
                f"{name} {value}"
                for name, value in zip(
                    ("volume_id", "layer_id", "module_id"), challenge.ids[i], strict=True
                )
            )
            raise GeometryIdError(
                f"{len(bad)} of {len(row)} modules of detectors.csv {what}, first {names} (centres "
                f"{distance[i]:.3g} mm apart, axes {apart[i]:.2g}); it is for another detector"
            )
    return ModuleMatching(challenge.ids, row, number != challenge.ids[:, 2], distance)
