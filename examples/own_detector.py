"""How do I describe a detector of my own?

    python examples/own_detector.py barrel

builds ten barrel layers with ACTS' Blueprint, and writes barrel/geometry.json and
barrel/digitization.json. docs/own_detector.md goes on from there:
simulated events, a learned map, a trained network, fitted tracks.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import acts

from trkx.io.geometry_files import writeTrackingGeometry

u = acts.UnitConstants
RADII = (40, 80, 130, 190, 260, 350, 450, 560, 680, 800)  # mm
HALF_LENGTH = 600.0  # mm
MODULES_ALONG_Z = 12
PITCH = (0.05, 0.1)  # mm, along r-φ and z
THICKNESS = 0.25  # mm


def barrelModules(radius: float) -> list[Any]:
    """Planes of one layer; every second one 4 mm further out, so that they overlap in φ."""
    n = max(12, 4 * round(math.pi * radius / 100))
    half_z = 1.02 * HALF_LENGTH / MODULES_ALONG_Z
    bounds = acts.RectangleBounds(1.15 * math.pi * radius / n, half_z)
    surfaces = []
    for i in range(n):
        phi = 2 * math.pi * (i + 0.5) / n
        r = radius + (2.0 if i % 2 else -2.0)
        rotation = acts.RotationMatrix3(
            acts.Vector3(-math.sin(phi), math.cos(phi), 0),
            acts.Vector3(0, 0, 1),
            acts.Vector3(math.cos(phi), math.sin(phi), 0),
        )
        for k in range(MODULES_ALONG_Z):
            z = HALF_LENGTH * ((2 * k + 1) / MODULES_ALONG_Z - 1)
            centre = acts.Vector3(r * math.cos(phi), r * math.sin(phi), z)
            surface = acts.Surface.createPlane(acts.Transform3(centre, rotation), bounds)
            surface.assignIsSensitive(True)
            surfaces.append(surface)
    return surfaces


def buildBarrel() -> Any:
    """The tracking geometry: a volume per layer, around the beam line."""
    config = acts.Blueprint.Config()
    config.envelope = acts.ExtentEnvelope(r=[20 * u.mm, 20 * u.mm], z=[20 * u.mm, 20 * u.mm])
    root = acts.Blueprint(config)
    barrel = root.addCylinderContainer("Barrel", direction=acts.AxisDirection.AxisR)
    inside = acts.CylinderVolumeBounds(0, 25 * u.mm, HALF_LENGTH + 30)
    barrel.addStaticVolume(acts.Transform3(acts.Vector3(0, 0, 0)), inside, name="BeamPipe")
    for number, radius in enumerate(RADII, 1):
        with barrel.Layer(f"Layer{number}") as layer:
            layer.surfaces = barrelModules(radius)
            layer.layerType = acts.LayerBlueprintNode.LayerType.Cylinder
            layer.envelope = acts.ExtentEnvelope(r=[3 * u.mm, 3 * u.mm], z=[5 * u.mm, 5 * u.mm])
            layer.navigationPolicyFactory = acts.NavigationPolicyFactory.make().add(
                acts.TryAllNavigationPolicy, acts.TryAllNavigationPolicy.Config()
            )
    return root.construct(
        options=acts.BlueprintOptions(),
        gctx=acts.GeometryContext.dangerouslyDefaultConstruct(),
        level=acts.logging.WARNING,
    )


def digitization(geometry: Any) -> dict[str, Any]:
    """ACTS' digitization configuration: channels of PITCH in every volume."""
    surfaces: list[Any] = []
    geometry.visitSurfaces(surfaces.append)
    half_widths = {s.geometryId.volume: list(s.bounds.values())[2:] for s in surfaces}

    def axis(name: str, pitch: float, half: float) -> dict[str, Any]:
        shape = {"bins": round(2 * half / pitch), "min": -half, "max": half}
        return {**shape, "option": "open", "type": "equidistant", "value": name}

    def channels(half: list[float]) -> dict[str, Any]:
        axes = [axis(*a) for a in zip(("binX", "binY"), PITCH, half, strict=True)]
        return {
            "indices": [0, 1],
            "segmentation": {"binningdata": axes},
            "thickness": THICKNESS,
            "threshold": 0.01,
            "digital": False,
            "charge-smearing": {"type": "Gauss", "mean": 0.0, "stddev": 0.004},
            "variances": [{"index": i, "rms": [p / math.sqrt(12)]} for i, p in enumerate(PITCH)],
        }

    return {
        "acts-geometry-hierarchy-map": {
            "format-version": 0,
            "value-identifier": "digitization-configuration",
        },
        "entries": [
            {"volume": volume, "value": {"geometric": channels(half)}}
            for volume, half in sorted(half_widths.items())
        ],
    }


def runOwnDetector(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    geometry = buildBarrel()
    writeTrackingGeometry(geometry, folder / "geometry.json")
    (folder / "digitization.json").write_text(json.dumps(digitization(geometry)))


if __name__ == "__main__":
    runOwnDetector(Path(sys.argv[1] if len(sys.argv) > 1 else "barrel"))
