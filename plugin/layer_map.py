"""The learned layer map: which layer pairs a track connects, and the windows it stays in.

Layer pairs are folded in z: a doublet whose inner hit has z < 0 is mirrored, so that both halves
of the detector share their statistics. The idea of a map learned from simulation is that of the
module map (Biscarat et al., EPJ Web Conf. 251, 03047 (2021), arXiv:2103.00916); binning by layer
and position instead of by module needs a few events instead of tens of thousands.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from trkx.plugin.errors import WeightsError
from trkx.plugin.layers import Layers

FORMAT = "trkx-layer-map"
VERSION = 1

N_BINS = 16  # bins of the inner hit's position along its layer, per layer pair
N_SIZES = 32  # cluster extents, in channels; larger ones share the last entry

# Columns of `LayerMap.windows`.
Z0_LOW, Z0_HIGH, PHI_MAX, KAPPA_MAX, ALONG_LOW, ALONG_HIGH = range(6)

N_LEVERS = 6  # bins of a track's lever arm


def lever_bin(lever: np.ndarray) -> np.ndarray:
    """Bin of a lever arm in mm: below 32, 64, 128, 256, 512 mm, and above."""
    return np.clip(np.log2(np.maximum(lever, 1.0) / 16.0), 0, N_LEVERS - 1).astype(np.int64)


@dataclass(frozen=True)
class LayerMap:
    """Windows for P layer pairs and their triplets on L layers.

    kappa is 1/(2 R) of the circle through the beam line, 1/mm; z0 is the z at r = 0 of the
    straight line in r-z through a doublet, mm.
    """

    layers: Layers
    pair_inner: np.ndarray  # (P,) int32, folded layer of the inner hit, ascending
    pair_outer: np.ndarray  # (P,) int32, folded layer of the outer hit
    pair_start: np.ndarray  # (L+1,) int32, first pair of each inner layer
    edges: np.ndarray  # (P, N_BINS+1) float32, bin edges of the inner hit's position, mm
    windows: np.ndarray  # (P, N_BINS, 6) float32, columns above
    triplets: np.ndarray  # (P, L, 6) float32: centre and half width in r-phi and along, mm, largest
    #   curvature, 1/mm, and largest kink in r-z, rad; negative half width: the pair is not
    #   continued to that layer
    slopes: np.ndarray  # (L, 2, N_SIZES, 2) float32, |slope| range of each cluster size, by axis
    shape: np.ndarray  # (L, 2, 3) float32: a, b, sigma of cluster size = a + b |slope| ± sigma
    overlaps: np.ndarray  # (L, 3, 3) float32, mm: how far the residuals of two hits of one particle
    #   in one layer differ, in r-phi and along, as middle, inner and outer hit, and how far apart
    #   they are; 0: no overlaps
    curvature_max: np.ndarray  # (N_LEVERS,) float32, 1/mm; tracks that bend more are below the
    #   threshold, by lever arm, see `lever_bin`
    meta: dict[str, Any]  # provenance: training seeds, settings, versions, target
    free: np.ndarray = field(  # (P, L, 3) float32, windows of triplets wherever they come from:
        #   largest residual along, mm, curvature, and its change to the next triplet, 1/mm;
        #   negative: not continued to that layer; (0, 0, 3): not learned, see `free_triplets`
        default_factory=lambda: np.zeros((0, 0, 3), np.float32)
    )
    chains: np.ndarray = field(  # (2,) float32, limits of four hits in a row, see
        # `chain_selection`; (0,): not learned
        default_factory=lambda: np.zeros(0, np.float32)
    )
    resolution: np.ndarray = field(  # (L, 2) float32, of hits in r-phi and along, mm; (0, 2): not
        # learned, and tracks are not completed
        default_factory=lambda: np.zeros((0, 2), np.float32)
    )
    quality: np.ndarray = field(  # (F,) float32, weights of the features of
        # `completion.CompletedTracks`; (0,): not learned, and tracks are not judged
        default_factory=lambda: np.zeros(0, np.float32)
    )

    def save(self, path: Path | str) -> str:
        """Write the map as .npz without pickles; returns the sha256 of the file."""
        arrays = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray | np.generic):
                arrays[f.name] = value
        for f in fields(Layers):
            arrays[f"layers.{f.name}"] = getattr(self.layers, f.name)
        header = {"format": FORMAT, "version": VERSION, "meta": self.meta}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        Path(path).write_bytes(buffer.getvalue())
        return hashlib.sha256(buffer.getvalue()).hexdigest()

    @classmethod
    def load(cls, path: Path | str) -> LayerMap:
        """Read a map.

        Raises:
            WeightsError: not there, not a layer map, another version, or corrupt.
        """
        path = Path(path)
        if not path.is_file():
            raise WeightsError(f"layer map {path.name}: no such file at {path}")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            header = json.loads(arrays.pop("header").tobytes())
        except Exception as error:
            raise WeightsError(
                f"layer map {path}: cannot be read as a layer map ({error}); "
                "the file is corrupt or of another kind: install trkx again or train it anew"
            ) from error
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise WeightsError(
                f"layer map {path}: found format {header.get('format')!r} version "
                f"{header.get('version')!r}, expected {FORMAT!r} version {VERSION}; "
                "train it anew with 'trkx train graph'"
            )
        layers = Layers(**{f.name: arrays.pop(f"layers.{f.name}") for f in fields(Layers)})
        return cls(layers=layers, meta=header["meta"], **arrays)
