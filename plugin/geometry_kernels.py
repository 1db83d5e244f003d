"""Doublet and triplet geometry, shared by the learning and the finding of edges.

Circles through the beam line become straight lines under the conformal map
(x, y) → (x, y) / r² (Hansroul, Jeremie and Savard, Nucl. Instrum. Meth. A 270, 498 (1988)), so
that curvature and residuals need no trigonometric functions.

Numba's cache notices changes of a kernel's own file only, not of what it calls: after a change
here, run `make clean`, or the kernels of other files keep the old code.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Columns of the hit table, (N, N_COLUMNS) float32, mm; u, v, w are the module's local axes 0, 1
# and its normal; the slope ranges are those that the hit's cluster sizes allow.
X, Y, Z, R, PHI, CX, CY, U, V, W = 0, 1, 2, 3, 4, 5, 6, 7, 10, 13
SLOPE0_LOW, SLOPE0_HIGH, SLOPE1_LOW, SLOPE1_HIGH = 16, 17, 18, 19
N_COLUMNS = 20

JIT = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": True}


@njit(inline="always", **JIT)
def doublet_geometry(hit, i, j, s):
    """Signed kappa (1/mm) and folded z0 (mm) of the doublet (i, j), folded by the sign `s`."""
    dcx = hit[j, CX] - hit[i, CX]
    dcy = hit[j, CY] - hit[i, CY]
    kappa = (hit[i, CX] * dcy - hit[i, CY] * dcx) / np.sqrt(dcx * dcx + dcy * dcy)
    dr = hit[j, R] - hit[i, R]
    if abs(dr) < np.float32(1e-3):
        z0 = np.float32(1e6)
    else:
        z0 = s * (hit[i, Z] - hit[i, R] * (hit[j, Z] - hit[i, Z]) / dr)
    return kappa, z0


@njit(inline="always", **JIT)
def triplet_geometry(hit, i, j, k, s, along_z):
    """Residuals (mm) of hit j and the signed kappa (1/mm) of hits i, k with the beam line.

    The first residual is transverse, from the circle through the beam line, i and k. The second
    is in z at the arc length of j (`along_z`, barrel) or in arc length at the z of j (disc).
    """
    dcx = hit[k, CX] - hit[i, CX]
    dcy = hit[k, CY] - hit[i, CY]
    inverse = np.float32(1.0) / np.sqrt(dcx * dcx + dcy * dcy)
    kappa = (hit[i, CX] * dcy - hit[i, CY] * dcx) * inverse
    ex = hit[j, CX] - hit[i, CX]
    ey = hit[j, CY] - hit[i, CY]
    transverse = (dcx * ey - dcy * ex) * inverse * hit[j, R] * hit[j, R]
    # Arc length from the beam line: asin(kappa r) / kappa, to fourth order.
    k2 = kappa * kappa
    ri, rj, rk = hit[i, R], hit[j, R], hit[k, R]
    a = k2 * ri * ri
    b = k2 * rj * rj
    c = k2 * rk * rk
    third, fifth = np.float32(1.0 / 6.0), np.float32(3.0 / 40.0)
    si = ri * (np.float32(1.0) + a * (third + a * fifth))
    sj = rj * (np.float32(1.0) + b * (third + b * fifth))
    sk = rk * (np.float32(1.0) + c * (third + c * fifth))
    zi, zj, zk = s * hit[i, Z], s * hit[j, Z], s * hit[k, Z]
    if along_z:
        ds = sk - si
        f = (sj - si) / ds if abs(ds) > np.float32(1e-3) else np.float32(0.5)
        along = zj - (zi + f * (zk - zi))
    else:
        dz = zk - zi
        f = (zj - zi) / dz if abs(dz) > np.float32(1e-3) else np.float32(0.5)
        along = sj - (si + f * (sk - si))
    return transverse, along, kappa


@njit(inline="always", **JIT)
def triplet_curvature(hit, i, j, k):
    """Signed curvature (1/mm) of the circle through three hits, wherever it comes from."""
    ax, ay = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y]
    bx, by = hit[k, X] - hit[j, X], hit[k, Y] - hit[j, Y]
    cx, cy = hit[k, X] - hit[i, X], hit[k, Y] - hit[i, Y]
    product = (ax * ax + ay * ay) * (bx * bx + by * by) * (cx * cx + cy * cy)
    return np.float32(2.0) * (ax * by - ay * bx) / np.sqrt(max(product, np.float32(1e-6)))


@njit(inline="always", **JIT)
def polar_angle(hit, i, j):
    """Angle of the doublet (i, j) to the beam line in r-z."""
    return np.arctan2(hit[j, R] - hit[i, R], hit[j, Z] - hit[i, Z])


@njit(inline="always", **JIT)
def module_slopes(hit, i, dx, dy, dz):
    """|slope| along local 0 and 1 of the direction (dx, dy, dz) in the module of hit i."""
    w = abs(dx * hit[i, W] + dy * hit[i, W + 1] + dz * hit[i, W + 2])
    w = max(w, np.float32(1e-6))
    a = abs(dx * hit[i, U] + dy * hit[i, U + 1] + dz * hit[i, U + 2]) / w
    b = abs(dx * hit[i, V] + dy * hit[i, V + 1] + dz * hit[i, V + 2]) / w
    return a, b


@njit(inline="always", **JIT)
def shape_allows(hit, i, dx, dy, dz):
    """Whether the cluster sizes of hit i allow a track in the direction (dx, dy, dz)."""
    w = abs(dx * hit[i, W] + dy * hit[i, W + 1] + dz * hit[i, W + 2])
    b = abs(dx * hit[i, V] + dy * hit[i, V + 1] + dz * hit[i, V + 2])
    if b < hit[i, SLOPE1_LOW] * w or b > hit[i, SLOPE1_HIGH] * w:
        return False
    a = abs(dx * hit[i, U] + dy * hit[i, U + 1] + dz * hit[i, U + 2])
    return hit[i, SLOPE0_LOW] * w <= a <= hit[i, SLOPE0_HIGH] * w


@njit(**JIT)
def doublet_table(hit, sign, source, target):
    """(E, 6) float32: kappa, z0, |slope| 0 and 1 at the source, then at the target."""
    out = np.empty((len(source), 6), np.float32)
    for e in range(len(source)):
        i, j = source[e], target[e]
        out[e, 0], out[e, 1] = doublet_geometry(hit, i, j, sign[i])
        dx, dy, dz = hit[j, X] - hit[i, X], hit[j, Y] - hit[i, Y], hit[j, Z] - hit[i, Z]
        out[e, 2], out[e, 3] = module_slopes(hit, i, dx, dy, dz)
        out[e, 4], out[e, 5] = module_slopes(hit, j, dx, dy, dz)
    return out


@njit(**JIT)
def triplet_table(hit, sign, barrel, layer, i, j, k):
    """(T, 5) float32: transverse residual, residual along, kappa, curvature, kink in r-z."""
    out = np.empty((len(i), 5), np.float32)
    for t in range(len(i)):
        out[t, 0], out[t, 1], out[t, 2] = triplet_geometry(
            hit, i[t], j[t], k[t], sign[i[t]], barrel[layer[j[t]]]
        )
        out[t, 3] = triplet_curvature(hit, i[t], j[t], k[t])
        out[t, 4] = polar_angle(hit, j[t], k[t]) - polar_angle(hit, i[t], j[t])
    return out


@njit(**JIT)
def track_curvatures(hit, i, j, k):
    """(T, 2) float32: curvature (1/mm) of first, middle and last hits of tracks, lever arm (mm).

    The smaller one of two estimates: of the circle through the three hits, and of the circle
    through the beam line and the outer two, which is the better one for primary particles. The
    lever arm is the distance of the first and last hit in r-phi.
    """
    out = np.empty((len(i), 2), np.float32)
    for t in range(len(i)):
        a, b = i[t], k[t]
        dcx, dcy = hit[b, CX] - hit[a, CX], hit[b, CY] - hit[a, CY]
        length = np.sqrt(max(dcx * dcx + dcy * dcy, np.float32(1e-12)))
        from_beam = np.float32(2) * abs(hit[a, CX] * dcy - hit[a, CY] * dcx) / length
        out[t, 0] = min(from_beam, abs(triplet_curvature(hit, a, j[t], b)))
        dx, dy = hit[b, X] - hit[a, X], hit[b, Y] - hit[a, Y]
        out[t, 1] = np.sqrt(dx * dx + dy * dy)
    return out
