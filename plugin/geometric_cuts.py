"""Graph construction by geometric cuts: hits of adjacent layers that a stiff track can join.

The simplest of all constructors, for teaching and tests: nothing is learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.graph import Graph
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings

N_DIRECTIONS = 400  # straight lines, in pseudorapidity, that find out which layers are adjacent


@dataclass(frozen=True)
class GeometricCutsConfig:
    """Cuts on the pair of hits; the defaults are for pT > 1 GeV in 2 T."""

    phi_slope_max: float = 6e-4  # rad/mm, largest |dphi / dr|
    z0_max: float = 150.0  # mm, largest |z| at the beam line
    eta_max: float = 4.0  # of the lines that find adjacent layers

    def __post_init__(self) -> None:
        for name in ("phi_slope_max", "z0_max", "eta_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give a positive number")


@dataclass(frozen=True)
class LayerExtents:
    """Where the L layers are, as the hits of one event tell."""

    of_hit: np.ndarray  # (N,) int64, layer of each hit
    r: np.ndarray  # (L, 2) float64, mm, smallest and largest radius
    z: np.ndarray  # (L, 2) float64, mm

    @classmethod
    def of(cls, geometry_id: np.ndarray, r: np.ndarray, z: np.ndarray) -> LayerExtents:
        volume, layer, _ = split_geometry_id(geometry_id)
        keys, of_hit = np.unique((volume << 12) | layer, return_inverse=True)
        extent = np.empty((2, len(keys), 2))
        for i, values in enumerate((r, z)):
            extent[i] = np.inf, -np.inf
            np.minimum.at(extent[i, :, 0], of_hit, values)
            np.maximum.at(extent[i, :, 1], of_hit, values)
        return cls(of_hit, *extent)

    def adjacent(self, z0_max: float, eta_max: float) -> list[tuple[int, int]]:
        """Pairs of layers that a straight line from the beam line crosses one after the other.

        Args:
            z0_max: lines start at -z0_max, 0 and z0_max.
            eta_max: and go out to this |eta|.
        """
        cot = np.sinh(np.linspace(-eta_max, eta_max, N_DIRECTIONS))
        z0, cot = (a.ravel() for a in np.meshgrid([-z0_max, 0.0, z0_max], cot))
        barrel = np.diff(self.z, axis=1)[:, 0] > np.diff(self.r, axis=1)[:, 0]
        r, z = self.r.mean(axis=1), self.z.mean(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.where(barrel[:, None], r[:, None], (z[:, None] - z0) / cot)  # radius
        height = z0 + at * cot
        hit = np.where(
            barrel[:, None],
            (height >= self.z[:, :1]) & (height <= self.z[:, 1:]),
            (at >= self.r[:, :1]) & (at <= self.r[:, 1:]),
        )
        at = np.where(hit, at, np.inf)
        order = np.argsort(at, axis=0)
        crossed = np.isfinite(np.take_along_axis(at, order, axis=0))
        both = crossed[1:] & crossed[:-1]
        return sorted(set(zip(order[:-1][both].tolist(), order[1:][both].tolist(), strict=True)))


class GeometricCuts:
    """Edges between adjacent layers within cuts on |dphi / dr| and |z0|.

    References: the cuts of the HEP.TrkX project, Farrell et al., arXiv:1810.06111. Departure:
    discs are used as well; which layers are adjacent, straight lines through the layers decide.
    """

    def __init__(self, config: GeometricCutsConfig | None = None) -> None:
        self.config = config or GeometricCutsConfig()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> GeometricCuts:
        """Build the stage from its table of a pipeline file."""
        return cls(read_settings(GeometricCutsConfig, settings, "geometric"))

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Build the graph of one event; `beam_spot` is x and y of the beam line in mm."""
        c = self.config
        x, y = points.x - np.float32(beam_spot[0]), points.y - np.float32(beam_spot[1])
        r, phi, z = np.hypot(x, y), np.arctan2(y, x), points.z
        layers = LayerExtents.of(points.geometry_id, r, z)
        found = [np.zeros((2, 0), np.int64)]
        rows = [np.flatnonzero(layers.of_hit == k) for k in range(len(layers.r))]
        rows = [k[np.argsort(phi[k], kind="stable")] for k in rows]
        for inner, outer in layers.adjacent(c.z0_max, c.eta_max):
            a, b = rows[inner], rows[outer]
            reach = c.phi_slope_max * np.abs(layers.r[outer] - layers.r[inner, ::-1]).max()
            i, j = _near_in_azimuth(phi[a], phi[b], reach)
            i, j = a[i], b[j]
            dr = r[j] - r[i]
            dphi = np.abs((phi[j] - phi[i] + np.pi) % (2 * np.pi) - np.pi)
            # Not divided by dr, which may vanish between discs.
            across = np.abs(z[i] * dr - r[i] * (z[j] - z[i])) <= c.z0_max * np.abs(dr)
            keep = across & (dphi <= c.phi_slope_max * np.abs(dr))
            found.append(np.stack([i[keep], j[keep]]))
        return edge_graph(points, np.concatenate(found, axis=1), beam_spot)


def _near_in_azimuth(a: np.ndarray, b: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows with |a - b| <= reach around the circle; both ascending, from -pi to pi."""
    reach = min(reach, np.pi)
    ring = np.concatenate([b - 2 * np.pi, b, b + 2 * np.pi])
    first = np.searchsorted(ring, a - reach, side="left")
    count = np.searchsorted(ring, a + reach, side="right") - first
    i = np.repeat(np.arange(len(a)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return i, j % max(len(b), 1)
