"""Perigee parameters of truth, residuals, pulls and core widths."""

import acts
import numpy as np
import pytest

from trkx.algorithms.matching import match_tracks
from trkx.algorithms.metrics_statistics import clopper_pearson, core_width
from trkx.algorithms.metrics_truth import EventTruth
from trkx.algorithms.residuals import (
    PARAMETERS,
    FitMetrics,
    perigee_parameters,
    residuals_and_pulls,
)

RADIUS_OF_ONE_GEV = 1.0 / (0.299792458e-3 * 2.0)  # mm, in 2 T


def random_particles(n, seed, spread=50.0):
    random = np.random.default_rng(seed)
    position = random.normal(0, spread, (n, 3))
    pt = random.uniform(0.3, 20, n)
    phi, eta = random.uniform(-np.pi, np.pi, n), random.uniform(-3, 3, n)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    return position, momentum, random.choice([-1.0, 1.0], n)


def test_particle_from_the_beam_line_keeps_its_direction():
    parameters = perigee_parameters([[0, 0, 12.5]], [[3.0, 4.0, 0.0]], [-1.0])
    assert parameters[0] == pytest.approx([0.0, 12.5, np.arctan2(4, 3), np.pi / 2, -0.2])


def test_straight_particle_on_paper():
    # Flying along +x at y = 2: the line is to the right, so d0 = +2; z falls back by 5 on the way.
    parameters = perigee_parameters([[5, 2, 7]], [[1, 0, 1]], [0.0])
    assert parameters[0] == pytest.approx([2.0, 2.0, 0.0, np.pi / 4, 1 / np.sqrt(2)])


def test_quarter_turn_on_paper():
    # A positive particle of 1 GeV moves clockwise on a circle around (0, -R + 3); a quarter turn
    # after the closest approach to the origin, at (0, 3), it is at (R, 3 - R) flying along -y.
    radius = RADIUS_OF_ONE_GEV
    parameters = perigee_parameters([[radius, 3 - radius, 10.0]], [[0, -1, 0.5]], [1.0])
    z0 = 10.0 - 0.5 * radius * np.pi / 2
    assert parameters[0] == pytest.approx([3.0, z0, 0.0, np.arctan2(1, 0.5), 1 / np.sqrt(1.25)])


def test_against_the_propagator_of_acts():
    position, momentum, charge = random_particles(60, seed=1)
    ours = perigee_parameters(position, momentum, charge)
    propagator = acts.EigenVoidPropagator(
        acts.EigenStepper(acts.ConstantBField(acts.Vector3(0, 0, 2 * acts.UnitConstants.T))),
        acts.VoidNavigator(),
        acts.logging.WARNING,
    )
    surface = acts.Surface.createPerigee(acts.Vector3(0, 0, 0))
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    magnetic = acts.MagneticFieldContext()
    compared = 0
    for row in range(len(position)):
        p = np.linalg.norm(momentum[row])
        start = acts.BoundTrackParameters.createCurvilinear(
            acts.Vector4(*position[row], 0),
            acts.Vector3(*(momentum[row] / p)),
            charge[row] / p,
            None,
            acts.ParticleHypothesis.pion,
        )
        # The plain propagator goes along the momentum only.
        step = position[row, :2] @ momentum[row, :2]
        if step > 0:
            continue
        end = propagator.propagateToSurface(
            start, surface, acts.PropagatorPlainOptions(context, magnetic)
        )
        theirs = [end.parameters[i] for i in range(5)]
        assert ours[row] == pytest.approx(theirs, rel=1e-4, abs=1e-3)
        compared += 1
    assert compared > 20


def test_any_point_of_the_helix_gives_the_same_perigee():
    position, momentum, charge = random_particles(200, seed=2)
    position *= 0.05
    omega = -charge * 0.299792458e-3 * 2.0 / np.hypot(momentum[:, 0], momentum[:, 1])
    phi = np.arctan2(momentum[:, 1], momentum[:, 0])
    path = np.minimum(400.0, 2.0 / np.abs(omega))
    turned = phi + omega * path
    pt = np.hypot(momentum[:, 0], momentum[:, 1])
    later = position + np.stack(
        [
            (np.sin(turned) - np.sin(phi)) / omega,
            -(np.cos(turned) - np.cos(phi)) / omega,
            path * momentum[:, 2] / pt,
        ],
        axis=1,
    )
    later_momentum = np.stack([pt * np.cos(turned), pt * np.sin(turned), momentum[:, 2]], axis=1)
    ours = perigee_parameters(position, momentum, charge)
    np.testing.assert_allclose(
        perigee_parameters(later, later_momentum, charge), ours, rtol=1e-9, atol=1e-9
    )


def test_moved_beam_line_is_a_moved_origin():
    position, momentum, charge = random_particles(20, seed=3)
    moved = perigee_parameters(
        position + np.array([1.5, -2.0, 0]), momentum, charge, beam=(1.5, -2.0)
    )
    np.testing.assert_allclose(moved, perigee_parameters(position, momentum, charge), atol=1e-9)


