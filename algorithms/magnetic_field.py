"""Magnetic fields by name: constant, of a solenoid of finite length, or from a map in a file."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import acts
import numpy as np
from scipy.special import ellipe, ellipk

from trkx.algorithms.detector import DEFAULT_FIELD_TESLA, constantField
from trkx.io.errors import ConfigError
from trkx.io.field_maps import FieldGrid, read_field_grid, write_field_grid

__all__ = ["FIELD_HELP", "central_field", "field_at", "mapField", "namedField", "solenoidField"]

SOLENOID_RADIUS, SOLENOID_LENGTH = 1250.0, 5300.0
"""Coil of ATLAS' central solenoid, mm: 5.3 m long, 2.5 m across (ATLAS, JINST 3, S08003 (2008)).
The field of the TrackML challenge falls towards the ends as that of this coil does."""

SOLENOID_LOOPS = 400
GRID_RADIUS, GRID_LENGTH, GRID_STEP = 1200.0, 3200.0, 25.0  # mm, contains the GenericDetector

FIELD_HELP = "tesla along z, such as 2; or solenoid, solenoid:TESLA; or a file with a field map"


@functools.lru_cache(maxsize=8)
def solenoidField(tesla: float = DEFAULT_FIELD_TESLA) -> Any:
    """Return the field of a coil of finite length, interpolated on a grid in r and z.

    Args:
        tesla: field strength at the centre, in tesla.

    Returns:
        an ACTS field provider, the same object for the same strength.
    """
    r, z = np.arange(0.0, GRID_RADIUS + 1, GRID_STEP), np.arange(0.0, GRID_LENGTH + 1, GRID_STEP)
    return _interpolated(FieldGrid((r, z), tesla * solenoid_shape(r[:, None], z[None, :])))


def solenoid_shape(r: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Field (B_r, B_z) of a thin coil, 1 at its centre, at cylindrical coordinates inside it.

    The sum of the fields of many current loops. (`acts.SolenoidBField` of pyacts 48.1.0 has ten
    times the radial field that follows from div B = 0, and is not used for that.)

    Args:
        r: distances from the axis, mm.
        z: positions along the axis from the centre, mm; broadcast with `r`.

    Returns:
        shape (*broadcast, 2).

    References:
        Jackson, Classical Electrodynamics, section 5.5.
    """
    r, z = np.broadcast_arrays(np.asarray(r, float), np.asarray(z, float))
    total = np.zeros((*r.shape, 2))
    at = (np.arange(SOLENOID_LOOPS) + 0.5) / SOLENOID_LOOPS - 0.5
    for loop in at * SOLENOID_LENGTH:
        total += _loop(r, z - loop)
    centre = sum(_loop(np.zeros(1), np.array([-loop]))[0, 1] for loop in at * SOLENOID_LENGTH)
    return total / centre


def _loop(r: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(*shape, 2): B_r and B_z of a loop at z = 0, in arbitrary units."""
    a = SOLENOID_RADIUS
    outer, inner = (a + r) ** 2 + z**2, (a - r) ** 2 + z**2
    k, e = ellipk(4 * a * r / outer), ellipe(4 * a * r / outer)
    along = (k + (a**2 - r**2 - z**2) / inner * e) / np.sqrt(outer)
    safe = np.where(r > 0, r, 1.0)
    radial = z / safe * (-k + (a**2 + r**2 + z**2) / inner * e) / np.sqrt(outer)
    return np.stack([np.where(r > 0, radial, 0.0), along], axis=-1)


@functools.lru_cache(maxsize=8)
def mapField(path: str | Path) -> Any:
    """Return the field of a map in a text file, interpolated by ACTS.

    Args:
        path: see `trkx.io.field_maps`. A map in r and z that starts at z = 0 is mirrored.

    Raises:
        InputError: the file is not there, or is no such map.
    """
    return _interpolated(read_field_grid(path))


def _interpolated(grid: FieldGrid) -> Any:
    two = len(grid.axes) == 2
    if two and grid.axes[1][0] == 0:
        # ACTS' own mirroring (firstQuadrant) does not turn the radial field round.
        r, z = grid.axes
        below = grid.field[:, :0:-1] * np.array([-1.0, 1.0])
        whole = np.concatenate([below, grid.field], axis=1)
        grid = FieldGrid((r, np.concatenate([-z[:0:-1], z])), whole)
    # ACTS reads maps from files only, and of the points in one order.
    with tempfile.TemporaryDirectory(prefix="trkx-field-") as folder:
        plain = Path(folder) / "map.txt"
        write_field_grid(plain, grid)
        read = acts.MagneticFieldMapRz if two else acts.MagneticFieldMapXyz
        return read(
            str(plain),
            lengthUnit=acts.UnitConstants.mm,
            bFieldUnit=acts.UnitConstants.T,
        )


def namedField(text: str | float) -> Any:
    """Return the field that an option `--field` names.

    Args:
        text: see `FIELD_HELP`.

    Raises:
        ConfigError: a strength that is none.
        InputError: see `mapField`.
    """
    try:
        return constantField(_tesla(float(text)))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
    name, colon, strength = str(text).partition(":")
    if name != "solenoid":
        return mapField(str(text))
    try:
        return solenoidField(_tesla(float(strength)) if colon else DEFAULT_FIELD_TESLA)
    except ValueError:
        raise ConfigError(
            f"field {text!r}: {strength!r} is no strength; give {FIELD_HELP}"
        ) from None


def central_field(text: str | float) -> float:
    """Strength along z at the origin, in tesla, of the field that an option `--field` names."""
    return float(field_at(namedField(text), np.zeros((1, 3)))[0, 2])


def _tesla(value: float) -> float:
    if not 0 < abs(value) < 20:
        raise ConfigError(f"field: {value} is not a field in tesla, 0 < |B| < 20")
    return value


def field_at(field: Any, position: np.ndarray) -> np.ndarray:
    """Field in tesla, shape (N, 3), at global positions (N, 3), mm.

    Raises:
        ConfigError: a position is outside of the field's map.
    """
    cache = field.makeCache(acts.MagneticFieldContext())
    out = np.empty((len(position), 3))
    for i, place in enumerate(np.asarray(position, float).tolist()):
        try:
            value = field.getField(acts.Vector3(*place), cache)
        except RuntimeError as error:
            raise ConfigError(
                f"the field is not known at ({', '.join(f'{c:.0f}' for c in place)}) mm; its map "
                "must contain the detector"
            ) from error
        out[i] = value[0], value[1], value[2]
    return out / acts.UnitConstants.T
