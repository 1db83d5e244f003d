"""Is chi2/ndf of the Kalman fit on real TrackML events what simulation says it must be?

    python bench/trackml.py --input DIR --values real
    trkx simulate --events 1 --digitization trackml --field solenoid --hit-loss 0.01 \\
        --seed 600300 --out sample
    python bench/trackml_chi2.py --real real-21000.npz --input sample \\
        --figure docs/figures/trackml_chi2.png

Fits the first event of a simulated sample in the same way and draws both distributions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from trkx.algorithms.charge_drift import drifted_event
from trkx.algorithms.magnetic_field import namedField
from trkx.algorithms.simulation.modules import config_path, module_table, read_readout
from trkx.algorithms.trackml_chain import fit_candidates
from trkx.io.event import Event
from trkx.io.event_files import EventFiles
from trkx.plugin import load_pipeline
from trkx.plugin.space_points import SpacePoints


class DriftedEvents:
    """A simulated sample with the clusters of the challenge, as a source of events."""

    has_measurements = True

    def __init__(self, files: EventFiles) -> None:
        self.files, self.available = files, files.available
        self.check_range = files.check_range

    def read(
        self, number: int, truth: bool = True, columns: Collection[str] | None = None
    ) -> Event:
        """One event."""
        readout = read_readout(config_path("generic-digi-trackml"))
        return drifted_event(self.files.read(number, truth=True), module_table(), readout)


def main() -> None:
    """Fit and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args()
    source = DriftedEvents(EventFiles.open(args.input))
    pipeline = load_pipeline(pipeline="trackml", threads=1)
    points = SpacePoints.from_columns(source.read(source.available[0]).space_points)
    with tempfile.TemporaryDirectory() as scratch:
        fit = fit_candidates(source, pipeline(points), namedField("solenoid"), Path(scratch))
    real = np.load(args.real)
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    bins = np.geomspace(0.1, 100, 61)
    for label, chi2, ndf, style in (
        (
            "TrackML event 21000",
            real["chi2"],
            real["ndf"],
            {"histtype": "stepfilled", "alpha": 0.4},
        ),
        ("simulation", fit.chi2, fit.ndf, {"histtype": "step", "color": "black"}),
    ):
        reduced = chi2 / np.maximum(ndf, 1)
        quantiles = np.quantile(reduced, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]).round(2)
        print(f"{label}: {len(reduced)} tracks, chi2/ndf 5, 25, 50, 75, 95, 99%: {quantiles}")
        weights = np.full(len(reduced), 1 / len(reduced))
        axes.hist(np.clip(reduced, 0.1, 99), bins, weights=weights, label=label, **style)
    axes.set(xscale="log", xlabel=r"$\chi^2$ / ndf of the Kalman fit", ylabel="share of tracks")
    axes.legend(frameon=False)
    figure.savefig(args.figure, dpi=100)


if __name__ == "__main__":
    main()
