"""The helix fit beside ACTS' fits on the same tracks: speed, residuals, pulls.

    python bench/helix_fit.py SAMPLE [--events 4] [--figure docs/figures/helix_fit.png]

The tracks are those of the truth finder. Speed is CPU time of the fit itself on one core, the best
of five; residuals and pulls are cores against truth at the perigee (trkx.algorithms.residuals).
A sample of `--strips stereo` is fitted on both sensors of its strip modules.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import acts
import acts.examples
import numpy as np
from table import cpu_name, markdown

from trkx.algorithms.detector import constantField
from trkx.algorithms.event_inputs import open_inputs
from trkx.algorithms.helpers import (
    addGlobalChi2Fit,
    addHelixFit,
    addKalmanFit,
    addTruthTrackFinding,
)
from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.job_detector import JobDetector, job_detector
from trkx.algorithms.job_timing import StageTimer
from trkx.algorithms.performance_algorithm import addPerformance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.residuals import PARAMETERS, FitMetrics
from trkx.fitting import FitSummary, HelixFitSettings, TrackPoints, fit_helices
from trkx.fitting.measured_points import points_on_surfaces
from trkx.fitting.surface_table import beam_pipe, surface_table
from trkx.io.readers import addEventReader

FITS = ("helix", "helix, no geometry", "kf", "kf from helix", "gx2f", "gx2f from helix")


def true_tracks(source: Any, events: int, table: Any) -> TrackPoints:
    """Points of all charged particles with pT > 1 GeV and 7 measurements, events end to end."""
    parts: list[TrackPoints] = []
    for number in range(source.available[0], source.available[0] + events):
        event = source.read(number, truth=True)
        particles = event.particles
        wanted = (particles["q"] != 0) & (particles["pt"] > 1) & (np.abs(particles["eta"]) < 4)
        wanted &= event.n_particle_measurements >= 7
        rows = event.measurement_particle_rows
        measurement = np.repeat(
            np.arange(event.n_measurements), np.diff(event.measurement_particle_offsets)
        )[wanted[rows]]
        particle = rows[wanted[rows]]
        at = table.center[table.rows(event.measurements["geometry_id"][measurement])]
        order = np.lexsort((np.linalg.norm(at, axis=1), particle))
        counts = np.unique(particle, return_counts=True)[1]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        parts.append(points_on_surfaces(offsets, measurement[order], event.measurements, table))
    return join(parts)


def join(parts: list[TrackPoints]) -> TrackPoints:
    """Tracks of several events as those of one."""
    starts = np.cumsum([0, *(len(part.position) for part in parts)])
    offsets = [part.offsets[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
    names = ("position", "covariance", "dimension", "thickness", "normal", "scatterer", "free")
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in names
        if getattr(parts[0], name) is not None
    }
    return TrackPoints.make(np.concatenate([[0], *offsets]), **columns)


def speed_rows(points: TrackPoints, pipe: tuple[float, float]) -> list[list[str]]:
    """Tracks per CPU second with and without scattering."""
    n = len(points.offsets) - 1
    rows = []
    for name, settings in (
        ("with scattering and energy loss", HelixFitSettings(beam_pipe=pipe)),
        ("without", HelixFitSettings(scattering=False, energy_loss=0.0)),
    ):
        seconds = []
        for _ in range(5):
            start = time.process_time()
            fits = fit_helices(points, settings)
            seconds.append(time.process_time() - start)
        fitted = 100 * fits.fitted.mean()
        rows.append(
            [name, f"{n / min(seconds):,.0f}", f"{fitted:.2f}", f"{len(points.position) / n:.1f}"]
        )
    return rows


def run_fits(
    detector: JobDetector, events: int, folder: Path, names: tuple[str, ...]
) -> tuple[dict[str, FitMetrics], dict[str, FitSummary], dict[str, float]]:
    """Fit the tracks of the truth finder; figures, counts, and CPU seconds per track."""
    geometry, field = detector.trackingGeometry, constantField()
    s = acts.examples.Sequencer(
        events=events, numThreads=1, trackFpes=False, logLevel=acts.logging.ERROR,
        outputDir=str(folder), outputTimingFile="timing.csv",
    )  # fmt: skip
    strips = getattr(detector.source, "has_strips", False)
    addEventReader(
        s, detector.source, geometry, outputMeasurementTable="measurement_table",
        outputSpacePoints="" if strips else "spacepoints", logLevel=acts.logging.WARNING,
    )  # fmt: skip
    addTruthTrackFinding(s)
    timer, summaries = StageTimer(1), {name: FitSummary() for name in names}
    fits = {name: f"tracks_{i}" for i, name in enumerate(names)}
    for name, tracks in fits.items():
        common = {"outputTracks": tracks, "summary": summaries[name]}
        start = "helix" if "from" in name else "circle"
        with timer.stage(s, name):
            if name.startswith("helix"):
                on = None if "no" in name else geometry
                addHelixFit(s, "truth_proto_tracks", trackingGeometry=on, **common)
            else:
                add = addKalmanFit if name.startswith("kf") else addGlobalChi2Fit
                table = "spacepoint_table"
                add(
                    s, geometry, field, "truth_proto_tracks", inputSpacePointTable=table,
                    start=start, **common,
                )  # fmt: skip
    collector = PerformanceCollector()
    addPerformance(
        s, "truth", inputProtoTracks="truth_proto_tracks", fits=fits, collector=collector
    )
    s.run()
    times = timer.result(folder / "timing.csv")
    seconds = {name: times[name].seconds * events / summaries[name].total.found for name in names}
    return collector.fits["truth"], summaries, seconds


def quality_row(name: str, metrics: FitMetrics, summary: FitSummary, seconds: float) -> list[str]:
    """One fit in the table."""
    widths = [metrics.resolution(q).width for q in ("d0", "z0", "phi", "theta", "qop_relative")]
    scales = (1e3, 1e3, 1e3, 1e3, 100)
    pulls = [f"{metrics.pull(parameter.name).width:.2f}" for parameter in PARAMETERS]
    return [
        name,
        f"{100 * summary.total.fraction_fitted:.2f}",
        f"{1e6 * seconds:.0f}",
        *(f"{width * scale:.3g}" for width, scale in zip(widths, scales, strict=True)),
        " ".join(pulls),
    ]


def draw(metrics: dict[str, FitMetrics], path: Path) -> None:
    """Resolutions and pulls against eta."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True, layout="constrained")
    names = ("d0", "z0", "qop_relative"), ("d0", "z0", "qop")
    for name in ("helix", "kf", "gx2f"):
        if name not in metrics:
            continue
        content = metrics[name].to_dict()
        for row, kind in enumerate(("resolutions_vs", "pulls_vs")):
            binned = content[kind]["eta"]
            centers = 0.5 * (np.array(binned["edges"][1:]) + np.array(binned["edges"][:-1]))
            for column, quantity in enumerate(names[row]):
                width = np.array(binned[quantity]["width"], float)
                error = np.array(binned[quantity]["width_error"], float)
                axes[row, column].errorbar(centers, width, error, fmt="o-", ms=3, label=name)
                axes[row, column].set_title(
                    f"{'resolution' if row == 0 else 'pull width'}, {quantity}"
                )
    for axis in axes[0]:
        axis.set_yscale("log")
    for axis in axes[1]:
        axis.axhline(1.0, color="0.6", lw=1)
        axis.set_xlabel("η")
    axes[0, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sample", type=Path)
    parser.add_argument("--events", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=4, help="times the tracks are fitted at once")
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    config = JobConfig(input=[args.sample], out=Path("unused"), fitters="helix")
    with open_inputs([args.sample]) as files, TemporaryDirectory() as folder:
        detector = job_detector(config, files, files)
        table = surface_table(detector.trackingGeometry)
        points = join([true_tracks(detector.source, args.events, table)] * args.repeat)
        speed = speed_rows(points, beam_pipe(detector.trackingGeometry))
        names = tuple(f for f in FITS if not files.has_strips or f not in ("kf", "gx2f"))
        metrics, summaries, seconds = run_fits(detector, args.events, Path(folder), names)
    print(markdown(f"Helix fit, {cpu_name()}", ["", "tracks/s", "fitted [%]", "points"], speed))
    heads = [
        "fit",
        "fitted [%]",
        "µs/track",
        "d0 [µm]",
        "z0 [µm]",
        "φ [mrad]",
        "θ [mrad]",
        "q/p [%]",
        "pulls",
    ]
    rows = [quality_row(name, metrics[name], summaries[name], seconds[name]) for name in names]
    print(markdown("Truth tracks, pT > 1 GeV, primaries", heads, rows))
    if args.figure:
        draw(metrics, args.figure)


if __name__ == "__main__":
    main()
