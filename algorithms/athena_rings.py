"""The modules of a detector that Athena dumps tell of, with their rings, for a module map.

Athena numbers modules along z (or r) and around the beam line; those that differ in the latter only
make a ring, which shares the statistics of a module map.
"""

from __future__ import annotations

import numpy as np

from trkx.io.athena_dump import HARDWARE, content_of
from trkx.io.athena_files import AthenaFiles
from trkx.plugin.module_map import Modules

__all__ = ["athena_rings"]

_PLACE = ("CLbarrel_endcap", "CLlayer_disk", "CLeta_module", "CLside")


def athena_rings(files: AthenaFiles, events: int = 0) -> Modules:
    """Find the modules on which there are clusters, and which of them make a ring.

    The mirror image of a ring is on the other side of the detector: the endcap of the other sign,
    or the module of the other sign in the barrel. A ring without one is its own.

    Args:
        files: dumps that together have clusters on all modules.
        events: how many events to look at, from the first; 0: all.
    """
    seen: dict[int, np.ndarray] = {}
    for number in files.numbers[: events or None]:
        found = files.read_dump(number, ("CLmoduleID", HARDWARE, *_PLACE))
        ids, row = np.unique(content_of(found, "CLmoduleID"), return_index=True)
        place = np.stack([content_of(found, name)[row] for name in (HARDWARE, *_PLACE)], axis=1)
        seen.update(zip(ids.tolist(), place.astype(np.int64), strict=True))
    ids = np.array(sorted(seen), np.uint64)
    place = np.stack([seen[i] for i in ids.tolist()])
    rings, cell = np.unique(place, axis=0, return_inverse=True)
    other = rings * np.where(np.arange(5) == 1, -1, 1)
    barrel = rings[:, 1] == 0
    other[barrel, 3] *= -1
    where = {tuple(ring): i for i, ring in enumerate(rings.tolist())}
    mirror = [where.get(tuple(ring), i) for i, ring in enumerate(other.tolist())]
    return Modules(ids, cell.astype(np.int32), np.array(mirror, np.int32))
