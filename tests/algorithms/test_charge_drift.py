"""Channels that drifting charge reaches, worked out by hand, and whole simulated events."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trkx.algorithms.charge_drift import crossed_channels, drifted_event
from trkx.algorithms.simulation.containers import Measurements
from trkx.algorithms.simulation.hit_loss import lose_measurements
from trkx.algorithms.simulation.modules import config_path, module_table, read_readout
from trkx.algorithms.trackml_sensors import LORENTZ_ANGLES, THICKNESS, drift_shift, turned_layers
from trkx.io.event import Event
from trkx.plugin.layers import Layers


@pytest.mark.parametrize(
    ("begin", "end", "size", "weighted", "even"),
    [
        (3.2, 3.9, 1, 3.5, 3.5),
        (3.5, 4.5, 2, 4.0, 4.0),
        (4.5, 3.5, 2, 4.0, 4.0),
        (3.75, 4.75, 2, 0.25 * 3.5 + 0.75 * 4.5, 4.0),
        (3.5, 6.0 - 1e-9, 3, (0.5 * 3.5 + 4.5 + 5.5) / 2.5, 4.5),
        (2.0, 6.5, 5, (2.5 + 3.5 + 4.5 + 5.5 + 0.5 * 6.5) / 4.5, 4.5),
        (-1.5, -0.5, 2, -1.0, -1.0),
        (2.0, 2.0, 1, 2.5, 2.5),
    ],
)
def test_crossed_channels(
    begin: float, end: float, size: int, weighted: float, even: float
) -> None:
    ends = np.full(2, begin), np.full(2, end)
    found, middle = crossed_channels(*ends, np.array([True, False]))
    assert found.tolist() == [size, size]
    np.testing.assert_allclose(middle, [weighted, even], atol=1e-6)


def one_hit(volume: int, slope: float, local: float, particles: int = 1) -> Event:
    """A measurement in the middle of a module, of a track that leans by `slope` along local u."""
    t = module_table()
    row = int(np.flatnonzero(t.volume == volume)[0])
    u, normal = t.axis_u[row], np.cross(t.axis_u[row], t.axis_v[row])
    direction = (slope * u + normal) / np.hypot(slope, 1)
    position = t.center[row] + local * u
    number = {
        "rec_loc0": local,
        "rec_loc1": 0.0,
        "var_loc0": 1.0,
        "var_loc1": 1.0,
        "true_loc0": local,
        "true_loc1": 0.0,
        "true_phi": np.arctan2(direction[1], direction[0]),
        "true_theta": np.arccos(direction[2]),
        "residual_loc0": 0.0,
    }
    measurements = {name: np.array([value], np.float32) for name, value in number.items()}
    measurements["geometry_id"] = t.geometry_id[[row]]
    measurements |= dict.fromkeys(("clus_size_loc0", "clus_size_loc1"), np.array([7], np.int32))
    points = {axis: position[[i]].astype(np.float32) for i, axis in enumerate("xyz")}
    points["clus_size_loc0"] = np.array([7], np.float32)
    rows = np.arange(particles)
    return Event(1, points, measurements, {"q": np.ones(2)}, np.array([0, particles]), rows)


@pytest.mark.parametrize("volume", list(LORENTZ_ANGLES))
def test_clusters_are_shortest_along_the_drift(volume: int) -> None:
    readout = read_readout(config_path("generic-digi-trackml"))
    pitch = readout.pitch[volume, 0]
    middle = readout.edge[volume, 0] + 100.5 * pitch  # of a channel
    drift = np.tan(LORENTZ_ANGLES[volume])
    for slope, size in ((drift, 1), (drift + 2 * pitch / THICKNESS[volume], 3)):
        found = drifted_event(one_hit(volume, slope, middle), module_table(), readout)
        assert found.measurements["clus_size_loc0"].tolist() == [size]
        assert found.space_points["clus_size_loc0"].tolist() == [size]
        assert found.measurements["rec_loc0"][0] == pytest.approx(middle, abs=1e-4)
        assert 0 < found.measurements["var_loc0"][0] < pitch**2


def test_positions_move_with_their_space_points() -> None:
    readout = read_readout(config_path("generic-digi-trackml"))
    pitch = readout.pitch[8, 0]
    middle = readout.edge[8, 0] + 100.5 * pitch
    event = one_hit(8, np.tan(0.12), middle + 0.3 * pitch)
    found = drifted_event(event, module_table(), readout)
    assert found.measurements["rec_loc0"][0] == pytest.approx(middle, abs=1e-4)
    moved = [found.space_points[a][0] - event.space_points[a][0] for a in "xyz"]
    assert np.linalg.norm(moved) == pytest.approx(0.3 * pitch, abs=1e-4)


def test_strips_of_endcaps_are_read_out_as_bits_without_drift() -> None:
    readout = read_readout(config_path("generic-digi-trackml"))
    pitch = readout.pitch[16, 0]
    middle = readout.edge[16, 0] + 500.5 * pitch
    slope = 1.2 * pitch / THICKNESS[16]  # from -0.6 to 0.6 channels: three, the outer ones hardly
    found = drifted_event(one_hit(16, slope, middle + 0.05 * pitch), module_table(), readout)
    assert found.measurements["clus_size_loc0"].tolist() == [3]
    assert found.measurements["rec_loc0"][0] == pytest.approx(middle, abs=1e-4)


def test_pixels_of_endcaps_and_merged_clusters_stay_as_they_are() -> None:
    readout = read_readout(config_path("generic-digi-trackml"))
    for event in (one_hit(7, 0.5, 1.0), one_hit(8, 0.5, 1.0, particles=2)):
        found = drifted_event(event, module_table(), readout)
        assert found.measurements["clus_size_loc0"].tolist() == [7]
        assert found.measurements["rec_loc0"].tolist() == [1.0]


def test_hits_of_the_challenge_are_shifted_by_half_the_drift() -> None:
    shift = drift_shift(np.array([7, 8, 9, 12, 13, 17, 18]))
    np.testing.assert_allclose(shift, [0, 0.00904, 0, 0, -0.01507, -0.01403, 0], atol=1e-5)


def test_axes_of_barrel_modules_are_turned_towards_the_drift() -> None:
    nothing = np.zeros((2, 2), np.float32)
    layers = Layers(
        volume=np.array([7, 8], np.int32),
        layer=np.array([2, 2], np.int32),
        barrel=np.array([False, True]),
        mirror=np.arange(2, dtype=np.int32),
        along=nothing,
        across=nothing,
        module_offset=np.array([0, 1, 3], np.int32),
        frames=np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (3, 1)),
    )
    frames = turned_layers(layers).frames
    assert frames[0].tolist() == layers.frames[0].tolist()
    for u, v in zip(frames[1:, :3], frames[1:, 3:], strict=True):
        drift = np.array([np.tan(0.12), 0, 1])
        assert np.dot(u, drift) == pytest.approx(0, abs=1e-6)
        assert np.linalg.norm(u) == pytest.approx(1, abs=1e-6)
        assert v.tolist() == [0, 1, 0]


def test_lost_measurements_take_their_links_with_them() -> None:
    n = 2000
    link = np.stack([np.repeat(np.arange(n), 2), np.arange(2 * n)], axis=1)
    given = Measurements(np.arange(2 * n).reshape(n, 2) * 1.0, np.ones((n, 2), int), link)
    assert lose_measurements(given, 0.0, np.random.default_rng(1)) is given
    kept = lose_measurements(given, 0.1, np.random.default_rng(1))
    assert 0.07 < 1 - len(kept.local) / n < 0.13
    assert len(kept.link) == 2 * len(kept.local)
    original = (kept.local[:, 0] / 2).astype(int)
    np.testing.assert_array_equal(original[kept.link[:, 0]], kept.link[:, 1] // 2)
    again = lose_measurements(given, 0.1, np.random.default_rng(1))
    for field in dataclasses.fields(Measurements):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(kept, field.name))
