"""How do I find GNN tracks in a sequencer script of my own?

    trkx simulate --events 4 --seed 1 --out sample
    python examples/sequencer_job.py sample tracks

Reads events, finds tracks on the graph, fits them with ACTS' Kalman filter, measures them and
writes tracksummary_gnn_kf.root. With 200 pile-up collisions expect 1500 to 2500 tracks per event
and an efficiency near 0.99 for particles of pT > 1 GeV.
"""

import sys

import acts.examples

from trkx.algorithms.detector import buildGenericDetector, constantField
from trkx.algorithms.helpers import addGnnTrackFinding, addKalmanFit
from trkx.algorithms.performance_algorithm import addPerformance
from trkx.io.readers import addEventReader
from trkx.io.track_writers import addTrackWriters


def runSequencerJob(sample, outputDir, finder="gnn", numThreads=1):
    """Return the sequencer, ready to run, and the collector of its figures."""
    _, trackingGeometry = buildGenericDetector()
    field = constantField(2.0)
    s = acts.examples.Sequencer(numThreads=numThreads, trackFpes=False)
    addEventReader(s, sample, trackingGeometry)
    addGnnTrackFinding(s, finder, outputProtoTracks="proto_tracks")
    addKalmanFit(s, trackingGeometry, field, "proto_tracks", "tracks")
    addTrackWriters(s, f"{finder}_kf", "tracks", outputDir)
    performance = addPerformance(s, finder, inputProtoTracks="proto_tracks", fits={"kf": "tracks"})
    return s, performance


if __name__ == "__main__":
    s, performance = runSequencerJob(*sys.argv[1:])
    s.run()
    for finder, figures in performance.finders.items():
        print(finder, "efficiency", figures.targets["pt1"].efficiency["all"].rate.value)
