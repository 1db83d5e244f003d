"""The scale of the field from true states on helices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trkx.algorithms.field_estimate import CURVATURE, field_scale, scale_of_turns
from trkx.algorithms.magnetic_field import namedField
from trkx.io.errors import InputFileError
from trkx.io.trackml_event import TrackMLEvent

TESLA = 1.9


def helices(n: int = 40, scatter: float = 0.0, seed: int = 1) -> TrackMLEvent:
    """Particles from the origin in a field of 1.9 T, with ten states each and a noise hit."""
    rng = np.random.default_rng(seed)
    pt, phi, cot = rng.uniform(1, 3, n), rng.uniform(-3, 3, n), rng.uniform(-1, 1, n)
    q = rng.choice([-1.0, 1.0], n)
    s = np.linspace(30, 600, 10)[:, None]
    kappa = -q * CURVATURE * TESLA / pt
    angle = phi + kappa * s
    position = [
        (np.sin(angle) - np.sin(phi)) / kappa,
        -(np.cos(angle) - np.cos(phi)) / kappa,
        cot * s,
    ]
    momentum = [pt * np.cos(angle), pt * np.sin(angle), np.broadcast_to(pt * cot, angle.shape)]
    truth = {"hit_id": np.arange(10 * n + 1) + 1}
    truth["particle_id"] = np.append(np.tile(np.arange(n) + 1, 10), 0).astype(np.uint64)
    for i, axis in enumerate("xyz"):
        kick = np.cumsum(rng.normal(0, scatter, angle.shape), axis=0) if scatter else 0.0
        truth[f"t{axis}"] = np.append(position[i], 0)
        truth[f"tp{axis}"] = np.append(momentum[i] + kick, -1e5)
    particles = {"particle_id": np.arange(n).astype(np.uint64) + 1, "q": q}
    particles |= {f"v{axis}": np.zeros(n) for axis in "xyz"}
    return TrackMLEvent(1, {"hit_id": truth["hit_id"]}, particles=particles, truth=truth)


def test_helices_tell_the_field_they_were_made_in() -> None:
    found = field_scale(helices(), namedField("2"))
    assert found.scale == pytest.approx(TESLA / 2, rel=1e-3)
    assert found.n > 300


def test_scattering_makes_an_error_and_no_bias() -> None:
    found = field_scale(helices(400, scatter=2e-3), namedField("1.9"))
    assert 0 < found.error < 0.005
    assert abs(found.scale - 1) < 4 * found.error


def test_ranges_of_z() -> None:
    near = field_scale(helices(), namedField("1.9"), (0.0, 100.0))
    far = field_scale(helices(), namedField("1.9"), (100.0, np.inf))
    assert near.n + far.n == pytest.approx(field_scale(helices(), namedField("1.9")).n, abs=5)
    nothing = field_scale(helices(), namedField("1.9"), (5000.0, 6000.0))
    assert nothing.n == 0
    assert np.isnan(nothing.scale)


def test_outliers_do_not_count() -> None:
    expected = np.tile([0.0, 0.01, 0.0], (100, 1))
    turned = 0.97 * expected + np.random.default_rng(1).normal(0, 1e-4, (100, 3))
    turned[:5] = 10.0
    assert scale_of_turns(expected, turned).scale == pytest.approx(0.97, abs=0.005)


def test_true_momenta_are_needed() -> None:
    event = helices()
    with pytest.raises(InputFileError, match="no true momenta"):
        field_scale(dataclasses.replace(event, truth=None), namedField("2"))
