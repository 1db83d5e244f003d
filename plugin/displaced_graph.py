"""Graph construction for displaced tracks: doublets, free triplets, and chains that agree.

The layer map's graph puts tracks on circles through the beam line. Here cluster shapes bound the
direction of a doublet, its windows are those of displaced decays, and a triplet may come from
anywhere; what is lost by that is won back by the chains: consecutive triplets must have the same
curvature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trkx.plugin import geometry_kernels as g
from trkx.plugin.doublets import find_doublets
from trkx.plugin.errors import WeightsError
from trkx.plugin.free_triplets import (
    CHANGE_MAX,
    CURVATURE_MAX,
    chain_lengths,
    find_free_triplets,
)
from trkx.plugin.graph import Graph
from trkx.plugin.hit_table import HitTable, make_hit_table
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.layer_map_graph import context_features
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.triplets import group_by
from trkx.plugin.weights import stage_model

N_EDGE_FEATURES = 16
DOUBLETS_PER_HIT = 160  # room for them: 110 at 200 pile-up collisions


@dataclass(frozen=True)
class DisplacedGraphConfig:
    """What survives."""

    min_hits: int = 5  # hits on the longest chain through a triplet, one per layer

    def __post_init__(self) -> None:
        if self.min_hits < 3:
            raise ValueError(f"min_hits is {self.min_hits}; triplets have 3, give at least that")


@dataclass(frozen=True)
class _Chains:
    """T triplets on chains: doublets of each, features, and what their chains are like."""

    first: np.ndarray  # (T,) int32, rows of doublets
    second: np.ndarray  # (T,) int32
    along: np.ndarray  # (T,) residual along, in units of the largest allowed
    curvature: np.ndarray  # (T,) signed, in units of the largest allowed
    change: np.ndarray  # (T,) smallest change to a neighbour's, in units of the largest allowed
    inward: np.ndarray  # (T,) int16, see `chain_lengths`
    outward: np.ndarray  # (T,) int16

    def take(self, rows: np.ndarray) -> _Chains:
        return _Chains(**{name: column[rows] for name, column in vars(self).items()})


class DisplacedGraph:
    """Graph constructor for tracks that do not come from the beam line.

    References: cells that share a segment and agree in curvature, as in the cellular automata of
    Abt et al., Nucl. Instrum. Meth. A 489, 389 (2002); cluster shapes in place of the beam line,
    as FASTrack (Amrouche et al., Comput. Softw. Big Sci. 7, 1 (2023)) has them.
    """

    def __init__(self, layer_map: LayerMap, config: DisplacedGraphConfig | None = None) -> None:
        """
        Raises:
            WeightsError: the map has not learned windows for free triplets.
        """
        if not len(layer_map.free):
            raise WeightsError(
                "stage 'displaced': the layer map has no windows for triplets that do not come "
                "from the beam line; learn one with 'trkx train displaced', or give the shipped "
                'one: model = "large_radius"'
            )
        self.layer_map = layer_map
        self.config = config or DisplacedGraphConfig()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> Self:
        """From a table of a pipeline file: `model` (folder) and `DisplacedGraphConfig`."""
        config = read_settings(DisplacedGraphConfig, settings, "displaced", ignore=("model",))
        return cls(stage_model(settings, context).layer_map(), config)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Build the graph of one event; `beam_spot` is x and y of the beam line in mm."""
        m = self.layer_map
        table = make_hit_table(points, m.layers, m.slopes, beam_spot)
        source, target, pair, offset = find_doublets(table, m, DOUBLETS_PER_HIT)
        distance = table.hit[:, g.R] ** 2 + table.hit[:, g.Z] ** 2
        rank = np.empty(len(table), np.int32)
        rank[np.argsort(distance)] = np.arange(len(table), dtype=np.int32)
        chains = self._chains(table, rank, source, target, pair, offset)
        # Only doublets on chains become edges, in an order in which each follows those before it.
        used = np.zeros(len(source), bool)
        used[chains.first] = used[chains.second] = True
        kept = np.flatnonzero(used)
        kept = kept[np.argsort(rank[source[kept]], kind="stable")]
        new = np.full(len(source), -1, np.int32)
        new[kept] = np.arange(len(kept), dtype=np.int32)
        chains = chains.take(np.argsort(new[chains.second], kind="stable"))
        edges = np.stack([source[kept], target[kept]])
        triplets = np.stack([new[chains.first], new[chains.second]])
        chi = chains.along**2 + np.minimum(chains.change, 1) ** 2
        return Graph(
            n_space_points=len(points),
            space_point=table.row,
            module=table.module,
            node_features=np.concatenate([table.hit[:, [g.R, g.PHI, g.Z]], table.size], axis=1),
            feature_names=("r", "phi", "z", "size0", "size1"),
            edge_index=edges,
            edge_pair=pair[kept].astype(np.int64),
            edge_features=self._edge_features(table, edges, triplets, chi, chains),
            triplet_index=triplets,
            triplet_features=_triplet_features(chains, chi),
            table=table,
        )

    def _chains(
        self,
        table: HitTable,
        rank: np.ndarray,
        source: np.ndarray,
        target: np.ndarray,
        pair: np.ndarray,
        offset: np.ndarray,
    ) -> _Chains:
        """Triplets on chains of enough hits; `rank` orders the hits outward."""
        m = self.layer_map
        first, second, value = find_free_triplets(table, m, source, target, pair, offset)
        _, order = group_by(rank[source[first]], len(table))
        in_offset, in_order = group_by(second, len(source))
        outer = table.layer[target[second]]
        outer = np.where(table.sign[source[first]] > 0, outer, m.layers.mirror[outer])
        window = m.free[pair[first], outer]
        inward, outward, change = chain_lengths(
            order, first, second, np.ascontiguousarray(value[:, 1]),
            np.ascontiguousarray(window[:, CHANGE_MAX]), in_offset, in_order,
        )  # fmt: skip
        chains = _Chains(
            first=first,
            second=second,
            along=value[:, 0],
            curvature=value[:, 1] / window[:, CURVATURE_MAX],
            change=change,
            inward=inward,
            outward=outward,
        )
        # A chain of n triplets has n + 2 hits; the triplet itself counts in both directions.
        return chains.take(np.flatnonzero(inward + outward + 1 >= self.config.min_hits))

    def _edge_features(
        self,
        table: HitTable,
        edges: np.ndarray,
        triplets: np.ndarray,
        chi: np.ndarray,
        chains: _Chains,
    ) -> np.ndarray:
        """(E, 16) float32: position, extent and direction, cluster shapes, and context.

        Columns: r, z, ds, dz, sine of the angle to the radius, z0, four cluster-shape residuals;
        those of `context_features`.
        """
        hit, (i, j) = table.hit, edges
        sign = table.sign[i]
        out = np.empty((len(i), N_EDGE_FEATURES), np.float32)
        dx, dy, dz = (hit[j, c] - hit[i, c] for c in (g.X, g.Y, g.Z))
        ds = np.maximum(np.hypot(dx, dy), np.float32(1e-3))
        doublets = g.doublet_table(hit, table.sign, i, j)
        out[:, 0] = hit[i, g.R] / 500 - 1
        out[:, 1] = sign * hit[i, g.Z] / 1000 - 1
        out[:, 2] = ds / 100 - 0.5
        out[:, 3] = sign * dz / 200
        out[:, 4] = 2 * (hit[i, g.X] * dy - hit[i, g.Y] * dx) / (hit[i, g.R] * ds)
        out[:, 5] = np.clip(doublets[:, 1] / 200, -4, 4)
        for end, h in enumerate((i, j)):
            line, size = self.layer_map.shape[table.layer[h]], table.size[h]
            slope = doublets[:, 2 + 2 * end : 4 + 2 * end]
            sigma = np.where(line[..., 2] > 0, line[..., 2], 1)
            residual = (size - line[..., 0] - line[..., 1] * slope) / sigma
            known = (size > 0) & (line[..., 2] > 0)
            out[:, 6 + 2 * end : 8 + 2 * end] = np.where(known, np.clip(residual, -4, 4) / 2, 0)
        inward, outward = np.zeros((2, len(i)), np.int16)
        np.maximum.at(inward, triplets[1], chains.inward)
        np.maximum.at(outward, triplets[0], chains.outward)
        context_features(triplets[0], triplets[1], chi, inward, outward, out)
        return out


def _triplet_features(chains: _Chains, chi: np.ndarray) -> np.ndarray:
    """(T, 6) float32: residual, curvature, its change, lengths of the chain both ways, chi²."""
    return np.column_stack(
        [
            2 * chains.along,
            2 * chains.curvature,
            2 * chains.change - 1,
            np.minimum(chains.inward, 8) / 4 - 1,
            np.minimum(chains.outward, 8) / 4 - 1,
            2 * chi - 1,
        ]
    ).astype(np.float32)
