"""The race: all finders on the same events, pinned to one core and then to two.

    python bench/race.py --input .bench/sample --events 0:40 --out .bench/race
    python bench/race.py --input .bench/sample --external mine=finder.py:find

Every finder runs in a process of its own, one after the other. `gnn`, `classical` and names of
shipped pipelines run event by event; on two cores, both work on the same event. The combinatorial
Kalman filters run in ACTS' event loop, on one core: a second one does nothing for an event there.
On one core, seconds are CPU time; on more, elapsed. An external finder is a function of a Python
file. It gets the columns of the space points, a dict of arrays (x, y, z in mm, geometry_id, volume,
layer, module, size0, size1), and returns one label per space point, negative for those of no track.

Rule: double majority; charged, |eta| < 4, at least 7 measurements; fakes and duplicates among
tracks of at least 7 hits. Times are those of the machine; what can be compared is their ratio to
the first finder's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import markdown, write

CKF = ("ckf-best", "ckf-balanced", "ckf-fast")
COLUMNS = (
    "finder", "cores", "efficiency [%]", "primaries [%]", "displaced [%]", "fakes [%]",
    "duplicates [%]", "purity [%]", "completeness [%]", "graph [s]", "networks [s]", "building [s]",
    "finding [s]", "least, most [s]", "ratio", "memory [GB]",
)  # fmt: skip


def run_worker(args: argparse.Namespace, finder: str, cores: int) -> dict[str, Any]:
    """Figures of one finder in a process of its own, pinned to `cores` cores."""
    mine = sorted(os.sched_getaffinity(0))[:cores]
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, str(Path(__file__).with_name("race_worker.py"))]
        command += ["--finder", finder, "--cores", str(len(mine)), "--events", args.events]
        command += ["--target", args.target, "--out", str(out), "--input", *args.input]
        subprocess.run(
            command,
            check=True,
            env=os.environ | threads,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, mine),
        )
        return dict(json.loads(out.read_text()))


def cells(found: dict[str, Any], reference: float) -> list[str]:
    """One row of the table."""

    def rate(name: str) -> str:
        value, error = found[name]
        return "–" if value is None else f"{100 * value:.2f} ± {100 * error:.2f}"

    seconds = found["seconds"]
    stages = [seconds.get(s, {}).get("median") for s in ("graph", "networks", "building")]
    whole = seconds["finding"]
    return [
        found["finder"], str(found["cores"]),
        *(rate(n) for n in ("efficiency", "primaries", "displaced", "fakes", "duplicates")),
        *(f"{100 * found[n]:.2f}" for n in ("purity", "completeness")),
        *("" if s is None else f"{s:.3f}" for s in stages),
        f"{whole['median']:.3f}", f"{whole['min']:.3f}, {whole['max']:.3f}",
        f"{whole['median'] / reference:.2f}", f"{found['peak_memory_gb']:.2f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", nargs="+", required=True, help="sample of `trkx simulate`")
    parser.add_argument("--events", default="0:", help="range of event numbers (default: all)")
    parser.add_argument("--finders", default="gnn,classical,ckf-best,ckf-fast")
    parser.add_argument("--external", action="append", default=[], metavar="NAME=FILE:FUNCTION")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--target", choices=("pt1", "pt05"), default="pt1")
    parser.add_argument("--out", type=Path, default=Path(".bench/race"))
    args = parser.parse_args()
    rows = []
    for cores in (int(n) for n in args.cores.split(",")):
        reference = None
        for finder in [*filter(None, args.finders.split(",")), *args.external]:
            if finder in CKF and cores > 1:
                continue
            found = run_worker(args, finder, cores)
            reference = reference or found["seconds"]["finding"]["median"]
            rows.append((found, cells(found, reference)))
            print("  ".join(rows[-1][1]), flush=True)
    title = f"{rows[0][0]['events']} events, {rows[0][0]['targets']} targets ({args.target})"
    text = markdown(title, list(COLUMNS), [row for _, row in rows])
    write(args.out, f"race_{args.target}", {"rows": [found for found, _ in rows]}, text)


if __name__ == "__main__":
    main()
