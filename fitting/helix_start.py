"""Start values of a helix fit: circle and line through points, without iterations.

References: Karimäki, Nucl. Instrum. Meth. A 305, 187 (1991).
"""

from __future__ import annotations

import numpy as np

from trkx.fitting.helix_model import TAU, Z0, PaddedPoints, pass_points

STRIP_WEIGHT = 0.01
"""Of points whose place along their strip is not known yet, beside 1 of the others."""


def start_helices(points: PaddedPoints) -> np.ndarray:
    """Fit a circle to x and y with equal weights, then a line to z along it.

    Returns:
        shape (5, T); NaN where the points determine no circle, such as those of one place.
    """
    x, y, z = points.position
    weight = points.used.astype(np.float64)
    if points.free is not None:
        weight[(points.free != 0.0).any(axis=0)] *= STRIP_WEIGHT
    weight /= np.maximum(weight.sum(axis=0), 1e-12)

    def mean(values: np.ndarray) -> np.ndarray:
        return (weight * values).sum(axis=0)

    r2 = x * x + y * y
    mx, my, mr = mean(x), mean(y), mean(r2)
    dx, dy, dr = x - mx, y - my, r2 - mr
    xx, xy, yy = mean(dx * dx), mean(dx * dy), mean(dy * dy)
    xr, yr, rr = mean(dx * dr), mean(dy * dr), mean(dr * dr)
    phi = 0.5 * np.arctan2(2.0 * (rr * xy - xr * yr), rr * (xx - yy) - xr * xr + yr * yr)
    # The axis of the points has two directions; tracks fly outward.
    last = points.used.sum(axis=0) - 1
    columns = np.arange(len(last))
    outward_x, outward_y = x[last, columns] - x[0], y[last, columns] - y[0]
    phi = np.where(np.cos(phi) * outward_x + np.sin(phi) * outward_y < 0.0, phi + np.pi, phi)
    cos, sin = np.cos(phi), np.sin(phi)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (cos * yr - sin * xr) / rr
        offset = cos * my - sin * mx - slope * mr
        root = np.sqrt(1.0 - 4.0 * slope * offset)
        helix = np.stack([2.0 * offset / (1.0 + root), phi, 2.0 * slope / root, 0.0 * mx, 0.0 * mx])
        # Points within a micrometre of each other have no direction.
        helix[:, ~(xx + yy > 1e-6)] = np.nan
        passage, _, _ = pass_points(helix, points.position)
        s = np.where(points.used, passage.s, 0.0)
        ms, mz = mean(s), mean(z)
        ds = s - ms
        helix[TAU] = mean(ds * z) / mean(ds * ds)
        helix[Z0] = mz - helix[TAU] * ms
    return helix
