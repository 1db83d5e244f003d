"""A job that never ran: particles on helices, finders of known quality, fits of known width."""

import numpy as np

from trkx.algorithms.metrics_truth import EventTruth
from trkx.algorithms.performance import build_performance
from trkx.algorithms.performance_collector import FittedTracks, PerformanceCollector
from trkx.algorithms.performance_times import FinderTimes, StageSeconds
from trkx.algorithms.residuals import perigee_parameters

LAYERS = np.array([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0, 820.0, 1020.0])

# Finder → efficiency, fakes per track, probability to lose a hit, seconds of its stages.
QUALITY = {
    "gnn": (0.995, 0.0005, 0.02),
    "ckf": (0.985, 0.003, 0.04),
    "classical": (0.96, 0.02, 0.05),
}
PARTS = {"input": 0.01, "graph construction": 0.35, "edge classification": 0.3, "building": 0.1}


def make_truth(number, n_particles=300):
    """Particles of a falling pT spectrum, a tenth of them displaced, with ten hits each."""
    random = np.random.default_rng(number)
    pt = 0.4 / random.uniform(0.02, 1, n_particles) ** 0.6
    phi = random.uniform(-np.pi, np.pi, n_particles)
    eta = random.uniform(-3.9, 3.9, n_particles)
    charge = random.choice([-1.0, 1.0], n_particles)
    radius = np.where(random.random(n_particles) < 0.1, random.exponential(15, n_particles), 0.01)
    vz = random.normal(0, 50, n_particles)
    omega = -charge * 0.299792458e-3 * 2.0 / pt
    path = LAYERS[None, :] * np.ones((n_particles, 1))
    turned = phi[:, None] + omega[:, None] * path
    x = radius[:, None] * np.cos(phi)[:, None]
    y = radius[:, None] * np.sin(phi)[:, None]
    x = x + (np.sin(turned) - np.sin(phi[:, None])) / omega[:, None]
    y = y - (np.cos(turned) - np.cos(phi[:, None])) / omega[:, None]
    z = vz[:, None] + path * np.sinh(eta)[:, None]
    z = np.clip(z, -3000, 3000)
    noise = random.uniform([-1000, -1000, -3000], [1000, 1000, 3000], (200, 3))
    positions = np.concatenate([np.stack([x, y, z], axis=-1).reshape(-1, 3), noise])
    particles = {
        "vx": radius * np.cos(phi),
        "vy": radius * np.sin(phi),
        "vz": vz,
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "q": charge,
        "vertex_primary": random.integers(1, 150 + 30 * (number % 4), n_particles),
    }
    n_hits = n_particles * len(LAYERS)
    rows = np.repeat(np.arange(n_particles), len(LAYERS))
    offsets = np.concatenate([np.arange(n_hits + 1), np.full(200, n_hits)])
    return EventTruth(number, particles, offsets, rows, positions)


def find(truth, finder):
    """Tracks of a finder: offsets, measurements, and the particle behind each (-1: fake)."""
    efficiency, fake, loss = QUALITY[finder]
    random = np.random.default_rng([truth.number, *map(ord, finder)])
    worse = 1 + 3 * np.abs(truth.eta) / 4 + 8 * (truth.production_radius > 1)
    found = random.random(truth.n_particles) > (1 - efficiency) * worse
    tracks, particle = [], []
    layers = len(LAYERS)
    for row in np.flatnonzero(found):
        kept = random.random(layers) > loss
        tracks.append(row * layers + np.flatnonzero(kept))
        particle.append(row)
        if random.random() < fake:
            tracks.append(random.choice(truth.n_particles, 8, replace=False) * layers + 2)
            particle.append(-1)
        if random.random() < fake:
            tracks.append(row * layers + np.arange(7))
            particle.append(row)
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in tracks])]).astype(np.int64)
    measurements = np.concatenate([*tracks, np.zeros(0)]).astype(np.int64)
    return offsets, measurements, np.array(particle, dtype=np.int64)


def fit(truth, offsets, measurements, particle, seed, scale=1.0):
    """Fitted tracks that are smeared by what their covariance says, times `scale`."""
    random = np.random.default_rng(seed)
    known = np.maximum(particle, 0)
    columns = truth.particles
    true = perigee_parameters(
        np.stack([columns[name] for name in ("vx", "vy", "vz")], axis=1)[known],
        np.stack([columns[name] for name in ("px", "py", "pz")], axis=1)[known],
        columns["q"][known],
    )
    growth = 1 + truth.eta[known] ** 2 / 4 + 2 / truth.pt[known]
    sigma = np.array([0.02, 0.03, 3e-4, 3e-4, 0.0, 1.0]) * growth[:, None]
    sigma[:, 4] = 0.01 * growth * np.abs(true[:, 4])
    parameters = np.zeros((len(particle), 6))
    parameters[:, :5] = true
    parameters += random.normal(0, 1, sigma.shape) * sigma * scale
    covariance = sigma[:, :, None] * sigma[:, None, :] * np.eye(6)
    fitted = random.random(len(particle)) > 0.002
    return FittedTracks(offsets, measurements, parameters, covariance, fitted, len(particle))


def make_collector(n_events=3, n_particles=300, finders=("gnn", "ckf", "classical")):
    collector = PerformanceCollector()
    for number in range(900_000, 900_000 + n_events):
        truth = make_truth(number, n_particles)
        for finder in finders:
            offsets, measurements, particle = find(truth, finder)
            collector.add_found(finder, truth, offsets, measurements)
            fitters = ["ckf"] if finder == "ckf" else ["kf", "gx2f"]
            for index, fitter in enumerate(fitters):
                tracks = fit(truth, offsets, measurements, particle, number + index, 1.02)
                collector.add_fitted(finder, fitter, truth, tracks)
    return collector


def make_times(n_events=3):
    random = np.random.default_rng(1)

    def seconds(value):
        return StageSeconds.from_events((value * random.uniform(0.9, 1.1, n_events)).tolist())

    gnn = FinderTimes(
        finding=seconds(0.78),
        fitting={"kf": seconds(0.21), "gx2f": seconds(0.35)},
        parts={name: seconds(value) for name, value in PARTS.items()},
    )
    classical = FinderTimes(seconds(0.55), {"kf": seconds(0.2)}, {"building": seconds(0.2)})
    ckf = FinderTimes(seconds(4.7), {"kf": seconds(0.2)}, fits_while_finding=True)
    return {"gnn": gnn, "ckf": ckf, "classical": classical}


def make_document(n_events=3, n_particles=300, finders=("gnn", "ckf", "classical")):
    collector = make_collector(n_events, n_particles, finders)
    document = build_performance(
        collector,
        times={name: t for name, t in make_times(n_events).items() if name in finders},
        input={"description": "toy events", "provenance": {"seed": 900_000}},
        settings={"finders": list(finders)},
        peak_memory_mb=812.0,
    )
    return document, collector.display
