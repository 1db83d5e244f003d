"""What finders lose when events are not as the finders were made for: one table, one JSON.

    python bench/robustness.py --out .bench/robustness --events 4 --seed 620000
    python bench/robustness.py --cases nominal,hits-3,mu-300 --finders fast,module_map,ckf-best

simulates the events of each case (kept in --out, and used again), runs all finders on them in one
job, and prints efficiency and fakes of each with their change against `nominal`. The beam spot is
moved in x; finders are told where it is, or not. Dead modules are the same in all events. Rule:
double majority; charged, pT > 1 GeV, |eta| < 4, at least 7 measurements; fakes among tracks of at
least 7.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from table import markdown, write

from trkx.algorithms.job import runJob
from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.simulation.run import simulate
from trkx.algorithms.simulation.settings import SimulationSettings

# Settings of the simulation that differ, and x of the beam line that finders are told, mm.
CASES: dict[str, tuple[dict[str, Any], float]] = {
    "nominal": ({}, 0.0),
    **{f"beam-{x:g}mm-unknown": ({"vertex_x": x}, 0.0) for x in (0.5, 1.0, 2.0)},
    **{f"beam-{x:g}mm-known": ({"vertex_x": x}, x) for x in (0.5, 1.0, 2.0)},
    **{f"hits-{n}": ({"hit_loss": n / 100}, 0.0) for n in (1, 3, 5)},
    **{f"modules-{n}": ({"dead_modules": n / 100}, 0.0) for n in (1, 3)},
    **{f"noise-{n}": ({"noise": n / 100}, 0.0) for n in (0, 30)},
    **{f"mu-{n}": ({"pileup": float(n)}, 0.0) for n in (60, 140, 300)},
    **{f"field-{b:g}T": ({"field_tesla": b}, 0.0) for b in (1.9, 1.95, 2.05, 2.1)},
    "smeared": ({"digitization": "smeared"}, 0.0),
}
"""`nominal` is 200 pile-up collisions, 15% noise, 2 T, geometric digitization."""


def sample(case: str, out: Path, events: int, pileup: float, seed: int) -> Path:
    """The folder with the events of a case, which are simulated where they are not there."""
    settings = {"pileup": pileup, "seed": seed, **CASES[case][0]}
    name = "-".join(f"{k}_{v}" for k, v in sorted(settings.items())) + f"-{events}"
    folder = out / "samples" / name
    if not (folder / "spacepoints.root").exists():
        simulate(SimulationSettings(**settings), folder, events, force=True)
    return folder


def figures(case: str, folder: Path, finders: str, out: Path) -> dict[str, dict[str, Any]]:
    """Rates of all finders on the events of a case."""
    config = JobConfig(
        input=(folder,), out=out, finders=finders, beam_spot=(CASES[case][1], 0.0), force=True
    )  # type: ignore[arg-type]
    result = runJob(config)
    assert result.collector is not None
    found = {}
    for finder in config.finders:
        counts = result.collector.finders[finder].targets["pt1"]
        found[finder] = {
            "efficiency": counts.efficiency["all"].rate.value,
            "targets": counts.efficiency["all"].rate.total,
            "fakes": counts.fake_rate.value,
            "duplicates": counts.duplicate_rate.value,
            "seconds": result.times[f"{finder}:finding"].seconds,
        }
    return found


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Efficiency with its change, and fakes, of all finders in all cases."""
    finders = list(next(iter(found.values())))
    heads = ["case", *(f"{f}: {w}" for f in finders for w in ("efficiency [%]", "fakes [%]"))]
    rows = []
    for case, by_finder in found.items():
        row = [case]
        for finder in finders:
            value, fakes = by_finder[finder]["efficiency"], by_finder[finder]["fakes"]
            text = f"{100 * value:.2f}"
            if "nominal" in found and case != "nominal":
                text += f" ({100 * (value - found['nominal'][finder]['efficiency']):+.2f})"
            row += [text, f"{100 * fakes:.2f}"]
        rows.append(row)
    return markdown("Robustness", heads, rows)


def main() -> None:
    """Parse the command line, simulate, find, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--finders", default="fast,ckf-best", help="(fast,ckf-best)")
    parser.add_argument("--events", type=int, default=4, help="events of each case (4)")
    parser.add_argument("--pileup", type=float, default=200.0, help="of all but mu-N (200)")
    parser.add_argument("--seed", type=int, default=620000)
    parser.add_argument("--out", type=Path, default=Path(".bench/robustness"))
    a = parser.parse_args()
    cases = a.cases.split(",") if a.cases else list(CASES)
    unknown = [case for case in cases if case not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]}; choose of {', '.join(CASES)}")
    found = {}
    for case in cases:
        folder = sample(case, a.out, a.events, a.pileup, a.seed)
        found[case] = figures(case, folder, a.finders, a.out / "jobs" / case)
        line = ", ".join(f"{f} {100 * r['efficiency']:.2f}%" for f, r in found[case].items())
        print(f"{case}: {line}", flush=True)
    result = {"events": a.events, "pileup": a.pileup, "seed": a.seed, "cases": found}
    write(a.out, "robustness", result, table(found))


if __name__ == "__main__":
    main()
