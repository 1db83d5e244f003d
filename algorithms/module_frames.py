"""Local axes of a tracking geometry's sensitive modules, for cluster shapes in the plugin."""

from __future__ import annotations

from typing import Any

import acts
import numpy as np

from trkx.plugin.layers import ModuleFrames

__all__ = ["moduleFrames"]


def moduleFrames(trackingGeometry: Any) -> ModuleFrames:
    """Axes of local 0 and local 1 of every sensitive plane, in the global frame."""
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    towards = acts.Vector3(0.0, 0.0, 1.0)  # only curved surfaces look at the direction
    corners = [acts.Vector2(0.0, 0.0), acts.Vector2(1.0, 0.0), acts.Vector2(0.0, 1.0)]
    ids, points = [], []
    for geometry_id, surface in trackingGeometry.geoIdSurfaceMap().items():
        if geometry_id.sensitive == 0:
            continue
        ids.append(geometry_id.value)
        points.append([tuple(surface.localToGlobal(context, c, towards)) for c in corners])
    origin, unit0, unit1 = np.moveaxis(np.array(points), 1, 0)
    return ModuleFrames(
        geometry_id=np.array(ids, np.uint64),
        axis0=(unit0 - origin).astype(np.float32),
        axis1=(unit1 - origin).astype(np.float32),
    )
