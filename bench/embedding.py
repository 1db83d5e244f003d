"""A random but realistic embedding for timings: hits of one particle lie together.

Each particle is a point in five dimensions, its azimuth on a circle, pseudorapidity, curvature and
z0, turned into `dim` dimensions at random; its hits scatter around it. The rest is noise.
"""

from __future__ import annotations

import numpy as np


def made_up_embedding(n: int, dim: int = 8, seed: int = 1) -> np.ndarray:
    """(n, dim) float32, dimensionless; at radius 0.15 a point has about twenty neighbours."""
    rng = np.random.default_rng(seed)
    n_hits = rng.poisson(9.0, n // 9 + 100) + 1
    particle = np.repeat(np.arange(len(n_hits)), n_hits)[: int(0.85 * n)]
    p = len(n_hits)
    pt = 0.3 * rng.pareto(2.2, p) + 0.3  # GeV
    phi = rng.uniform(-np.pi, np.pi, p)
    latent = np.stack(
        [
            np.cos(phi),
            np.sin(phi),
            rng.uniform(-4, 4, p) / 2.5,
            rng.choice([-1, 1], p) * np.minimum(0.35 / pt, 1.0),
            np.clip(rng.normal(0, 0.25, p), -1, 1),
        ],
        axis=1,
    )
    noise = latent[rng.integers(0, p, n - len(particle))] + rng.normal(
        0, 0.15, (n - len(particle), latent.shape[1])
    )
    hits = np.concatenate([latent[particle], noise])
    turn = np.linalg.qr(rng.normal(size=(max(dim, latent.shape[1]),) * 2))[0]
    x = hits @ turn[: latent.shape[1], :dim] + rng.normal(0, 0.02, (n, dim))
    return x[rng.permutation(n)].astype(np.float32)
