"""ACTS tracks with parameters that were fitted outside of ACTS."""

from __future__ import annotations

import ctypes
from typing import Any

import acts
import acts.examples
import numpy as np

__all__ = ["tracks_with_parameters"]

TIME_SIGMA = 1.0 * acts.UnitConstants.ns
"""Uncertainty of the time, which is not fitted."""


def tracks_with_parameters(
    tracks: Any,
    parameters: np.ndarray,
    covariance: np.ndarray,
    chi2: np.ndarray,
    ndf: np.ndarray,
) -> Any:
    """Copy tracks and give them parameters at the perigee on the z axis.

    Args:
        tracks: `acts.examples.ConstTrackContainer` of T tracks.
        parameters: shape (T, 5), ACTS' d0, z0, φ, θ, q/p.
        covariance: shape (T, 5, 5).
        chi2: shape (T,).
        ndf: shape (T,).

    Returns:
        a `ConstTrackContainer`.
    """
    n = len(tracks)
    copy = acts.examples.TrackContainer(tracks)
    perigee = acts.Surface.createPerigee(acts.Vector3(0.0, 0.0, 0.0))
    rows = zip(parameters.tolist(), chi2.tolist(), ndf.tolist(), copy, strict=True)
    for values, square, freedom, track in rows:
        track.parameters = acts.BoundVector(*values, 0.0)
        track.referenceSurface = perigee
        track.chi2, track.nDoF = square, freedom
    result = copy.makeConst()
    full = np.zeros((n, 6, 6))
    full[:, :5, :5] = covariance
    full[:, 5, 5] = TIME_SIGMA**2
    _overwrite(result.covariance, full)
    return result


def _overwrite(view: np.ndarray, values: np.ndarray) -> None:
    """Write symmetric matrices into a container's memory, of which it shows a read-only view.

    pyacts 48.1 has no way to make a `BoundMatrix` of given numbers. The container is new, and
    nobody else has seen it yet.
    """
    if view.dtype != np.float64 or view.shape != values.shape or len(values) == 0:
        assert len(values) == 0, (view.dtype, view.shape)
        return
    # Only the order of rows and columns may differ, and the matrices are symmetric.
    assert view.strides[0] == values.strides[0], view.strides
    ctypes.memmove(view.ctypes.data, values.ctypes.data, values.nbytes)
