"""`trkx score`: the score of the TrackML challenge."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trkx.io.errors import ConfigError

DESCRIPTION = """\
Score tracks by the rule of the TrackML challenge: a track counts if more than half of its hits are
of one particle and more than half of that particle's hits are on it; it scores the weights of the
hits they share. The score of an event is between 0 and 1.

TRACKS is a submission file (event_id, hit_id, track_id; .csv or .csv.gz; `trkx run --submission`
writes it), or a folder of labels (`trkx run --labels`).

weights:
  file         those of the truth file (default, where it has them)
  accuracy     computed by the rule of the accuracy phase: all particles of at least 4 hits
               (default, where the truth file has none)
  throughput   computed by the rule of the throughput phase: without particles made in the detector
"""

EPILOG = """\
examples:
  trkx run --input train_sample.zip --submission tracks.csv --out tracks
  trkx score tracks.csv --truth train_sample.zip
  trkx score tracks.csv --truth train_sample.zip --weights throughput --json
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the `subparsers` of `trkx`."""
    parser = subparsers.add_parser(
        "score",
        help="the score of the TrackML challenge",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("tracks", type=Path, metavar="TRACKS", help="submission file, or folder of labels")
    add(
        "--truth",
        required=True,
        nargs="+",
        type=Path,
        metavar="IN",
        help="files of the challenge with truth, or what `trkx convert` made of them",
    )
    add(
        "--weights",
        choices=("file", "accuracy", "throughput"),
        help="of hits (default: those of the file, or else accuracy)",
    )
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Score what `args` name, print a line per event and the mean."""
    from trkx.algorithms.trackml_score import score_event
    from trkx.algorithms.trackml_tracks import read_tracks
    from trkx.io.trackml_files import TrackMLFiles

    files = TrackMLFiles.open(args.truth)
    tracks = read_tracks(args.tracks, files)
    scores = []
    for number, (hit_id, track_id) in sorted(tracks.items()):
        event = files.read(number, ("particles", "truth"))
        if args.weights == "file" and "weight" not in (event.truth or {}):
            raise ConfigError(
                f"the truth of event {number} in {files.label} has no column 'weight'; choose "
                "--weights accuracy or throughput, which are computed"
            )
        phase = None if args.weights == "file" else args.weights
        scores.append(score_event(event, hit_id, track_id, phase))
    mean = sum(score.score for score in scores) / len(scores)
    if args.json:
        print(json.dumps({"score": mean, "events": [asdict(score) for score in scores]}, indent=2))
        return 0
    for score in scores:
        print(
            f"event {score.number}: score {score.score:.6f}, weights {score.weights}; "
            f"{score.n_good_tracks} of {score.n_tracks} tracks match"
        )
        if score.n_unassigned:
            print(f"  {score.n_unassigned} of {score.n_truth_hits} hits are on no track")
        if score.n_truth_hits < score.n_hits:
            print(
                f"  the truth covers {score.n_truth_hits} of {score.n_hits} hits: tracks and "
                "particles are compared on these, and the score is not that of the whole event"
            )
    print(f"mean score of {len(scores)} events: {mean:.6f}")
    return 0
