"""performance.json: every figure of a job with its uncertainty, its rule and its cuts.

The keys are documented in docs/performance_json.md. Keys are added, never renamed, within one
`schema_version`.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from itertools import combinations
from pathlib import Path
from typing import Any

from trkx.algorithms.matching import DOUBLE_MAJORITY
from trkx.algorithms.metrics import (
    ALTERNATIVE_RULES,
    PARTICLE_AXES,
    EfficiencySum,
    FinderMetrics,
    TargetMetrics,
    paired_difference,
)
from trkx.algorithms.metrics_statistics import Rate
from trkx.algorithms.metrics_truth import DISPLACED_RADIUS, Target
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.performance_times import FinderTimes
from trkx.io.atomic import atomic_path
from trkx.io.errors import InputError, InputFileError

SCHEMA = "trkx-performance"
SCHEMA_VERSION = 1

# Libraries whose version may change a figure; those not installed are left out.
_LIBRARIES = ("trkx", "pyacts", "numpy", "scipy", "numba", "torch", "uproot", "awkward")

DEFINITIONS = {
    "matching": DOUBLE_MAJORITY.words,
    "efficiency": "target particles with at least one matched track / target particles",
    "fake_rate": "tracks that match no particle / tracks; tracks with at least the given number of "
    "measurements",
    "duplicate_rate": "surplus tracks on an already matched particle / tracks; tracks with at "
    "least the given number of measurements",
    "purity": "mean, over the tracks that are the match of a target particle, of the fraction of "
    "the track's measurements that are the particle's",
    "completeness": "mean, over the same tracks, of the fraction of the particle's measurements "
    "that are on the track",
    "primaries": f"target particles produced within {DISPLACED_RADIUS:g} mm of the z axis",
    "displaced": f"target particles produced more than {DISPLACED_RADIUS:g} mm from the z axis",
    "rate_errors": "68.27% Clopper-Pearson interval; *_error is half its width",
    "mean_errors": "standard error of the mean",
    "resolutions": "width of the Gaussian core of fitted minus true perigee parameters: entries "
    "within three widths, iterated, corrected for the cut; tracks that are the match of a primary "
    "target particle",
    "pulls": "core width of residuals divided by the fit's own uncertainty; same tracks",
    "fit_fraction": "tracks with fitted parameters at the beam line / found tracks",
    "seconds_per_event": "median over events; error from their scatter. Truth matching and file "
    "access are not in it",
    "comparisons": "difference of two efficiencies on the same particles; error from the "
    "particles that only one of the two found (McNemar)",
}


class PerformanceFormatError(InputError, ValueError):
    """A performance.json that is damaged, or of another kind or version."""


def build_performance(
    collector: PerformanceCollector,
    times: Mapping[str, FinderTimes] | None = None,
    input: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    peak_memory_mb: float | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Put the figures of a job together.

    Args:
        collector: figures of all finders.
        times: seconds per event by finder.
        input: what was read: files, provenance (seed, settings, versions of the simulation).
        settings: what the job was asked to do.
        peak_memory_mb: largest resident memory of the process, 10^6 bytes.
        threads: events in flight.

    Returns:
        the document, plain values only.
    """
    times = times or {}
    events = collector.events
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "definitions": dict(DEFINITIONS),
        "targets": {target.name: _target_words(target) for target in collector.targets},
        "axes": {
            axis.name: {"label": axis.label, "unit": axis.unit, "log": axis.log}
            for axis in PARTICLE_AXES
        },
        "input": dict(input or {}),
        "events": {
            "n_events": len(events),
            "numbers": list(events),
            "n_measurements": [counts[0] for counts in events.values()],
            "n_interactions": [counts[1] for counts in events.values()],
        },
        "settings": dict(settings or {}),
        "versions": library_versions(),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "threads": threads,
        },
        "peak_memory_mb": peak_memory_mb,
        "finders": {
            name: _finder(metrics, collector, times.get(name))
            for name, metrics in collector.finders.items()
        },
        "comparisons": _comparisons(collector),
    }
    result: dict[str, Any] = plain(document)
    validate_performance(result)
    return result


def _target_words(target: Target) -> dict[str, Any]:
    return {"cuts": target.words, **asdict(target)}


def _finder(
    metrics: FinderMetrics, collector: PerformanceCollector, times: FinderTimes | None
) -> dict[str, Any]:
    mean = metrics.n_track_measurements
    return {
        "n_events": metrics.n_events,
        "n_tracks": metrics.n_tracks,
        "measurements_per_track": mean.value,
        "measurements_per_track_error": mean.error,
        "targets": {
            name: {
                **_target(target),
                "other_rules": {
                    rule.name: _other_rule(rule.words, metrics.alternatives[rule.name][name].sums)
                    for rule in ALTERNATIVE_RULES
                },
            }
            for name, target in metrics.targets.items()
        },
        "fits": {name: fit.to_dict() for name, fit in collector.fits[metrics.finder].items()},
        "seconds_per_event": None if times is None else times.to_dict(),
    }


