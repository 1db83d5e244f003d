"""Everything that a step of the helix fit needs to know at the helices it starts from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.fitting.helix_filter import accumulate
from trkx.fitting.helix_model import (
    KAPPA,
    PaddedPoints,
    bends,
    crossed_depth,
    derivatives,
    inverse_momenta,
    kicks,
    pass_points,
    scattering_angles,
    whitening,
)

if TYPE_CHECKING:
    from trkx.fitting.helix_fit import HelixFitSettings


@dataclass(frozen=True)
class Expansion:
    """Derivatives, weights and material at some helices.

    Attributes:
        weights: shape (2, H, T), and
        slope: shape (H, T), see `whitening`.
        rows: shape (2, H, 5, T), derivatives of the residuals of unit variance.
        kicks: shape (2, H, 5, T), what one standard deviation of scattering does to the perigee
            parameters; None: no scattering.
        shifts: shape (H, 5, T), what the energy lost on all layers up to each does to them; None:
            none is lost.
    """

    weights: np.ndarray
    slope: np.ndarray
    rows: np.ndarray
    kicks: np.ndarray | None
    shifts: np.ndarray | None

    @classmethod
    def at(cls, helix: np.ndarray, points: PaddedPoints, settings: HelixFitSettings) -> Expansion:
        """Expand at helices, shape (5, T)."""
        passage, _, _ = pass_points(helix, points.position)
        weights, slope = whitening(helix, points, passage)
        by_n, by_z = derivatives(helix, passage)
        by_z -= slope[:, None] * by_n
        by_n *= weights[0][:, None]
        by_z *= weights[1][:, None]
        if points.scatterer is not None:
            passage, _, _ = pass_points(helix, points.scatterer)
        depth = crossed_depth(helix, points, passage)
        kicked = shifts = None
        if settings.scattering:
            angles = scattering_angles(helix, depth, settings.native_field)
            kicked = kicks(helix, passage, angles)
        if settings.energy_loss > 0.0:
            inverse, inverse_beta = inverse_momenta(helix, settings.native_field)
            bent = helix[KAPPA] * settings.energy_loss * inverse * inverse_beta * depth
            shifts = np.cumsum(bends(helix, passage) * bent[:, None], axis=0)
        return cls(weights, slope, np.stack([by_n, by_z]), kicked, shifts)

    def take(self, tracks: np.ndarray) -> Expansion:
        """The expansion of some of the tracks."""
        taken: dict[str, Any] = {}
        for field in fields(self):
            part = getattr(self, field.name)
            taken[field.name] = None if part is None else part[..., tracks]
        return Expansion(**taken)

    def sums(
        self, helix: np.ndarray, points: PaddedPoints
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Information, gain and sum of squares of helices near by; see `accumulate`."""
        _, along_n, in_z = pass_points(helix, points.position)
        residuals = self.weights * np.stack([along_n, in_z - self.slope * along_n])
        if self.shifts is not None:
            residuals[:, 1:] -= (self.rows[:, 1:] * self.shifts[:-1]).sum(axis=2)
        return accumulate(residuals, self.rows, self.kicks)
