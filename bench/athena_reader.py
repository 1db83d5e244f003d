"""CPU seconds and memory to read Athena dumps of full size, entry by entry.

    python bench/athena_reader.py --work .bench/itk
    python bench/athena_reader.py --input Dump_GNN4Itk.root --work .bench/itk

Without --input, events with strips of two clusters are simulated (295 interactions, half of all
measurements are noise: more than 310,000 space points each), written by uproot, and with ROOT
(`make root-env`) in the true types of Athena. Each event is read once as `trkx run` reads it, once
for training, with links to particles. "first" has what is done once per job.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

from trkx.algorithms.athena_convert import athena_provenance, write_athena
from trkx.algorithms.labelled_events import labelled_event
from trkx.io.athena_files import AthenaFiles
from trkx.io.errors import TrkxWarning
from trkx.io.event_sources import open_events
from trkx.io.readers import READ_COLUMNS

PILEUP, NOISE, SEED = 295, 0.5, 600301
ROOT_PYTHON = Path(__file__).parents[1] / ".venv-root" / "bin" / "python"
TRUE_TYPES = Path(__file__).parents[1] / "examples" / "athena_true_types.py"


def make_dumps(work: Path, events: int) -> list[Path]:
    """Simulate and write what is not there yet."""
    sample, plain, true = work / "sample", work / "uproot.root", work / "Dump_GNN4Itk.root"
    if not (sample / "particles.root").exists():
        from trkx.algorithms.simulation import SimulationSettings, simulate

        settings = SimulationSettings(pileup=PILEUP, noise=NOISE, seed=SEED, strips="stereo")
        simulate(settings, sample, events, threads=1)
    if not plain.exists():
        with open_events(sample) as files:
            write_athena(files, files.numbers, plain, athena_provenance([str(sample)], "bench"))
    if not true.exists() and ROOT_PYTHON.exists():
        command = [str(ROOT_PYTHON), "-W", "ignore", str(TRUE_TYPES), str(plain), str(true)]
        subprocess.run(command, check=True)
    return [path for path in (plain, true) if path.exists()]


def measure(path: Path) -> None:
    """Print a line per event."""
    start = time.process_time()
    files = AthenaFiles.open(path)
    opened = time.process_time() - start
    print(f"{path.name}: {path.stat().st_size / len(files) / 1e6:.0f} MB per event, "
          f"opened in {opened:.2f} s")  # fmt: skip
    print("event  space points  clusters  particles   run (s)  train (s)  peak memory (MB)")
    for number in files.numbers:
        start = time.process_time()
        event = files.read(number, columns=READ_COLUMNS)
        run = time.process_time() - start
        start = time.process_time()
        labelled_event(files.read(number))
        train = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{number if number else 'first':>5}  {event.n_space_points:12,}  "
            f"{event.n_measurements:8,}  {event.n_particles:9,}  {run:8.2f}  {train:9.2f}  "
            f"{memory:16.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--input", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--events", type=int, default=3)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.file is not None:
        # Noise that falls into one channel twice is no concern here.
        warnings.simplefilter("ignore", TrkxWarning)
        measure(args.file)
        return
    for path in args.input or make_dumps(args.work, args.events):
        # In a process of its own: memory is the highest of a process.
        command = [sys.executable, __file__, "--work", str(args.work), "--file", str(path)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
