"""A helix in a homogeneous field along z: how it passes points, and how material kicks it.

Internally a helix is (d0, φ0, κ, z0, τ) at its closest approach to the z axis: signed transverse
distance, azimuth of flight, curvature dφ/ds in 1/mm, z, and cot θ. With t the direction of flight
and n = ẑ × t in the transverse plane, the curve is, with ψ = κ s,

    c(s) = (d0 + (1 - cos ψ) / κ) n0 + (sin ψ / κ) t0,    z(s) = z0 + τ s.

A point is compared with the curve at the foot of its perpendicular in the transverse plane: its
distance along n, and its z minus that of the curve. All formulae are exact and written so that
κ = 0 is an ordinary value.

References: Karimäki, Nucl. Instrum. Meth. A 305, 187 (1991), for the circle in (d0, φ0, κ);
Strandlie, Wittek, Nucl. Instrum. Meth. A 566, 687 (2006), for Jacobians along helices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

D0, PHI, KAPPA, Z0, TAU = range(5)
"""Rows of an array of helices, shape (5, T)."""

PION_MASS = 0.13957039  # GeV
HIGHLAND = 0.0136  # GeV, of Highland's formula
MAXIMUM_SLIDE = 100.0  # mm, of a point along its strip in one step
SMALL_ANGLE = 1e-3  # rad, below which a series replaces a difference of nearly equal numbers


@dataclass(frozen=True)
class PaddedPoints:
    """Points of T tracks in H slots, the innermost in slot 0; unused slots have weight 0.

    Attributes:
        position: shape (3, H, T), mm.
        covariance: shape (6, H, T), xx, xy, yy, xz, yz, zz, mm².
        thickness: shape (H, T), radiation lengths crossed at normal incidence.
        normal: shape (3, H, T), of the layer that the point is on; any length.
        used: shape (H, T), bool.
        scatterer: shape (3, H, T), mm, where the material of the layer is, at the point or beyond
            it; None: at the points.
        free: shape (3, H, T), unit vectors along which points do not measure, 0 where they
            measure two coordinates; None: all do.
    """

    position: np.ndarray
    covariance: np.ndarray
    thickness: np.ndarray
    normal: np.ndarray
    used: np.ndarray
    scatterer: np.ndarray | None = None
    free: np.ndarray | None = None

    def take(self, tracks: np.ndarray) -> PaddedPoints:
        """The points of some of the tracks."""
        taken: dict[str, Any] = {}
        for field in fields(self):
            plane = getattr(self, field.name)
            taken[field.name] = None if plane is None else np.ascontiguousarray(plane[..., tracks])
        return PaddedPoints(**taken)


@dataclass(frozen=True)
class Passage:
    """Where and how helices pass their points; shapes (H, T).

    Attributes:
        s: transverse path from the perigee, mm.
        cos, sin: of the turning angle ψ = κ s.
        along: sin ψ / κ, mm.
        across: (1 - cos ψ) / κ, mm.
        beyond: s - sin ψ / κ, over κ, mm².
        bent: (1 - cos ψ) / κ², mm².
        direction: (2, H, T), unit vectors of flight in the transverse plane.
    """

    s: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    along: np.ndarray
    across: np.ndarray
    beyond: np.ndarray
    bent: np.ndarray
    direction: np.ndarray


def pass_points(helix: np.ndarray, position: np.ndarray) -> tuple[Passage, np.ndarray, np.ndarray]:
    """Follow helices to the feet of points.

    Args:
        helix: shape (5, T).
        position: shape (3, H, T), mm.

    Returns:
        the passage; and the residuals, shape (H, T), mm: along n, and in z.
    """
    d0, kappa = helix[D0], helix[KAPPA]
    c0, s0 = np.cos(helix[PHI]), np.sin(helix[PHI])
    x, y, z = position
    a = c0 * x + s0 * y
    b = d0 + s0 * x - c0 * y  # d0 minus the distance along n0
    lever = 1.0 + kappa * b
    ka = kappa * a
    radius = np.sqrt(ka * ka + lever * lever)
    radius[radius == 0.0] = 1.0  # the centre of the circle has no foot
    cos, sin, along = lever / radius, ka / radius, a / radius
    psi = np.arctan2(sin, cos)
    small = np.abs(psi) < SMALL_ANGLE
    # s = along · ψ / sin ψ; at ψ = π, opposite the perigee, any large value does.
    with np.errstate(divide="ignore", invalid="ignore"):
        s = np.where(small, along * (1.0 + psi * psi / 6.0), psi / kappa)
        beyond = np.where(small, s * s * psi / 6.0, (s - along) / kappa)
    bent = along * along / np.maximum(1.0 + cos, 1e-9)
    distance = -(2.0 * b + kappa * (a * a + b * b)) / (1.0 + radius)
    direction = np.stack([c0 * cos - s0 * sin, s0 * cos + c0 * sin])
    passage = Passage(s, cos, sin, along, kappa * bent, beyond, bent, direction)
    return passage, distance, z - helix[Z0] - s * helix[TAU]


def slide(helix: np.ndarray, points: PaddedPoints) -> PaddedPoints:
    """Move points along what they do not measure to where the helices pass.

    A strip's middle may be some centimetres off, and across these a helix is not straight.
    """
    if points.free is None:
        return points
    passage, along_n, in_z = pass_points(helix, points.position)
    cos, sin = passage.direction
    x, y, z = points.free
    free_n, free_z = cos * y - sin * x, z - helix[TAU] * (cos * x + sin * y)
    square = free_n**2 + free_z**2
    step = -(free_n * along_n + free_z * in_z) / np.where(square > 0.0, square, 1.0)
    # Where a wrong start passes far away, the end of the strip is as good.
    step = np.clip(step, -MAXIMUM_SLIDE, MAXIMUM_SLIDE)
    return replace(points, position=points.position + step * points.free)


def derivatives(helix: np.ndarray, passage: Passage) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of where the helix passes, along n and in z, by its five parameters.

    Returns:
        two arrays of shape (H, 5, T).
    """
    p, tau = passage, helix[TAU]
    by_n = np.zeros((p.s.shape[0], 5, p.s.shape[1]))
    by_n[:, D0] = p.cos
    by_n[:, PHI] = p.along + helix[D0] * p.sin
    by_n[:, KAPPA] = p.bent
    by_z = np.empty_like(by_n)
    # A curve that moves forward has its foot at a shorter path.
    by_z[:, D0] = -tau * p.sin
    by_z[:, PHI] = tau * (helix[D0] * p.cos - p.across)
    by_z[:, KAPPA] = -tau * p.beyond
    by_z[:, Z0] = 1.0
    by_z[:, TAU] = p.s
    return by_n, by_z


