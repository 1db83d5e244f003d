"""Finders as sequencer elements, and labels, on simulated muons and by hand."""

from types import SimpleNamespace

import acts
import acts.arrow
import acts.examples
import numpy as np
import pytest

from trkx.algorithms.helpers import (
    addCkf,
    addGnnTrackFinding,
    addLabelWriter,
    addTruthTrackFinding,
)
from trkx.algorithms.label_writer import LabelWriter, label_file
from trkx.algorithms.track_finding_gnn import StageTimings, keep_long_tracks
from trkx.algorithms.track_finding_truth import TruthSelection, order_outward
from trkx.algorithms.track_hits import (
    TrackHits,
    hits_of_proto_tracks,
    labels_from_hits,
    make_proto_tracks,
)
from trkx.io.errors import EventContentError

PROTO = acts.examples.ProtoTrackContainer


def tracks(*lists):
    """Tracks from lists of measurements."""
    offsets = np.cumsum([0, *map(len, lists)])
    return TrackHits(offsets, np.array([m for track in lists for m in track], dtype=np.int64))


class ByAzimuth:
    """A pipeline that calls each sector in azimuth a track; enough to test the wiring."""

    def __init__(self, sectors=40):
        self.sectors, self.sizes, self.beam_spots = sectors, [], []

    def __call__(self, points, beam_spot=(0.0, 0.0)):
        self.sizes.append(None if points.size0 is None else len(points.size0))
        self.beam_spots.append(beam_spot)
        phi = np.arctan2(points.y, points.x)
        sector = ((phi + np.pi) / (2 * np.pi) * self.sectors).astype(int) % self.sectors
        order = np.lexsort((np.hypot(points.x, points.y), sector))
        offsets = np.searchsorted(sector[order], np.arange(self.sectors + 1))
        return SimpleNamespace(offsets=offsets, hits=order, timing={"graph_construction": 0.25})


def test_hits_and_proto_tracks_are_inverse():
    hits = tracks([4, 2, 7], [], [1, 0])
    back = hits_of_proto_tracks(make_proto_tracks(hits))
    np.testing.assert_array_equal(back.offsets, hits.offsets)
    np.testing.assert_array_equal(back.measurements, hits.measurements)
    assert hits.n_tracks == 3
    assert hits_of_proto_tracks(make_proto_tracks(tracks())).n_tracks == 0


def test_labels_by_hand():
    # Measurement 3 is on both tracks: the longer one keeps it. 5 is on none.
    assert labels_from_hits(tracks([0, 3], [1, 3, 4]), 6).tolist() == [0, 1, -1, 1, 1, -1]
    # Equally long: the first keeps it.
    assert labels_from_hits(tracks([0, 1], [1, 2]), 3).tolist() == [0, 0, 1]
    assert labels_from_hits(tracks(), 2).tolist() == [-1, -1]
    with pytest.raises(EventContentError, match=r"measurement 9.*has 3"):
        labels_from_hits(tracks([0, 9]), 3)


def test_short_tracks_are_dropped():
    kept = keep_long_tracks(tracks([1, 2], [3, 4, 5], [], [6, 7, 8, 9]), 3)
    assert kept.offsets.tolist() == [0, 3, 7]
    assert kept.measurements.tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_truth_order_is_outward():
    positions = np.array([[30.0, 0, 0], [10, 0, 0], [0, 20, 0]])
    assert order_outward(positions, np.zeros(3)).tolist() == [1, 2, 0]
    # From a decay at x = 40 the order is another one.
    assert order_outward(positions[:2], np.array([40.0, 0, 0])).tolist() == [0, 1]


def test_truth_selection():
    def particle(**changes):
        return SimpleNamespace(**{"charge": 1.0, "transverseMomentum": 2.0, "theta": 1.0} | changes)

    accepts = TruthSelection().accepts
    assert accepts(particle())
    assert not accepts(particle(charge=0.0))
    assert not accepts(particle(transverseMomentum=0.9))
    assert not accepts(particle(theta=0.03))  # |eta| = 4.2
    assert not accepts(particle(theta=0.0))


@pytest.mark.parametrize("threads", [1, 2])
def test_pipeline_in_the_event_loop(muon_chain, whiteboard, threads):
    s = muon_chain(events=4, muons=50, threads=threads)
    pipeline, timings = ByAzimuth(), StageTimings()
    addGnnTrackFinding(s, pipeline=pipeline, timings=timings, beamSpot=(0.1, -0.2))
    seen = {}

    def see(event, tracks, table):
        seen[event] = hits_of_proto_tracks(tracks), table.num_rows

    s.addAlgorithm(
        whiteboard(
            see,
            tracks=("gnn_proto_tracks", PROTO),
            table=("spacepoint_table", acts.arrow.ArrowTable),
        )
    )
    s.run()
    assert sorted(seen) == [0, 1, 2, 3]
    for hits, n_points in seen.values():
        assert hits.n_tracks > 20
        assert (np.diff(hits.offsets) >= 3).all()
        assert len(set(hits.measurements)) == len(hits.measurements) <= n_points
    assert len(pipeline.sizes) == 4 and all(pipeline.sizes)
    assert set(pipeline.beam_spots) == {(0.1, -0.2)}
    assert sorted(timings.events) == [0, 1, 2, 3]
    assert list(timings.events[0]) == ["input", "graph_construction", "output"]
    assert timings.mean["graph_construction"] == pytest.approx(0.25)


