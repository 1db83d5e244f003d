"""How do GNN and CKF tracks compare on the same events, by the same rule?

    trkx simulate --events 4 --seed 1 --out sample
    python examples/ckf_versus_gnn.py sample

Both finders run in one job on the same measurements. A track counts if it matches a particle by
double majority, whoever found it. On full-size events (200 pile-up collisions) expect an
efficiency near 99% for particles of pT > 1 GeV from both, fewer fakes from the GNN than from
the CKF, and less time for GNN and Kalman fit together than for the CKF. `trkx compare` does the
same with plots.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import acts
import acts.examples

from trkx.algorithms.detector import buildGenericDetector, constantField
from trkx.algorithms.helpers import addCkf, addGnnTrackFinding, addKalmanFit
from trkx.algorithms.job_timing import StageTimer
from trkx.algorithms.performance_algorithm import addPerformance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.io.readers import addEventReader


def runCkfVersusGnn(
    sample: Path, workingPoint: str = "fast", finder: str = "gnn", events: int | None = None
) -> tuple[acts.examples.Sequencer, PerformanceCollector, StageTimer]:
    """Wire both finders into one sequencer; `run()` it and read collector and timer."""
    _, trackingGeometry = buildGenericDetector()
    field = constantField(2.0)
    s = acts.examples.Sequencer(
        events=events, numThreads=1, trackFpes=False, logLevel=acts.logging.WARNING
    )
    timer, collector = StageTimer(threads=1), PerformanceCollector()

    # Read: measurements, space points and truth of each event.
    addEventReader(s, sample, logLevel=acts.logging.WARNING)

    # Find and fit: proto tracks from the graph, then ACTS' Kalman fit.
    with timer.stage(s, finder):
        addGnnTrackFinding(s, finder=finder, outputProtoTracks="gnn_proto_tracks")
        addKalmanFit(
            s,
            trackingGeometry,
            field,
            inputProtoTracks="gnn_proto_tracks",
            outputTracks="gnn_tracks",
            inputSpacePointTable="spacepoint_table",
        )

    # The other way: a CKF finds and fits at once.
    with timer.stage(s, "ckf"):
        addCkf(s, trackingGeometry, field, workingPoint=workingPoint, outputTracks="ckf_tracks")

    # Measure: one rule for both.
    addPerformance(
        s,
        finder,
        inputProtoTracks="gnn_proto_tracks",
        fits={"kf": "gnn_tracks"},
        collector=collector,
    )
    addPerformance(s, "ckf", inputTracks="ckf_tracks", collector=collector)
    return s, collector, timer


def main() -> None:
    """Run and print four numbers per finder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sample", type=Path, help="folder written by `trkx simulate`")
    parser.add_argument("--working-point", default="fast", help="of the CKF: best, balanced, fast")
    parser.add_argument("--finder", default="gnn", help="gnn or classical")
    parser.add_argument("--events", type=int, help="how many events; default all")
    arguments = parser.parse_args()
    s, collector, timer = runCkfVersusGnn(
        arguments.sample, arguments.working_point, arguments.finder, arguments.events
    )
    s.run()
    for finder, time in timer.result().items():
        figures = collector.finders[finder].targets["pt1"]
        print(
            f"{finder:>10}: efficiency {figures.efficiency['all'].rate.value:.4f}, "
            f"fakes {figures.fake_rate.value:.5f}, duplicates {figures.duplicate_rate.value:.5f}, "
            f"{time.seconds:.2f} s/event"
        )


if __name__ == "__main__":
    main()
