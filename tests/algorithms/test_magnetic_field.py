"""Fields by name, and maps in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.magnetic_field import central_field, field_at, namedField, solenoid_shape
from trkx.io.errors import ConfigError, EventContentError, InputFileError, NonFiniteError
from trkx.io.field_maps import FieldGrid, read_field_grid, write_field_grid

R, Z = np.arange(0.0, 1201.0, 200.0), np.arange(-3200.0, 3201.0, 400.0)


def a_map() -> FieldGrid:
    """Fields that are linear in r and z, so that interpolation is exact."""
    r, z = np.meshgrid(R, Z, indexing="ij")
    return FieldGrid((R, Z), np.stack([1e-4 * r, 2 - 1e-4 * z], axis=-1))


def at(field: object, *places: tuple[float, float]) -> np.ndarray:
    r, z = np.array(places, float).T
    return field_at(field, np.stack([r, np.zeros_like(r), z], axis=1))


def test_numbers_are_constant_fields() -> None:
    for text in (1.9, "1.9"):
        np.testing.assert_allclose(at(namedField(text), (0, 0), (900, 2000)), [[0, 0, 1.9]] * 2)


def test_the_field_of_the_solenoid_is_that_of_a_coil() -> None:
    field = namedField("solenoid")
    r, z = np.array([0, 0, 500, 500, 1000]), np.array([0, 2650, 0, -2000, 1500])
    found = at(field, *zip(r, z, strict=True))
    expected = 2 * solenoid_shape(r, z)
    np.testing.assert_allclose(found[:, [0, 2]], expected, atol=5e-3)
    assert found[0] == pytest.approx([0, 0, 2], abs=1e-3)
    # On the axis of a thin coil: half the difference of the cosines to its ends.
    end = 5300 / np.hypot(5300, 1250) / 2 / (2650 / np.hypot(2650, 1250))
    assert found[1, 2] == pytest.approx(2 * end, abs=2e-3)
    half = at(namedField("solenoid:1"), (500, -2000))
    np.testing.assert_allclose(half[0], found[3] / 2, atol=1e-6)


def test_the_field_of_the_solenoid_has_no_sources_and_no_currents_inside() -> None:
    r, z, d = np.array([300.0, 700.0]), np.array([1500.0, 2400.0]), 1.0

    def slope(component: int, dr: float, dz: float) -> np.ndarray:
        high, low = solenoid_shape(r + dr, z + dz), solenoid_shape(r - dr, z - dz)
        return (high - low)[:, component] / (2 * d)

    radial = solenoid_shape(r, z)[:, 0]
    divergence = radial / r + slope(0, d, 0) + slope(1, 0, d)
    curl = slope(0, 0, d) - slope(1, d, 0)
    np.testing.assert_allclose(divergence, 0, atol=1e-8)
    np.testing.assert_allclose(curl, 0, atol=1e-8)


def test_maps_are_read_whatever_the_order_of_points_and_the_separator(tmp_path: Path) -> None:
    grid = a_map()
    write_field_grid(tmp_path / "map.txt", grid)
    lines = (tmp_path / "map.txt").read_text().splitlines()
    np.random.default_rng(1).shuffle(lines)
    text = "\r\n".join(["r,z,Br,Bz", *(line.replace(" ", ",") for line in lines)])
    (tmp_path / "map.csv").write_text("# made up\n" + text)
    for name in ("map.txt", "map.csv"):
        again = read_field_grid(tmp_path / name)
        np.testing.assert_allclose(again.field, grid.field, rtol=1e-6)
        found = at(namedField(str(tmp_path / name)), (500, 1000), (100, -2500))
        np.testing.assert_allclose(found, [[0.05, 0, 1.9], [0.01, 0, 2.25]], atol=1e-5)


def test_half_a_map_is_mirrored(tmp_path: Path) -> None:
    z = Z[Z >= 0]
    r, height = np.meshgrid(R, z, indexing="ij")
    field = np.stack([1e-8 * r * height, 2 - 1e-4 * height], axis=-1)
    write_field_grid(tmp_path / "half.txt", FieldGrid((R, z), field))
    found = at(namedField(str(tmp_path / "half.txt")), (400, 800), (400, -800))
    np.testing.assert_allclose(found, [[3.2e-3, 0, 1.92], [-3.2e-3, 0, 1.92]], atol=1e-6)


def test_maps_in_three_coordinates(tmp_path: Path) -> None:
    axis = np.array([-1000.0, 0.0, 1000.0])
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    grid = FieldGrid((axis,) * 3, np.stack([1e-4 * x, 1e-4 * y, 2 - 1e-4 * z], axis=-1))
    write_field_grid(tmp_path / "map.txt", grid)
    found = at(namedField(str(tmp_path / "map.txt")), (500, -500))
    np.testing.assert_allclose(found, [[0.05, 0, 2.05]], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("0 0 0 2\n0 100 0 2\n", EventContentError, "positions along r"),
        ("0 0 0\n", EventContentError, "3 columns, expected 4"),
        ("", EventContentError, "0 columns"),
        ("r z\nx y\n", EventContentError, "not a table of numbers"),
        (
            "0 0 0 2\n0 1 0 2\n1 0 0 2\n",
            EventContentError,
            "3 points, expected one for each of the 2 × 2",
        ),
        ("0 0 0 2\n0 1 0 nan\n1 0 0 2\n1 1 0 2\n", NonFiniteError, "in point 1"),
        ("0 0 0 2\n0 1 0 2\n0 5 0 2\n1 0 0 2\n1 1 0 2\n1 5 0 2\n", EventContentError, "along z"),
    ],
)
def test_bad_maps(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "map.txt").write_text(text)
    with pytest.raises(error, match=message):
        namedField(str(tmp_path / "map.txt"))


@pytest.mark.parametrize(("text", "tesla"), [("1.9", 1.9), ("solenoid:1.99", 1.99)])
def test_the_field_at_the_centre(text: str, tesla: float) -> None:
    assert central_field(text) == pytest.approx(tesla, abs=1e-4)


def test_places_outside_of_a_map() -> None:
    with pytest.raises(ConfigError, match=r"not known at \(5000, 0, 0\) mm"):
        at(namedField("solenoid"), (5000, 0))


def test_bad_names() -> None:
    with pytest.raises(ConfigError, match="'strong' is no strength"):
        namedField("solenoid:strong")
    with pytest.raises(ConfigError, match="0 < |B| < 20"):
        namedField("0")
    with pytest.raises(InputFileError, match="no field map nowhere.txt"):
        namedField("nowhere.txt")
