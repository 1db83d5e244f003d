"""Efficiency against time of all finders of a race, one core, with what is published of others.

python bench/race_figure.py .bench/race/race_pt1.json docs/figures/race.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Seconds in units of CKF fast, efficiency and its error in percent: measured on other events of the
# same detector and pile-up, displaced decays kept, no noise; see docs/performance.md.
ELSEWHERE = {"FASTrack": (0.79, 99.79, 0.1), "Mikado": (0.43, 98.73, 0.18)}
REFERENCE = "ckf-fast"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("race", type=Path)
    parser.add_argument("figure", type=Path)
    args = parser.parse_args()
    rows = {r["finder"]: r for r in json.loads(args.race.read_text())["rows"] if r["cores"] == 1}
    unit = rows[REFERENCE]["seconds"]["finding"]["median"]
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, row in rows.items():
        value, error = (100 * x for x in row["efficiency"])
        seconds = {key: t / unit for key, t in row["seconds"]["finding"].items()}
        middle = seconds["median"]
        spread = [[middle - seconds["min"]], [seconds["max"] - middle]]
        label = f"{name}, fakes {100 * row['fakes'][0]:.2f}%"
        axes.errorbar(middle, value, error, spread, fmt="o", capsize=2, label=label)
    for (name, (ratio, value, error)), marker in zip(ELSEWHERE.items(), "sD", strict=True):
        label = f"{name} (other events)"
        axes.errorbar(ratio, value, error, fmt=marker, mfc="white", color="gray", label=label)
    axes.legend(fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.set_xlabel("CPU seconds per event on one core, CKF fast = 1")
    axes.set_ylabel("efficiency [%], double majority")
    axes.set_title("pT > 1 GeV, |η| < 4, at least 7 measurements, μ = 200", fontsize=9)
    axes.grid(alpha=0.3)
    args.figure.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.figure, dpi=110)


if __name__ == "__main__":
    main()
