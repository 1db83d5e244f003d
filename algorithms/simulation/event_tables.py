"""One simulated event to the columns of the four trees, noise included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trkx.algorithms.simulation.containers import Hits, Measurements
from trkx.algorithms.simulation.modules import ModuleTable, Readout
from trkx.algorithms.simulation.readings import Readings, read_out
from trkx.algorithms.simulation.strip_readings import read_out_strips
from trkx.algorithms.simulation.strip_sensors import StripSensors
from trkx.algorithms.simulation.strip_space_points import crossing_variances, strip_space_points
from trkx.io.event_writer import EventColumns
from trkx.io.schema import BARCODE, STRIP_COLUMNS

_LAYER_MASK = np.uint64(0xFFF)
_SENSITIVE_MASK = np.uint64(0xFFFFF)
_EXTRA_MASK = np.uint64(0xFF)


@dataclass(frozen=True)
class Truth:
    """Truth of each measurement, averaged over its hits; NaN for noise. Shapes (N,), (N, k)."""

    position: np.ndarray  # x, y, z, ct, mm
    local: np.ndarray  # mm
    direction: np.ndarray  # unit vectors
    q_over_p: np.ndarray  # e/GeV


def build_event_tables(
    hits: Hits,
    measurements: Measurements,
    particles: dict[str, np.ndarray],
    modules: ModuleTable,
    readout: Readout,
    noise: float,
    rng: np.random.Generator,
    sensors: StripSensors | None = None,
) -> dict[str, EventColumns]:
    """Put the event together.

    Without `sensors` there is one space point per measurement, in the same order. With them,
    space points of strips are crossings of two measurements, in the order of the first.

    Args:
        hits: simulated hits.
        measurements: digitized hits.
        particles: columns of the `particles` tree.
        modules: the detector.
        readout: pitch and resolution.
        noise: share of noise among all measurements.
        rng: random numbers of this event for the noise.
        sensors: layout of double-sided strip modules; None: both coordinates are measured.

    Returns:
        columns by tree name.
    """
    if sensors is None:
        readings = read_out(hits, measurements, modules, readout, noise, rng)
    else:
        readings = read_out_strips(hits, measurements, modules, readout, sensors, noise, rng)
    return tables_of_readings(hits, readings, particles, modules, sensors)


def tables_of_readings(
    hits: Hits,
    readings: Readings,
    particles: dict[str, np.ndarray],
    modules: ModuleTable,
    sensors: StripSensors | None = None,
) -> dict[str, EventColumns]:
    """Put an event together whose measurements are read out; see `build_event_tables`."""
    if sensors is None:
        space_points = _space_points(readings, modules)
    else:
        space_points = _space_points_of_strips(readings, modules, sensors)
    truth = _average_truth(hits, readings, particles)
    return {
        "spacepoints": EventColumns(flat=space_points),
        "measurements": _measurements(readings, truth, hits, particles, modules),
        "particles": EventColumns(
            flat={},
            jagged=particles,
            counts=np.array([len(particles["px"])], dtype=np.int64),
        ),
        "hits": _hits(hits, particles),
    }


def _average_truth(hits: Hits, readings: Readings, particles: dict[str, np.ndarray]) -> Truth:
    """Average over the hits of each measurement, as ACTS' averageSimHits does."""
    n = len(readings)
    rows, sources = readings.link.T
    count = np.bincount(rows, minlength=n).astype(np.float64)
    count[count == 0] = np.nan

    def mean(values: np.ndarray) -> np.ndarray:
        sums = [np.bincount(rows, column, minlength=n) for column in values.T]
        return np.stack(sums, axis=1) / count[:, None]

    momentum = hits.before[sources, :3]
    magnitude = np.linalg.norm(momentum, axis=1)
    direction = mean(momentum / magnitude[:, None])
    charge = particles["q"][hits.particle[sources]]
    position = np.concatenate([readings.crossing, hits.position[sources, 3:]], axis=1)
    return Truth(
        position=mean(position),
        local=mean(readings.true_local),
        direction=direction / np.linalg.norm(direction, axis=1)[:, None],
        q_over_p=mean((charge / magnitude)[:, None])[:, 0],
    )


def _identity(geometry_id: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "geometry_id": geometry_id,
        "volume_id": geometry_id >> np.uint64(56),
        "layer_id": (geometry_id >> np.uint64(36)) & _LAYER_MASK,
    }


def _space_points(readings: Readings, modules: ModuleTable) -> dict[str, np.ndarray]:
    n = len(readings)
    zero = np.zeros(n, dtype=np.uint64)
    return {
        "measurement_id": np.arange(n, dtype=np.uint64),
        "geometry_id": readings.geometry_id(modules),
        "measurement_id_2": zero,
        "geometry_id_2": zero,
        **_placed(readings.position, readings.variance, readings.module, modules),
    }


def _placed(
    position: np.ndarray, variance: np.ndarray, module: np.ndarray, modules: ModuleTable
) -> dict[str, np.ndarray]:
    """Positions (N, 3) and their variances, given along the axes of the module (N, 2)."""
    radius = np.hypot(position[:, 0], position[:, 1])
    axes = np.stack([modules.axis_u[module], modules.axis_v[module]], axis=1)
    radial = (axes[:, :, :2] * (position[:, None, :2] / radius[:, None, None])).sum(axis=2)
    return {
        "x": position[:, 0],
        "y": position[:, 1],
        "z": position[:, 2],
        "r": radius,
        "t": np.full(len(position), np.nan),
        "var_r": (radial**2 * variance).sum(axis=1),
        "var_z": (axes[:, :, 2] ** 2 * variance).sum(axis=1),
    }


