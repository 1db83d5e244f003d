"""What a job leaves behind: performance.json, histograms, report.html, job.json, and a table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trkx.algorithms.job import JobResult
from trkx.algorithms.job_config import finder_key, fits_while_finding
from trkx.algorithms.job_histograms import write_finder_histograms
from trkx.algorithms.job_pipelines import pipeline_files
from trkx.algorithms.job_service import describe_service
from trkx.algorithms.magnetic_field import central_field
from trkx.algorithms.performance import build_performance, library_versions, write_performance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.performance_table import format_table
from trkx.algorithms.performance_times import FinderTimes, StageSeconds
from trkx.io.errors import MissingExtraError
from trkx.io.provenance import read_provenance

DISPLAY_FILE = "event_display.npz"


def finder_times(result: JobResult) -> dict[str, FinderTimes]:
    """Put the times of the job's stages together by finder."""
    times = {}
    for finder, chain in result.chains.items():
        if f"{finder}:finding" not in result.times:
            continue
        parts = {}
        if chain.pipeline_timings is not None:
            events = list(chain.pipeline_timings.events.values())
            for stage in dict.fromkeys(stage for event in events for stage in event):
                seconds = [event.get(stage, 0.0) for event in events]
                parts[stage] = StageSeconds.from_events(seconds, "wall")
        times[finder] = FinderTimes(
            finding=StageSeconds.of(result.times[f"{finder}:finding"]),
            fitting={
                fitter: StageSeconds.of(result.times[f"{finder}:fitting:{fitter}"])
                for fitter in chain.summaries
            },
            parts=parts,
            fits_while_finding=fits_while_finding(finder),
        )
    return times


def performance_document(result: JobResult) -> dict[str, Any]:
    """Return the content of performance.json; without truth in the input, only the times."""
    collector = result.collector
    if collector is None:
        collector = PerformanceCollector(field_tesla=central_field(result.config.field))
        for finder in result.chains:
            collector.add_finder(finder)
    document = build_performance(
        collector,
        times=finder_times(result),
        input={"files": input_files(result)},
        settings=result.config.as_json(),
        peak_memory_mb=result.peak_memory_bytes / 1e6,
        threads=result.config.threads,
    )
    if result.service:
        document["service"] = result.service
    return document


def input_files(result: JobResult) -> list[dict[str, Any]]:
    """Name, size and provenance of each input file."""
    return [
        {"path": str(path), "bytes": path.stat().st_size, "provenance": read_provenance(path)}
        for path in result.input_files
    ]


def pipeline_record(result: JobResult) -> dict[str, Any]:
    """Stages and settings of each finder that is a pipeline, as its file has them."""
    files = pipeline_files(result.config.finders, result.config.pipeline_files)
    return {
        finder: {
            "file": file.path.name,
            "stages": [{"stage": table.stage, **table.settings} for table in file.stages],
        }
        for finder, file in files.items()
    }


def job_record(result: JobResult, command: str, folder: Path) -> dict[str, Any]:
    """Return the content of job.json."""
    return {
        "schema": "trkx-job",
        "schema_version": 1,
        "command": command,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": result.config.as_json(),
        "pipelines": pipeline_record(result),
        "versions": library_versions(),
        "input": input_files(result),
        "events": {"first": result.events[0], "stop": result.events[1], "n": result.n_events},
        "wall_seconds": result.wall_seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "fits": {
            finder: {
                fitter: {
                    "found": summary.total.found,
                    "started": summary.total.started,
                    "fitted": summary.total.fitted,
                }
                for fitter, summary in chain.summaries.items()
            }
            for finder, chain in result.chains.items()
        },
        "files": sorted([path.name for path in folder.iterdir()] + ["job.json"]),
    }


def write_results(result: JobResult, folder: Path, command: str) -> dict[str, Any]:
    """Write everything but what the sequencer's writers have written.

    Args:
        result: of the job.
        folder: existing folder, the job's hidden one.
        command: for job.json.

    Returns:
        the content of performance.json.
    """
    document = performance_document(result)
    write_performance(document, folder / "performance.json")
    display = None if result.collector is None else result.collector.display
    if display is not None:
        display.save(folder / DISPLAY_FILE)
    for finder in result.chains if result.collector is not None else ():
        write_finder_histograms(document, finder, folder / f"performance_{finder_key(finder)}.root")
    if result.config.report and result.collector is not None:
        _write_report(folder / "report.html", document, display)
    record = job_record(result, command, folder)
    (folder / "job.json").write_text(json.dumps(record, indent=1) + "\n")
    return document


def _write_report(path: Path, document: Mapping[str, Any], display: Any) -> None:
    # A core-only installation has no plots, and that must not cost it the figures.
    try:
        from trkx.algorithms.report import write_report

        write_report(path, document, display)
    except (MissingExtraError, ModuleNotFoundError) as error:
        print(f"no {path.name}: {error}")


def print_result(result: JobResult, document: Mapping[str, Any]) -> None:
    """Print the table, the fits that failed, and where the results are."""
    print(format_table(document), end="")
    for finder, chain in result.chains.items():
        for fitter, summary in chain.summaries.items():
            if summary.total.failed:
                print(f"{finder}, {fitter}: {summary.total}")
    for finder, record in result.service.items():
        print(f"{finder}: {describe_service(record)}")
    out = result.config.out
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    print(f"{result.n_events} events in {result.wall_seconds:.1f} s; in {out}: {', '.join(names)}")
