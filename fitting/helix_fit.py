"""Helix fits of many tracks at once, without a tracking geometry.

Each track is a helix in a homogeneous field along z, fitted to points with covariances by
Gauss-Newton steps from Karimäki's circle. Multiple scattering on the layers of the points is part
of the fit: see `helix_filter`. The parameters are ACTS' at the perigee on the z axis.

References: Karimäki, Nucl. Instrum. Meth. A 305, 187 (1991); Blobel, Nucl. Instrum. Meth. A 566,
14 (2006); Strandlie, Wittek, Nucl. Instrum. Meth. A 566, 687 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from trkx.fitting.helix_expansion import Expansion
from trkx.fitting.helix_filter import invert
from trkx.fitting.helix_model import D0, KAPPA, PHI, TAU, Z0, PaddedPoints, slide
from trkx.fitting.helix_points import PointPlanes, TrackPoints
from trkx.fitting.helix_start import start_helices

__all__ = ["FitStatus", "HelixFitSettings", "HelixFits", "fit_helices"]

TESLA = 0.299792458e-3
"""1 T in e·GeV/mm, ACTS' unit."""

MINIMUM_POINTS = 3


class FitStatus(IntEnum):
    """What became of a track."""

    FITTED = 0
    TOO_FEW_POINTS = 1  # fewer than three, or fewer than five coordinates
    NOT_FINITE = 2  # NaN or infinite numbers among its points, or negative variances
    DEGENERATE = 3  # its points do not determine a helix
    NOT_CONVERGED = 4


@dataclass(frozen=True)
class HelixFitSettings:
    """Settings of the helix fit."""

    field: float = 2.0  # along z, tesla
    scattering: bool = True  # on layers with a thickness
    energy_loss: float = 0.037  # GeV per radiation length, of a fast particle in silicon; 0: none
    beam_pipe: tuple[float, float] = (0.0, 0.0)  # radius in mm, radiation lengths; 0: none
    iterations: int = 10  # at most, after five with new derivatives each
    tolerance: float = 0.01  # converged when a step reduces chi2 by less
    chunk: int = 1024  # tracks at a time: what fits into the cache

    def __post_init__(self) -> None:
        if not (np.isfinite(self.field) and self.field != 0.0):
            raise ValueError(f"field: {self.field} T; without a field a helix has no momentum")
        for name in ("iterations", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}, expected 1 or more")
        radius, depth = self.beam_pipe
        if radius < 0 or depth < 0 or self.energy_loss < 0:
            raise ValueError("beam_pipe and energy_loss must not be negative")

    @property
    def native_field(self) -> float:
        """Field in e·GeV/mm, ACTS' unit."""
        return self.field * TESLA


@dataclass(frozen=True)
class HelixFits:
    """Fitted helices; NaN where the status is not `FITTED`.

    Attributes:
        parameters: shape (T, 5), d0, z0 (mm), φ in (-π, π], θ (rad), q/p (e/GeV), at the closest
            approach to the z axis; signs are those of ACTS.
        covariance: shape (T, 5, 5), of the parameters.
        chi2: shape (T,), the scattering angles' part included.
        ndf: shape (T,), int64, measured coordinates minus 5.
        status: shape (T,), int8, of `FitStatus`.
    """

    parameters: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    ndf: np.ndarray
    status: np.ndarray

    @property
    def fitted(self) -> np.ndarray:
        """Which tracks have parameters, shape (T,), bool."""
        return self.status == FitStatus.FITTED


def fit_helices(points: TrackPoints, settings: HelixFitSettings | None = None) -> HelixFits:
    """Fit a helix to each track.

    Nothing about the points is an error: tracks that cannot be fitted are flagged. Points further
    than half a turn from the perigee are out of reach.

    Args:
        points: of the tracks.
        settings: of the fit.
    """
    chosen = settings or HelixFitSettings()
    n = len(points.offsets) - 1
    status, ndf = _check(points)
    fits = HelixFits(
        np.full((n, 5), np.nan), np.full((n, 5, 5), np.nan), np.full(n, np.nan), ndf, status
    )
    good = np.flatnonzero(fits.fitted)
    lengths = points.offsets[good + 1] - points.offsets[good]
    # Tracks of similar length are padded least.
    good = good[np.argsort(lengths, kind="stable")]
    planes = points.planes()
    helix = np.full((5, n), np.nan)
    # The few that need more iterations are put together, so that chunks stay full. Kinks far
    # larger than expected, to which the residuals are large, let some tracks creep along with the
    # shape of the kicks; in the last round this is held.
    for iterations, held in ((2, False), (3, False), (chosen.iterations, True)):
        left = []
        for first in range(0, len(good), chosen.chunk):
            tracks = good[first : first + chosen.chunk]
            left.append(_fit_chunk(planes, tracks, helix, iterations, held, chosen, fits))
        good = np.concatenate([good[:0], *left])
    return fits


