"""Where a file comes from: versions, seed, settings and command, stored as JSON in the file."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROVENANCE_KEY = "provenance"
"""Name of the TObjString that holds the record."""

PACKAGES = ("trkx", "pyacts", "uproot", "awkward", "numpy", "pythia8mc", "pyhepmc")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the content can depend on.

    Packages that are not installed are left out.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def make_provenance(
    command: str,
    settings: Mapping[str, Any],
    seed: int,
    detector: str = "generic",
    **more: Any,
) -> dict[str, Any]:
    """Build a provenance record.

    There is no time and no machine in it: equal seeds, settings and versions give equal records.

    Args:
        command: command line that writes the file.
        settings: all settings that the content depends on.
        seed: seed of the random numbers.
        detector: name of the detector.
        more: further entries.
    """
    return {
        "command": command,
        "detector": detector,
        "seed": seed,
        "settings": dict(settings),
        "versions": package_versions(),
        **more,
    }


def write_provenance(root_file: Any, record: Mapping[str, Any]) -> None:
    """Store the record in a ROOT file that is open for writing with uproot."""
    root_file[PROVENANCE_KEY] = json.dumps(record, sort_keys=True, ensure_ascii=False)


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """Read the record of a ROOT file.

    Returns:
        the record, None if the file has none (ACTS' own files have not, nor files that are not
        ROOT's).
    """
    import uproot

    with open(path, "rb") as file:
        if file.read(4) != b"root":
            return None
    with uproot.open(path) as root_file:
        if PROVENANCE_KEY not in root_file:
            return None
        return json.loads(str(root_file[PROVENANCE_KEY]))
