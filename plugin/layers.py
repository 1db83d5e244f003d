"""Detector layers and module frames, as learned from simulated events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.plugin.errors import DetectorMismatchError
from trkx.plugin.space_points import LabelledEvent

_VOLUME_SHIFT, _LAYER_SHIFT, _SENSITIVE_SHIFT = np.uint64(56), np.uint64(36), np.uint64(8)
_VOLUME_MASK, _LAYER_MASK, _SENSITIVE_MASK = (np.uint64(m) for m in (0xFF, 0xFFF, 0xFFFFF))


def split_geometry_id(geometry_id: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volume, layer and sensitive numbers of ACTS geometry identifiers, int64 each."""
    g = np.asarray(geometry_id, dtype=np.uint64)
    volume = ((g >> _VOLUME_SHIFT) & _VOLUME_MASK).astype(np.int64)
    layer = ((g >> _LAYER_SHIFT) & _LAYER_MASK).astype(np.int64)
    sensitive = ((g >> _SENSITIVE_SHIFT) & _SENSITIVE_MASK).astype(np.int64)
    return volume, layer, sensitive


@dataclass(frozen=True)
class ModuleFrames:
    """Local axes of the M sensitive modules, unit vectors in the global frame."""

    geometry_id: np.ndarray  # (M,) uint64
    axis0: np.ndarray  # (M, 3) float32, direction of local 0
    axis1: np.ndarray  # (M, 3) float32, direction of local 1


@dataclass(frozen=True)
class Layers:
    """The L layers of a detector, numbered in ascending order of (volume, layer)."""

    volume: np.ndarray  # (L,) int32
    layer: np.ndarray  # (L,) int32
    barrel: np.ndarray  # (L,) bool; True: the layer extends along z, False: along r
    mirror: np.ndarray  # (L,) int32; the layer at -z, itself for one that crosses z = 0
    along: np.ndarray  # (L, 2) float32; range of z (barrel) or r (disc), mm
    across: np.ndarray  # (L, 2) float32; range of r (barrel) or z (disc), mm
    module_offset: np.ndarray  # (L+1,) int32, first module of each layer in `frames`
    frames: np.ndarray  # (modules, 6) float32, local axes 0 and 1; (0, 6) where unknown

    def __len__(self) -> int:
        return len(self.volume)

    def index(self, geometry_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Layer (N,) int32 and module (N,) int32 (row of `frames`) of each geometry id.

        Raises:
            DetectorMismatchError: an id is on no layer or module of this detector.
        """
        volume, layer, sensitive = split_geometry_id(geometry_id)
        table = np.full(1 << 20, -1, dtype=np.int32)
        table[(self.volume.astype(np.int64) << 12) | self.layer] = np.arange(len(self))
        row = table[(volume << 12) | layer]
        module = self.module_offset[row] + sensitive
        bad = (row < 0) | (module >= self.module_offset[row + 1])
        if bad.any():
            i = int(np.argmax(bad))
            raise DetectorMismatchError(
                f"{int(bad.sum())} of {len(row)} space points are on modules that the map does not "
                f"know, first at row {i}: volume {volume[i]}, layer {layer[i]}, sensitive "
                f"{sensitive[i]}. The map was made for another detector: pass weights trained "
                "for this one, or train them with 'trkx train'"
            )
        return row, module.astype(np.int32)


def learn_layers(events: list[LabelledEvent], frames: ModuleFrames | None = None) -> Layers:
    """Find the layers, their extent and their mirror images from the hits of some events.

    Args:
        events: events that together hit every layer.
        frames: local axes of the modules; without them cluster shapes are not used.

    Returns:
        The layers; a layer is a barrel when it is longer in z than deep in r.
    """
    gid = np.concatenate([e.space_points.geometry_id for e in events])
    x, y, z = (np.concatenate([getattr(e.space_points, c) for e in events]) for c in "xyz")
    r = np.hypot(x, y)
    volume, layer, sensitive = split_geometry_id(gid)
    keys, row = np.unique((volume << 12) | layer, return_inverse=True)
    n = len(keys)

    def extent(values: np.ndarray) -> np.ndarray:
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, row, values)
        np.maximum.at(high, row, values)
        return np.stack([low, high], axis=1)

    in_r, in_z = extent(r), extent(z)
    barrel = np.ptp(in_z, axis=1) > np.ptp(in_r, axis=1)
    mirror = np.arange(n)
    for i in range(n):
        # The mirror image has the same radial extent at the opposite z.
        distance = np.abs(in_z[i] + in_z[:, ::-1]).sum(1) + np.abs(in_r[i] - in_r).sum(1)
        distance[barrel != barrel[i]] = np.inf
        j = int(np.argmin(distance))
        mirror[i] = j if distance[j] < 20.0 else i
    if frames is None:
        count = np.zeros(n, np.int64)
        np.maximum.at(count, row, sensitive + 1)
        f_row = f_sensitive = np.zeros(0, np.int64)
        axes = np.zeros((0, 6), np.float32)
    else:
        f_volume, f_layer, f_sensitive = split_geometry_id(frames.geometry_id)
        f_key = (f_volume << 12) | f_layer
        known = np.isin(f_key, keys)
        f_row, f_sensitive = np.searchsorted(keys, f_key[known]), f_sensitive[known]
        axes = np.concatenate([frames.axis0, frames.axis1], axis=1)[known]
        count = np.zeros(n, np.int64)
        np.maximum.at(count, f_row, f_sensitive + 1)
    offset = np.concatenate([[0], np.cumsum(count)])
    table = np.zeros((offset[-1] if len(axes) else 0, 6), np.float32)
    table[offset[f_row] + f_sensitive] = axes
    margin = np.array([-1.0, 1.0])
    return Layers(
        volume=(keys >> 12).astype(np.int32),
        layer=(keys & 0xFFF).astype(np.int32),
        barrel=barrel,
        mirror=mirror.astype(np.int32),
        along=(np.where(barrel[:, None], in_z, in_r) + margin).astype(np.float32),
        across=(np.where(barrel[:, None], in_r, in_z) + margin).astype(np.float32),
        module_offset=offset.astype(np.int32),
        frames=table,
    )
