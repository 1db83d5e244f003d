"""Columns of tracksummary, on tracks that can be checked on paper."""

from __future__ import annotations

import numpy as np
import pytest

from trkx.io.track_columns import (
    covariance_columns,
    fitted_columns,
    residual_columns,
    truth_columns,
    truth_parameters,
    wrap_angle,
)

PARTICLES = {
    "vertex_primary": np.array([1, 2]),
    "vertex_secondary": np.array([0, 0]),
    "particle": np.array([7, 8]),
    "generation": np.array([0, 1]),
    "sub_particle": np.array([0, 0]),
    "q": np.array([-1.0, 1.0]),
    "vt": np.array([0.5, 0.0]),
    # The second is made at (3, 0, 10) and flies along +y, 45° forward.
    "vx": np.array([0.0, 3.0]),
    "vy": np.array([0.0, 0.0]),
    "vz": np.array([20.0, 10.0]),
    "px": np.array([3.0, 0.0]),
    "py": np.array([4.0, 2.0]),
    "pz": np.array([0.0, 2.0]),
}


def test_truth_of_two_particles_and_none():
    row = np.array([1, -1, 0])
    columns = truth_columns(PARTICLES, row, np.array([9, 0, 8]), np.array([1, 3, 2]))
    assert columns["nMajorityHits"].tolist() == [9, 2**32 - 1, 8]
    assert columns["trackClassification"].tolist() == [1, 3, 2]
    assert columns["t_charge"].tolist() == [1, 2**31 - 1, -1]
    assert columns["majorityParticleId_particle"].tolist() == [8, 0, 7]
    np.testing.assert_allclose(columns["t_pT"], [2.0, np.nan, 5.0])
    np.testing.assert_allclose(columns["t_p"], [8**0.5, np.nan, 5.0])
    np.testing.assert_allclose(columns["t_eta"], [np.arcsinh(1.0), np.nan, 0.0])
    np.testing.assert_allclose(columns["t_prodR"], [3.0, np.nan, 0.0])
    # Left of the origin as seen along the momentum is positive: here it passes on the right.
    np.testing.assert_allclose(columns["t_d0"], [-3.0, np.nan, 0.0], atol=1e-12)
    np.testing.assert_allclose(columns["t_z0"], [10.0, np.nan, 20.0], atol=1e-12)
    parameters = truth_parameters(columns)
    np.testing.assert_allclose(parameters[:, 4], [8**-0.5, np.nan, -0.2])
    np.testing.assert_allclose(parameters[0, :4], [-3.0, 10.0, np.pi / 2, np.pi / 4], atol=1e-12)


def test_truth_with_another_reference_point():
    columns = truth_columns(
        PARTICLES, np.array([1]), np.array([9]), np.array([1]), reference=(1.0, -4.0, 2.0)
    )
    # (2, 4) from the reference point; closest 4 mm earlier along y, so 4 mm earlier in z.
    np.testing.assert_allclose(columns["t_d0"], [-2.0], atol=1e-12)
    np.testing.assert_allclose(columns["t_z0"], [10.0 - 2.0 - 4.0], atol=1e-12)


def test_no_truth():
    nothing = np.zeros(2, dtype=np.int64)
    columns = truth_columns({}, nothing - 1, nothing, nothing)
    assert np.isnan(columns["t_d0"]).all()
    assert np.isnan(truth_parameters(columns)).all()
    assert columns["majorityParticleId_particle"].tolist() == [0, 0]


def test_fitted_and_residuals():
    parameters = np.array([[0.1, 1.0, 3.1, 1.0, 0.5, 7.0], np.zeros(6)])
    covariance = np.stack([np.diag([0.04, 0.25, 0.01, 0.01, 0.0, 1.0]), np.eye(6)])
    fitted = np.array([True, False])
    columns = fitted_columns(parameters, covariance, fitted)
    assert columns["eLOC0_fit"][0] == 0.1 and np.isnan(columns["eLOC0_fit"][1])
    assert columns["err_eLOC1_fit"][0] == pytest.approx(0.5)
    assert np.isnan(columns["err_eQOP_fit"][0])
    names = ("LOC0", "LOC1", "PHI", "THETA", "QOP", "T")
    values = np.stack([columns[f"e{name}_fit"] for name in names], axis=1)
    sigma = np.stack([columns[f"err_e{name}_fit"] for name in names], axis=1)
    truth = np.array([[0.0, 2.0, -3.1, 1.0, 0.4, 7.0], np.zeros(6)])
    residuals = residual_columns(values, sigma, truth)
    np.testing.assert_allclose(residuals["res_eLOC1_fit"], [-1.0, np.nan])
    np.testing.assert_allclose(residuals["pull_eLOC1_fit"], [-2.0, np.nan])
    np.testing.assert_allclose(residuals["res_ePHI_fit"], [6.2 - 2 * np.pi, np.nan])
    np.testing.assert_allclose(residuals["pull_eQOP_fit"], [np.nan, np.nan])
    covariances = covariance_columns(covariance, fitted)
    assert len(covariances) == 36
    assert covariances["cov_eLOC1_eLOC1"][0] == 0.25
    assert np.isnan(covariances["cov_eLOC1_eLOC1"][1])


def test_wrap_angle():
    np.testing.assert_allclose(
        wrap_angle(np.array([0.0, 3.2, -3.2, 7.0])),
        [0.0, 3.2 - 2 * np.pi, 2 * np.pi - 3.2, 7.0 - 2 * np.pi],
    )
