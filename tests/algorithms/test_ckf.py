"""The CKF chain on simulated muons."""

from dataclasses import replace

import acts
import acts.arrow
import acts.examples
import numpy as np
import pytest

from trkx.algorithms.gnn_ckf import gnnCkfCuts, uncompleted
from trkx.algorithms.helpers import addCkf, addGnnCkf, addTrackHits, addTruthTrackFinding
from trkx.algorithms.track_hits import (
    TrackHits,
    hits_of_proto_tracks,
    hits_of_table,
    hits_of_tracks,
)
from trkx.algorithms.track_merging import TrackMergingAlgorithm
from trkx.fitting import FitSummary

TRACKS = acts.examples.ConstTrackContainer
TABLE = acts.arrow.ArrowTable
PROTO = acts.examples.ProtoTrackContainer


def shared(first, second):
    """Largest number of measurements of `first` that one track of `second` holds."""
    owner = np.full(1 + max(first.max(initial=0), second.measurements.max(initial=0)), -1)
    owner[second.measurements] = np.repeat(np.arange(second.n_tracks), np.diff(second.offsets))
    found = owner[first]
    return int(np.bincount(found[found >= 0], minlength=1).max())


def efficiency(truth, found):
    """Fraction of true tracks of which a found one holds more than half."""
    tracks = [
        truth.measurements[b:e] for b, e in zip(truth.offsets, truth.offsets[1:], strict=False)
    ]
    return np.mean([shared(track, found) > len(track) / 2 for track in tracks])


@pytest.mark.parametrize("point", ["best", "fast"])
def test_ckf_finds_muons_in_two_passes(muon_chain, whiteboard, point):
    s = muon_chain(events=2, muons=150, momentum=(1.5, 20.0))
    addTruthTrackFinding(s)
    addCkf(s, muon_chain.geometry, muon_chain.field, workingPoint=point)
    table = addTrackHits(s, "ckf_tracks")
    seen = []

    def see(event, truth, tracks, table, first, second):
        seen.append(
            {
                "truth": hits_of_proto_tracks(truth),
                "table": hits_of_table(table),
                "states": hits_of_tracks(tracks),
                "first": hits_of_tracks(first),
                "second": hits_of_tracks(second),
                "parameters": np.array(tracks.parameters).reshape(-1, 6),
                "measurements": np.array(tracks.nMeasurements),
            }
        )

    s.addAlgorithm(
        whiteboard(
            see,
            truth=("truth_proto_tracks", PROTO),
            tracks=("ckf_tracks", TRACKS),
            table=(table, TABLE),
            first=("ckf_tracks_pass1", TRACKS),
            second=("ckf_tracks_pass2", TRACKS),
        )
    )
    s.run()
    assert len(seen) == 2
    for event in seen:
        assert efficiency(event["truth"], event["table"]) > 0.97
        for column in ("offsets", "measurements"):
            np.testing.assert_array_equal(
                getattr(event["table"], column), getattr(event["states"], column)
            )
        passes = [event[key].measurements for key in ("first", "second")]
        np.testing.assert_array_equal(event["table"].measurements, np.concatenate(passes))
        # The second pass only sees what the first left over.
        assert not set(passes[0]) & set(passes[1])
        np.testing.assert_array_equal(np.diff(event["table"].offsets), event["measurements"])
        assert (np.diff(event["table"].offsets) >= 7).all()
        assert np.isfinite(event["parameters"]).all()
        assert np.abs(event["parameters"][:, 0]).max() < 60


def test_ckf_of_an_empty_event(muon_chain, whiteboard):
    s = muon_chain(muons=1, momentum=(0.01, 0.02))
    addCkf(s, muon_chain.geometry, muon_chain.field, workingPoint="fast")
    counts = []
    s.addAlgorithm(
        whiteboard(lambda event, tracks: counts.append(len(tracks)), tracks=("ckf_tracks", TRACKS))
    )
    s.run()
    assert counts == [0]


class FirstHits(acts.examples.IAlgorithm):
    """Proto tracks without their outer hits, as an imperfect finder gives them."""

    def __init__(self, kept):
        acts.examples.IAlgorithm.__init__(self, "FirstHits", acts.logging.WARNING)
        self.kept = kept
        self.read = acts.examples.ReadDataHandle(self, PROTO, "in")
        self.read.initialize("truth_proto_tracks")
        self.write = acts.examples.WriteDataHandle(self, PROTO, "out")
        self.write.initialize("short_proto_tracks")

    def execute(self, context):
        short = PROTO()
        for track in self.read(context.eventStore):
            short.append(acts.examples.ProtoTrack(list(track)[: self.kept]))
        self.write(context, short)
        return acts.examples.ProcessCode.SUCCESS


