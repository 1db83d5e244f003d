"""Least squares with scattering, for many tracks at once, one layer after the other.

The sum of squares over all residuals and all scattering angles of a track is minimised exactly, as
in a fit with breakpoints or with the full covariance matrix of all residuals, but in a time that
grows with the number of points only. Going inward, the information about the five parameters
gains what each point measures, and loses what the scattering on each layer blurs:

    I → I + hᵀh,    I → I - I k kᵀ I / (1 + kᵀ I k),

with h the derivatives of a residual of unit variance and k the kick by one standard deviation. The
second is the Sherman-Morrison formula, and holds for the singular I of the first layers as well.

References: Blobel, Nucl. Instrum. Meth. A 566, 14 (2006), for breakpoints; Frühwirth, Nucl.
Instrum. Meth. A 262, 444 (1987), for the equivalence with a filter.
"""

from __future__ import annotations

import numpy as np


def accumulate(
    residuals: np.ndarray, rows: np.ndarray, kicks: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum up what the points of each track say about its parameters at the perigee.

    Args:
        residuals: shape (2, H, T), of unit variance, slot 0 innermost.
        rows: shape (2, H, 5, T), their derivatives.
        kicks: shape (2, H, 5, T), by the material of the layer of each point, at the point or
            between it and the next one; None: no scattering.

    Returns:
        information matrix, shape (5, 5, T), its product with the change of parameters at the
        minimum, shape (5, T), and the sum of squares at the expansion point, shape (T,).
    """
    n_slots, n_tracks = residuals.shape[1:]
    information = np.zeros((5, 5, n_tracks))
    gain = np.zeros((5, n_tracks))
    squares = (residuals**2).sum(axis=(0, 1))
    outer = np.empty_like(information)
    for slot in range(n_slots - 1, -1, -1):
        for kick in () if kicks is None else kicks[:, slot]:
            np.multiply(information, kick[None], out=outer)
            blurred = outer.sum(axis=1)
            loss = 1.0 / (1.0 + (kick * blurred).sum(axis=0))
            shift = (kick * gain).sum(axis=0) * loss
            squares -= (kick * gain).sum(axis=0) * shift
            gain -= blurred * shift
            np.multiply(blurred[:, None], (blurred * loss)[None], out=outer)
            information -= outer
        for row, residual in zip(rows[:, slot], residuals[:, slot], strict=True):
            np.multiply(row[:, None], row[None], out=outer)
            information += outer
            gain += row * residual
    return information, gain, squares


def invert(matrices: np.ndarray) -> np.ndarray:
    """Invert symmetric positive definite matrices by sweeping.

    Args:
        matrices: shape (n, n, T).

    Returns:
        shape (n, n, T); NaN where a matrix is singular to about ten digits, or not positive.
    """
    n = len(matrices)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / np.sqrt(np.einsum("iit->it", matrices))
        a = matrices * scale[:, None] * scale[None]
        good = np.isfinite(scale).all(axis=0)
        for k in range(n):
            pivot = a[k, k].copy()
            good &= pivot > 1e-10
            row = a[k].copy()
            a -= row[:, None] * (row / pivot)[None]
            a[k] = a[:, k] = row / pivot
            a[k, k] = -1.0 / pivot
        a *= -scale[:, None] * scale[None]
    a[:, :, ~good] = np.nan
    return a
