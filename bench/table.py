"""Timings side by side: measured in turns, so that a busy machine slows all rows alike."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_name() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def measure(
    rows: dict[str, Callable[[], Any]],
    repeats: int,
    check: Callable[[str, Any], None] = lambda name, result: None,
) -> dict[str, dict[str, float]]:
    """Seconds of every row: CPU time of the process, and elapsed where a GPU works.

    The first call of each, which compiles, does not count.

    Args:
        rows: name → what to time; names with 'cuda' are measured by the clock.
        repeats: calls of each; the least and the median are kept.
        check: called with the name and the result of each first call.
    """
    times: dict[str, list[float]] = {name: [] for name in rows}
    for name, call in rows.items():
        start = time.process_time()
        result = call()
        print(f"  {name}: {time.process_time() - start:.1f} CPU s at first", flush=True)
        check(name, result)
    for _ in range(repeats):
        for name, call in rows.items():
            clock = time.perf_counter if "cuda" in name else time.process_time
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: {"least": min(t), "median": statistics.median(t)} for name, t in times.items()}


def markdown(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """A table with its title."""
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |"]
    lines.append("|" + "---|" * len(heads))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, result: dict[str, Any], text: str) -> None:
    """Keep the result as JSON and Markdown, and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {"cpu": cpu_name(), "python": platform.python_version(), **result}
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text)
    print(text)