def _target(target: TargetMetrics) -> dict[str, Any]:
    everything = target.efficiency["all"]
    return {
        **_efficiency(everything),
        **_rate("fake_rate", target.fake_rate),
        **_rate("duplicate_rate", target.duplicate_rate),
        "n_tracks": target.n_tracks,
        "n_fakes": target.n_fakes,
        "n_duplicates": target.n_duplicates,
        "purity": target.quality["purity"].value,
        "purity_error": target.quality["purity"].error,
        "completeness": target.quality["completeness"].value,
        "completeness_error": target.quality["completeness"].error,
        "primaries": _efficiency(target.efficiency["primaries"]),
        "displaced": _efficiency(target.efficiency["displaced"]),
        "histograms": {
            "efficiency": {
                subset: {name: ratio.to_dict() for name, ratio in total.binned.items()}
                for subset, total in target.efficiency.items()
            },
            "fakes": {name: ratio.to_dict() for name, ratio in target.fakes.items()},
            "duplicates": {name: ratio.to_dict() for name, ratio in target.duplicates.items()},
            "quality": {
                name: {
                    "distribution": target.quality_counts[name].to_dict(),
                    **{axis: profile.to_dict() for axis, profile in profiles.items()},
                }
                for name, profiles in target.quality_profiles.items()
            },
        },
    }


def _efficiency(total: EfficiencySum) -> dict[str, Any]:
    return {
        **_rate("efficiency", total.rate),
        "n_particles": total.total,
        "n_found": total.passed,
    }


def _rate(name: str, rate: Rate) -> dict[str, Any]:
    if not rate.total:
        return {name: None, f"{name}_error": None, f"{name}_interval": None}
    return {
        name: rate.value,
        f"{name}_error": rate.error,
        f"{name}_interval": list(rate.interval),
    }


def _other_rule(words: str, sums: Mapping[str, int]) -> dict[str, Any]:
    return {
        "rule": words,
        **_rate("efficiency", Rate(sums["found"], sums["particles"])),
        **_rate("fake_rate", Rate(sums["fakes"], sums["tracks"])),
        **_rate("duplicate_rate", Rate(sums["duplicates"], sums["tracks"])),
    }


def _comparisons(collector: PerformanceCollector) -> list[dict[str, Any]]:
    result = []
    for first, second in combinations(collector.finders, 2):
        targets = {}
        for target in collector.targets:
            ours = collector.finders[first].targets[target.name]
            theirs = collector.finders[second].targets[target.name]
            difference = paired_difference(ours, theirs)
            if difference is not None:
                targets[target.name] = difference
        if targets:
            result.append({"first": first, "second": second, "targets": targets})
    return result


def validate_performance(document: Any, where: str = "performance") -> None:
    """Check that the keys others rely on are there.

    Raises:
        PerformanceFormatError: naming the first key that is missing or of the wrong kind.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else type(document).__name__
        raise PerformanceFormatError(
            f"{where}: not a performance file of trkx: 'schema' must be {SCHEMA!r}, found {found!r}"
        )
    if document.get("schema_version") != SCHEMA_VERSION:
        raise PerformanceFormatError(
            f"{where}: schema_version {document.get('schema_version')!r}, but this trkx reads "
            f"{SCHEMA_VERSION}; write the file again with `trkx compare`"
        )
    for key in ("definitions", "targets", "events", "versions", "finders", "comparisons"):
        _require(document, key, where)
    for finder, figures in document["finders"].items():
        path = f"{where}: finders.{finder}"
        for key in ("targets", "fits", "seconds_per_event", "n_events", "n_tracks"):
            _require(figures, key, path)
        for target, values in figures["targets"].items():
            for key in ("efficiency", "fake_rate", "duplicate_rate"):
                _require(values, key, f"{path}.targets.{target}")
                _require(values, f"{key}_error", f"{path}.targets.{target}")
                _check_rate(values[key], f"{path}.targets.{target}.{key}")
            _require(values, "n_particles", f"{path}.targets.{target}")
        if figures["seconds_per_event"] is not None:
            for key in ("finding", "fitting", "total"):
                _require(figures["seconds_per_event"], key, f"{path}.seconds_per_event")


def _require(mapping: Any, key: str, where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise PerformanceFormatError(f"{where}: must be an object, found {mapping!r:.40}")
    if key not in mapping:
        raise PerformanceFormatError(
            f"{where}: key {key!r} is missing; found: {', '.join(map(str, mapping))}"
        )


def _check_rate(value: Any, where: str) -> None:
    if value is None:
        return
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise PerformanceFormatError(f"{where}: must be a number from 0 to 1, found {value!r}")


def write_performance(document: Mapping[str, Any], path: Path | str) -> Path:
    """Write the document; a killed job leaves no half file under the final name."""
    validate_performance(document)
    path = Path(path)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with atomic_path(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def load_performance(path: Path | str) -> dict[str, Any]:
    """Read and check a performance.json.

    Raises:
        InputFileError: no such file.
        PerformanceFormatError: not JSON, or not of this format.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file; `trkx compare` writes one") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PerformanceFormatError(f"{path}: not JSON ({error})") from error
    validate_performance(document, str(path))
    return dict(document)


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that matter, without importing them."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def plain(value: Any) -> Any:
    """Plain values for JSON: NaN and infinity become None, NumPy scalars Python ones."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
