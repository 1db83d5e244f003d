"""Double-sided strip modules: straight lines through two sensors give back where they passed."""

from dataclasses import replace

import numpy as np
import pytest

from trkx.algorithms.labelled_events import labelled_event
from trkx.algorithms.metrics_truth import EventTruth
from trkx.algorithms.simulation.modules import config_path, module_table, read_readout
from trkx.algorithms.simulation.strip_clusters import make_strip_clusters
from trkx.algorithms.simulation.strip_sensors import STRIP_VOLUMES, SensorFrames, StripSensors
from trkx.algorithms.simulation.strip_space_points import (
    cross_strips,
    crossing_variances,
    pair_sides,
    strip_space_points,
)
from trkx.algorithms.track_hits import hits_of_candidates
from trkx.io.errors import ConfigError

SENSORS = StripSensors()


@pytest.fixture(scope="module")
def modules():
    return module_table()


@pytest.fixture(scope="module")
def readout():
    return read_readout(config_path("generic-digi-geometric"))


def space_points(clusters, modules, readout):
    """First and second cluster and position, and the variances along the module's axes."""
    middle, half = clusters.centers(SENSORS, modules, readout)
    frames = SensorFrames.of(SENSORS, modules, clusters.module, clusters.side)
    first, second, position = strip_space_points(
        clusters.module,
        clusters.side,
        frames.to_global(middle),
        half[:, None] * frames.along,
        SENSORS.tolerance,
    )
    one_strip = readout.pitch[modules.volume[clusters.module[first]], 0] ** 2 / 12
    variance = crossing_variances(one_strip, one_strip, SENSORS.stereo)
    return first, second, position, variance


def test_two_strips_drawn_by_hand():
    """Strips along x ± y/10 in the planes z = 99 and z = 101; the line is the z axis."""
    center = np.array([[0.0, 0.0, 99.0]])
    other = np.array([[1.01, 10.1, 101.0]])  # its middle is 10.1 mm up
    half, other_half = np.array([[2.0, 20.0, 0.0]]), np.array([[-2.0, 20.0, 0.0]])
    position, along, along_other = cross_strips(center, half, other - [[2.02, 0, 0]], other_half)
    assert along == pytest.approx(0.0)
    np.testing.assert_allclose(position, [[0.0, 0.0, 100.0]], atol=1e-9)
    assert along_other == pytest.approx(-0.505)


def test_parallel_strips_do_not_cross():
    center, half = np.array([[0.0, 0.0, 99.0]]), np.array([[0.0, 20.0, 0.0]])
    position, _, _ = cross_strips(center, half, center + np.array([1.0, 0.0, 2.0]), half)
    assert not np.isfinite(position).any()


def test_pairs_stay_on_a_module():
    module, side = np.array([5, 5, 5, 7, 7, 9]), np.array([1, 2, 2, 2, 1, 1])
    first, second = pair_sides(module, side)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2), (4, 3)]


@pytest.mark.parametrize("volume", STRIP_VOLUMES)
def test_straight_lines_give_back_their_points(modules, readout, volume):
    rng = np.random.default_rng(volume)
    here = np.flatnonzero(modules.volume == volume)
    module = rng.choice(here, 200, replace=False)
    flat = rng.uniform(-0.8, 0.8, (200, 2)) * np.stack(
        [modules.half_low[module], modules.half_v[module]], axis=1
    )
    truth = modules.to_global(module, flat)
    direction = truth / np.linalg.norm(truth, axis=1)[:, None]
    clusters = make_strip_clusters(
        np.arange(200), module, truth, direction, SENSORS, modules, readout
    )
    first, second, position, variance = space_points(clusters, modules, readout)
    hit = np.full(len(clusters), -1)
    hit[clusters.link[:, 0]] = clusters.link[:, 1]
    assert (hit[first] == hit[second]).all()  # one line per module: no ghosts
    assert len(first) > 190  # the others pass between two rows of strips
    found = modules.to_local(clusters.module[first], position)
    pull = (found - flat[hit[first]]) / np.sqrt(variance)
    assert np.abs(pull).max() < 4
    # One where the line hits one strip of each side; less where several share it.
    assert np.std(pull, axis=0) == pytest.approx([0.8, 0.8], abs=0.3)


