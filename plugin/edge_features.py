"""Edge features by name: the six of GNN4ITk, from the positions of an edge's two hits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph

EDGE_FEATURES = ("dr", "dphi", "dz", "deta", "phislope", "rphislope")
# Where the edge's line meets the beam line, and the circle through the beam line and both hits:
# a network would need many layers to compute them as precisely.
HELIX_FEATURES = ("z0", "curvature")

# What they are divided by, so that edges of tracks above 1 GeV are of order 1.
EDGE_SCALES = {
    "dr": 100.0,  # mm
    "dphi": 0.03,  # rad
    "dz": 200.0,  # mm
    "deta": 0.1,
    "phislope": 3e-4,  # rad/mm; half a radian per metre is a pT of 0.6 GeV in 2 T
    "rphislope": 0.1,
    "z0": 50.0,  # mm
    "curvature": 3e-4,  # 1/mm; 0.0006 / pT (GeV) in 2 T
}
# As GNN4ITk and ACTS scale them: lengths in metres, angles in units of pi.
GNN4ITK_EDGE_SCALES = {
    "dr": 1000.0,
    "dphi": math.pi,
    "dz": 1000.0,
    "deta": 1.0,
    "phislope": math.pi / 1000.0,
    "rphislope": math.pi,
}
OWN = "own_"  # 'own_3' is column 3 of what the graph constructor made, as it is
SLOPE_LIMIT = 10.0  # of scaled values: hits at almost the same radius have any slope


def edge_features(
    graph: Graph,
    names: Sequence[str] = EDGE_FEATURES,
    scales: Sequence[float] | None = None,
    limit: float = SLOPE_LIMIT,
) -> np.ndarray:
    """Features of all edges, from source to target.

    dr, dz and deta are differences; dphi is the difference of azimuth, wrapped to -pi to pi;
    phislope is dphi / dr; rphislope is the mean radius of both hits times phislope. Slopes
    of hits at the same radius are 0. z0 is where the straight line through both meets the beam
    line, in r and z; curvature is that of the circle through both and the beam line, signed.

    Args:
        graph: N nodes with features r, phi, z, and E edges.
        names: features wanted: of the six, z0, curvature, or 'own_0', 'own_1', …: columns of
            `Graph.edge_features`.
        scales: one divisor per feature; None: `EDGE_SCALES`, and 1 for those of the graph.
        limit: all scaled features are clipped to -limit to limit.

    Returns:
        (E, len(names)) float32, finite where the nodes are.

    Raises:
        StageError: a feature that is none of these and not in the graph, or a wrong number of
            scales.

    References: GNN4ITk, ATL-ITK-PROC-2022-006; ACTS' ModuleMapCuda computes the same six.
    """
    own = {f"{OWN}{i}": i for i in range(graph.edge_features.shape[1])}
    for name in names:
        if name not in EDGE_SCALES and name not in own:
            raise StageError(
                f"no edge feature '{name}'; choose of {', '.join(EDGE_SCALES)}, and of the "
                f"{len(own)} columns {OWN}0, {OWN}1, … of this graph's constructor"
            )
    if scales is not None and len(scales) != len(names):
        raise StageError(f"{len(names)} edge features, but {len(scales)} scales; give one for each")
    divide = [EDGE_SCALES.get(name, 1.0) for name in names] if scales is None else scales
    r, phi, z, eta = np.ascontiguousarray(graph.features(("r", "phi", "z", "eta")).T)
    a, b = graph.edge_index
    dr = r[b] - r[a]
    dphi = phi[b] - phi[a]
    dphi -= np.float32(2 * math.pi) * np.round(dphi / np.float32(2 * math.pi))
    slope = _ratio(dphi, dr)
    columns = {
        "dr": lambda: dr,
        "dphi": lambda: dphi,
        "dz": lambda: z[b] - z[a],
        "deta": lambda: eta[b] - eta[a],
        "phislope": lambda: slope,
        "rphislope": lambda: slope * (r[a] + r[b]) / 2,
        "z0": lambda: z[a] - r[a] * _ratio(z[b] - z[a], dr),
        "curvature": lambda: 2 * _ratio(np.sin(dphi), np.sqrt(dr**2 + _chord_part(r, a, b, dphi))),
    }
    out = np.empty((graph.n_edges, len(names)), np.float32)
    for i, (name, scale) in enumerate(zip(names, divide, strict=True)):
        column = columns[name]() if name in columns else graph.edge_features[:, own[name]]
        np.clip(column / np.float32(scale), -limit, limit, out=out[:, i])
    return out


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b; 0 where b is almost 0 mm."""
    return np.divide(a, b, out=np.zeros_like(b), where=np.abs(b) > 1e-4)


def _chord_part(r: np.ndarray, a: np.ndarray, b: np.ndarray, dphi: np.ndarray) -> np.ndarray:
    """What the azimuth adds to the squared transverse distance of the hits."""
    return 4 * r[a] * r[b] * np.sin(dphi / 2) ** 2
