"""The helix fit against helices that are known, and against the textbook's matrices."""

import numpy as np
import pytest

from trkx.algorithms.residuals import perigee_parameters
from trkx.fitting import (
    FitStatus,
    HelixFitSettings,
    TrackPoints,
    cylinder_covariance,
    fit_helices,
    plane_covariance,
)
from trkx.fitting.helix_expansion import Expansion
from trkx.fitting.helix_filter import accumulate, invert
from trkx.fitting.helix_fit import TESLA
from trkx.fitting.helix_model import PION_MASS, derivatives, kicks, pass_points

RADII = np.array([32.0, 72, 116, 172, 260, 360, 500, 660, 820, 1020])
DEPTH = 0.02
PLAIN = HelixFitSettings(scattering=False, energy_loss=0.0)


def helices(n, seed=1):
    """Internal parameters (5, n) of particles between 0.8 and 10 GeV, and their charges."""
    rng = np.random.default_rng(seed)
    charge = rng.choice([-1.0, 1.0], n)
    kappa = -charge * 2.0 * TESLA / rng.uniform(0.8, 10, n)
    return np.stack(
        [
            rng.normal(0, 0.5, n),
            rng.uniform(-np.pi, np.pi, n),
            kappa,
            rng.normal(0, 50, n),
            np.sinh(rng.uniform(-1.5, 1.5, n)),
        ]
    ), charge


def walk(helix, charge, scatter=None):
    """Points (n, 10, 3) where helices cross cylinders, kinked on each by a random angle."""
    d0, phi, kappa, z, tau = (column.copy() for column in helix)
    x, y = -d0 * np.sin(phi), d0 * np.cos(phi)
    momentum = -charge * 2.0 * TESLA / kappa * np.sqrt(1 + tau**2)
    points = np.zeros((len(d0), len(RADII), 3))
    for layer, radius in enumerate(RADII):
        s = radius - np.hypot(x, y)
        cx, cy = x - np.sin(phi) / kappa, y + np.cos(phi) / kappa
        for _ in range(20):
            turned = phi + kappa * s
            px, py = cx + np.sin(turned) / kappa, cy - np.cos(turned) / kappa
            r = np.hypot(px, py)
            s -= (r - radius) * r / (px * np.cos(turned) + py * np.sin(turned))
        turned = phi + kappa * s
        x, y, z = cx + np.sin(turned) / kappa, cy - np.cos(turned) / kappa, z + tau * s
        phi = turned
        points[:, layer] = np.stack([x, y, z], axis=1)
        if scatter is not None:
            theta = np.arctan2(1.0, tau)
            toward = np.abs(x * np.cos(phi) + y * np.sin(phi)) / radius * np.sin(theta)
            depth, beta = DEPTH / toward, momentum / np.hypot(momentum, PION_MASS)
            angle = 0.0136 / (beta * momentum) * np.sqrt(depth)
            angle *= 1 + 0.038 * np.log(depth / beta**2)
            phi = phi + scatter.normal(size=len(x)) * angle / np.sin(theta)
            theta = theta + scatter.normal(size=len(x)) * angle
            tau = 1.0 / np.tan(theta)
            kappa = -charge * 2.0 * TESLA / (momentum * np.sin(theta))
    return points


def acts_parameters(helix, charge):
    d0, phi, kappa, z0, tau = helix
    pt = -charge * 2.0 * TESLA / kappa
    return np.stack(
        [d0, z0, phi, np.arctan2(1.0, tau), charge / (pt * np.sqrt(1 + tau**2))], axis=1
    )


def track_points(points, sigma_rphi=0.015, sigma_z=0.05, **options):
    flat = points.reshape(-1, 3)
    covariance = cylinder_covariance(flat, sigma_rphi**2, 0.0, sigma_z**2)
    offsets = np.arange(len(points) + 1) * points.shape[1]
    return TrackPoints.make(offsets, flat, covariance, **options)


