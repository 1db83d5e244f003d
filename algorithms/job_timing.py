"""Seconds per stage and event, from marker algorithms around the elements of each stage."""

from __future__ import annotations

import csv
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import acts
import acts.examples
import numpy as np

MARKER = "StageMarker"


class StageMarker(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Notes the CPU and wall clock when an event passes it.

    The CPU clock is that of the process: it holds the work of library threads, too, and leaves
    out the time another program had the core. It means something for one event in flight only.
    """

    def __init__(self, name: str, clocks: dict[int, tuple[float, float]]) -> None:
        """Create the marker.

        Args:
            name: stage and edge, as in `gnn:finding:start`.
            clocks: filled with event number → (CPU seconds, wall seconds).
        """
        acts.examples.IAlgorithm.__init__(self, f"{MARKER}:{name}", acts.logging.WARNING)
        self._clocks = clocks

    def execute(self, context: Any) -> Any:
        """Note the clocks."""
        self._clocks[context.eventNumber] = (time.process_time(), time.perf_counter())
        return acts.examples.ProcessCode.SUCCESS


class ProgressAlgorithm(acts.examples.IAlgorithm):  # type: ignore[misc]
    """Counts finished events; put it last."""

    def __init__(self, update: Any) -> None:
        """Create the algorithm; `update()` is called once per event, by one thread at a time."""
        acts.examples.IAlgorithm.__init__(self, "ProgressAlgorithm", acts.logging.WARNING)
        self._update = update
        self._lock = threading.Lock()

    def execute(self, context: Any) -> Any:
        """Count one event."""
        with self._lock:
            self._update()
        return acts.examples.ProcessCode.SUCCESS


@dataclass(frozen=True)
class StageTime:
    """Time of one stage; the clock is `cpu` (one event in flight) or `wall` (several)."""

    seconds: float  # per event: median over events for cpu, mean for wall
    seconds_error: float  # standard error of the mean over events; NaN where not known
    clock: str
    per_event: tuple[float, ...]  # seconds of each event by ascending number; () for wall


class StageTimer:
    """Times the stages of one job.

    With one event in flight the CPU clock is read at the stage's edges. With several, the
    sequencer's own timing of the elements between the edges is added up afterwards.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._clocks: dict[str, dict[int, tuple[float, float]]] = {}

    @contextmanager
    def stage(self, s: Any, name: str) -> Iterator[None]:
        """Time all elements that the body adds to sequencer `s` as stage `name`."""
        if f"{name}:start" in self._clocks:
            raise ValueError(f"stage {name!r} is timed already")
        self._mark(s, f"{name}:start")
        yield
        self._mark(s, f"{name}:stop")

    def _mark(self, s: Any, name: str) -> None:
        self._clocks[name] = {}
        s.addAlgorithm(StageMarker(name, self._clocks[name]))

    @property
    def stages(self) -> list[str]:
        """Names of the stages in the order they were added."""
        return [n.removesuffix(":start") for n in self._clocks if n.endswith(":start")]

    def result(
        self, timing_file: Path | None = None, wall: Collection[str] = ()
    ) -> dict[str, StageTime]:
        """Return the time of each stage, after the sequencer has run.

        Args:
            timing_file: the sequencer's timing.csv, needed for more than one thread.
            wall: stages that are timed by the wall clock even with one event in flight.
        """
        if self._threads == 1:
            return {name: self._from_clocks(name, name in wall) for name in self.stages}
        if timing_file is None or not timing_file.exists():
            return {}
        totals = stage_totals(timing_file)
        return {
            name: StageTime(totals[name], float("nan"), "wall", ())
            for name in self.stages
            if name in totals
        }

    def _from_clocks(self, name: str, wall: bool) -> StageTime:
        clock = "wall" if wall else "cpu"
        start, stop = self._clocks[f"{name}:start"], self._clocks[f"{name}:stop"]
        times = np.array([stop[event][wall] - start[event][wall] for event in sorted(stop)])
        if len(times) == 0:
            return StageTime(float("nan"), float("nan"), clock, ())
        error = float(times.std(ddof=1) / np.sqrt(len(times))) if len(times) > 1 else float("nan")
        return StageTime(float(np.median(times)), error, clock, tuple(times.tolist()))


def stage_totals(timing_file: Path) -> dict[str, float]:
    """Add up the sequencer's seconds per event between the markers of each stage.

    The file has one row per sequence element in their order; algorithms of several chains
    share names, so the markers are what tells them apart.

    Args:
        timing_file: `timing.csv` as the sequencer writes it.

    Returns:
        stage → mean wall seconds per event.
    """
    totals: dict[str, float] = defaultdict(float)
    open_stages: list[str] = []
    with open(timing_file, newline="") as file:
        # The file ends with an empty line.
        rows = [row for row in csv.DictReader(file) if row.get("time_perevent_s")]
    for row in rows:
        name = row["identifier"].partition(":")[2]
        if name.startswith(f"{MARKER}:"):
            stage, _, edge = name.removeprefix(f"{MARKER}:").rpartition(":")
            if edge == "start":
                open_stages.append(stage)
                totals[stage] += 0.0
            else:
                open_stages.remove(stage)
            continue
        for stage in open_stages:
            totals[stage] += float(row["time_perevent_s"])
    return dict(totals)
