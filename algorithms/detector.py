"""The detector every trkx job runs on: ACTS' GenericDetector in a constant solenoid field."""

from __future__ import annotations

import functools
from typing import Any

import acts
import acts.examples

DEFAULT_FIELD_TESLA = 2.0
"""Field of the TrackML detector, which the GenericDetector models, in tesla."""


@functools.lru_cache(maxsize=1)
def buildGenericDetector() -> tuple[Any, Any]:
    """Build ACTS' GenericDetector (18,728 modules in nine volumes), once per process.

    The detector owns what the tracking geometry refers to, so both are cached together:
    surfaces seen by readers, fitters and writers of one process are the same objects.

    Returns:
        `(detector, trackingGeometry)`: an `acts.examples.GenericDetector` and its
        `acts.TrackingGeometry`.
    """
    config = acts.examples.GenericDetector.Config()
    for name in ("logLevel", "volumeLogLevel", "layerLogLevel", "surfaceLogLevel"):
        setattr(config, name, acts.logging.WARNING)
    detector = acts.examples.GenericDetector(config)
    return detector, detector.trackingGeometry()


@functools.lru_cache(maxsize=8)
def constantField(tesla: float = DEFAULT_FIELD_TESLA) -> Any:
    """Return a constant field along the beam line.

    Args:
        tesla: field strength along z, in tesla.

    Returns:
        an `acts.ConstantBField`, the same object for the same strength.
    """
    return acts.ConstantBField(acts.Vector3(0.0, 0.0, tesla * acts.UnitConstants.T))