def test_points_on_a_helix_give_it_back():
    helix, charge = helices(300)
    fits = fit_helices(track_points(walk(helix, charge)), PLAIN)
    assert fits.fitted.all()
    np.testing.assert_allclose(fits.parameters, acts_parameters(helix, charge), atol=1e-4)
    assert (fits.chi2 < 1e-3).all()
    assert (fits.ndf == 15).all()
    assert (np.linalg.eigvalsh(fits.covariance) > 0).all()


def test_parameters_are_those_of_the_perigee():
    # The same particle by its vertex and momentum, in the convention of the residuals.
    helix, charge = helices(50, seed=2)
    expected = acts_parameters(helix, charge)
    d0, z0, phi, theta, qop = expected.T
    p = np.abs(1 / qop)
    position = np.stack([-d0 * np.sin(phi), d0 * np.cos(phi), z0], axis=1)
    momentum = np.stack(
        [p * np.sin(theta) * np.cos(phi), p * np.sin(theta) * np.sin(phi), p * np.cos(theta)],
        axis=1,
    )
    np.testing.assert_allclose(perigee_parameters(position, momentum, charge), expected, atol=1e-9)


def test_pulls_with_scattering_have_unit_width():
    helix, charge = helices(4000, seed=3)
    rng = np.random.default_rng(4)
    points = walk(helix, charge, scatter=rng)
    phi = np.arctan2(points[..., 1], points[..., 0])
    shift = rng.normal(0, 0.015, phi.shape)
    points += np.stack([-np.sin(phi) * shift, np.cos(phi) * shift, 0 * shift], axis=-1)
    points[..., 2] += rng.normal(0, 0.05, phi.shape)
    fits = fit_helices(track_points(points, thickness=DEPTH), HelixFitSettings(energy_loss=0.0))
    assert fits.fitted.mean() > 0.999
    residual = fits.parameters - acts_parameters(helix, charge)
    residual[:, 2] = (residual[:, 2] + np.pi) % (2 * np.pi) - np.pi
    pull = residual / np.sqrt(np.einsum("tii->ti", fits.covariance))
    # 4000 tracks know a width to 1.1%.
    np.testing.assert_allclose(np.nanstd(pull, axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(np.nanmean(pull, axis=0), 0.0, atol=0.06)
    assert abs(np.nanmean(fits.chi2 / fits.ndf) - 1) < 0.03
    # Without scattering in the fit, errors are far too small.
    naive = fit_helices(track_points(points), PLAIN)
    assert np.nanmean(naive.chi2 / naive.ndf) > 2


def test_filter_equals_the_full_covariance_matrix():
    rng = np.random.default_rng(5)
    residuals = rng.normal(size=(2, 6, 3))
    rows, kicked = rng.normal(size=(2, 6, 5, 3)), rng.normal(size=(2, 6, 5, 3))
    information, gain, squares = accumulate(residuals, rows, kicked)
    for track in range(3):
        h = rows[..., track].transpose(1, 0, 2).reshape(12, 5)
        r = residuals[..., track].T.ravel()
        v = np.eye(12)
        for slot in range(6):
            for kick in kicked[:, slot, :, track]:
                # Slot 0 is innermost: all points further out see the kick.
                effect = np.where(np.arange(12) >= 2 * (slot + 1), h @ kick, 0.0)
                v += np.outer(effect, effect)
        w = np.linalg.inv(v)
        np.testing.assert_allclose(information[..., track], h.T @ w @ h, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(gain[:, track], h.T @ w @ r, rtol=1e-9, atol=1e-9)
        assert squares[track] == pytest.approx(r @ w @ r)


def test_inverse_and_its_limits():
    rng = np.random.default_rng(6)
    a = rng.normal(size=(4, 5, 5))
    a = a @ np.swapaxes(a, 1, 2) * np.array([1, 1e4, 1e-6, 1e3, 1])[:, None] ** 0.5
    a = 0.5 * (a + np.swapaxes(a, 1, 2)) + 1e-3 * np.eye(5)
    positive = a[np.linalg.eigvalsh(a).min(axis=1) > 0]
    inverse = np.moveaxis(invert(np.moveaxis(positive, 0, -1)), -1, 0)
    np.testing.assert_allclose(
        inverse @ positive, np.tile(np.eye(5), (len(positive), 1, 1)), atol=1e-6
    )
    assert np.isnan(invert(np.ones((2, 2, 1)))).all()


def test_derivatives_are_those_of_the_residuals():
    helix, charge = helices(20, seed=7)
    position = np.moveaxis(walk(helix, charge), 2, 0).transpose(0, 2, 1)
    passage, along_n, in_z = pass_points(helix, position)
    by_n, by_z = derivatives(helix, passage)
    for column, step in enumerate((1e-3, 1e-6, 1e-9, 1e-3, 1e-6)):
        moved = helix.copy()
        moved[column] += step
        _, n, z = pass_points(moved, position)
        np.testing.assert_allclose(-(n - along_n) / step, by_n[:, column], rtol=2e-2, atol=1)
        np.testing.assert_allclose(-(z - in_z) / step, by_z[:, column], rtol=2e-2, atol=5)


def test_a_kick_moves_what_lies_beyond_only():
    helix, charge = helices(20, seed=8)
    position = np.moveaxis(walk(helix, charge), 2, 0).transpose(0, 2, 1)
    passage, _, _ = pass_points(helix, position)
    at = 4
    kick = kicks(helix, passage, np.full(position.shape[1:], 1e-5))[:, at]
    for direction in kick:
        _, n, z = pass_points(helix + direction, position)
        assert np.abs(n[at]).max() < 1e-6  # the helix still passes the layer where it did
        assert np.abs(z[at]).max() < 1e-6
    _, n, z = pass_points(helix + kick[0], position)
    turned = 1e-5 * np.sqrt(1 + helix[4] ** 2)
    lever = passage.s[at + 1] - passage.s[at]
    np.testing.assert_allclose(-n[at + 1], turned * lever, rtol=0.05)
    _, n, z = pass_points(helix + kick[1], position)
    np.testing.assert_allclose(z[at + 1], 1e-5 * (1 + helix[4] ** 2) * lever, rtol=0.05)


def test_strips_measure_across_only():
    helix, charge = helices(200, seed=9)
    points = walk(helix, charge)
    truth = points.copy()
    flat = points.reshape(-1, 3)
    radial = flat * [1, 1, 0] / np.hypot(flat[:, 0], flat[:, 1])[:, None]
    tangent = np.cross([0.0, 0, 1], radial)
    tilt = np.where(np.arange(len(flat)) % 2, 0.02, -0.02)[:, None]
    along = np.cos(tilt) * np.array([0, 0, 1.0]) + np.sin(tilt) * tangent
    across = np.cross(along, radial)
    strip = (np.arange(len(flat)) % 10) >= 4
    # The middle of a strip may be centimetres away from the particle.
    moved = (
        flat
        + np.where(strip, np.random.default_rng(1).uniform(-20, 20, len(flat)), 0.0)[:, None]
        * along
    )
    unmeasured = np.where(strip, np.nan, 0.05**2)
    covariance = plane_covariance(across, along, np.full(len(flat), 0.015**2), unmeasured)
    fits = fit_helices(
        TrackPoints.make(
            np.arange(201) * 10,
            moved,
            covariance,
            np.where(strip, 1, 2),
            normal=radial,
            free=np.where(strip[:, None], along, 0.0),
        ),
        PLAIN,
    )
    assert fits.fitted.all()
    assert (fits.ndf == 4 * 2 + 6 - 5).all()
    np.testing.assert_allclose(fits.parameters[:, 0], helix[0], atol=2e-3)
    np.testing.assert_allclose(fits.parameters[:, 1], helix[3], atol=2e-2)
    assert (fits.chi2 < 0.5).all()
    assert np.array_equal(points, truth)


def test_a_straight_track():
    points = np.outer(RADII, [1.0, 0.0, 0.5])[None] + [0, 0, 3.0]
    fits = fit_helices(track_points(points))
    assert fits.fitted.all()
    np.testing.assert_allclose(fits.parameters[0], [0, 3, 0, np.arctan2(1, 0.5), 0], atol=1e-6)


def test_what_cannot_be_fitted_is_flagged():
    helix, charge = helices(1, seed=10)
    good = walk(helix, charge)[0]
    nan = good.copy()
    nan[3, 1] = np.nan
    along_z = np.stack([0 * RADII + 30, 0 * RADII, RADII], axis=1)
    tracks = [good, good[:2], np.zeros((0, 3)), nan, good[[3] * 5], along_z, good[[0, 0, 5, 5, 9]]]
    offsets = np.concatenate([[0], np.cumsum([len(track) for track in tracks])])
    flat = np.concatenate(tracks)
    points = TrackPoints.make(
        offsets, flat, cylinder_covariance(flat, 1e-4, 0.0, 1e-2), thickness=0.02
    )
    fits = fit_helices(points, HelixFitSettings(beam_pipe=(19.0, 0.002)))
    status = [FitStatus(s) for s in fits.status]
    assert status[0] is FitStatus.FITTED
    assert status[1] is status[2] is FitStatus.TOO_FEW_POINTS
    assert status[3] is FitStatus.NOT_FINITE
    assert status[4] is FitStatus.DEGENERATE
    assert status[5] in (FitStatus.DEGENERATE, FitStatus.NOT_CONVERGED)
    assert status[6] is FitStatus.FITTED  # duplicates, but three places
    lost = ~fits.fitted
    assert np.isnan(fits.parameters[lost]).all() and np.isnan(fits.chi2[lost]).all()
    assert np.isfinite(fits.parameters[~lost]).all()


def test_no_track_is_an_ordinary_input():
    empty = TrackPoints.make(np.zeros(1), np.zeros((0, 3)), np.zeros((0, 6)))
    assert len(fit_helices(empty).parameters) == 0
    none = TrackPoints.make(np.zeros(3), np.zeros((0, 3)), np.zeros((0, 6)))
    assert (fit_helices(none).status == FitStatus.TOO_FEW_POINTS).all()


def test_negative_variances_are_not_finite():
    helix, charge = helices(2, seed=11)
    points = track_points(walk(helix, charge))
    points.covariance[3, 0] = -1.0
    assert list(fit_helices(points).status) == [FitStatus.NOT_FINITE, FitStatus.FITTED]


def test_chunks_and_order_change_nothing():
    helix, charge = helices(50, seed=12)
    points = track_points(walk(helix, charge, scatter=np.random.default_rng(1)), thickness=0.02)
    whole = fit_helices(points)
    parts = fit_helices(points, HelixFitSettings(chunk=7))
    np.testing.assert_allclose(whole.parameters, parts.parameters, rtol=1e-9, atol=1e-12)


def test_material_beyond_a_layer():
    # Kinks behind the first layer leave its point on the inner part of the track.
    helix, charge = helices(20, seed=13)
    points = walk(helix, charge)
    near = fit_helices(track_points(points, thickness=0.02))
    far = fit_helices(track_points(points, thickness=0.02, scatterer=(1.2 * points).reshape(-1, 3)))
    assert (far.covariance[:, 0, 0] < near.covariance[:, 0, 0]).all()


def test_expansion_takes_tracks():
    helix, charge = helices(4, seed=14)
    padded = track_points(walk(helix, charge), thickness=0.02).planes().pad(np.arange(4))
    whole = Expansion.at(helix, padded, HelixFitSettings())
    some = whole.take(np.array([1, 3]))
    np.testing.assert_array_equal(some.kicks, whole.kicks[..., [1, 3]])


@pytest.mark.parametrize(
    "options", [{"field": 0.0}, {"iterations": 0}, {"chunk": 0}, {"energy_loss": -1.0}]
)
def test_settings_are_checked(options):
    with pytest.raises(ValueError):
        HelixFitSettings(**options)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="covariances of shape"):
        TrackPoints.make([0, 2], np.zeros((2, 3)), np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="offsets must rise"):
        TrackPoints.make([0, 3], np.zeros((2, 3)), np.zeros((2, 6)))