def _check(points: TrackPoints) -> tuple[np.ndarray, np.ndarray]:
    """Status before the fit, int8, and degrees of freedom, int64, of each track."""
    measuring = points.dimension > 0
    finite = np.isfinite(points.position).all(axis=1) & np.isfinite(points.covariance).all(axis=1)
    finite &= (points.covariance[:, [0, 2, 5]] >= 0.0).all(axis=1)
    finite &= np.isfinite(points.thickness) & np.isfinite(points.normal).all(axis=1)

    def per_track(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        result: np.ndarray = np.diff(total[points.offsets])
        return result

    ndf = per_track(points.dimension) - 5
    status = np.full(len(ndf), FitStatus.FITTED, np.int8)
    status[per_track(~finite) > 0] = FitStatus.NOT_FINITE
    status[(per_track(measuring) < MINIMUM_POINTS) | (ndf < 0)] = FitStatus.TOO_FEW_POINTS
    return status, ndf


def _fit_chunk(
    planes: PointPlanes,
    tracks: np.ndarray,
    helices: np.ndarray,
    iterations: int,
    held: bool,
    settings: HelixFitSettings,
    fits: HelixFits,
) -> np.ndarray:
    """Fit some tracks and write the results into `fits`.

    Args:
        planes: points of all tracks.
        tracks: which ones.
        helices: shape (5, T), of all tracks, to start from; NaN: not started yet. Holds where the
            tracks returned have come to.
        iterations: at most.
        held: expand once only, so that weights and derivatives are those of the start.
        settings: of the fit.
        fits: of all tracks.

    Returns:
        the tracks that have not converged, marked so.
    """
    padded = planes.pad(tracks)
    helix = helices[:, tracks]
    if np.isnan(helix).any():
        helix = start_helices(padded)
    if settings.scattering and settings.beam_pipe[1] > 0.0:
        padded = add_beam_pipe(padded, *settings.beam_pipe)
    active = np.isfinite(helix).all(axis=0)
    fits.status[tracks] = np.where(active, FitStatus.NOT_CONVERGED, FitStatus.DEGENERATE)
    expansion = None
    for _ in range(iterations):
        if not active.all():
            padded, helix, tracks = padded.take(active), helix[:, active], tracks[active]
            expansion = expansion.take(active) if expansion else None
        if len(tracks) == 0:
            break
        if expansion is None or not held:
            padded = slide(helix, padded)
            expansion = Expansion.at(helix, padded, settings)
        information, gain, squares = expansion.sums(helix, padded)
        covariance = invert(information)
        step = (covariance * gain[None]).sum(axis=1)
        improvement = (gain * step).sum(axis=0)
        helix = helix + step
        with np.errstate(invalid="ignore"):
            done = improvement < settings.tolerance
        chi2 = np.maximum(squares - improvement, 0.0)
        _store(fits, tracks[done], helix[:, done], covariance[..., done], chi2[done], settings)
        lost = ~np.isfinite(improvement)
        fits.status[tracks[lost]] = FitStatus.DEGENERATE
        active = ~done & ~lost
    tracks, helix = tracks[active[: len(tracks)]], helix[:, active[: len(tracks)]]
    helices[:, tracks] = helix
    return tracks


def add_beam_pipe(points: PaddedPoints, radius: float, thickness: float) -> PaddedPoints:
    """Put material into a slot before the first, for tracks that begin outside of it.

    Its place is on the line from the axis to the first point, which is near enough.
    """
    first = points.position[:, :1]
    r = np.hypot(first[0], first[1])
    scale = np.array([radius, radius, 0.0])[:, None, None] / np.maximum(r, 1e-9)
    new = {
        "position": first * scale,
        "covariance": np.ones_like(points.covariance[:, :1]),
        "thickness": np.where(r > radius, thickness, 0.0),
        "normal": first * np.array([1.0, 1.0, 0.0])[:, None, None],
        "used": np.zeros_like(points.used[:1]),
    }
    return replace(
        points,
        scatterer=_prepend(points.scatterer, first * scale),
        free=_prepend(points.free, 0.0 * first),
        **{n: np.concatenate([new[n], getattr(points, n)], axis=-2) for n in new},
    )


def _prepend(planes: np.ndarray | None, slot: np.ndarray) -> np.ndarray | None:
    return None if planes is None else np.concatenate([slot, planes], axis=1)


def _store(
    fits: HelixFits,
    tracks: np.ndarray,
    helix: np.ndarray,
    covariance: np.ndarray,
    chi2: np.ndarray,
    settings: HelixFitSettings,
) -> None:
    """Write converged helices in ACTS' parameters."""
    tau = helix[TAU]
    sine2 = 1.0 / (1.0 + tau * tau)
    scale = -np.sqrt(sine2) / settings.native_field
    qop = scale * helix[KAPPA]
    phi = np.pi - np.mod(np.pi - helix[PHI], 2.0 * np.pi)
    fits.parameters[tracks] = np.stack(
        [helix[D0], helix[Z0], phi, np.arctan2(1.0, tau), qop], axis=1
    )
    jacobian = np.zeros((5, 5, len(tracks)))
    for row, column in enumerate((D0, Z0, PHI)):
        jacobian[row, column] = 1.0
    jacobian[3, TAU] = -sine2
    jacobian[4, KAPPA], jacobian[4, TAU] = scale, -qop * tau * sine2
    j = np.moveaxis(jacobian, -1, 0)
    fits.covariance[tracks] = j @ np.moveaxis(covariance, -1, 0) @ np.swapaxes(j, 1, 2)
    fits.chi2[tracks] = chi2
    fits.status[tracks] = FitStatus.FITTED
