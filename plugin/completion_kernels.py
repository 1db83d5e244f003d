"""Completion of tracks, compiled: hits on layers that a track crosses and has none on."""

from __future__ import annotations

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import R, X, Y, Z, shape_allows
from trkx.plugin.hit_table import N_ALONG, N_PHI
from trkx.plugin.track_following import (
    CC,
    DC,
    MAX_HITS,
    N_STATE,
    PRECISE,
    UU,
    VZZ,
    ZZ,
    U,
    arc,
    errors,
    move,
    reference,
    run_filter,
)

REACH = 350.0  # mm of arc beyond the ends of a track
SEARCH = 5.0  # standard deviations of the search in cells
# Columns of what is known of a completed track.
CHI2, CURVATURE, CURVATURE_ERROR, HOLES, BEFORE, AFTER, ADDED, LAYERS, IMPACT, START = range(10)
N_SUMMARY = 10
INTERIOR, INWARD, OUTWARD = range(3)


@njit(**PRECISE)
def crossing(circle, s_middle, at_radius, radius, z_first, slope, z):
    """Arc length where the track crosses a cylinder or a plane; 1e9: nowhere."""
    if not at_radius:
        return (z - z_first) / slope if abs(slope) > 1e-3 else 1e9
    cx, cy, bend = circle[0], circle[1], circle[2]
    distance = np.sqrt(cx * cx + cy * cy)
    cosine = (distance * distance + radius * radius - bend * bend) / (2 * distance * radius)
    if abs(cosine) >= 1:
        return 1e9
    opening = np.arccos(cosine)
    centre = np.arctan2(cy, cx)
    best = 1e9
    for side in range(2):
        azimuth = centre + (opening if side == 0 else -opening)
        s, _ = arc(circle, radius * np.cos(azimuth), radius * np.sin(azimuth))
        if abs(s - s_middle) < abs(best - s_middle):
            best = s
    return best


@njit(**PRECISE)
def predict(s_hit, n, s, forward, backward, x, other):
    """Write the state at arc length `s_hit` into x; returns interior, inward or outward.

    Between two hits only u and z with their variances are combined.
    """
    k = 0
    while k < n and s[k] < s_hit:
        k += 1
    if k == 0:
        x[:] = backward[0]
        move(x, s_hit - s[0])
        return INWARD
    x[:] = forward[k - 1]
    move(x, s_hit - s[k - 1])
    if k == n:
        return OUTWARD
    other[:] = backward[k]
    move(other, s_hit - s[k])
    a, b = 1 / x[UU], 1 / other[UU]
    x[U], x[UU] = (a * x[U] + b * other[U]) / (a + b), 1 / (a + b)
    a, b = 1 / x[VZZ], 1 / other[VZZ]
    x[ZZ], x[VZZ] = (a * x[ZZ] + b * other[ZZ]) / (a + b), 1 / (a + b)
    return INTERIOR


@njit(**PRECISE)
def pulls(hit, layer, h, circle, slope, barrel, sigma, n, s, forward, backward, x, other):
    """χ² of hit h to the track, product of its errors (mm²) on the layer, kind of prediction."""
    s_hit, u_hit = arc(circle, hit[h, X], hit[h, Y])
    mode = predict(s_hit, n, s, forward, backward, x, other)
    var_u, var_z = errors(
        hit, h, circle, slope, not barrel[layer[h]], sigma[layer[h], 0], sigma[layer[h], 1]
    )
    var_u += x[UU]
    var_z += x[VZZ]
    pull_u, pull_z = u_hit - x[U], hit[h, Z] - x[ZZ]
    chi2 = pull_u * pull_u / var_u + pull_z * pull_z / var_z
    # The error of z on a disc is one of r there.
    across = var_z if barrel[layer[h]] else var_z / max(slope * slope, 1e-2)
    return chi2, np.sqrt(var_u * across), mode


@njit(**PRECISE)
def direction(circle, s_hit, slope, out):
    """Direction of flight at arc length s."""
    turn = circle[3] + s_hit / circle[2]
    side = 1.0 if circle[2] > 0 else -1.0
    out[0], out[1], out[2] = -np.sin(turn) * side, np.cos(turn) * side, slope