def test_ckf_completes_short_tracks(muon_chain, whiteboard):
    s = muon_chain(muons=100, momentum=(2.0, 20.0))
    addTruthTrackFinding(s)
    s.addAlgorithm(FirstHits(5))
    addGnnCkf(s, muon_chain.geometry, muon_chain.field, inputProtoTracks="short_proto_tracks")
    seen = {}

    def see(event, truth, tracks):
        seen["truth"], seen["found"] = hits_of_proto_tracks(truth), hits_of_tracks(tracks)

    s.addAlgorithm(
        whiteboard(see, truth=("truth_proto_tracks", PROTO), tracks=("gnn_ckf_tracks", TRACKS))
    )
    s.run()
    assert seen["found"].n_tracks > 90
    assert efficiency(seen["truth"], seen["found"]) > 0.95


def test_uncompleted_by_hand():
    def hits(*lists):
        offsets = np.cumsum([0, *map(len, lists)])
        return TrackHits(offsets, np.array([m for track in lists for m in track], dtype=np.int64))

    found = hits([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [])
    # Half of the second is on a completed track: that is enough. The third is too short.
    assert uncompleted(found, hits([4, 5, 20], [30]), 4).tolist() == [True, False, False, False]
    assert uncompleted(found, hits([0, 8]), 3).tolist() == [True, True, True, False]
    assert uncompleted(found, hits([0, 1], [2, 9]), 3).tolist() == [False, True, True, False]
    assert uncompleted(hits(), hits(), 3).tolist() == []


def test_fitted_tracks_stand_in_for_those_the_ckf_loses(muon_chain, whiteboard):
    s = muon_chain(muons=60, momentum=(2.0, 20.0))
    addTruthTrackFinding(s)
    summary = FitSummary()
    # No measurement is that near, so the CKF completes nothing.
    cuts = replace(gnnCkfCuts(), chi2CutOffMeasurement=1e-9, chi2CutOffOutlier=1e-9)
    addGnnCkf(
        s,
        muon_chain.geometry,
        muon_chain.field,
        inputProtoTracks="truth_proto_tracks",
        cuts=cuts,
        summary=summary,
    )
    seen = {}

    def see(event, truth, completed, tracks):
        seen["truth"], seen["found"] = hits_of_proto_tracks(truth), hits_of_tracks(tracks)
        seen["completed"] = len(completed)
        seen["parameters"] = np.array(tracks.parameters)

    s.addAlgorithm(
        whiteboard(
            see,
            truth=("truth_proto_tracks", PROTO),
            completed=("gnn_ckf_tracks_completed", TRACKS),
            tracks=("gnn_ckf_tracks", TRACKS),
        )
    )
    s.run()
    assert seen["completed"] == 0
    assert seen["found"].n_tracks > 50
    assert efficiency(seen["truth"], seen["found"]) > 0.97
    assert np.isfinite(seen["parameters"]).all()
    assert summary.total.found == seen["truth"].n_tracks
    assert summary.total.failed == 0


def test_gnn_ckf_of_an_event_without_tracks(muon_chain, whiteboard):
    s = muon_chain(muons=1, momentum=(0.01, 0.02))
    addTruthTrackFinding(s)
    addGnnCkf(s, muon_chain.geometry, muon_chain.field, inputProtoTracks="truth_proto_tracks")
    counts = []
    s.addAlgorithm(
        whiteboard(
            lambda event, tracks: counts.append(len(tracks)), tracks=("gnn_ckf_tracks", TRACKS)
        )
    )
    s.run()
    assert counts == [0]


def test_merging_keeps_order_and_content(muon_chain, whiteboard):
    s = muon_chain(muons=30, momentum=(2.0, 20.0))
    addCkf(s, muon_chain.geometry, muon_chain.field, workingPoint="fast")
    s.addAlgorithm(TrackMergingAlgorithm(["ckf_tracks", "ckf_tracks"], "twice"))
    seen = {}

    def see(event, once, twice):
        for name, tracks in (("once", once), ("twice", twice)):
            seen[name] = hits_of_tracks(tracks)
            seen[name, "chi2"] = np.array(tracks.chi2)
            seen[name, "covariance"] = np.array(tracks.covariance)

    s.addAlgorithm(whiteboard(see, once=("ckf_tracks", TRACKS), twice=("twice", TRACKS)))
    s.run()
    assert seen["once"].n_tracks > 20
    measurements = seen["once"].measurements
    np.testing.assert_array_equal(seen["twice"].measurements, np.tile(measurements, 2))
    for column in ("chi2", "covariance"):
        expected = np.concatenate([seen["once", column]] * 2)
        np.testing.assert_array_equal(seen["twice", column], expected)
