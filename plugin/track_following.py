"""A track as a filter sees it: a circle and a line, and how far scattering lets it depart.

Hits are given by the arc length s along the circle through first, middle and last hit, the distance
u from it, and z. Departures are small, so that (u, u', change of curvature) and (z, dz/ds) are two
linear filters, in either direction of flight. Material kicks u' and dz/ds at every hit.

References: Frühwirth, Nucl. Instrum. Meth. A 262, 444 (1987), for the filter; Highland, Nucl.
Instrum. Meth. 129, 497 (1975), for the kicks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT, R, X, Y, Z

MAX_HITS = 64
CURVATURE_PER_GEV = 0.6e-3  # 1/mm, times 1/pT, in 2 T
MATERIAL = 0.025  # radiation lengths of a layer
# Columns of a filter's state: u, u', curvature, their covariance, z, dz/ds, their covariance.
U, DU, DC, UU, UD, UC, DD, DDC, CC, ZZ, DZ, VZZ, VZD, VDD = range(14)
N_STATE = 14

# Numba's fast mathematics must not reorder the sums that cancel here.
PRECISE = {**JIT, "fastmath": False}


@njit(**PRECISE)
def reference(hit, nodes, n, circle):
    """Circle through first, middle and last of n hits: cx, cy, signed R, azimuth of the first.

    R is positive for tracks that turn to the left. False where the three hits are one point.
    """
    a, b, c = nodes[0], nodes[n // 2], nodes[n - 1]
    x1, y1 = float(hit[b, X]) - hit[a, X], float(hit[b, Y]) - hit[a, Y]
    x2, y2 = float(hit[c, X]) - hit[a, X], float(hit[c, Y]) - hit[a, Y]
    cross = x1 * y2 - y1 * x2
    l1, l2 = x1 * x1 + y1 * y1, x2 * x2 + y2 * y2
    if l1 < 1e-3 or l2 < 1e-3:
        return False
    # Nearly straight: a circle of 10 km.
    least = 1e-7 * np.sqrt(l1 * l2 * max((x2 - x1) ** 2 + (y2 - y1) ** 2, 1e-6))
    if abs(cross) < least:
        radius = 1e7 if cross >= 0 else -1e7
        length = np.sqrt(l2)
        ux, uy = -y2 / length * radius, x2 / length * radius
    else:
        ux = (y2 * l1 - y1 * l2) / (2 * cross)
        uy = (x1 * l2 - x2 * l1) / (2 * cross)
        radius = np.sqrt(ux * ux + uy * uy)
        if cross < 0:
            radius = -radius
    circle[0], circle[1] = hit[a, X] + ux, hit[a, Y] + uy
    circle[2] = radius
    circle[3] = np.arctan2(-uy, -ux)
    return True


@njit(inline="always", **PRECISE)
def arc(circle, x, y):
    """Arc length s from the first hit, and distance u to the left of the circle, mm."""
    dx, dy = x - circle[0], y - circle[1]
    turn = np.arctan2(dy, dx) - circle[3]
    if turn > np.pi:
        turn -= 2 * np.pi
    elif turn < -np.pi:
        turn += 2 * np.pi
    radius = circle[2]
    distance = np.sqrt(dx * dx + dy * dy)
    return turn * radius, (radius - distance if radius > 0 else distance + radius)


@njit(inline="always", **PRECISE)
def errors(hit, h, circle, slope, disc, sigma_t, sigma_a):
    """Variances of u and z of a hit on the track; the coarse axis of a disc is along r."""
    if not disc:
        return sigma_t * sigma_t, sigma_a * sigma_a
    # Sine of the angle between the track and the radial direction.
    dx, dy = hit[h, X] - circle[0], hit[h, Y] - circle[1]
    sine = (dx * hit[h, X] + dy * hit[h, Y]) / (np.sqrt(dx * dx + dy * dy) * hit[h, R])
    cosine2 = 1 - sine * sine
    var_u = cosine2 * sigma_t * sigma_t + sine * sine * sigma_a * sigma_a
    return var_u, slope * slope * (cosine2 * sigma_a * sigma_a + sine * sine * sigma_t * sigma_t)


@njit(inline="always", **PRECISE)
def move(x, ds):
    """Take the state by ds along the track, without noise."""
    half = 0.5 * ds * ds
    x[U] += ds * x[DU] + half * x[DC]
    x[DU] += ds * x[DC]
    # P ← F P Fᵀ with F = ((1, ds, ds²/2), (0, 1, ds), (0, 0, 1)).
    uu, ud, uc, dd, dc, cc = x[UU], x[UD], x[UC], x[DD], x[DDC], x[CC]
    x[UU] = uu + 2 * ds * ud + 2 * half * uc + ds * ds * dd + 2 * ds * half * dc + half * half * cc
    x[UD] = ud + ds * uc + ds * (dd + ds * dc) + half * (dc + ds * cc)
    x[UC] = uc + ds * dc + half * cc
    x[DD] = dd + 2 * ds * dc + ds * ds * cc
    x[DDC] = dc + ds * cc
    x[ZZ] += ds * x[DZ]
    x[VZZ] += 2 * ds * x[VZD] + ds * ds * x[VDD]
    x[VZD] += ds * x[VDD]


@njit(inline="always", **PRECISE)
def take(x, u, z, var_u, var_z):
    """Update the state with a hit; returns its χ²."""
    s = x[UU] + var_u
    k0, k1, k2, r = x[UU] / s, x[UD] / s, x[UC] / s, u - x[U]
    chi2 = r * r / s
    x[U] += k0 * r
    x[DU] += k1 * r
    x[DC] += k2 * r
    uu, ud, uc = x[UU], x[UD], x[UC]
    x[DD] -= k1 * ud
    x[DDC] -= k1 * uc
    x[CC] -= k2 * uc
    x[UU], x[UD], x[UC] = uu * (1 - k0), ud * (1 - k0), uc * (1 - k0)
    s = x[VZZ] + var_z
    k0, k1, r = x[VZZ] / s, x[VZD] / s, z - x[ZZ]
    chi2 += r * r / s
    x[ZZ] += k0 * r
    x[DZ] += k1 * r
    x[VDD] -= k1 * x[VZD]
    x[VZZ], x[VZD] = x[VZZ] * (1 - k0), x[VZD] * (1 - k0)
    return chi2


@njit(inline="always", **PRECISE)
def kick(x, curvature, slope, disc):
    """Scattering in the material of a layer."""
    secant2 = 1 + slope * slope
    path = np.sqrt(secant2)
    if disc:
        path /= max(abs(slope), 0.3)
    angle = 0.0136 / CURVATURE_PER_GEV * max(abs(curvature), 2e-5)
    variance = angle * angle * MATERIAL * path
    x[DD] += variance
    x[VDD] += variance * secant2


@njit(**PRECISE)
def run_filter(hit, layer, nodes, n, order, circle, slope, barrel, sigma, s, u, states):
    """Filter n hits in one direction.

    Args:
        order: +1 outward, -1 inward.
        s, u: (n,) of the hits.
        states: (n, N_STATE) the state after each hit, its own scattering included.

    Returns:
        χ² of the hits.
    """
    curvature = 1 / circle[2]
    x = np.zeros(N_STATE)
    begin = 0 if order > 0 else n - 1
    x[ZZ], x[DZ] = hit[nodes[begin], Z], slope
    # Wide priors: nothing but the curvature's is felt, which keeps short tracks near the circle.
    x[UU], x[DD], x[CC] = 1e2, 1e-2, 1e-6
    x[VZZ], x[VDD] = 1e4, 1.0
    chi2 = 0.0
    at = s[begin]
    for step in range(n):
        k = step if order > 0 else n - 1 - step
        h = nodes[k]
        disc = not barrel[layer[h]]
        move(x, s[k] - at)
        at = s[k]
        var_u, var_z = errors(hit, h, circle, slope, disc, sigma[layer[h], 0], sigma[layer[h], 1])
        chi2 += take(x, u[k], hit[h, Z], var_u, var_z)
        twin = step > 0 and layer[nodes[k - order]] == layer[h]
        if not twin:
            kick(x, curvature, slope, disc)
        states[k, :] = x
    return chi2
