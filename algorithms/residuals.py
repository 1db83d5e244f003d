"""Residuals and pulls of fitted tracks against the truth at the beam line.

The particle's helix is followed, without approximation, from its production vertex to its closest
approach to the beam line, where ACTS' perigee parameters (d0, z0, phi, theta, q/p) are compared
with the fit. Only tracks that are the match of a primary target particle enter: for displaced
particles the way to the beam line is longer and through material.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trkx.algorithms.matching import TrackClassification, TrackMatching
from trkx.algorithms.metrics_histograms import Counts, linear, none_for_nan
from trkx.algorithms.metrics_kinematics import GEV_PER_TESLA_MM
from trkx.algorithms.metrics_statistics import Core, Rate, core_width
from trkx.algorithms.metrics_truth import PT1, EventTruth, Target

# Tracks whose residuals are kept for the widths in bins of eta and pT: 26 MB at most.
MAX_SAMPLES = 500_000


@dataclass(frozen=True)
class Parameter:
    """One of the perigee parameters, by ACTS' names in histogram files."""

    name: str
    label: str
    unit: str
    residual_range: float  # of the histogram, as in ACTS' ResPlotTool
    acts_index: int  # in BoundVector


PARAMETERS = (
    Parameter("d0", "$d_0$", "mm", 0.5, 0),
    Parameter("z0", "$z_0$", "mm", 0.5, 1),
    Parameter("phi", r"$\phi$", "rad", 0.01, 2),
    Parameter("theta", r"$\theta$", "rad", 0.01, 3),
    Parameter("qop", "$q/p$", "e/GeV", 0.1, 4),
)
# (q/p fitted - q/p true) / |q/p true|: the momentum resolution that papers quote.
RELATIVE_QOP = Parameter("qop_relative", "$q/p$, relative", "", 0.1, 4)
QUANTITIES = (*PARAMETERS, RELATIVE_QOP)

ETA_EDGES = linear(-4, 4, 16)
PT_EDGES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 100.0)