def test_azimuth_residual_crosses_pi_and_pull_needs_a_variance():
    truth = np.array([[0.0, 0.0, np.pi - 0.001, 1.0, 0.5]])
    parameters = np.array([[0.1, 0.2, -np.pi + 0.001, 1.0, 0.6, 0.0]])
    covariance = np.diag([0.01, 0.04, 1e-6, 0.0, 0.01, 1.0])[None]
    residual, pull = residuals_and_pulls(parameters, covariance, truth)
    assert residual[0] == pytest.approx([0.1, 0.2, 0.002, 0.0, 0.1, 0.2])
    assert pull[0, :3] == pytest.approx([1.0, 1.0, 2.0])
    assert np.isnan(pull[0, 3])


def test_core_width_of_a_gaussian_with_tails():
    random = np.random.default_rng(5)
    sample = np.concatenate([random.normal(0.3, 2.0, 20000), random.uniform(-200, 200, 400)])
    core = core_width(np.append(sample, np.nan))
    assert core.n == 20400
    assert abs(core.mean - 0.3) < 4 * core.mean_error
    assert core.width == pytest.approx(2.0, rel=0.03)
    assert core.iqr_width == pytest.approx(2.0, rel=0.04)
    assert core.tail_fraction == pytest.approx(0.02, abs=0.006)


def test_core_width_needs_entries_and_stands_a_constant():
    assert np.isnan(core_width([1.0, 2.0]).width)
    assert core_width(np.ones(20)).width == 0.0


def test_clopper_pearson_on_paper():
    lower, upper = clopper_pearson([0, 10, 0], [10, 10, 0])
    # No success in ten: the upper limit solves (1 - p)^10 = tail.
    tail = (1 - 0.682689492137086) / 2
    assert lower == pytest.approx([0.0, tail**0.1, 0.0])
    assert upper == pytest.approx([1 - tail**0.1, 1.0, 1.0])


def fitted_event(n, seed):
    """Truth of n primaries with seven measurements each, and tracks smeared with known errors."""
    random = np.random.default_rng(seed)
    position, momentum, charge = random_particles(n, seed, spread=0.01)
    momentum *= 5
    particles = dict(
        zip(
            ("vx", "vy", "vz", "px", "py", "pz", "q"),
            [*position.T, *momentum.T, charge],
            strict=True,
        )
    )
    offsets = np.arange(0, 7 * n + 1, 7)
    rows = np.repeat(np.arange(n), 7)
    truth = EventTruth(seed, particles, np.arange(7 * n + 1), rows)
    matching = match_tracks(offsets, np.arange(7 * n), np.arange(7 * n + 1), rows, n)
    sigma = np.array([0.02, 0.05, 0.001, 0.001, 0.002, 1.0])
    parameters = np.zeros((n, 6))
    parameters[:, :5] = perigee_parameters(position, momentum, charge)
    parameters += random.normal(0, sigma, (n, 6))
    covariance = np.repeat(np.diag(sigma**2)[None], n, axis=0)
    return truth, matching, parameters, covariance


def test_pulls_of_well_described_tracks_are_one():
    metrics = FitMetrics("gnn", "kf")
    for seed in range(3):
        truth, matching, parameters, covariance = fitted_event(2000, seed)
        fitted = np.ones(2000, dtype=bool)
        metrics.add_event(truth, matching, parameters, covariance, fitted, n_found=2000)
    result = metrics.to_dict()
    assert result["fit_fraction"] == 1.0
    for parameter in PARAMETERS:
        pull = result["pulls"][parameter.name]
        assert abs(pull["width"] - 1.0) < 5 * pull["width_error"]
        assert abs(pull["mean"]) < 5 * pull["mean_error"]
    assert result["resolutions"]["d0"]["width"] == pytest.approx(0.02, rel=0.05)
    assert result["resolutions"]["d0"]["unit"] == "mm"
    widths = [w for w in result["resolutions_vs"]["eta"]["z0"]["width"] if w is not None]
    assert widths == pytest.approx([0.05] * len(widths), rel=0.3)


def test_failures_are_counted_by_reason():
    metrics = FitMetrics("gnn", "kf")
    truth, matching, parameters, covariance = fitted_event(10, seed=4)
    parameters[0, 2] = np.nan
    fitted = np.ones(10, dtype=bool)
    fitted[1:3] = False
    metrics.add_event(truth, matching, parameters, covariance, fitted, n_found=14)
    assert metrics.failures == {
        "no track returned": 4,
        "no parameters at the perigee": 2,
        "parameters not finite": 1,
    }
    assert metrics.to_dict()["fit_fraction"] == pytest.approx(7 / 14)


def test_merging_events_is_adding_them():
    both, first, second = (FitMetrics("gnn", "kf") for _ in range(3))
    for seed, metrics in ((6, first), (7, second)):
        truth, matching, parameters, covariance = fitted_event(50, seed)
        fitted = np.ones(50, dtype=bool)
        metrics.add_event(truth, matching, parameters, covariance, fitted, n_found=50)
        both.add_event(truth, matching, parameters, covariance, fitted, n_found=50)
    first.merge(second)
    assert first.to_dict() == both.to_dict()


def test_no_tracks_at_all():
    metrics = FitMetrics("gnn", "kf")
    truth, _, _, _ = fitted_event(5, seed=8)
    matching = match_tracks([0], [], truth.measurement_particle_offsets, np.zeros(35, int), 5)
    nothing = np.zeros((0, 6)), np.zeros((0, 6, 6)), np.zeros(0, dtype=bool)
    metrics.add_event(truth, matching, *nothing, n_found=0)
    result = metrics.to_dict()
    assert result["fit_fraction"] is None
    assert result["pulls"]["d0"]["width"] is None