def test_two_particles_on_a_module_make_ghosts(modules, readout):
    module = np.flatnonzero(modules.volume == 13)[:1].repeat(2)
    truth = modules.to_global(module, np.array([[5.0, 10.0], [5.3, 14.0]]))
    direction = truth / np.linalg.norm(truth, axis=1)[:, None]
    clusters = make_strip_clusters(
        np.arange(2), module, truth, direction, SENSORS, modules, readout
    )
    assert len(clusters) == 4
    first, second, _, _ = space_points(clusters, modules, readout)
    hit = clusters.link[np.argsort(clusters.link[:, 0]), 1]
    assert sorted(zip(hit[first].tolist(), hit[second].tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_touching_strips_merge_and_gaps_do_not(modules, readout):
    module = np.flatnonzero(modules.volume == 13)[:1].repeat(3)
    frames = SensorFrames.of(SENSORS, modules, module, np.ones(3, int))
    # The middles of strips 3, 4 and 6 of one row; lines along the normal.
    position = frames.to_global(np.array([[3.5 * 0.08, 5.0], [4.5 * 0.08, 8.0], [6.5 * 0.08, 5.0]]))
    clusters = make_strip_clusters(
        np.arange(3), module, position, frames.normal, SENSORS, modules, readout
    )
    front = clusters.side == 1
    assert clusters.first[front].tolist() == [3, 6]
    assert clusters.size[front].tolist() == [2, 1]
    assert clusters.link[:3].tolist() == [[0, 0], [0, 1], [1, 2]]


def test_a_line_along_the_sensor_is_lost(modules, readout):
    module = np.flatnonzero(modules.volume == 13)[:1]
    clusters = make_strip_clusters(
        np.arange(1), module, modules.center[module], modules.axis_u[module], SENSORS, modules,
        readout,
    )  # fmt: skip
    assert len(clusters) == 0


def test_space_points_belong_to_the_particles_of_both_clusters():
    from trkx.io.event import Event

    one = np.ones(4, np.float32)
    strip = np.array([False, True, True, True])
    event = Event(
        number=0,
        space_points={
            "measurement_id": np.array([0, 1, 1, 2], np.uint64),
            "geometry_id": np.full(4, 1 << 56, np.uint64),
            "measurement_id_2": np.array([0, 3, 4, 0], np.uint64),  # 0: the first measurement
            "geometry_id_2": np.where(strip, np.uint64(1 << 56), np.uint64(0)),
            **dict.fromkeys("xyz", one),
        },
        measurements={"rec_loc0": np.zeros(5)},
        particles={name: np.ones(3) for name in ("px", "py", "pz", "q", "vx", "vy", "vz")},
        # 0: particle 0; 1: 0 and 1; 2: noise; 3: 1 and 0; 4: 2
        measurement_particle_offsets=np.array([0, 1, 3, 3, 5, 6]),
        measurement_particle_rows=np.array([0, 0, 1, 1, 0, 2]),
    )
    labelled = labelled_event(event)
    assert labelled.offsets.tolist() == [0, 1, 3, 3, 3]
    assert labelled.particle.tolist() == [0, 0, 1]


def test_tracks_hold_both_measurements_once():
    columns = {
        "measurement_id": np.array([0, 1, 1, 4], np.uint64),
        "geometry_id_2": np.array([0, 9, 9, 9], np.uint64),
        "measurement_id_2": np.array([0, 2, 3, 0], np.uint64),
    }
    tracks = hits_of_candidates(np.array([0, 3, 4]), np.array([0, 1, 2, 3]), columns)
    assert tracks.offsets.tolist() == [0, 4, 6]
    assert tracks.measurements.tolist() == [0, 1, 2, 3, 4, 0]
    single = hits_of_candidates(
        np.array([0, 3, 4]), np.array([0, 1, 2, 3]), {"measurement_id": np.arange(4)}
    )
    assert single.measurements.tolist() == [0, 1, 2, 3]


def test_stereo_sample(tmp_path):
    pytest.importorskip("pythia8mc")
    pytest.importorskip("pyhepmc")
    from trkx.algorithms.simulation import GunSettings, SimulationSettings, simulate
    from trkx.io.event_files import EventFiles

    settings = SimulationSettings(
        process="gun",
        pileup=0,
        seed=600002,
        strips="stereo",
        noise=0.05,
        gun=GunSettings(pdg=13, pt_min=2, pt_max=20, eta_min=-2, eta_max=2, multiplicity=40),
    )
    simulate(settings, tmp_path, 1)
    with EventFiles.open(tmp_path) as files:
        assert files.has_strips
        event = files.read(0, truth=True)
    points, measurements = event.space_points, event.measurements
    strip = points["is_strip"].astype(bool)
    volume = points["geometry_id"] >> np.uint64(56)
    np.testing.assert_array_equal(strip, np.isin(volume, STRIP_VOLUMES))
    assert strip.any() and (~strip).any()
    for i, column in ((1, "measurement_id"), (2, "measurement_id_2")):
        rows = points[column][strip].astype(int)
        assert (measurements["extra_id"][rows] == i).all()
        assert np.isnan(measurements["rec_loc1"][rows]).all()
        for axis in "xyz":
            np.testing.assert_array_equal(
                points[f"cluster{i}_{axis}"][strip], measurements[f"rec_g{axis}"][rows]
            )
    assert np.isnan(points["cluster2_x"][~strip]).all()
    pull = measurements["pull_loc0"][measurements["extra_id"] > 0]
    assert np.nanstd(pull) == pytest.approx(1.0, abs=0.3)
    placed = np.isfinite(EventTruth.from_event(replace(event, measurements={})).positions[:, 0])
    used = {*points["measurement_id"], *points["measurement_id_2"][strip]}
    assert set(np.flatnonzero(placed)) == used
    labelled = labelled_event(event)
    assert labelled.space_points.clusters.shape == (len(strip), 2, 3)
    targets = labelled.targets(1.0)
    # Strips double in measurements, not in space points: muons have no more than layers.
    assert targets.sum() > 30 and labelled.n_hits[targets].mean() < 16


def test_stereo_strips_need_channels():
    from trkx.algorithms.simulation import SimulationSettings

    with pytest.raises(ConfigError, match="digitization 'smeared'"):
        SimulationSettings(strips="stereo", digitization="smeared")
    with pytest.raises(ConfigError, match="did you mean 'stereo'"):
        SimulationSettings(strips="sterio")