def perigee_parameters(
    position: ArrayLike,
    momentum: ArrayLike,
    charge: ArrayLike,
    field: float = 2.0,
    beam: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Perigee parameters of particles at their closest approach to a line along z.

    Exact for a homogeneous field along z without material. Of the turns of a helix, the nearest
    half turn to the given position is taken. d0 has the sign of ACTS: positive if the line lies to
    the right of the direction of flight seen from +z.

    Args:
        position: shape (N, 3), a point of the trajectory, mm.
        momentum: shape (N, 3), momentum there, GeV; pT must not be 0.
        charge: shape (N,), e; neutral particles go straight, and have q/p = 1/p as in ACTS.
        field: T.
        beam: x and y of the line, mm.

    Returns:
        shape (N, 5): d0 and z0 in mm, phi in (-pi, pi] and theta in rad, q/p in e/GeV.
    """
    position = np.asarray(position, dtype=np.float64).reshape(-1, 3)
    momentum = np.asarray(momentum, dtype=np.float64).reshape(-1, 3)
    charge = np.asarray(charge, dtype=np.float64)
    x, y = position[:, 0] - beam[0], position[:, 1] - beam[1]
    px, py, pz = momentum.T
    pt, p = np.hypot(px, py), np.linalg.norm(momentum, axis=1)
    cos, sin = px / pt, py / pt

    # Change of azimuth per transverse path; positive charges turn clockwise in a field along +z.
    omega = -charge * GEV_PER_TESLA_MM * field / pt
    bent = omega != 0
    safe = np.where(bent, omega, 1.0)

    # From the line to the centre of the circle, and its distance along the normal of flight.
    centre_x, centre_y = x - sin / safe, y + cos / safe
    distance = np.hypot(centre_x, centre_y)
    turn = np.sign(safe)
    phi_bent = np.arctan2(-turn * centre_x, turn * centre_y)
    # sign * distance - radius, written so that large radii do not cancel:
    # distance^2 - radius^2 = x^2 + y^2 + 2 * (y cos - x sin) / omega.
    power = x**2 + y**2 + 2.0 * (y * cos - x * sin) / safe
    d0_bent = turn * power / (distance + 1.0 / np.abs(safe))
    angle = (phi_bent - np.arctan2(sin, cos) + np.pi) % (2.0 * np.pi) - np.pi

    phi = np.where(bent, phi_bent, np.arctan2(py, px))
    d0 = np.where(bent, d0_bent, y * cos - x * sin)
    path = np.where(bent, angle / safe, -(x * cos + y * sin))
    z0 = position[:, 2] + path * pz / pt
    return np.stack([d0, z0, phi, np.arctan2(pt, pz), np.where(bent, charge, 1.0) / p], axis=1)


def residuals_and_pulls(
    parameters: NDArray, covariance: NDArray, truth: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual and pull of each track and quantity.

    Args:
        parameters: shape (N, 6) or (N, 5), ACTS' bound parameters at the perigee.
        covariance: shape (N, 6, 6) or (N, 5, 5).
        truth: shape (N, 5), from `perigee_parameters`.

    Returns:
        residuals and pulls, both of shape (N, 6), in the order of `QUANTITIES`; pulls are NaN where
        the variance is not positive.
    """
    index = [quantity.acts_index for quantity in QUANTITIES]
    residual = parameters[:, :5] - truth
    residual[:, 2] = (residual[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
    variance = np.diagonal(covariance, axis1=1, axis2=2)[:, :5]
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = np.where(variance > 0, residual / np.sqrt(variance), np.nan)
    residual, pull = residual[:, index], pull[:, index]
    residual[:, -1] /= np.abs(truth[:, 4])
    return residual, pull


class FitMetrics:
    """Residuals, pulls and failures of one fitter on one finder's tracks, summed over events.

    Histograms grow with nothing; of the tracks, the first `MAX_SAMPLES` are kept for the widths.
    """

    def __init__(self, finder: str, fitter: str, target: Target = PT1) -> None:
        self.finder = finder
        self.fitter = fitter
        self.target = target
        self.n_events = 0
        self.n_found = 0
        self.n_fitted = 0
        self.failures: Counter[str] = Counter()
        self.residual_counts = {
            q.name: Counts(linear(-q.residual_range, q.residual_range, 100)) for q in QUANTITIES
        }
        self.pull_counts = {q.name: Counts(linear(-5, 5, 100)) for q in PARAMETERS}
        self._chunks: list[NDArray[np.float32]] = []
        self._n_samples = 0
        self._lock = threading.Lock()

    def add_event(
        self,
        truth: EventTruth,
        matching: TrackMatching,
        parameters: NDArray,
        covariance: NDArray,
        fitted: NDArray[np.bool_],
        n_found: int,
        field: float = 2.0,
        beam: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Compare the fitted tracks of one event with the truth.

        Args:
            truth: particles and measurements of the event.
            matching: of the fitted tracks, shape (T,).
            parameters: shape (T, 6), at the perigee.
            covariance: shape (T, 6, 6).
            fitted: shape (T,), False where a track has no fitted parameters.
            n_found: tracks that were given to the fit; those that did not come back, or came back
                without parameters, count as failures.
            field: T.
            beam: x and y of the perigee line, mm.
        """
        finite = np.isfinite(parameters[:, :5]).all(axis=1)
        usable = fitted & finite
        chosen = usable & (matching.classification == TrackClassification.MATCHED)
        selected = self.target.select(truth) & ~truth.displaced
        chosen[chosen] = selected[matching.particle[chosen]]
        rows = matching.particle[chosen]

        columns = {
            name: np.asarray(truth.particles[name], dtype=np.float64)[rows]
            for name in ("vx", "vy", "vz", "px", "py", "pz", "q")
        }
        reference = perigee_parameters(
            np.stack([columns["vx"], columns["vy"], columns["vz"]], axis=1),
            np.stack([columns["px"], columns["py"], columns["pz"]], axis=1),
            columns["q"],
            field,
            beam,
        )
        residual, pull = residuals_and_pulls(
            np.asarray(parameters)[chosen], np.asarray(covariance)[chosen], reference
        )
        sample = np.concatenate(
            [truth.eta[rows, None], truth.pt[rows, None], residual, pull[:, :-1]], axis=1
        ).astype(np.float32)
        with self._lock:
            self.n_events += 1
            self.n_found += n_found
            self.n_fitted += int(usable.sum())
            self._count_failures(n_found, len(fitted), int(fitted.sum()), int(usable.sum()))
            for column, quantity in enumerate(QUANTITIES):
                self.residual_counts[quantity.name].fill(residual[:, column])
            for column, quantity in enumerate(PARAMETERS):
                self.pull_counts[quantity.name].fill(pull[:, column])
            self._keep(sample)

    def merge(self, other: FitMetrics) -> None:
        """Add the sums of other events."""
        with self._lock:
            self.n_events += other.n_events
            self.n_found += other.n_found
            self.n_fitted += other.n_fitted
            self.failures.update(other.failures)
            for name, counts in self.residual_counts.items():
                counts.merge(other.residual_counts[name])
            for name, counts in self.pull_counts.items():
                counts.merge(other.pull_counts[name])
            for chunk in other._chunks:
                self._keep(chunk)

    @property
    def fit_fraction(self) -> Rate:
        """Tracks with fitted parameters / tracks given to the fit."""
        return Rate(self.n_fitted, self.n_found)

    def resolution(self, name: str) -> Core:
        """Core of the residuals of one of `QUANTITIES`."""
        return core_width(self._samples()[:, 2 + _index(name)])

    def pull(self, name: str) -> Core:
        """Core of the pulls of one of `PARAMETERS`."""
        return core_width(self._samples()[:, 2 + len(QUANTITIES) + _index(name)])

    def to_dict(self) -> dict[str, Any]:
        """All figures for performance.json."""
        rate = self.fit_fraction
        lower, upper = rate.interval
        return {
            "n_events": self.n_events,
            "n_found": self.n_found,
            "n_fitted": self.n_fitted,
            "fit_fraction": rate.value if rate.total else None,
            "fit_fraction_error": rate.error if rate.total else None,
            "fit_fraction_interval": [lower, upper],
            "failures": dict(self.failures),
            "n_residuals": self._n_samples,
            "resolutions": {
                q.name: {"unit": q.unit, **_core(self.resolution(q.name))} for q in QUANTITIES
            },
            "pulls": {q.name: _core(self.pull(q.name)) for q in PARAMETERS},
            "resolutions_vs": self._binned_widths(2, [q.name for q in QUANTITIES]),
            "pulls_vs": self._binned_widths(2 + len(QUANTITIES), [q.name for q in PARAMETERS]),
            "residual_histograms": {n: c.to_dict() for n, c in self.residual_counts.items()},
            "pull_histograms": {n: c.to_dict() for n, c in self.pull_counts.items()},
        }

    def _binned_widths(self, first: int, names: list[str]) -> dict[str, Any]:
        samples = self._samples()
        result: dict[str, Any] = {}
        for column, (axis, edges) in enumerate((("eta", ETA_EDGES), ("pt", PT_EDGES))):
            bins = np.digitize(samples[:, column], edges) - 1
            result[axis] = {"edges": list(edges)}
            for offset, name in enumerate(names):
                cores = [
                    core_width(samples[bins == b, first + offset]) for b in range(len(edges) - 1)
                ]
                result[axis][name] = {
                    key: none_for_nan([getattr(core, key) for core in cores])
                    for key in ("mean", "mean_error", "width", "width_error")
                }
        return result

    def _samples(self) -> NDArray[np.float32]:
        if not self._chunks:
            return np.zeros((0, 2 + len(QUANTITIES) + len(PARAMETERS)), dtype=np.float32)
        if len(self._chunks) > 1:
            self._chunks = [np.concatenate(self._chunks)]
        return self._chunks[0]

    def _keep(self, sample: NDArray[np.float32]) -> None:
        sample = sample[: MAX_SAMPLES - self._n_samples]
        if len(sample):
            self._chunks.append(sample)
            self._n_samples += len(sample)

    def _count_failures(self, found: int, returned: int, with_parameters: int, usable: int) -> None:
        for reason, count in (
            ("no track returned", found - returned),
            ("no parameters at the perigee", returned - with_parameters),
            ("parameters not finite", with_parameters - usable),
        ):
            if count > 0:
                self.failures[reason] += count


def _index(name: str) -> int:
    return [quantity.name for quantity in QUANTITIES].index(name)


def _core(core: Core) -> dict[str, float | int | None]:
    return {k: None if v != v else v for k, v in asdict(core).items()}