def whitening(
    helix: np.ndarray, points: PaddedPoints, passage: Passage
) -> tuple[np.ndarray, np.ndarray]:
    """What makes two uncorrelated residuals of unit variance of those along n and in z.

    The covariance of a point is projected along the direction of flight: what a module does not
    measure, the coordinate along its normal, does not count.

    Returns:
        weights w, shape (2, H, T), 0 in unused slots, and slopes m, shape (H, T): the residuals
        are `w[0] * along_n` and `w[1] * (in_z - m * along_n)`.
    """
    cos, sin = passage.direction
    tau = helix[TAU]
    xx, xy, yy, xz, yz, zz = points.covariance
    nn = sin * sin * xx - 2.0 * sin * cos * xy + cos * cos * yy
    tt = cos * cos * xx + 2.0 * sin * cos * xy + sin * sin * yy
    tn = cos * sin * (yy - xx) + (cos * cos - sin * sin) * xy
    tz, nz = cos * xz + sin * yz, cos * yz - sin * xz
    cross = nz - tau * tn
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = cross / nn
        rest = zz - 2.0 * tau * tz + tau * tau * tt - slope * cross
        weights = 1.0 / np.sqrt(np.stack([nn, rest]))
    return np.where(points.used, weights, 0.0), np.where(points.used, slope, 0.0)