def test_event_without_hits_has_no_tracks(muon_chain, whiteboard):
    s = muon_chain(muons=1, momentum=(0.01, 0.02))
    addGnnTrackFinding(s, pipeline=ByAzimuth())
    addTruthTrackFinding(s)
    seen = []

    def see(event, found, truth, table):
        seen.append((len(found), len(truth), table.num_rows))

    s.addAlgorithm(
        whiteboard(
            see,
            found=("gnn_proto_tracks", PROTO),
            truth=("truth_proto_tracks", PROTO),
            table=("spacepoint_table", acts.arrow.ArrowTable),
        )
    )
    s.run()
    assert seen == [(0, 0, 0)]


def test_threads_within_an_event_only_without_events_in_flight(muon_chain, monkeypatch):
    import trkx.plugin

    asked = []

    def load(finder, target, device, threads, weights):
        asked.append((finder, threads))
        return ByAzimuth()

    monkeypatch.setattr(trkx.plugin, "load_pipeline", load, raising=False)
    addGnnTrackFinding(muon_chain(threads=1), threads=2)
    addGnnTrackFinding(muon_chain(threads=1))
    addGnnTrackFinding(muon_chain(threads=2), "classical", threads=2)
    assert asked == [("gnn", 2), ("gnn", 1), ("classical", 1)]


def test_truth_finder_makes_whole_tracks(muon_chain, whiteboard):
    s = muon_chain(events=1, muons=60)
    addTruthTrackFinding(s)
    seen = {}

    def see(event, tracks, links, points):
        seen["hits"] = hits_of_proto_tracks(tracks)
        seen["owner"] = {m: hash(b) for m, b in links}
        axes = [np.array(getattr(points, axis), dtype=float) for axis in "xyz"]
        seen["positions"] = np.stack(axes, axis=1)

    s.addAlgorithm(
        whiteboard(
            see,
            tracks=("truth_proto_tracks", PROTO),
            links=("measurement_particles_map", acts.examples.MeasurementParticlesMap),
            points=("spacepoints", acts.SpacePointContainer),
        )
    )
    s.run()
    hits, distance = seen["hits"], np.linalg.norm(seen["positions"], axis=1)
    assert hits.n_tracks > 50
    for begin, end in zip(hits.offsets, hits.offsets[1:], strict=False):
        track = hits.measurements[begin:end].tolist()
        assert end - begin >= 7
        assert len({seen["owner"][m] for m in track}) == 1
        # Vertices spread by 55 mm along the beam line only.
        assert distance[track[-1]] > distance[track[0]]


def test_label_files_of_both_kinds_of_tracks(muon_chain, tmp_path):
    s = muon_chain(events=2, muons=40, momentum=(2.0, 20.0))
    addTruthTrackFinding(s)
    addCkf(s, muon_chain.geometry, muon_chain.field, workingPoint="fast")
    addLabelWriter(s, tmp_path / "truth", inputProtoTracks="truth_proto_tracks")
    addLabelWriter(s, tmp_path / "ckf", inputTracks="ckf_tracks")
    s.run()
    for event in (0, 1):
        truth, ckf = (np.load(label_file(tmp_path / name, event)) for name in ("truth", "ckf"))
        assert truth.dtype == ckf.dtype == np.int64
        assert len(truth) == len(ckf) > 300
        both = (truth >= 0) & (ckf >= 0)
        # The numbers differ, the grouping does not.
        pairs = np.unique(np.stack([truth[both], ckf[both]]), axis=1)
        assert both.mean() > 0.8
        assert pairs.shape[1] < 1.1 * len(np.unique(ckf[both]))
    assert sorted(p.name for p in (tmp_path / "ckf").iterdir()) == [
        "event000000000-labels.npy",
        "event000000001-labels.npy",
    ]


def test_label_writer_takes_one_input(tmp_path):
    with pytest.raises(ValueError, match="either"):
        LabelWriter(tmp_path)


def test_timings_by_event():
    timings = StageTimings()
    timings.add(3, {"a": 1.0})
    timings.add(1, {"a": 3.0, "b": 1.0})
    assert list(timings.events) == [1, 3]
    assert timings.mean == {"a": 2.0, "b": 0.5}
