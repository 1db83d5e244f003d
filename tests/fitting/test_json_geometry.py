"""Tracking geometries in JSON files: round trips, bad files."""

import json

import acts
import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.detector import buildGenericDetector
from trkx.fitting.surface_table import surface_table
from trkx.io.errors import ConfigError, EmptyInputError, InputFileError
from trkx.io.geometry_files import (
    geometry_to_document,
    readTrackingGeometry,
    writeTrackingGeometry,
)

RADII = (40.0, 80.0, 130.0, 190.0, 260.0, 340.0, 430.0, 530.0)


def barrel(radii=RADII, half_length=400.0, modules=24):
    """A barrel of cylinders of flat modules in rings of two, built with ACTS' Blueprint."""
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    envelope = acts.ExtentEnvelope(r=[0, 20.0], z=[20.0, 20.0])
    root = acts.Blueprint(acts.Blueprint.Config(envelope=envelope))
    axis = acts.AxisDirection.AxisR
    cylinder = root.addCylinderContainer("barrel", axis)
    inside = acts.CylinderVolumeBounds(0.0, 0.5 * radii[0], half_length)
    cylinder.addStaticVolume(acts.Transform3.Identity(), inside, "inside")
    for number, radius in enumerate(radii):
        n = modules + 8 * number
        half_width = 1.1 * np.pi * radius / n
        surfaces = []
        for phi in 2 * np.pi * np.arange(n) / n:
            for side in (-1, 1):
                x, y = radius * np.cos(phi), radius * np.sin(phi)
                turned = acts.AngleAxis3(float(phi) + np.pi / 2, acts.Vector3(0, 0, 1))
                upright = acts.AngleAxis3(np.pi / 2, acts.Vector3(1, 0, 0))
                place = acts.Transform3(acts.Vector3(x, y, side * half_length / 2))
                plane = acts.Surface.createPlane(
                    place * turned * upright,
                    acts.RectangleBounds(half_width, half_length / 2),
                )
                plane.assignIsSensitive(True)
                surfaces.append(plane)
        layer = cylinder.addLayer(f"layer{number}")
        layer.surfaces = surfaces
        layer.layerType = acts.LayerBlueprintNode.LayerType.Cylinder
        layer.envelope = acts.ExtentEnvelope(r=[2.0, 2.0], z=[2.0, 2.0])
    return root.construct(acts.BlueprintOptions(), context)


@pytest.fixture(scope="module")
def geometry_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("geometry") / "barrel.json"
    writeTrackingGeometry(barrel(), path)
    return path


def test_round_trip(geometry_file, tmp_path):
    read = readTrackingGeometry(geometry_file)
    table = surface_table(read)
    assert len(table.geometry_id) == sum(2 * (24 + 8 * i) for i in range(len(RADII)))
    radii = np.unique(np.round(np.hypot(table.center[:, 0], table.center[:, 1]), 3))
    np.testing.assert_allclose(radii, RADII)
    writeTrackingGeometry(read, tmp_path / "again.json")
    assert geometry_to_document(read) == json.loads((tmp_path / "again.json").read_text())


def test_geometries_of_layers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"Gen3.*Blueprint"):
        writeTrackingGeometry(buildGenericDetector()[1], tmp_path / "generic.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no tracking geometry"),
        ('{"entries": []}', "it has entries"),
        ('{"acts-geometry-volumes": {"format-version": 99}}', "cannot make a tracking geometry"),
    ],
)
def test_bad_files(tmp_path, content, expected):
    path = tmp_path / "geometry.json"
    path.write_text(content)
    with pytest.raises(InputFileError, match=expected):
        readTrackingGeometry(path)


def test_a_missing_file_at_the_command_line(tiny_sample, tmp_path, capsys):
    missing = tmp_path / "none.json"
    arguments = ["run", "--input", str(tiny_sample), "--geometry", str(missing)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_geometry_without_sensors(tmp_path):
    root = acts.Blueprint(acts.Blueprint.Config())
    bounds = acts.CylinderVolumeBounds(0.0, 100.0, 100.0)
    root.addStaticVolume(acts.Transform3.Identity(), bounds, "empty")
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    path = tmp_path / "blind.json"
    writeTrackingGeometry(root.construct(acts.BlueprintOptions(), context), path)
    with pytest.raises(EmptyInputError, match="no sensitive surface"):
        readTrackingGeometry(path)
