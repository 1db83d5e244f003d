"""Features of the edges and triplets of a module map's graph, of order 1."""

from __future__ import annotations

import numpy as np

from trkx.plugin.layer_map_graph import context_features
from trkx.plugin.module_map_kernels import ETA, PHI_SLOPE, Z0, R, Z

N_EDGE_FEATURES = 16
N_TRIPLET_FEATURES = 3
FARTHEST = 4.0  # residuals of triplets are limited to ± this


def triplet_features(kink: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(T, 3) float32: residuals of the kinks in units of their rms, and their chi2 less 1.

    Args:
        kink: (T, 2) diff_dydx and diff_dzdr.
        scale: (T, 10, 2) mean and rms of all quantities of each triplet of cells.
    """
    residual = (kink - scale[:, 8:, 0]) / scale[:, 8:, 1]
    residual = np.clip(residual, -FARTHEST, FARTHEST) * np.float32(0.5)
    chi2 = (residual**2).sum(axis=1, keepdims=True) - 1
    return np.concatenate([residual, chi2], axis=1).astype(np.float32)


def doublet_features(
    hit: np.ndarray,
    index: np.ndarray,
    value: np.ndarray,
    triplet_index: np.ndarray,
    residual: np.ndarray,
    inward: np.ndarray,
    outward: np.ndarray,
) -> np.ndarray:
    """(E, 16) float32: positions, cut quantities, and the triplets around each edge.

    Args:
        hit: (N, 6) hits, see `module_map_kernels`.
        index: (2, E) their rows.
        value: (E, 4) z0, dphi, phi slope, deta.
        triplet_index: (2, T) rows of edges, sorted by the second.
        residual: (T, 3), see `triplet_features`.
        inward, outward: (E,) doublets on the longest chain that ends, starts at each edge.
    """
    out = np.empty((index.shape[1], N_EDGE_FEATURES), np.float32)
    a, b = hit[index[0]], hit[index[1]]
    dr, dz = b[:, R] - a[:, R], b[:, Z] - a[:, Z]
    out[:, 0] = a[:, R] * 2e-3 - 1
    out[:, 1] = a[:, Z] * 1e-3
    out[:, 2] = dr * 0.01 - 0.5
    out[:, 3] = dz * 5e-3
    out[:, 4] = value[:, PHI_SLOPE] * 3e3  # a track of 1 GeV in 2 T bends by 3e-4 rad/mm
    out[:, 5] = value[:, Z0] * 0.01
    out[:, 6] = value[:, 1] * 30
    out[:, 7] = value[:, 3] * 3
    out[:, 8] = a[:, ETA] * 0.3
    out[:, 9] = np.arcsinh(dz / np.maximum(np.abs(dr), 1e-3)) * 0.3
    chi2 = (residual[:, 2] + 1) * 0.5
    context_features(triplet_index[0], triplet_index[1], chi2, inward, outward, out)
    return out
