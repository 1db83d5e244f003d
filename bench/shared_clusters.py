"""What is gained and lost where a cluster is left on the best of its tracks only.

    python bench/shared_clusters.py --pipeline itk.toml --input Dump_GNN4Itk.root

Runs pipelines on events with truth, and shares out the clusters of their tracks in all ways; the
tables [shared_clusters] of the files are not used. "shared" are those on two or more tracks, of the
clusters on tracks; efficiency, fakes and completeness are by double majority (targets: charged,
pT > 1 GeV, |eta| < 4, 7 space points). CPU milliseconds are of the sharing alone.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.training_input import open_training_events
from trkx.plugin import load_pipeline
from trkx.plugin.shared_clusters import (
    PREFERENCES,
    SharedClusters,
    SharedClustersConfig,
    shared_share,
)

PT_MIN = 1.0  # GeV


def measure(pipeline: str, inputs: list[str], events: int | None) -> None:
    """Print a line per way of sharing."""
    find = replace(load_pipeline(pipeline=pipeline, threads=1), shared_clusters=None)
    ways = {"as found": None} | {
        f"{limit} by {prefer}": SharedClusters(SharedClustersConfig(limit, prefer))
        for limit in (1, 2)
        for prefer in PREFERENCES
    }
    counts: dict[str, TrackCounts] = defaultdict(TrackCounts)
    shares, seconds = defaultdict(list), defaultdict(list)
    for event in labelled_events(open_training_events(inputs), 0, events):
        found = find(event.space_points)
        for way, share_out in ways.items():
            start = time.process_time()
            tracks = found if share_out is None else share_out(found, event.space_points)
            seconds[way].append(time.process_time() - start)
            counts[way].add(event, tracks, PT_MIN)
            shares[way].append(shared_share(tracks, event.space_points))
    print(f"{pipeline}: {len(shares['as found'])} events")
    print("tracks per cluster   shared  efficiency   fakes  purity  completeness  tracks  CPU ms")
    for way in ways:
        s = counts[way].summary()
        print(
            f"{way:19} {np.mean(shares[way]):7.3%} {s['efficiency']:11.2%} {s['fakes']:7.2%} "
            f"{s['purity']:7.2%} {s['completeness']:13.2%} {counts[way].tracks:7} "
            f"{1e3 * np.median(seconds[way]):7.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pipeline", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--input", nargs="+", required=True, metavar="DIR|FILE")
    parser.add_argument("--events", type=int)
    args = parser.parse_args()
    for pipeline in args.pipeline:
        measure(pipeline, args.input, args.events)


if __name__ == "__main__":
    main()
