"""CPU seconds and memory to read Athena dumps of full size, entry by entry.

    python bench/athena_reader.py --work .bench/itk
    python bench/athena_reader.py --input Dump_GNN4Itk.root

Without --input, events with strips of two clusters are simulated (295 interactions, half of all
measurements are noise: more than 310,000 space points each), written by uproot, and with ROOT
(`make root-env`) in the true types of Athena. Each event is read once as `trkx run` reads it, once
for training, with links to particles. Memory is what reading adds at its peak; "first" has what is
done once per job.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import warnings
from pathlib import Path

from trkx.algorithms.athena_convert import athena_provenance, write_athena
from trkx.algorithms.evaluation_resources import StageUse
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
    files = AthenaFiles.open(path)
    print(f"{path.name}: {path.stat().st_size / len(files) / 1e6:.0f} MB per event")
    print("event  space points  clusters  particles   run (s)  train (s)  memory (MB)")
    for number in files.numbers:
        run, train = StageUse(), StageUse()
        with run.measure():
            event = files.read(number, columns=READ_COLUMNS)
        counts = event.n_space_points, event.n_measurements, event.n_particles
        del event
        with train.measure():
            labelled_event(files.read(number))
        print(
            f"{number if number else 'first':>5}  {counts[0]:12,}  {counts[1]:8,}  "
            f"{counts[2]:9,}  {run.cpu_seconds[0]:8.2f}  {train.cpu_seconds[0]:9.2f}  "
            f"{max([*run.increase, *train.increase], default=math.nan):11.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--input", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--work", type=Path, default=Path(".bench/itk"), metavar="DIR")
    parser.add_argument("--events", type=int, default=3)
    args = parser.parse_args()
    # Noise that falls into one channel twice is no concern here.
    warnings.simplefilter("ignore", TrkxWarning)
    for path in args.input or make_dumps(args.work, args.events):
        measure(path)


if __name__ == "__main__":
    main()
