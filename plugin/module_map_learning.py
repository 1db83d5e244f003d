"""Learn the module map from any number of events, one after the other, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trkx.plugin.errors import StageError
from trkx.plugin.layers import split_geometry_id
from trkx.plugin.module_map import ModuleMap, Modules, TripletStatistics
from trkx.plugin.module_map_kernels import triplet_quantities
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.truth_edges import crossings, true_doublets, true_triplets

SYMMETRIES = ("none", "phi", "phi_z")


@dataclass(frozen=True)
class ModuleMapLearningConfig:
    """Whose tracks the map describes, and which modules share statistics."""

    pt_min: float = 0.9  # GeV; softer particles are not learned from
    eta_max: float = 4.2  # particles at larger |eta| are not learned from
    hits_min: int = 6  # nor are those with fewer hits
    symmetry: str = "phi_z"  # 'none': every module for itself; 'phi': rings of modules; 'phi_z':
    #   rings, and with them their mirror images at -z
    frame: str = "hit"  # of dy/dx, see `ModuleMap`
    buffer: int = 16  # events between two updates of the statistics, an expense of memory for time

    def __post_init__(self) -> None:
        if self.symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry is '{self.symmetry}'; choose one of {SYMMETRIES}")
        if self.symmetry != "none" and self.frame == "global":
            raise ValueError(
                "frame 'global' does not go with a symmetry: dy/dx depends on the azimuth"
            )
        if self.buffer < 1:
            raise ValueError(f"buffer is {self.buffer}; give at least 1 event")


def hit_columns(points: SpacePoints, beam_spot: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(N, 6) float32: x, y, z, r, phi and eta of the space points, beam spot subtracted."""
    x, y = points.x - np.float32(beam_spot[0]), points.y - np.float32(beam_spot[1])
    r = np.maximum(np.hypot(x, y), np.float32(1e-3))
    columns = (x, y, points.z, r, np.arctan2(y, x), np.arcsinh(points.z / r))
    return np.stack(columns, axis=1).astype(np.float32)


def event_triplets(
    event: LabelledEvent, pt_min: float, eta_max: float = 4.0, hits_min: int = 7
) -> np.ndarray:
    """(3, K) int64 rows of space points: the true triplets of particles above `pt_min`."""
    volume, layer, _ = split_geometry_id(event.space_points.geometry_id)
    wanted = event.targets(pt_min, eta_max, hits_min)
    # Hits are grouped by layer, so that overlaps do not make edges within one.
    return true_triplets(*true_doublets(crossings(event, (volume << 12) | layer, wanted)))


class ModuleMapLearner:
    """Takes events one by one, and gives the map of those seen so far at any time."""

    def __init__(self, modules: Modules, config: ModuleMapLearningConfig | None = None) -> None:
        """`modules` with rings as cells; symmetry 'none' takes every module for itself."""
        self.config = config or ModuleMapLearningConfig()
        if self.config.symmetry == "none":
            modules = Modules.single(modules.geometry_id)
        self.modules = modules
        self.events = 0
        self._statistics = TripletStatistics.empty()
        self._waiting: list[TripletStatistics] = []

    def add(self, event: LabelledEvent) -> None:
        """Learn from one event."""
        c = self.config
        triplet = event_triplets(event, c.pt_min, c.eta_max, c.hits_min)
        key = triplet_keys(event.space_points, self.modules, triplet)
        hit = hit_columns(event.space_points)
        values = triplet_quantities(hit, triplet, c.frame == "hit")
        self._waiting.append(TripletStatistics.of(key, values))
        self.events += 1
        if len(self._waiting) >= c.buffer:
            self._update()

    def go_on_from(self, seen: ModuleMap) -> None:
        """Count what `seen` returned of an earlier learner as if it had been added here."""
        here = ModuleMap(self.modules, TripletStatistics.empty(), self.config.frame)
        self._waiting.append(here.merge(seen).statistics)
        self.events += int(seen.meta["events"])

    def seen(self) -> ModuleMap:
        """What was added, without mirror images: to be gone on from, or merged."""
        self._update()
        return ModuleMap(self.modules, self._statistics, self.config.frame, {"events": self.events})

    def map(self, meta: dict[str, Any] | None = None) -> ModuleMap:
        """The map of the events so far.

        Raises:
            StageError: there was no particle to learn from.
        """
        self._update()
        if not len(self._statistics):
            raise StageError(
                f"module map: no triplet of a particle above {self.config.pt_min} GeV in "
                f"{self.events} events; learn from more events, or a lower pt_min"
            )
        about = {"events": self.events, "symmetry": self.config.symmetry, **(meta or {})}
        found = ModuleMap(self.modules, self._statistics, self.config.frame, about)
        return found.merge(found.mirrored()) if self.config.symmetry == "phi_z" else found

    def _update(self) -> None:
        self._statistics = TripletStatistics.combine([self._statistics, *self._waiting])
        self._waiting = []


def triplet_keys(points: SpacePoints, modules: Modules, triplet: np.ndarray) -> np.ndarray:
    """(K,) int64: the cells of triplets (3, K) of space points, as keys of the statistics."""
    _, cell = modules.cells(points.geometry_id)
    a, b, c = cell[triplet].astype(np.int64)
    return (a * modules.n_cells + b) * modules.n_cells + c


def learn_module_map(
    events: Iterable[LabelledEvent],
    modules: Modules,
    config: ModuleMapLearningConfig | None = None,
    meta: dict[str, Any] | None = None,
) -> ModuleMap:
    """Learn the map of a stream of events; memory does not grow with their number.

    Args:
        events: simulated events with truth.
        modules: the detector's modules, with rings as cells.
        config: whose tracks, and which symmetry.
        meta: provenance to keep with the map.
    """
    learner = ModuleMapLearner(modules, config)
    for event in events:
        learner.add(event)
    return learner.map(meta)


def coverage(
    module_map: ModuleMap,
    event: LabelledEvent,
    pt_min: float,
    method: str | None = None,
    n_rms: float = 4.0,
) -> tuple[int, int]:
    """How many true triplets of targets are in the map.

    Args:
        module_map: the map.
        event: an event that it was not learned from.
        pt_min: of targets, GeV.
        method: also inside the cuts of this method; None: their modules are a triplet of the map.
        n_rms: see `TripletStatistics.windows`.

    Returns:
        triplets inside, and all.
    """
    triplet = event_triplets(event, pt_min)
    key = triplet_keys(event.space_points, module_map.modules, triplet)
    statistics = module_map.statistics
    row = np.minimum(np.searchsorted(statistics.key, key), len(statistics) - 1)
    inside = statistics.key[row] == key
    if method is not None:
        turned = module_map.frame == "hit"
        values = triplet_quantities(hit_columns(event.space_points), triplet, turned)
        window = statistics.windows(method, n_rms)[row]
        inside &= ((values >= window[..., 0]) & (values <= window[..., 1])).all(axis=1)
    return int(inside.sum()), len(key)