def _space_points_of_strips(
    readings: Readings, modules: ModuleTable, sensors: StripSensors
) -> dict[str, np.ndarray]:
    """Pixels, and crossings of strips, in the order of their first measurements."""
    pixel = np.flatnonzero(readings.side == 0)
    strip = np.flatnonzero(readings.side > 0)
    first, second, crossing = strip_space_points(
        readings.module[strip],
        readings.side[strip],
        readings.position[strip],
        readings.half[strip],
        sensors.tolerance,
    )
    first, second = strip[first], strip[second]
    one, two = np.concatenate([pixel, first]), np.concatenate([pixel, second])
    order = np.lexsort((two, one))
    position = np.concatenate([readings.position[pixel], crossing])[order]
    variance = np.concatenate(
        [
            readings.variance[pixel],
            crossing_variances(
                readings.variance[first, 0], readings.variance[second, 0], sensors.stereo
            ),
        ]
    )[order]
    one, two = one[order], two[order]
    is_strip = one != two
    geometry_id = readings.geometry_id(modules)
    clusters = np.stack([readings.position[one], readings.position[two]], axis=1)
    clusters[~is_strip, 1] = np.nan
    return {
        "measurement_id": one,
        "geometry_id": geometry_id[one],
        "measurement_id_2": np.where(is_strip, two, 0),
        "geometry_id_2": np.where(is_strip, geometry_id[two], np.uint64(0)),
        **_placed(position, variance, readings.module[one], modules),
        **dict(zip(STRIP_COLUMNS, [is_strip, *clusters.reshape(-1, 6).T], strict=True)),
    }


def _measurements(
    readings: Readings,
    truth: Truth,
    hits: Hits,
    particles: dict[str, np.ndarray],
    modules: ModuleTable,
) -> EventColumns:
    n = len(readings)
    nan = np.full(n, np.nan)
    module, local, size = readings.module, readings.local, readings.size
    geometry_id, position = readings.geometry_id(modules), readings.position
    variance, link = readings.variance, readings.link
    residual = local - truth.local
    pull = residual / np.sqrt(variance)
    x, y, z = truth.direction.T
    axis_u, axis_v = modules.axis_u[module], modules.axis_v[module]
    along_u = (truth.direction * axis_u).sum(axis=1)
    along_v = (truth.direction * axis_v).sum(axis=1)
    along_w = (truth.direction * np.cross(axis_u, axis_v)).sum(axis=1)
    flat = {
        **_identity(geometry_id),
        "surface_id": (geometry_id >> np.uint64(8)) & _SENSITIVE_MASK,
        "extra_id": geometry_id & _EXTRA_MASK,
        "measurement_id": np.arange(n),
        "rec_loc0": local[:, 0],
        "rec_loc1": local[:, 1],
        "rec_time": nan,
        "var_loc0": variance[:, 0],
        "var_loc1": variance[:, 1],
        "var_time": nan,
        "rec_gx": position[:, 0],
        "rec_gy": position[:, 1],
        "rec_gz": position[:, 2],
        # A straight line through a box of a by b channels crosses a + b - 1 of them; ACTS' Python
        # interface does not tell the number of channels itself.
        "clus_size": np.maximum(size.sum(axis=1) - 1, 0),
        "clus_size_loc0": size[:, 0],
        "clus_size_loc1": size[:, 1],
        "true_loc0": truth.local[:, 0],
        "true_loc1": truth.local[:, 1],
        "true_phi": np.arctan2(y, x),
        "true_theta": np.arctan2(np.hypot(x, y), z),
        "true_qop": truth.q_over_p,
        "true_time": truth.position[:, 3],
        "true_x": truth.position[:, 0],
        "true_y": truth.position[:, 1],
        "true_z": truth.position[:, 2],
        "true_incident_phi": np.arctan2(along_w, along_u),
        "true_incident_theta": np.arctan2(along_w, along_v),
        "residual_loc0": residual[:, 0],
        "residual_loc1": residual[:, 1],
        "residual_time": nan,
        "pull_loc0": pull[:, 0],
        "pull_loc1": pull[:, 1],
        "pull_time": nan,
    }
    # A particle with two hits in one cluster contributes once.
    n_particles = len(particles["px"])
    keys = np.sort(link[:, 0] * n_particles + hits.particle[link[:, 1]])
    keys = keys[np.diff(keys, prepend=-1) > 0]
    rows, contributors = np.divmod(keys, max(n_particles, 1))
    return EventColumns(
        flat=flat,
        jagged={name: particles[name][contributors] for name in BARCODE},
        counts=np.bincount(rows, minlength=n),
    )


def _hits(hits: Hits, particles: dict[str, np.ndarray]) -> EventColumns:
    delta = hits.after - hits.before
    zero = np.zeros(len(hits.index), dtype=np.uint32)
    return EventColumns(
        flat={
            **_identity(hits.geometry_id),
            "sensitive_id": (hits.geometry_id >> np.uint64(8)) & _SENSITIVE_MASK,
            "boundary_id": zero,
            "approach_id": zero,
            **{f"barcode_{name}": particles[name][hits.particle] for name in BARCODE},
            **{f"t{c}": hits.position[:, i] for i, c in enumerate("xyzt")},
            **{f"tp{c}": hits.before[:, i] for i, c in enumerate("xyz")},
            "te": hits.before[:, 3],
            **{f"deltap{c}": delta[:, i] for i, c in enumerate("xyz")},
            "deltae": delta[:, 3],
            "index": hits.index,
        }
    )