@njit(**PRECISE)
def sort_by_arc(hit, own, n, circle, s, u):
    """Order the hits along the circle, and fill s and u."""
    for k in range(n):
        s[k], u[k] = arc(circle, hit[own[k], X], hit[own[k], Y])
    for k in range(1, n):
        h, sk, uk = own[k], s[k], u[k]
        j = k
        while j > 0 and s[j - 1] > sk:
            own[j], s[j], u[j] = own[j - 1], s[j - 1], u[j - 1]
            j -= 1
        own[j], s[j], u[j] = h, sk, uk


@njit(**PRECISE)
def complete(hit, layer, module, cell_start, barrel, along, across, sigma, least, chi2_max, used,
             owner, weak, starts, nodes, order, passes):  # fmt: skip
    """Complete tracks one after the other; hits are taken once.

    Args:
        sigma: (L, 2) resolution of the layers in r-phi and along, mm.
        least: (3,) least log likelihood ratio of hits between, before and after those of a track.
        chi2_max: largest χ² of a hit.
        used: (N,) bool, hits that are on a track; changed.
        owner: (N,) int32, the track of each hit, -1: none; changed.
        weak: (T,) bool, tracks that may lose hits to others until it is their turn; changed.
        starts, nodes: hits of the tracks.
        order: (T,) in which they are completed.
        passes: how often each is looked at.

    Returns:
        n_hits (T,), hits (T, MAX_HITS) and summary (T, N_SUMMARY).
    """
    n_tracks = len(starts) - 1
    n_layers = len(barrel)
    n_hits = np.zeros(n_tracks, np.int32)
    hits = np.full((n_tracks, MAX_HITS), -1, np.int32)
    summary = np.zeros((n_tracks, N_SUMMARY), np.float32)
    own = np.empty(MAX_HITS, np.int32)
    s, u = np.empty(MAX_HITS), np.empty(MAX_HITS)
    forward, backward = np.empty((MAX_HITS, N_STATE)), np.empty((MAX_HITS, N_STATE))
    x, other = np.empty(N_STATE), np.empty(N_STATE)
    circle, flight = np.empty(4), np.empty(3)
    found = np.empty(n_layers, np.int32)
    for q in range(n_tracks):
        t = order[q]
        weak[t] = False
        n = 0
        for k in range(starts[t], starts[t + 1]):
            if owner[nodes[k]] == t and n < MAX_HITS:
                own[n] = nodes[k]
                n += 1
        added = 0
        if n >= 3 and reference(hit, own, n, circle):
            for step in range(passes + 1):
                sort_by_arc(hit, own, n, circle, s, u)
                slope = (hit[own[n - 1], Z] - hit[own[0], Z]) / max(s[n - 1] - s[0], 1e-3)
                z_first = hit[own[0], Z] - slope * s[0]
                chi2 = run_filter(
                    hit, layer, own, n, 1, circle, slope, barrel, sigma, s, u, forward
                )
                run_filter(hit, layer, own, n, -1, circle, slope, barrel, sigma, s, u, backward)
                last = forward[n - 1]
                summary[t, CHI2] = chi2
                summary[t, CURVATURE] = abs(1 / circle[2] + last[DC])
                summary[t, CURVATURE_ERROR] = np.sqrt(max(last[CC], 0.0))
                summary[t, HOLES] = summary[t, BEFORE] = summary[t, AFTER] = 0
                centre = np.sqrt(circle[0] * circle[0] + circle[1] * circle[1])
                summary[t, IMPACT] = abs(centre - abs(circle[2]))
                summary[t, START] = hit[own[0], R]
                n_new = 0
                for c in range(n_layers):
                    found[c] = -1
                    low, high = across[c, 0], across[c, 1]
                    where, half = 0.5 * (low + high), 0.5 * abs(high - low) + 1.0
                    at = crossing(
                        circle, 0.5 * (s[0] + s[n - 1]), barrel[c], where, z_first, slope, where
                    )
                    if at < s[0] - REACH or at > s[n - 1] + REACH:
                        continue
                    turn = circle[3] + at / circle[2]
                    px = circle[0] + abs(circle[2]) * np.cos(turn)
                    py = circle[1] + abs(circle[2]) * np.sin(turn)
                    radius = np.sqrt(px * px + py * py)
                    predict(at, n, s, forward, backward, x, other)
                    v = x[ZZ] if barrel[c] else radius
                    if v < along[c, 0] or v > along[c, 1] or radius < 1.0:
                        continue
                    has = False
                    for k in range(n):
                        has = has or layer[own[k]] == c
                    if not has:
                        kind = BEFORE if at < s[0] else AFTER if at > s[n - 1] else HOLES
                        summary[t, kind] += 1
                    if step == passes or n + n_new >= MAX_HITS:
                        continue
                    direction(circle, at, slope, flight)
                    # Sine of the angle between the track and the radial direction.
                    radial = (flight[0] * px + flight[1] * py) / radius
                    sine = np.sqrt(max(1 - radial * radial, 0.0))
                    steep = max(abs(slope), 0.05)
                    wide_u = SEARCH * np.sqrt(x[UU] + sigma[c, 0] ** 2)
                    wide_z = SEARCH * np.sqrt(x[VZZ] + sigma[c, 1] ** 2 if barrel[c] else x[VZZ])
                    if barrel[c]:
                        reach = wide_z + abs(slope) * half / max(abs(radial), 0.3)
                        width = wide_u / max(abs(radial), 0.3) + half * sine
                    else:
                        reach = SEARCH * sigma[c, 1] + wide_z / steep + half / steep + wide_u * sine
                        width = wide_u + sine * (reach + half / steep)
                    if reach > 200.0 or width > 200.0:
                        continue
                    scale = N_ALONG / (along[c, 1] - along[c, 0])
                    a_lo = max(int((v - reach - along[c, 0]) * scale), 0)
                    a_hi = min(int((v + reach - along[c, 0]) * scale), N_ALONG - 1)
                    azimuth, span = np.arctan2(py, px), min(width / radius, 1.0)
                    b_lo = int(np.floor((azimuth - span + np.pi) * (N_PHI / (2 * np.pi))))
                    b_hi = int(np.floor((azimuth + span + np.pi) * (N_PHI / (2 * np.pi))))
                    ring = (
                        c * N_ALONG + min(max(int((v - along[c, 0]) * scale), 0), N_ALONG - 1)
                    ) * N_PHI
                    density = (cell_start[ring + N_PHI] - cell_start[ring] + 1.0) * scale
                    density /= 2 * np.pi * radius
                    best = 0.0
                    for a in range(a_lo, a_hi + 1):
                        for b in range(b_lo, b_hi + 1):
                            cell = (c * N_ALONG + a) * N_PHI + (b + N_PHI) % N_PHI
                            for h in range(cell_start[cell], cell_start[cell + 1]):
                                if used[h] and not (owner[h] >= 0 and weak[owner[h]]):
                                    continue
                                twin = False
                                for k in range(n):
                                    twin = twin or module[own[k]] == module[h]
                                if twin:
                                    continue
                                chi2_hit, area, mode = pulls(
                                    hit, layer, h, circle, slope, barrel, sigma, n, s, forward,
                                    backward, x, other,
                                )  # fmt: skip
                                if chi2_hit > chi2_max:
                                    continue
                                # Log likelihood of being the track's against being there by chance.
                                gain = -0.5 * chi2_hit - np.log(2 * np.pi * area * density)
                                if gain - least[mode] <= best:
                                    continue
                                if not shape_allows(hit, h, flight[0], flight[1], flight[2]):
                                    continue
                                best = gain - least[mode]
                                found[c] = h
                    if found[c] >= 0:
                        n_new += 1
                if n_new == 0:
                    break
                for c in range(n_layers):
                    h = found[c]
                    if h >= 0:
                        own[n] = h
                        n += 1
                        owner[h] = t
                        used[h] = True
                added += n_new
        n_hits[t] = n
        hits[t, :n] = own[:n]
        summary[t, ADDED] = added
        count = 0
        for k in range(n):
            new = True
            for j in range(k):
                new = new and layer[own[j]] != layer[own[k]]
            count += 1 if new else 0
        summary[t, LAYERS] = count
    return n_hits, hits, summary
