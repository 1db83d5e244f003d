"""Straight lines φ(r) and z(r) through groups of hits, with a prior, and residuals to them.

Tracks of pT above 1 GeV in a 2 T field are nearly straight in these coordinates. The prior of
particles from the beam line lets a line be fitted to any number of hits, even one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMA_PHI = 3e-3  # rad, scatter of hits about the line
SIGMA_Z = 3e-3  # m, the same perpendicular to the direction of flight
PRIOR_SLOPE = 0.25  # rad/m; 0.3 is a particle of 1 GeV in 2 T
PRIOR_Z0 = 0.06  # m, length of the luminous region
PRIOR_COT = 30.0  # cot θ at |η| = 4


@dataclass(frozen=True)
class TrackLines:
    """S lines; lengths in m, angles in rad. Covariances are those of (intercept, slope)."""

    reference: Tensor  # (S,) azimuth that φ is measured from
    phi: Tensor  # (S, 2) intercept and slope
    phi_covariance: Tensor  # (S, 3): 00, 01, 11
    z: Tensor  # (S, 2)
    z_covariance: Tensor  # (S, 3)
    centre: Tensor  # (S, 3) mean r, azimuth, z
    size: Tensor  # (S,) number of hits
    cosh: Tensor  # (S,) cosh η of the mean direction

    def features(self) -> Tensor:
        """(S, 27) of order 1: slope, z0, number of hits, centre, and waves of φ0 and η."""
        r, _, z = self.centre.unbind(1)
        columns = (
            self.phi[:, 1] * 4,
            self.z[:, 0] * 10,
            torch.log(self.size.clamp(min=1)) / 2,
            self.phi_covariance[:, 2].clamp(min=0).sqrt() * 4,
            r,
            z,
        )
        direction = waves(self.reference + self.phi[:, 0], torch.asinh(self.z[:, 1]))
        return torch.cat([torch.stack(columns, dim=1), direction], dim=1)


N_WAVES = 5  # octaves of each angle
N_DIRECTION = 4 * N_WAVES + 1
N_LINE_FEATURES = 6 + N_DIRECTION
N_RESIDUALS = 6


def wrap(angle: Tensor) -> Tensor:
    """The same angle in [-π, π)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def waves(phi: Tensor, eta: Tensor) -> Tensor:
    """(S, 21) Fourier features of directions, in which nearby ones are far enough apart.

    A network needs many steps to learn functions that change within a hundredth of its input's
    range; tracks are that near to each other in φ and η.

    References: Tancik et al., NeurIPS 2020, arXiv:2006.10739.
    """
    octave = 2.0 ** torch.arange(N_WAVES, device=phi.device, dtype=phi.dtype)
    parts = [f(a[:, None] * octave) for a in (phi, eta) for f in (torch.cos, torch.sin)]
    return torch.cat([*parts, eta[:, None] / 2], dim=1)


def _regression(
    s0: Tensor, s1: Tensor, s2: Tensor, t0: Tensor, t1: Tensor, prior: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Bayesian line through points: parameters (S, 2), covariance (S, 3).

    Args:
        s0, s1, s2: (S,) sums of w, w r, w r².
        t0, t1: (S,) sums of w y, w r y.
        prior: standard deviations of intercept and slope about 0.
    """
    a, b, d = s0 + prior[0] ** -2, s1, s2 + prior[1] ** -2
    det = a * d - b * b
    covariance = torch.stack([d / det, -b / det, a / det], dim=1)
    parameters = torch.stack([(d * t0 - b * t1) / det, (a * t1 - b * t0) / det], dim=1)
    return parameters, covariance


@torch.no_grad()
def fit_lines(position: Tensor, group: Tensor, n: int) -> TrackLines:
    """Fit the lines of `n` groups of hits.

    Args:
        position: (N, 3) r (mm), φ (rad), z (mm).
        group: (N,) int64, group of each hit, -1: none.
        n: number of groups; every group has a hit.
    """
    dtype = position.dtype
    member = (group >= 0).nonzero().squeeze(1)
    group = group[member]
    # Doubles: the normal equations of short fragments are nearly singular.
    r, phi, z = (position[member].double() * position.new_tensor([1e-3, 1.0, 1e-3])).unbind(1)

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(n).index_add_(0, group, values)

    size = sums(torch.ones_like(r))
    reference = torch.atan2(sums(torch.sin(phi)), sums(torch.cos(phi)))
    y = wrap(phi - reference[group])
    centre = torch.stack([sums(r) / size, reference, sums(z) / size], dim=1)
    cosh = torch.sqrt(1 + (centre[:, 2] / centre[:, 0].clamp(min=1e-3)) ** 2)
    w = torch.full_like(r, SIGMA_PHI**-2)
    phi_line = _regression(
        sums(w), sums(w * r), sums(w * r * r), sums(w * y), sums(w * r * y), (10.0, PRIOR_SLOPE)
    )
    w = (SIGMA_Z * cosh[group]) ** -2
    z_line = _regression(
        sums(w), sums(w * r), sums(w * r * r), sums(w * z), sums(w * r * z), (PRIOR_Z0, PRIOR_COT)
    )
    parts = (reference, *phi_line, *z_line, centre, size, cosh)
    return TrackLines(*(part.to(dtype) for part in parts))


def edge_lines(position: Tensor, edge_index: Tensor) -> TrackLines:
    """The line through the two hits of every edge.

    Args:
        position: (N, 3) r (mm), φ (rad), z (mm).
        edge_index: (2, E) int64.
    """
    n = edge_index.shape[1]
    group = torch.arange(n, device=position.device).repeat(2)
    return fit_lines(position[edge_index.reshape(-1)], group, n)


@torch.no_grad()
def residuals(lines: TrackLines, position: Tensor, index: Tensor) -> Tensor:
    """How points lie to lines: (K, 6) of order 1.

    Columns: φ residual, its pull, z residual across the direction of flight, its pull (all
    compressed by arsinh), and the distance to the centre of the line's hits in r and z.

    Args:
        lines: S lines.
        position: (N, 3) r (m), φ (rad), z (m).
        index: (2, K) int64 rows of points and of lines.
    """
    r, phi, z = position.index_select(0, index[0]).unbind(1)
    line = index[1]
    p, pc = lines.phi.index_select(0, line), lines.phi_covariance.index_select(0, line)
    q, qc = lines.z.index_select(0, line), lines.z_covariance.index_select(0, line)
    cosh = lines.cosh.index_select(0, line)
    centre = lines.centre.index_select(0, line)
    dphi = wrap(phi - lines.reference.index_select(0, line) - p[:, 0] - p[:, 1] * r)
    dz = z - q[:, 0] - q[:, 1] * r
    phi_error = pc[:, 0] + 2 * pc[:, 1] * r + pc[:, 2] * r * r + SIGMA_PHI**2
    z_error = qc[:, 0] + 2 * qc[:, 1] * r + qc[:, 2] * r * r + (SIGMA_Z * cosh) ** 2
    columns = (
        torch.asinh(dphi * 100),
        torch.asinh(dphi / phi_error.clamp(min=1e-12).sqrt()),
        torch.asinh(dz / cosh * 100),
        torch.asinh(dz / z_error.clamp(min=1e-12).sqrt()),
        (r - centre[:, 0]) * 3,
        (z - centre[:, 2]) / cosh * 3,
    )
    return torch.stack(columns, dim=1) / 2
