"""Truth of one event as the metrics need it, and which particles a finder is asked to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trkx.io.event import Event

# Production radius that divides primaries from displaced particles, in mm.
DISPLACED_RADIUS = 1.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EventTruth:
    """Particles of one event and the measurements they made.

    number: event number.
    particles: columns of the `particles` tree, each of shape (P,); `vx vy vz px py pz q` and
        `vertex_primary` are used (mm, GeV, e).
    measurement_particle_offsets: shape (M + 1,), int64.
    measurement_particle_rows: int64, rows of `particles`; noise has none.
    positions: shape (M, 3), float64, global position of each measurement in mm, or None. Without
        them fakes are counted but not binned.
    """

    number: int
    particles: Mapping[str, NDArray]
    measurement_particle_offsets: NDArray[np.int64]
    measurement_particle_rows: NDArray[np.int64]
    positions: NDArray[np.float64] | None = None

    @classmethod
    def from_event(cls, event: Event) -> EventTruth:
        """Take the truth of an event as read from files or from the whiteboard.

        Positions are those of the measurements, or of the space points made from them.
        """
        return cls(
            number=event.number,
            particles=event.particles,
            measurement_particle_offsets=event.measurement_particle_offsets,
            measurement_particle_rows=event.measurement_particle_rows,
            positions=_positions(event),
        )

    @classmethod
    def from_pairs(
        cls,
        number: int,
        particles: Mapping[str, NDArray],
        measurement: NDArray,
        particle_row: NDArray,
        n_measurements: int,
        positions: NDArray[np.float64] | None = None,
    ) -> EventTruth:
        """Take the truth as (measurement, particle) pairs in any order.

        Args:
            number: event number.
            particles: columns of the `particles` tree.
            measurement: shape (N,), index of a measurement.
            particle_row: shape (N,), row of a particle that contributes to it; negative rows
                (noise) are dropped.
            n_measurements: measurements in the event.
            positions: see `EventTruth`.
        """
        measurement = np.asarray(measurement, dtype=np.int64)
        particle_row = np.asarray(particle_row, dtype=np.int64)
        kept = particle_row >= 0
        measurement, particle_row = measurement[kept], particle_row[kept]
        order = np.argsort(measurement, kind="stable")
        counts = np.bincount(measurement, minlength=n_measurements)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(number, particles, offsets, particle_row[order], positions)

    @property
    def n_particles(self) -> int:
        return len(self.particles["q"]) if self.particles else 0

    @property
    def n_measurements(self) -> int:
        return len(self.measurement_particle_offsets) - 1

    @cached_property
    def measurements_of_particle(self) -> NDArray[np.int64]:
        """Shape (P,): measurements each particle contributes to."""
        return np.bincount(self.measurement_particle_rows, minlength=self.n_particles)

    @cached_property
    def pt(self) -> NDArray[np.float64]:
        """Shape (P,): transverse momentum at production, GeV."""
        return np.hypot(self._column("px"), self._column("py"))

    @cached_property
    def eta(self) -> NDArray[np.float64]:
        """Shape (P,): pseudorapidity at production."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.arcsinh(self._column("pz") / self.pt)

    @cached_property
    def phi(self) -> NDArray[np.float64]:
        """Shape (P,): azimuth at production, rad."""
        return np.arctan2(self._column("py"), self._column("px"))

    @cached_property
    def production_radius(self) -> NDArray[np.float64]:
        """Shape (P,): distance of the production vertex from the z axis, mm."""
        return np.hypot(self._column("vx"), self._column("vy"))

    @property
    def charged(self) -> Bools:
        return self._column("q") != 0

    @property
    def displaced(self) -> Bools:
        return self.production_radius > DISPLACED_RADIUS

    @property
    def n_interactions(self) -> int:
        """Primary vertices with particles: the hard scatter and the pile-up."""
        if "vertex_primary" not in self.particles:
            return 0
        return len(np.unique(self.particles["vertex_primary"]))

    def _column(self, name: str) -> NDArray[np.float64]:
        if not self.particles:
            return np.zeros(0)
        return np.asarray(self.particles[name], dtype=np.float64)


def _positions(event: Event) -> NDArray[np.float64] | None:
    measurements, points = event.measurements, event.space_points
    if "rec_gx" in measurements:
        columns = [measurements[f"rec_g{axis}"] for axis in "xyz"]
        return np.stack(columns, axis=1).astype(np.float64)
    if "x" not in points or "measurement_id" not in points:
        return None
    result = np.full((len(event.measurement_particle_offsets) - 1, 3), np.nan)
    rows = np.asarray(points["measurement_id"], dtype=np.int64)
    at = np.stack([points[axis] for axis in "xyz"], axis=1)
    second = np.asarray(points.get("geometry_id_2", np.zeros(len(rows)))) != 0
    if second.any():
        result[np.asarray(points["measurement_id_2"], dtype=np.int64)[second]] = at[second]
    result[rows] = at
    return result


@dataclass(frozen=True)
class Target:
    """The particles a finder is asked to find, of any generation."""

    name: str  # key in performance.json
    min_pt: float  # GeV, exclusive
    max_abs_eta: float = 4.0  # exclusive
    min_measurements: int = 7  # inclusive
    min_track_measurements: int = 7  # tracks with fewer are left out of fakes and duplicates

    @property
    def words(self) -> str:
        """The cuts as a phrase."""
        return (
            f"charged, pT > {self.min_pt:g} GeV, |eta| < {self.max_abs_eta:g}, "
            f"at least {self.min_measurements} measurements, any generation"
        )

    def select(self, truth: EventTruth) -> Bools:
        """Shape (P,): which particles are targets."""
        return (
            truth.charged
            & (truth.pt > self.min_pt)
            & (np.abs(truth.eta) < self.max_abs_eta)
            & (truth.measurements_of_particle >= self.min_measurements)
        )


PT1 = Target("pt1", min_pt=1.0)
PT05 = Target("pt05", min_pt=0.5)
TARGETS = (PT1, PT05)