def crossed_depth(helix: np.ndarray, points: PaddedPoints, passage: Passage) -> np.ndarray:
    """Radiation lengths crossed on the layer of each point, shape (H, T)."""
    cos, sin = passage.direction
    nx, ny, nz = points.normal
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    toward = np.abs(nx * cos + ny * sin + nz * helix[TAU]) / np.sqrt(1.0 + helix[TAU] ** 2)
    # At most ten times the thickness, for planes that a wrong start crosses lengthwise.
    return points.thickness * length / np.maximum(toward, 0.1 * np.maximum(length, 1e-9))


def inverse_momenta(helix: np.ndarray, field: float) -> tuple[np.ndarray, np.ndarray]:
    """1/p in 1/GeV and 1/β of pions, shape (T,), in a field in e·GeV/mm."""
    inverse = np.abs(helix[KAPPA]) / (abs(field) * np.sqrt(1.0 + helix[TAU] ** 2))
    return inverse, np.sqrt(1.0 + (PION_MASS * inverse) ** 2)


def scattering_angles(helix: np.ndarray, depth: np.ndarray, field: float) -> np.ndarray:
    """Widths of the projected scattering angles, shape (H, T), rad: Highland's formula.

    Args:
        helix: shape (5, T).
        depth: shape (H, T), radiation lengths crossed.
        field: e·GeV/mm (tesla times `acts.UnitConstants.T`).

    References: Highland, Nucl. Instrum. Meth. 129, 497 (1975); Workman et al. (PDG), Prog. Theor.
    Exp. Phys. 2022, 083C01, section 34.3.
    """
    inverse, inverse_beta = inverse_momenta(helix, field)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = 1.0 + 0.038 * np.log(depth * inverse_beta**2)
        angle = HIGHLAND * inverse * inverse_beta * np.sqrt(depth) * log
    return np.where(depth > 0.0, np.maximum(angle, 0.0), 0.0)


def kicks(helix: np.ndarray, passage: Passage, angle: np.ndarray) -> np.ndarray:
    """What a scattering by one standard deviation on each layer does to the perigee parameters.

    Extrapolated back, the helix beyond the layer has these parameters minus those of the helix
    before it. Two directions: in azimuth, and in the polar angle at constant momentum.

    Returns:
        shape (2, H, 5, T).
    """
    p, d0, kappa, tau = passage, helix[D0], helix[KAPPA], helix[TAU]
    shrink = 1.0 / (1.0 + kappa * d0)
    result = np.zeros((2, p.s.shape[0], 5, p.s.shape[1]))
    azimuth, polar = result
    turned = angle * np.sqrt(1.0 + tau * tau)
    azimuth[:, D0] = -p.along * turned
    azimuth[:, PHI] = shrink * p.cos * turned
    azimuth[:, Z0] = -tau * shrink * (p.across + d0) * turned
    bent = bends(helix, passage)
    polar += bent * (-kappa * tau * angle)[:, None]
    steeper = -(1.0 + tau * tau) * angle
    polar[:, Z0] -= p.s * steeper
    polar[:, TAU] = steeper
    return result


def bends(helix: np.ndarray, passage: Passage) -> np.ndarray:
    """What a unit change of curvature at each point does to the perigee parameters.

    Returns:
        shape (H, 5, T).
    """
    p, d0, tau = passage, helix[D0], helix[TAU]
    shrink = 1.0 / (1.0 + helix[KAPPA] * d0)
    result = np.zeros((p.s.shape[0], 5, p.s.shape[1]))
    result[:, D0] = p.bent
    result[:, PHI] = -p.along * shrink
    result[:, KAPPA] = 1.0
    result[:, Z0] = tau * (p.beyond + d0 * shrink * p.along)
    return result
