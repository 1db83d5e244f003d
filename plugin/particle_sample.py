"""Small events cut from large ones: the hits of some particles, and a share of the noise."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.space_points import LabelledEvent


@dataclass(frozen=True)
class ParticleSample:
    """Which particles of an event stay.

    With the defaults, an event of 200 pile-up collisions becomes one of about 1,000 particles
    and 12,000 space points, of which 15% are noise: the size of the events of arXiv:2303.01640.
    """

    fraction: float = 0.5  # of the particles above the cuts, drawn at random
    pt_min: float = 1.0  # GeV
    eta_max: float = 4.0
    noise: float = 0.15  # fraction of the space points that no particle made

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise StageError(f"fraction of particles is {self.fraction}; expected 0 to 1")
        if not 0 <= self.noise < 1:
            raise StageError(f"fraction of noise is {self.noise}; expected 0 to below 1")


def sample_particles(
    event: LabelledEvent, seed: int, sample: ParticleSample | None = None
) -> LabelledEvent:
    """Keep the space points of randomly drawn charged particles, and some noise.

    The particle table stays whole: particles that were not drawn have no space points, so that
    they are no targets. A merged space point stays when one of its particles does, with those.

    Args:
        event: the event.
        seed: of the draw; the same event and seed give the same sample.
        sample: the cuts.
    """
    sample = sample or ParticleSample()
    rng = np.random.default_rng(seed)
    points = event.space_points
    drawn = (
        (event.charge != 0)
        & (event.pt > sample.pt_min)
        & (np.abs(event.eta) < sample.eta_max)
        & (rng.random(len(event.pt)) < sample.fraction)
    )
    width = np.diff(event.offsets)
    kept = drawn[event.particle]
    count = np.bincount(np.repeat(np.arange(len(points)), width)[kept], minlength=len(points))
    keep = count > 0
    noise = rng.permutation(np.flatnonzero(width == 0))
    keep[noise[: int(keep.sum() * sample.noise / (1 - sample.noise))]] = True
    columns = {f.name: getattr(points, f.name) for f in fields(points)}
    columns = {k: v[keep] if isinstance(v, np.ndarray) else v for k, v in columns.items()}
    return replace(
        event,
        space_points=replace(points, **columns),
        offsets=np.concatenate([[0], np.cumsum(count[keep])]).astype(np.int64),
        particle=event.particle[kept],
    )
