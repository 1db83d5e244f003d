"""How many events a module map needs: its coverage against their number, with and without symmetry.

    trkx simulate --events 40 --pileup 200 --seed 1 --out train_mu200
    trkx simulate --events 60 --pileup 200 --seed 2 --out train_mu200b
    trkx simulate --events 4 --pileup 200 --seed 600000 --out val_mu200
    python bench/module_map_coverage.py --train train_mu200 train_mu200b --validation val_mu200

Prints, for each number of events and symmetry: triplets in the map, and the shares of the true
triplets of targets whose modules are in the map, and that are inside its cuts by both methods.
"""

from __future__ import annotations

import argparse

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.module_rings import module_rings
from trkx.algorithms.training_input import open_training_events
from trkx.plugin.module_map_learning import (
    SYMMETRIES,
    ModuleMapLearner,
    ModuleMapLearningConfig,
    coverage,
)


def main() -> None:
    """Learn three maps from the same events, and test them on others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", nargs="+", required=True)
    parser.add_argument("--at", nargs="+", type=int, default=[1, 5, 10, 20, 50, 100])
    args = parser.parse_args()
    validation = list(labelled_events(open_training_events(args.validation)))
    modules = module_rings()
    learners = {
        symmetry: ModuleMapLearner(modules, ModuleMapLearningConfig(symmetry=symmetry))
        for symmetry in SYMMETRIES
    }
    print("events symmetry triplets in-map minmax meanrms")
    events = labelled_events(open_training_events(args.train))
    for number, event in enumerate(events, start=1):
        for learner in learners.values():
            learner.add(event)
        if number not in args.at:
            continue
        for symmetry, learner in learners.items():
            found = learner.map()
            shares = []
            for method in (None, "minmax", "meanrms"):
                counts = [coverage(found, other, 1.0, method) for other in validation]
                inside, every = (sum(column) for column in zip(*counts, strict=True))
                shares.append(f"{inside / max(every, 1):.5f}")
            print(number, symmetry, len(found.statistics), *shares, flush=True)


if __name__ == "__main__":
    main()
