"""A toy barrel: tracks of charged particles on eight cylinders, for tests without ACTS."""

from __future__ import annotations

import numpy as np

from trkx.plugin.space_points import LabelledEvent, SpacePoints

RADII = np.array([30.0, 70.0, 115.0, 170.0, 260.0, 360.0, 500.0, 660.0])  # mm
N_MODULES = 64  # sectors in azimuth per layer


def toy_event(seed: int, n_particles: int = 60, n_noise: int = 100) -> LabelledEvent:
    """Particles of 1 to 10 GeV from the beam line in 2 T, smeared by 0.1 and 0.3 mm, and noise."""
    rng = np.random.default_rng(seed)
    pt = rng.uniform(1.05, 10.0, n_particles)
    charge = rng.choice([-1.0, 1.0], n_particles)
    phi0 = rng.uniform(-np.pi, np.pi, n_particles)
    z0 = rng.normal(0.0, 50.0, n_particles)
    cot = rng.uniform(-0.7, 0.7, n_particles)
    radius = pt / (0.3e-3 * 2.0)  # mm
    half = RADII[None, :] / (2 * radius[:, None])
    phi = phi0[:, None] - charge[:, None] * np.arcsin(half)
    z = z0[:, None] + cot[:, None] * 2 * radius[:, None] * np.arcsin(half)
    phi = phi + rng.normal(0, 0.1, phi.shape) / RADII
    z = z + rng.normal(0, 0.3, z.shape)
    layer = np.broadcast_to(np.arange(len(RADII)), phi.shape).ravel()
    particle = np.repeat(np.arange(n_particles), len(RADII))
    layer = np.concatenate([layer, rng.integers(0, len(RADII), n_noise)])
    phi = np.concatenate([phi.ravel(), rng.uniform(-np.pi, np.pi, n_noise)])
    z = np.concatenate([z.ravel(), rng.uniform(-400, 400, n_noise)])
    is_noise = np.arange(len(layer)) >= len(particle)
    order = rng.permutation(len(layer))
    layer, phi, z, is_noise = layer[order], phi[order], z[order], is_noise[order]
    particle = np.concatenate([particle, np.full(n_noise, -1)])[order]
    r = RADII[layer]
    sector = ((phi + np.pi) / (2 * np.pi) * N_MODULES).astype(np.uint64) % np.uint64(N_MODULES)
    gid = (
        (np.uint64(1) << np.uint64(56))
        | ((layer.astype(np.uint64) + np.uint64(1)) << np.uint64(36))
        | ((sector + np.uint64(1)) << np.uint64(8))
    )
    points = SpacePoints(
        x=(r * np.cos(phi)).astype(np.float32),
        y=(r * np.sin(phi)).astype(np.float32),
        z=z.astype(np.float32),
        geometry_id=gid,
    )
    return LabelledEvent(
        space_points=points,
        offsets=np.concatenate([[0], np.cumsum(~is_noise)]).astype(np.int64),
        particle=particle[~is_noise],
        pt=pt.astype(np.float32),
        eta=np.arcsinh(cot).astype(np.float32),
        charge=charge.astype(np.float32),
        vertex=np.stack([0 * z0, 0 * z0, z0], axis=1).astype(np.float32),
    )
