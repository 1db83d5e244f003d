"""Local axes of a tracking geometry's sensitive modules, for cluster shapes in the plugin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import acts
import numpy as np

from trkx.algorithms.detector import buildGenericDetector
from trkx.io.errors import GeometryIdError
from trkx.io.geometry_files import readTrackingGeometry
from trkx.plugin.layers import ModuleFrames
from trkx.plugin.space_points import LabelledEvent

__all__ = ["framesOf", "moduleFrames"]


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


def framesOf(events: Sequence[LabelledEvent], geometry: Path | None = None) -> ModuleFrames | None:
    """Module axes of the detector that made the events; None: it is not known.

    Args:
        events: some events.
        geometry: file of the tracking geometry; None: the GenericDetector, if it made them.

    Raises:
        GeometryIdError: the events are not of the detector in the file.
    """
    tracking = buildGenericDetector()[1] if geometry is None else readTrackingGeometry(geometry)
    frames = moduleFrames(tracking)
    used = np.unique(np.concatenate([e.space_points.geometry_id for e in events]))
    unknown = ~np.isin(used, frames.geometry_id)
    if not unknown.any():
        return frames
    if geometry is None:
        return None
    raise GeometryIdError(
        f"{int(unknown.sum())} of {len(used)} modules of the events, such as geometry id "
        f"{int(used[unknown][0])}, are not in {geometry}; give the geometry they were made with"
    )
