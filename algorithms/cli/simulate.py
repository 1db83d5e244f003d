"""`trkx simulate`: make events on the GenericDetector and write them as ROOT files."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from trkx.io.errors import ConfigError

DESCRIPTION = """\
Make proton-proton events on ACTS' GenericDetector (the TrackML detector) in a 2 T field.

Pythia8 makes a signal collision and Poisson pile-up with every decay at its true vertex; Fatras
tracks the particles; the geometric digitization shares charge among channels and merges clusters
that touch; noise clusters are added. The folder --out then holds

  spacepoints.root    what track finding sees
  measurements.root   local positions, variances, cluster sizes and their truth
  particles.root      the simulated particles
  hits.root           the simulated hits

with the trees and branches of ACTS' own writers. Event i depends on the seed and on i only: the
number of threads, and which other events are made, change nothing.
"""

EPILOG = """\
examples:
  trkx simulate --events 4 --pileup 200 --seed 1 --out sample
  trkx simulate --events 100 --first-event 100 --seed 1 --out part2    (events 100 to 199)
  trkx simulate --events 40 --digitization trackml --field solenoid --hit-loss 0.01 --out trackml
  trkx simulate --events 50 --process single-muon --pt 1:100 --out muons
  trkx simulate --events 50 --gun 211 --pt 0.5:10 --eta -2:2 --multiplicity 10 --out pions
  trkx simulate --events 50 --process displaced --multiplicity 20 --pileup 60 --out large-radius
  trkx simulate --events 50 --process hnl --multiplicity 20 --pt 5:50 --pileup 200 --out hnl
  trkx simulate --events 50 --process v0 --lifetime 50 --pt 1:20 --eta -3:3 --out v0

Seeds below 500000 are for training, those from 900000 on for tests.
`trkx info DIR` says what a folder holds.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "simulate",
        help="make events on the GenericDetector, as ROOT files",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Lets `--eta -2:2` pass: argparse takes only plain negative numbers for values.
    parser._negative_number_matcher = re.compile(r"^-\.?\d")
    add = parser.add_argument
    add("--events", type=int, required=True, metavar="N", help="number of events")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    add("--seed", type=int, default=1, metavar="S", help="seed (default 1)")
    add(
        "--pileup",
        type=float,
        metavar="MU",
        help="mean number of pile-up collisions (default 200 for ttbar, 0 for guns)",
    )
    add("--first-event", type=int, default=0, metavar="K", help="number of the first event (0)")
    add(
        "--process",
        metavar="NAME",
        help="ttbar (default), single-muon, gun; displaced: a gun whose particles are produced up "
        "to --radius from the beam line; hnl: decays of heavy neutral leptons, v0: of K0S and Λ",
    )
    add(
        "--noise",
        type=float,
        default=0.15,
        metavar="F",
        help="share of all hits that belong to no particle (default 0.15, as in TrackML)",
    )
    add(
        "--digitization",
        default="geometric",
        metavar="NAME",
        help="geometric (default): channels and merged clusters; smeared: Gaussian positions; "
        "trackml: channels of sensors as thick as those of the TrackML challenge; or an ACTS "
        "digitization file (*.json) of your own detector",
    )
    add(
        "--geometry",
        default="",
        metavar="FILE",
        help="your own detector: its tracking geometry as ACTS JSON (Gen3); needs --digitization",
    )
    add(
        "--hit-loss",
        type=float,
        default=0.0,
        metavar="F",
        help="share of the particles' measurements that are lost (default 0)",
    )
    add(
        "--field",
        default="constant",
        metavar="NAME",
        help="constant (default): 2 T everywhere; solenoid: 2 T at the centre of a coil of finite "
        "length, as in the TrackML challenge",
    )
    add(
        "--strips",
        default="2d",
        metavar="NAME",
        help="2d (default): strip modules measure both coordinates; stereo: they have two sensors "
        "with crossed strips, space points are the crossings, ghosts included",
    )
    add("--threads", type=int, default=2, metavar="N", help="threads of ACTS (default 2)")
    add("--force", action="store_true", help="replace results that --out holds already")
    gun = parser.add_argument_group("particle guns")
    gun.add_argument(
        "--gun", type=int, metavar="PDG", help="particle type, such as 13 or 211; charge at random"
    )
    gun.add_argument("--pt", type=_range, metavar="A:B", help="pT in GeV (default 1:100)")
    gun.add_argument("--eta", type=_range, metavar="A:B", help="pseudorapidity (default -4:4)")
    gun.add_argument("--multiplicity", type=int, metavar="N", help="particles per event (1)")
    gun.add_argument(
        "--radius", type=float, metavar="R", help="largest production radius in mm (300)"
    )
    gun.add_argument(
        "--lifetime",
        type=float,
        metavar="L",
        help="hnl, v0: mean proper decay length cτ in mm (default: decay radii are uniform up to "
        "--radius)",
    )
    gun.add_argument("--mass", type=float, metavar="M", help="hnl: mass in GeV (10)")


def run(args: argparse.Namespace) -> int:
    """Simulate what `args` ask for."""
    settings = settings_from(args)
    from tqdm import tqdm

    from trkx.algorithms.simulation import simulate

    # disable=None: no bar where stderr is not a terminal.
    with tqdm(total=args.events, unit="event", desc="simulate", disable=None) as bar:
        report = simulate(
            settings,
            args.out,
            args.events,
            first=args.first_event,
            threads=args.threads,
            force=args.force,
            command=shlex.join(["trkx", *sys.argv[1:]]),
            on_event=bar.update,
        )
    print(
        f"{report.events} events in {report.seconds:.1f} s "
        f"({report.seconds_per_event:.2f} s/event) -> {args.out}"
    )
    return 0


def settings_from(args: argparse.Namespace) -> Any:
    """Build the `SimulationSettings` of parsed options.

    Raises:
        ConfigError: an option is out of range, or does not go with the process.
    """
    from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings

    process = args.process or ("ttbar" if args.gun is None else "gun")
    given = {
        "pdg": args.gun,
        "multiplicity": args.multiplicity,
        "radius_max": args.radius,
        "lifetime": args.lifetime,
        "mass": args.mass,
    }
    for name in ("pt", "eta"):
        low_high = getattr(args, name)
        if low_high is not None:
            given[f"{name}_min"], given[f"{name}_max"] = low_high
    gun = {name: value for name, value in given.items() if value is not None}
    if process == "ttbar" and gun:
        raise ConfigError(
            "--gun, --pt, --eta, --multiplicity, --radius, --lifetime and --mass do not go with "
            "--process ttbar; choose single-muon, gun, displaced, hnl or v0"
        )
    if process == "single-muon" and args.gun not in (None, 13, -13):
        raise ConfigError(f"--process single-muon shoots muons, not --gun {args.gun}")
    for name, processes in (
        ("gun", ("single-muon", "gun", "displaced")),
        ("lifetime", ("hnl", "v0")),
        ("mass", ("hnl",)),
    ):
        if getattr(args, name) is not None and process not in processes:
            raise ConfigError(
                f"--{name} does not go with --process {process}; choose {' or '.join(processes)}"
            )
    pileup = args.pileup
    if pileup is None:
        pileup = 200.0 if process == "ttbar" else 0.0
    return SimulationSettings(
        process=process,
        pileup=pileup,
        seed=args.seed,
        noise=args.noise,
        digitization=args.digitization,
        geometry=args.geometry,
        hit_loss=args.hit_loss,
        field=args.field,
        strips=args.strips,
        gun=GunSettings(**gun),
    )


def _range(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no range; give A:B, such as 1:100") from None
