"""Graph construction by the module map: doublets, then triplets; edges on no triplet are dropped.

Every doublet of hits whose modules follow one another in the map, and that is inside the cuts of
their pair, is tried with those that start where it ends; an edge is kept when it is on a triplet
that is inside the cuts of its three modules. Optionally chains must be longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph
from trkx.plugin.module_map import METHODS, ModuleMap
from trkx.plugin.module_map_features import doublet_features, triplet_features
from trkx.plugin.module_map_kernels import PHI, R, Z, search_doublets, search_triplets
from trkx.plugin.module_map_learning import hit_columns
from trkx.plugin.node_features import point_features
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext, read_settings
from trkx.plugin.triplets import group_by, path_lengths

BINS_IN_ALL = 100_000  # bins in azimuth times cells: about one hit per bin


@dataclass(frozen=True)
class ModuleMapGraphConfig:
    """How wide the cuts are, and what is kept."""

    method: str = "meanrms"  # of the cuts, see `TripletStatistics.windows`
    n_rms: float = 4.0  # for 'meanrms': half width of the cuts
    margin: float = 0.02  # cuts are widened by this fraction of their width at both ends
    occurrences: int = 2  # rarer triplets of modules are left out
    min_hits: int = 4  # hits on the longest chain through an edge; 3: it is on a triplet
    triplets: bool = True  # hand on the triplets, for classifiers and builders that use them

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is '{self.method}'; choose one of {', '.join(METHODS)}")
        if self.min_hits < 3:
            raise ValueError(f"min_hits is {self.min_hits}; a triplet has 3 hits, give at least 3")


class ModuleMapGraph:
    """Graph constructor on a learned module map."""

    def __init__(self, module_map: ModuleMap, config: ModuleMapGraphConfig | None = None) -> None:
        """Prepare the search.

        Raises:
            StageError: no triplet of the map is seen often enough.
        """
        self.module_map = module_map
        self.config = c = config or ModuleMapGraphConfig()
        rows = np.flatnonzero(module_map.statistics.count >= c.occurrences)
        if not len(rows):
            raise StageError(
                f"module map: none of {len(module_map.statistics)} triplets of modules was seen "
                f"{c.occurrences} times; lower 'occurrences', or learn from more events"
            )
        s = module_map.statistics.take(rows)
        self._windows = s.windows(c.method, c.n_rms, c.margin)
        self._scale = np.stack([s.mean, np.maximum(s.rms, 1e-6)], axis=2).astype(np.float32)
        n = module_map.modules.n_cells
        inner, outer = s.key // n, s.key % (n * n)
        pair = np.unique(np.concatenate([inner, outer]))
        first, second = np.searchsorted(pair, inner), np.searchsorted(pair, outer)
        self._pair_start = np.searchsorted(pair // n, np.arange(n + 1)).astype(np.int32)
        self._pair_outer = (pair % n).astype(np.int32)
        # What is outside the cuts of all triplets of a pair need not be tried.
        doublets = np.full((len(pair), 4, 2), np.inf, np.float32)
        doublets[..., 1] = -np.inf
        for rows_of, columns in ((first, slice(0, 4)), (second, slice(4, 8))):
            np.minimum.at(doublets[..., 0], rows_of, self._windows[:, columns, 0])
            np.maximum.at(doublets[..., 1], rows_of, self._windows[:, columns, 1])
        self._pair_windows = doublets
        ways = np.diff(self._pair_start)[self._pair_outer]
        self._follow_start = (np.cumsum(ways) - ways).astype(np.int64)
        self._follow = np.full(int(ways.sum()), -1, np.int32)
        local = second - self._pair_start[self._pair_outer[first]]
        self._follow[self._follow_start[first] + local] = np.arange(len(s), dtype=np.int32)
        self._n_bins = int(np.clip(BINS_IN_ALL // n, 1, 256))
        # Room for doublets and triplets, per space point; grows when an event needs more.
        self._room = [16.0, 4.0]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], context: StageContext) -> ModuleMapGraph:
        """Build the stage from its table of a pipeline file; `map` is the file of the map."""
        if not isinstance(settings.get("map"), str):
            raise StageError("stage 'module_map': give the file of the map as map = \"FILE.npz\"")
        config = read_settings(ModuleMapGraphConfig, settings, "module_map", ignore=("map",))
        return cls(ModuleMap.load(context.path(settings["map"])), config)

    @property
    def n_pairs(self) -> int:
        """Pairs of cells in use: values of `Graph.edge_pair`."""
        return len(self._pair_outer)

    def __call__(self, points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> Graph:
        """Build the graph of one event; `beam_spot` is x and y of the beam line in mm."""
        module, cell = self.module_map.modules.cells(points.geometry_id)
        hit = hit_columns(points, beam_spot)
        n_bins = self._n_bins
        azimuth = np.clip((hit[:, PHI] + np.pi) * (n_bins / (2 * np.pi)), 0, n_bins - 1)
        slot = cell.astype(np.int64) * n_bins + azimuth.astype(np.int64)
        row = np.argsort(slot, kind="stable")
        counts = np.bincount(slot, minlength=self.module_map.modules.n_cells * n_bins)
        bin_start = np.concatenate([[0], np.cumsum(counts)])
        hit, cell, module = hit[row], cell[row], module[row]
        source, target, pair, value, offset = self._doublets(hit, cell, bin_start)
        first, second, which, kink = self._triplets(hit, cell, source, target, pair, value, offset)
        distance = hit[:, R] ** 2 + hit[:, Z] ** 2
        rank = np.empty(len(row), np.int32)
        rank[np.argsort(distance, kind="stable")] = np.arange(len(row), dtype=np.int32)
        _, order = group_by(rank[source], len(row))
        in_offset, in_order = group_by(second, len(source))
        inward, outward = path_lengths(order, in_offset, in_order, first, second)
        kept = order[(inward + outward)[order] >= self.config.min_hits]
        new = np.full(len(source), -1, np.int32)
        new[kept] = np.arange(len(kept), dtype=np.int32)
        alive = np.flatnonzero((new[first] >= 0) & (new[second] >= 0))
        alive = alive[group_by(new[second[alive]], len(kept))[1]]
        triplet_index = np.stack([new[first[alive]], new[second[alive]]])
        index = np.stack([source[kept], target[kept]])
        residual = triplet_features(kink[alive], self._scale[which[alive]])
        features = doublet_features(
            hit, index, value[kept], triplet_index, residual, inward[kept], outward[kept]
        )
        if not self.config.triplets:
            triplet_index, residual = triplet_index[:, :0], residual[:0]
        nodes, names = point_features(points, beam_spot)
        return Graph(
            n_space_points=len(points),
            space_point=row,
            module=module,
            node_features=nodes[row],
            feature_names=names,
            edge_index=index,
            edge_pair=pair[kept].astype(np.int64),
            edge_features=features,
            triplet_index=triplet_index,
            triplet_features=residual,
        )

    def _doublets(self, hit: np.ndarray, cell: np.ndarray, bin_start: np.ndarray) -> tuple:
        room = int(self._room[0] * len(hit)) + 16
        while True:
            count, *found = search_doublets(
                hit, cell, bin_start, self._n_bins, self._pair_start, self._pair_outer,
                self._pair_windows, room,
            )  # fmt: skip
            if count <= room:
                return tuple(found)
            self._room[0] = 1.1 * count / len(hit)
            room = count

    def _triplets(self, hit, cell, source, target, pair, value, offset) -> tuple:
        in_offset, in_order = group_by(target, len(hit))
        room = int(self._room[1] * len(hit)) + 16
        while True:
            count, *found = search_triplets(
                hit, cell, self.module_map.frame == "hit", source, target, pair, value, offset,
                in_offset, in_order, self._pair_start, self._follow_start, self._follow,
                self._windows, room,
            )  # fmt: skip
            if count <= room:
                return tuple(found)
            self._room[1] = 1.1 * count / len(hit)
            room = count
