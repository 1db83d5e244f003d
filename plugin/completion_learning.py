"""What completion learns from simulated events: resolution of layers, quality of tracks."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from trkx.plugin.layers import Layers

STIFF = 3.0  # times the threshold; scattering hides the resolution of softer tracks
PRIOR = 0.02  # of the regression's weights
MIN_TRIPLETS = 20  # of one kind, for a width
GAUSSIAN = 1.4826  # standard deviation of a Gaussian over its median absolute deviation
INTERPOLATION = 1.22  # error of a hit against the mean of its neighbours, over its own


def learn_resolution(triplets: np.ndarray, layers: Layers) -> np.ndarray:
    """(L, 2) float32: resolution of each layer in r-phi and along, mm.

    The spread of the middle hits of true triplets, in the best combination of layers; the median
    over the layers of a volume, which are built alike.

    Args:
        triplets: (T, >=5) of stiff particles: three layers, residuals in r-phi and along, mm.
        layers: the detector's layers.
    """
    n = len(layers)
    layer = triplets[:, :3].astype(int)
    key = (layer[:, 0] * n + layer[:, 1]) * n + layer[:, 2]
    order = np.argsort(key, kind="stable")
    out = np.full((n, 2), np.inf)
    for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if len(rows) < MIN_TRIPLETS:
            continue
        residual = triplets[rows, 3:5]
        spread = np.median(np.abs(residual - np.median(residual, axis=0)), axis=0)
        j = layer[rows[0], 1]
        out[j] = np.minimum(out[j], spread * GAUSSIAN / INTERPOLATION)
    out = np.minimum(out, out[layers.mirror])
    known = np.isfinite(out[:, 0])
    if not known.any():
        return np.zeros((0, 2), np.float32)
    overall = np.max(out[known], axis=0)  # where a volume has no triplet
    for volume in np.unique(layers.volume):
        inside = layers.volume == volume
        some = inside & known
        out[inside] = np.median(out[some], axis=0) if some.any() else overall
    return out.astype(np.float32)


def fit_quality(features: np.ndarray, good: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights (F,) float32 of the logistic regression that tells good tracks from fakes.

    Args:
        features: (T, F), see `CompletedTracks.features`.
        good: (T,) bool.
        weight: (T,) of the tracks in the loss.
    """
    sign = np.where(good, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (features @ w)
        value = (weight * np.logaddexp(0.0, -margin)).sum() + PRIOR * (w @ w)
        slope = -sign * weight * expit(-margin)
        return float(value), features.T @ slope + 2 * PRIOR * w

    start = np.zeros(features.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B").x.astype(np.float32)
