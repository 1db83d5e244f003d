"""How strong the magnetic field is, from true states of particles along their way.

Found tracks do not tell: in a field that is stronger by a factor, particles with momenta that are
larger by the same factor have the same trajectories. What tells is truth: between two points the
field turns the momentum by Δp = q ∫ dx × B, whatever the speed of the particle. Scattering turns
it as well, in all directions alike, and energy loss shortens it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trkx.algorithms.magnetic_field import field_at
from trkx.io.errors import InputFileError
from trkx.io.trackml_event import TrackMLEvent, rows_of_ids

__all__ = ["FieldScale", "field_scale", "scale_of_turns"]

CURVATURE = 0.299792458e-3  # GeV per e, tesla and mm
P_MIN = 0.5  # GeV; scattering hides the field below
LENGTH_MIN = 10.0  # mm; overlapping modules are nearer
CLIP = 3.0
N_STEPS = 5


@dataclass(frozen=True)
class FieldScale:
    """True field over that of a provider."""

    scale: float
    error: float
    n: int  # pairs of states it is from


def scale_of_turns(expected: np.ndarray, turned: np.ndarray) -> FieldScale:
    """Least-squares factor between expected and true changes of momenta, outliers left out.

    All pairs have the same weight: scattering angles go with the inverse of the momentum, so that
    scattered momenta have one width, and what the field adds does not depend on the momentum.

    Args:
        expected: shape (N, 3), GeV, for a scale of 1.
        turned: shape (N, 3), GeV, changes across the momentum.
    """
    size = np.linalg.norm(expected, axis=1)
    along = (turned * expected).sum(axis=1) / np.maximum(size, 1e-12)
    used = size > 0
    scale = width = float("nan")
    if used.any():
        scale = float(np.median(along[used] / size[used]))
    for _ in range(10 if used.any() else 0):
        residual = along - scale * size
        width = 1.4826 * float(np.median(np.abs(residual[used])))
        used = (size > 0) & (np.abs(residual) <= CLIP * width)
        scale = float((along * size)[used].sum() / (size**2)[used].sum())
    error = width / float(np.sqrt((size**2)[used].sum())) if used.any() else width
    return FieldScale(scale, error, int(used.sum()))


def field_scale(
    event: TrackMLEvent, field: Any, z_range: tuple[float, float] = (0.0, np.inf)
) -> FieldScale:
    """Compare the field with the true momenta of an event.

    Args:
        event: with true states (`tx` … `tpz`) of all hits.
        field: provider that is compared with the truth.
        z_range: only between states with a mean |z| in this range, mm.

    Raises:
        InputFileError: there are no true states.
    """
    if event.truth is None or event.particles is None or "tpx" not in event.truth:
        raise InputFileError(
            f"event {event.number} has no true momenta, which the scale of the field needs"
        )
    row = rows_of_ids(event.particles["particle_id"], event.truth["particle_id"])
    row[event.truth["particle_id"] == 0] = -1
    position = np.stack([event.truth[f"t{a}"] for a in "xyz"], axis=1)
    momentum = np.stack([event.truth[f"tp{a}"] for a in "xyz"], axis=1)
    origin = np.stack([event.particles[f"v{a}"] for a in "xyz"], axis=1)
    kept = np.flatnonzero((row >= 0) & (np.linalg.norm(momentum, axis=1) > P_MIN))
    distance = np.linalg.norm(position[kept] - origin[row[kept]], axis=1)
    kept = kept[np.lexsort((distance, row[kept]))]
    first, second = kept[:-1], kept[1:]
    step = position[second] - position[first]
    middle = 0.5 * (position[second] + position[first])
    pair = (
        (row[first] == row[second])
        & (np.linalg.norm(step, axis=1) > LENGTH_MIN)
        & (np.abs(middle[:, 2]) >= z_range[0])
        & (np.abs(middle[:, 2]) < z_range[1])
    )
    first, second, step = first[pair], second[pair], step[pair]
    mean_field = np.zeros((len(first), 3))
    for t in (np.arange(N_STEPS) + 0.5) / N_STEPS:
        mean_field += field_at(field, position[first] + t * step) / N_STEPS
    charge = event.particles["q"][row[first]][:, None]
    expected = CURVATURE * charge * np.cross(step, mean_field)
    mean = 0.5 * (momentum[first] + momentum[second])
    change = momentum[second] - momentum[first]
    lengthwise = (change * mean).sum(axis=1) / (mean**2).sum(axis=1)
    return scale_of_turns(expected, change - mean * lengthwise[:, None])
