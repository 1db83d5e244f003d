"""Tracking geometries as ACTS' JSON files: the volumes, portals, surfaces and material of Gen3.

ACTS' own converter writes and reads them whole, geometry ids included; geometries of the first
generation (layers) it refuses.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import acts
import acts.json

from trkx.io.errors import ConfigError, EmptyInputError, InputFileError, OutputError

__all__ = [
    "geometry_from_document",
    "geometry_to_document",
    "readTrackingGeometry",
    "writeTrackingGeometry",
]

_HEADER = "acts-geometry-volumes"


def readTrackingGeometry(path: str | os.PathLike[str]) -> Any:
    """Read a tracking geometry that ACTS' `TrackingGeometryJsonConverter` has written.

    Returns:
        an `acts.TrackingGeometry`, with the geometry ids of the file.

    Raises:
        InputFileError: no such file, or it holds no tracking geometry.
        EmptyInputError: the geometry has no sensitive surface.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(f"geometry: no such file {path}") from None
    except OSError as error:
        raise InputFileError(f"geometry: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputFileError(f"geometry: {path} is not JSON: {error}") from error
    if not isinstance(document, dict) or _HEADER not in document:
        found = ", ".join(list(document)[:5]) if isinstance(document, dict) else "a list"
        raise InputFileError(
            f"geometry: {path} holds no tracking geometry: it has {found or 'nothing'}, expected "
            f"'{_HEADER}', as ACTS' TrackingGeometryJsonConverter writes it. Material maps and "
            "digitization files are other formats."
        )
    geometry = _read(path)
    sensitive: list[Any] = []
    geometry.visitSurfaces(sensitive.append)
    if not sensitive:
        raise EmptyInputError(f"geometry: {path} has no sensitive surface; nothing measures")
    return geometry


def writeTrackingGeometry(geometry: Any, path: str | os.PathLike[str]) -> None:
    """Write a Gen3 tracking geometry as JSON.

    Raises:
        ConfigError: a geometry of the first generation.
        OutputError: the file cannot be written.
    """
    content = json.dumps(geometry_to_document(geometry))
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"geometry: cannot write {path}: {error.strerror}") from error


def geometry_to_document(geometry: Any) -> dict[str, Any]:
    """The JSON document of a Gen3 tracking geometry.

    Raises:
        ConfigError: a geometry of the first generation.
    """
    converter = acts.json.TrackingGeometryJsonConverter()
    try:
        text = converter.toJson(_context(), geometry)
    except ValueError as error:
        raise ConfigError(
            f"geometry: {error}; build it with ACTS' Blueprint, or with gen3 = True"
        ) from error
    document: dict[str, Any] = json.loads(text)
    return document


def geometry_from_document(document: Mapping[str, Any]) -> Any:
    """The tracking geometry of a JSON document; inverse of `geometry_to_document`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "geometry.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return _read(path)


def _read(path: Path) -> Any:
    try:
        return acts.json.TrackingGeometryJsonConverter().fromFile(_context(), str(path))
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise InputFileError(
            f"geometry: ACTS cannot make a tracking geometry of {path}: {error}; write it again "
            "with the ACTS release that reads it"
        ) from error


def _context() -> Any:
    return acts.GeometryContext.dangerouslyDefaultConstruct()
