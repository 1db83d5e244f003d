"""Node features by name, as ACTS and GNN4ITk name them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.space_points import SpacePoints

BASE_FEATURES = ("r", "phi", "z", "size0", "size1", "is_strip")
_CLUSTERS = tuple(f"cluster{i}_{axis}" for i in (1, 2) for axis in "xyz")

_Columns = Callable[[str], np.ndarray]


def _eta(r: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.arcsinh(z / np.maximum(r, np.float32(1e-3)))


def _cluster(i: int) -> dict[str, Callable[[_Columns], np.ndarray]]:
    def r(get: _Columns) -> np.ndarray:
        return np.hypot(get(f"cluster{i}_x"), get(f"cluster{i}_y"))

    return {
        f"cluster{i}_r": r,
        f"cluster{i}_phi": lambda get: np.arctan2(get(f"cluster{i}_y"), get(f"cluster{i}_x")),
        f"cluster{i}_eta": lambda get: _eta(r(get), get(f"cluster{i}_z")),
    }


def _acorn(i: int) -> dict[str, Callable[[_Columns], np.ndarray]]:
    def pick(name: str) -> Callable[[_Columns], np.ndarray]:
        return lambda get: np.where(get("is_strip") > 0.5, get(f"cluster{i}_{name}"), get(name))

    return {
        **{f"acorn{i}_{name}": pick(name) for name in ("r", "phi", "eta")},
        f"acorn{i}_z": lambda get: get(f"cluster{i}_z"),
    }


# Features that follow from columns a graph holds.
_DERIVED: dict[str, Callable[[_Columns], np.ndarray]] = {
    "x": lambda get: get("r") * np.cos(get("phi")),
    "y": lambda get: get("r") * np.sin(get("phi")),
    "cos_phi": lambda get: np.cos(get("phi")),
    "sin_phi": lambda get: np.sin(get("phi")),
    "eta": lambda get: _eta(get("r"), get("z")),
    **_cluster(1),
    **_cluster(2),
    **_acorn(1),
    **_acorn(2),
}
FEATURES = (*BASE_FEATURES, *_CLUSTERS, *_DERIVED)

# The twelve features of GNN4ITk, and what they are divided by: as ACTS makes them, and as acorn
# does, which gives the clusters of pixels r, phi and eta of their space points.
GNN4ITK_FEATURES, ACORN_FEATURES = (
    tuple(p + name for p in ("", f"{kind}1_", f"{kind}2_") for name in ("r", "phi", "z", "eta"))
    for kind in ("cluster", "acorn")
)
GNN4ITK_SCALES = (1000.0, math.pi, 1000.0, 1.0) * 3


def point_features(
    points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The columns of N space points that nodes carry: (N, F) float32, and their names.

    Cluster sizes are 0 where they are not known. Where space points have clusters, the second
    cluster of a space point that has one only (a pixel) is the first again.
    """
    x = points.x - np.float32(beam_spot[0])
    y = points.y - np.float32(beam_spot[1])
    nothing = np.zeros(len(points), np.float32)
    columns: dict[str, np.ndarray] = {
        "r": np.hypot(x, y),
        "phi": np.arctan2(y, x),
        "z": points.z,
        "size0": nothing if points.size0 is None else points.size0,
        "size1": nothing if points.size1 is None else points.size1,
        "is_strip": nothing if points.strip is None else points.strip,
    }
    if points.clusters is not None:
        clusters = points.clusters.copy()
        single = np.isnan(clusters[:, 1, 0])
        clusters[single, 1] = clusters[single, 0]
        clusters[:, :, :2] -= np.asarray(beam_spot, np.float32)
        columns |= dict(zip(_CLUSTERS, clusters.reshape(-1, 6).T, strict=True))
    return np.stack(list(columns.values()), axis=1).astype(np.float32), tuple(columns)


def select_features(
    table: np.ndarray,
    have: Sequence[str],
    names: Sequence[str],
    scales: Sequence[float] | None = None,
) -> np.ndarray:
    """Features by name from a table of columns, each divided by its scale.

    Args:
        table: (N, len(have)) float32.
        have: names of its columns.
        names: features wanted, of `have` or derived from it.
        scales: one per feature wanted; None: 1.

    Returns:
        (N, len(names)) float32.

    Raises:
        StageError: a feature that is not there, or a wrong number of scales.
    """
    if scales is not None and len(scales) != len(names):
        raise StageError(f"{len(names)} node features, but {len(scales)} scales; give one for each")
    at: Mapping[str, int] = {name: i for i, name in enumerate(have)}

    def get(name: str) -> np.ndarray:
        if name in at:
            return table[:, at[name]]
        if name in _DERIVED:
            return _DERIVED[name](get)
        raise StageError(
            f"no node feature '{name}' in this graph; it has {', '.join(have)}, and what follows "
            f"from them of: {', '.join(_DERIVED)}. Features of clusters need space points with "
            "clusters"
        )

    out = np.empty((len(table), len(names)), np.float32)
    for i, name in enumerate(names):
        out[:, i] = get(name)
    if scales is not None:
        out /= np.asarray(scales, np.float32)
    return out
