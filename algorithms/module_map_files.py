"""The plugin's module maps to and from ROOT files."""

from __future__ import annotations

import os
from pathlib import Path

from trkx.io.module_map_files import ModuleMapTables, read_module_map, write_module_map
from trkx.plugin.module_map import ModuleMap, Modules, from_moments

__all__ = ["load_module_map", "save_module_map"]


def save_module_map(
    module_map: ModuleMap,
    prefix: str | os.PathLike[str],
    force: bool = False,
    precision: str = "float32",
) -> tuple[Path, Path]:
    """Write PREFIX.doublets.root and PREFIX.triplets.root; see `write_module_map`."""
    m, s = module_map.modules, module_map.statistics
    about = {"frame": module_map.frame, "meta": module_map.meta}
    tables = ModuleMapTables(
        m.geometry_id, m.cell, m.mirror, module_map.triplets, s.count, s.low, s.high, s.mean,
        s.rms, about,
    )  # fmt: skip
    return write_module_map(tables, prefix, force, precision)


def load_module_map(prefix: str | os.PathLike[str]) -> ModuleMap:
    """Read a map from ROOT files, ours or those of ModuleMapGraph.

    Slopes dy/dx of ModuleMapGraph are in the global frame ('global'). Some of its versions store
    for diff_dydx the sum of the two slopes, by an exchanged sign; learn such maps anew.
    """
    t = read_module_map(prefix)
    n = len(t.mirror)
    a, b, c = t.triplet
    key = (a * n + b) * n + c
    order = key.argsort()
    statistics = from_moments(key, t.count, t.low, t.high, t.mean, t.rms).take(order)
    frame, meta = t.about.get("frame", "global"), t.about.get("meta", {})
    return ModuleMap(Modules(t.geometry_id, t.cell, t.mirror), statistics, frame, dict(meta))
