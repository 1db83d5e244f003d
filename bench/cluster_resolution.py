"""Which resolution clusters have, by volume and size, for a digitization configuration.

    trkx simulate --events 12 --digitization trackml --field solenoid --seed 300 --out sample
    python bench/cluster_resolution.py --input sample --drift \
        --config io/data/generic-digi-trackml.json

writes the `variances` of the configuration anew: standard deviations (mm) of measured minus true
positions of clusters of 1, 2, 3 … channels that one particle made, without the tails beyond five
widths. The last value is for all larger clusters.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np

from trkx.algorithms.charge_drift import drifted_event
from trkx.algorithms.simulation.modules import module_table, read_readout
from trkx.io.event_files import EventFiles

MINIMUM = 300
"""Clusters that make an entry; from the first size with fewer on, sizes count together."""
MIRRORED = {9: 7, 14: 12, 18: 16}


def width(values: np.ndarray) -> float:
    """Root mean square about 0 without the tails beyond five widths."""
    kept = values
    for _ in range(5):
        kept = values[np.abs(values) < 5 * np.sqrt(np.mean(kept**2))]
    return float(np.sqrt(np.mean(kept**2)))


def resolutions(residual: np.ndarray, size: np.ndarray) -> list[float]:
    """Widths by cluster size, from 1 on; shapes (N,)."""
    found = []
    for n in range(1, int(size.max()) + 1):
        here = size == n
        if here.sum() < MINIMUM:
            break
        found.append(width(residual[here]))
    rest = residual[size > len(found)]
    if len(rest) >= MINIMUM // 3 or not found:
        found.append(width(rest))
    return [round(value, 5) for value in found]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--drift", action="store_true", help="let the charge of the barrel drift")
    args = parser.parse_args()
    readout = read_readout(args.config.resolve())
    columns: dict[str, list[np.ndarray]] = {}
    names = ("volume_id", "residual_loc0", "residual_loc1", "clus_size_loc0", "clus_size_loc1")
    with EventFiles.open(args.input) as files:
        for number in files.numbers:
            event = files.read(number)
            if args.drift:
                event = drifted_event(event, module_table(), readout)
            single = np.diff(event.measurement_particle_offsets) == 1
            for name in names:
                columns.setdefault(name, []).append(event.measurements[name][single])
    c = {name: np.concatenate(parts) for name, parts in columns.items()}
    volume = np.array([MIRRORED.get(v, v) for v in range(256)])[c["volume_id"]]
    config = json.loads(args.config.read_text(encoding="utf-8"))
    for entry in config["entries"]:
        here = volume == MIRRORED.get(entry["volume"], entry["volume"])
        entry["value"]["geometric"]["variances"] = [
            {
                "index": i,
                "rms": resolutions(c[f"residual_loc{i}"][here], c[f"clus_size_loc{i}"][here]),
            }
            for i in (0, 1)
        ]
    text = json.dumps(config, indent=2)
    # Lists of numbers and bins of an axis on one line each.
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda m: re.sub(r"\s*\n\s*", " ", m[0]), text)
    args.config.write_text(re.sub(r"([\[{]) | ([\]}])", r"\1\2", text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
