"""`trkx doctor`: what is installed, what is missing, and what this machine offers."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from trkx.algorithms.cli.extras import CORE, EXTRAS

EPILOG = """\
Exit code 0 if the core works, whatever extras are missing; 1 if it does not.
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    status: str  # "ok", "missing" (an extra), "broken" (of the core) or "note"
    what: str
    detail: str


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    subparsers.add_parser(
        "doctor",
        help="versions, extras, devices and weights",
        description="Say what trkx finds on this machine, and how to install what is missing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; the exit code is 1 if the core is broken."""
    broken = False
    for title, findings in diagnose().items():
        print(title)
        for finding in findings:
            print(f"  {finding.status:<8} {finding.what:<18} {finding.detail}")
            broken |= finding.status == "broken"
    print("trkx is broken: see the lines above" if broken else "trkx is ready")
    return 1 if broken else 0


def diagnose() -> dict[str, list[Finding]]:
    """Return all findings by section."""
    return {
        "core": [_python(), *_core(), _detector()],
        "extras": [finding for extra in EXTRAS for finding in _extra(extra)],
        "devices": _devices(),
        "weights": _weights(),
        "pipelines": _pipelines(),
    }


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # from an import hook; a parent package that is missing
        return False


def _python() -> Finding:
    return Finding("ok", "python", f"{platform.python_version()} on {platform.machine()}")


def _core() -> list[Finding]:
    findings = [Finding("ok", "trkx", installed_version("trkx") or "not installed")]
    for module, distribution in CORE.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken binary may fail in any way
            detail = f"cannot be imported ({error}); install it with: pip install trkx"
            findings.append(Finding("broken", distribution, detail))
        else:
            found = installed_version(distribution) or "version unknown"
            findings.append(Finding("ok", distribution, found))
    return findings


def _detector() -> Finding:
    try:
        from trkx.algorithms.detector import buildGenericDetector

        _, tracking_geometry = buildGenericDetector()
        modules = sum(key.sensitive != 0 for key in tracking_geometry.geoIdSurfaceMap())
    except Exception as error:
        return Finding("broken", "GenericDetector", f"cannot be built: {error}")
    return Finding("ok", "GenericDetector", f"builds, {modules} modules")


def _extra(extra: str) -> list[Finding]:
    modules = EXTRAS[extra]
    missing = [d for m, d in modules.items() if not _is_installed(m)]
    present = [f"{d} {installed_version(d)}" for m, d in modules.items() if d not in missing]
    if not missing:
        return [Finding("ok", extra, ", ".join(present))]
    detail = f"{', '.join(missing)} not installed; install with: pip install 'trkx[{extra}]'"
    return [Finding("missing", extra, detail)]


def _devices() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    disk = shutil.disk_usage(".")
    findings = [
        Finding("ok", "cpu", f"{cores} cores usable"),
        Finding("ok", "disk", f"{disk.free / 1e9:.0f} GB free in this folder"),
    ]
    if not _is_installed("torch"):
        return [*findings, Finding("note", "cuda", "unknown without torch")]
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return [*findings, Finding("ok", "cuda", names)]
    why = "torch is a CPU build" if torch.version.cuda is None else "torch sees no device"
    return [*findings, Finding("note", "cuda", f"none: {why}; networks run on the CPU")]


def _weights() -> list[Finding]:
    from trkx.plugin.errors import WeightsError
    from trkx.plugin.weights import SHIPPED, Model, shipped_models

    findings = []
    for name in shipped_models():
        try:
            model = Model.open(SHIPPED / name)
        except WeightsError as error:
            findings.append(Finding("broken", name, str(error)))
            continue
        kind = "map and network" if "network" in model.card else "map only"
        findings.append(Finding("ok", name, f"{kind}, checksums match"))
    return findings or [Finding("missing", "models", "none shipped; make one with `trkx train`")]


def _pipelines() -> list[Finding]:
    """Shipped pipelines, with the weights of their own checked."""
    from trkx.plugin.errors import TrackFindingError
    from trkx.plugin.pipeline_file import PipelineFile, shipped_pipelines
    from trkx.plugin.stage_weights import StageWeights

    findings = []
    for name in shipped_pipelines():
        try:
            file = PipelineFile.read(name)
            for table in file.stages:
                if "weights" in table.settings:
                    StageWeights.open(file.path.parent / table.settings["weights"])
        except TrackFindingError as error:
            # Not of the core: other finders work without it.
            findings.append(Finding("missing", name, str(error)))
            continue
        findings.append(Finding("ok", name, " → ".join(table.stage for table in file.stages)))
    return findings
