"""How long do the challenge's files take to read, convert and score?

    python bench/trackml_reading.py FOLDER_OR_ARCHIVE [--events 21000]

Prints CPU seconds per event, the best of five: reading the files (all parts, checks included),
cluster shapes from the cells, the event on the detector's modules, the copy in ROOT, and the score
of the true tracks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from trkx.algorithms.job_config import parse_event_range
from trkx.algorithms.trackml_convert import choose_events
from trkx.algorithms.trackml_score import score_event
from trkx.algorithms.trackml_tables import event_of_tables, trackml_tables
from trkx.io.trackml_clusters import cluster_shapes
from trkx.io.trackml_files import TrackMLFiles
from trkx.io.trackml_root import TrackMLRootWriter
from trkx.io.trackml_writer import TrackMLWriter

Result = TypeVar("Result")


def best_of(call: Callable[[], Result], repetitions: int = 5) -> tuple[float, Result]:
    """CPU seconds of the fastest call, and its result."""
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return min(times), result


def measure(files: TrackMLFiles, number: int, folder: Path) -> None:
    """Measure one event, and print a line per step."""
    seconds, event = best_of(lambda: files.read(number))
    n_cells = 0 if event.cells is None else len(event.cells["hit_id"])
    path = folder / "trackml.root"

    def to_root() -> None:
        writer = TrackMLRootWriter(path, {})
        writer.write(event)
        writer.close()

    to_root()
    again, csv = TrackMLFiles.open(path), TrackMLWriter(folder)
    steps: dict[str, Callable[[], object]] = {
        "cluster shapes": lambda: cluster_shapes(event.hits["hit_id"], event.cells),
        "on modules, shapes included": lambda: event_of_tables(number, trackml_tables(event)),
        "write trackml.root": to_root,
        "read trackml.root": lambda: again.read(number),
        "write CSV": lambda: csv.write(event),
    }
    if event.truth is not None and event.particles is not None:
        tracks = event.particle_id.astype(np.int64)
        steps["score"] = lambda: score_event(event, event.hits["hit_id"], tracks)
    print(f"event {number}: {event.n_hits} hits, {n_cells} cells\n  read {seconds:.3f} s")
    for name, step in steps.items():
        print(f"  {name} {best_of(step)[0]:.3f} s")


def main() -> None:
    """Measure all events asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path)
    parser.add_argument("--events", default=":")
    args = parser.parse_args()
    files = TrackMLFiles.open(args.input)
    with tempfile.TemporaryDirectory() as folder:
        for number in choose_events(files, parse_event_range(args.events)):
            measure(files, number, Path(folder))


if __name__ == "__main__":
    main()
