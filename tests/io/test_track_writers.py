"""Fitted tracks in tracksummary and trackstates are those of the event loop."""

from __future__ import annotations

import acts
import acts.examples
import awkward as ak
import numpy as np
import pytest
import uproot

from trkx.io.errors import ConfigError, OutputExistsError
from trkx.io.event_files import EventFiles
from trkx.io.readers import addEventReader
from trkx.io.track_writers import UprootTrackSummaryWriter, addTrackWriters

SIX = ("LOC0", "LOC1", "PHI", "THETA", "QOP", "T")


class Keep(acts.examples.IAlgorithm):
    """Keeps the columns of the tracks of each event."""

    def __init__(self):
        acts.examples.IAlgorithm.__init__(self, "Keep", acts.logging.WARNING)
        self.handle = acts.examples.ReadDataHandle(
            self, acts.examples.ConstTrackContainer, "InputTracks"
        )
        self.handle.initialize("tracks")
        self.events = {}

    def execute(self, context):
        tracks = self.handle(context.eventStore)
        self.events[context.eventNumber] = {
            "parameters": np.array(tracks.parameters),
            "covariance": np.array(tracks.covariance),
            "chi2": np.array(tracks.chi2),
            "nMeasurements": np.array(tracks.nMeasurements),
        }
        return acts.examples.ProcessCode.SUCCESS


@pytest.fixture(scope="module")
def written(tiny_sample, tmp_path_factory):
    """Folder with the files of a job that fits the true tracks, and what it fitted."""
    from trkx.algorithms.detector import buildGenericDetector, constantField
    from trkx.algorithms.helpers import addKalmanFit, addTruthTrackFinding
    from trkx.algorithms.matching import match_tracks

    folder = tmp_path_factory.mktemp("tracks")
    geometry = buildGenericDetector()[1]
    s = acts.examples.Sequencer(
        numThreads=1, logLevel=acts.logging.ERROR, outputDir=str(folder), trackFpes=False
    )
    addEventReader(
        s,
        tiny_sample,
        geometry,
        outputMeasurementTable="measurement_table",
        logLevel=acts.logging.WARNING,
    )
    addTruthTrackFinding(s)
    addKalmanFit(s, geometry, constantField(), "truth_proto_tracks", "tracks")
    common = {"inputTracks": "tracks", "outputDir": folder}
    addTrackWriters(
        s,
        "truth",
        matcher=match_tracks,
        writeStates=True,
        writeCovMat=True,
        writeStateLists=True,
        inputMeasurementTable="measurement_table",
        **common,
    )
    addTrackWriters(s, "blind", writeStates=True, **common)
    keep = Keep()
    s.addAlgorithm(keep)
    s.run()
    return folder, keep.events, EventFiles.open(tiny_sample)


def test_summary_holds_the_fit(written):
    folder, events, _ = written
    with uproot.open(folder / "tracksummary_truth.root") as file:
        tree = file["tracksummary"]
        read = tree.arrays()
    assert sum(name.startswith("n_") for name in read.fields) == 3
    assert sorted(read["event_nr"].tolist()) == sorted(events)
    for entry in read:
        kept = events[entry["event_nr"]]
        assert len(kept["chi2"]) == entry["n_tracks"] > 5
        np.testing.assert_allclose(entry["chi2Sum"], kept["chi2"], rtol=1e-6)
        np.testing.assert_array_equal(entry["nMeasurements"], kept["nMeasurements"])
        for i, name in enumerate(SIX):
            np.testing.assert_allclose(entry[f"e{name}_fit"], kept["parameters"][:, i], rtol=1e-6)
            np.testing.assert_allclose(
                entry[f"err_e{name}_fit"], np.sqrt(kept["covariance"][:, i, i]), rtol=1e-5
            )
        np.testing.assert_allclose(
            entry["cov_eLOC0_ePHI"], kept["covariance"][:, 0, 2], rtol=1e-5, atol=1e-30
        )


def test_summary_holds_the_truth(written):
    folder, _, files = written
    with uproot.open(folder / "tracksummary_truth.root") as file:
        read = file["tracksummary"].arrays()
    for entry in read:
        particles = files.read(entry["event_nr"]).particles
        keys = {
            key: row
            for row, key in enumerate(
                zip(particles["vertex_primary"], particles["particle"], strict=True)
            )
        }
        assert set(entry["trackClassification"].tolist()) == {1}
        for t in range(entry["n_tracks"]):
            primary = entry["majorityParticleId_vertex_primary"][t]
            row = keys[(primary, entry["majorityParticleId_particle"][t])]
            if particles["generation"][row] == entry["majorityParticleId_generation"][t] == 0:
                assert entry["t_px"][t] == particles["px"][row]
                assert entry["t_vz"][t] == particles["vz"][row]
    prompt = ak.flatten(read["t_prodR"]) < 1
    for name in SIX[:5]:
        pull = ak.flatten(read[f"pull_e{name}_fit"])[prompt].to_numpy()
        low, median, high = np.percentile(pull, [16, 50, 84])
        assert 0.6 < (high - low) / 2 < 1.6 and abs(median) < 0.8


def test_lists_of_states(written):
    folder, _, _ = written
    with uproot.open(folder / "tracksummary_truth.root") as file:
        read = file["tracksummary"].arrays()
    for kind, number in (("measurement", "nMeasurements"), ("outlier", "nOutliers")):
        n_states = read[f"n_{kind}_states"].tolist()
        assert n_states == ak.sum(read[number], axis=1).tolist()
        assert n_states == ak.num(read[f"{kind}Chi2"]).tolist()
    per_track = ak.unflatten(
        ak.flatten(read["measurementVolume"]), ak.flatten(read["nMeasurements"])
    )
    assert set(ak.flatten(per_track)) <= {7, 8, 9, 12, 13, 14, 16, 17, 18}
    # From the last state inwards: the last one is in the pixels, but for displaced particles.
    assert np.isin(per_track[:, -1].to_numpy(), (7, 8, 9)).mean() > 0.9
    assert np.isin(per_track[:, 0].to_numpy(), (7, 8, 9)).mean() < 0.5


def test_states(written):
    folder, events, _ = written
    with uproot.open(folder / "trackstates_truth.root") as file:
        read = file["trackstates"].arrays()
    assert len(read) == sum(len(kept["chi2"]) for kept in events.values())
    assert ak.num(read["stateType"]).tolist() == read["nStates"].tolist()
    is_measurement = read["stateType"] == 0
    assert ak.sum(is_measurement, axis=1).tolist() == read["nMeasurements"].tolist()
    for kind in ("predicted", "filtered", "smoothed"):
        assert read[f"n{kind.capitalize()}"].tolist() == ak.sum(read[kind], axis=1).tolist()
    hits = ak.flatten(read["g_x_hit"][is_measurement]).to_numpy()
    assert np.isfinite(hits).all()
    # Smoothed states lie on the hits, and hits where the truth is, within a strip.
    for other in ("g_x_smt", "t_x"):
        distance = ak.flatten(read[other][is_measurement]).to_numpy() - hits
        assert np.abs(np.median(distance)) < 0.1
        assert np.percentile(np.abs(distance), 90) < 3.0
    r = np.hypot(read["g_x_hit"], read["g_y_hit"])[is_measurement]
    assert ak.all(r[:, 0] > r[:, -1])
    pull = ak.flatten(read["pull_eLOC0_smt"][is_measurement]).to_numpy()
    assert 0.6 < np.subtract(*np.nanpercentile(pull, [84, 16])) / 2 < 1.6
    # Each true track holds the particle's measurements: its barcode is in the list of each.
    numbers = ak.unflatten(
        ak.flatten(read["particle_ids_particle"]), ak.flatten(read["n_particles"])
    )
    assert len(numbers) == ak.sum(read["nStates"])
    assert (ak.num(numbers) > 0).tolist() == ak.flatten(is_measurement).tolist()


def test_without_truth(written):
    folder, events, _ = written
    with uproot.open(folder / "tracksummary_blind.root") as file:
        read = file["tracksummary"].arrays()
    assert len(read) == len(events)
    assert ak.all(read["nMajorityHits"] == 2**32 - 1)
    assert ak.all(np.isnan(read["res_eLOC0_fit"]))
    assert ak.all(read["err_eLOC0_fit"] > 0)
    assert "cov_eLOC0_eLOC0" not in read.fields
    with uproot.open(folder / "trackstates_blind.root") as file:
        read = file["trackstates"].arrays()
    assert ak.sum(read["n_particles"]) == 0
    assert ak.all(np.isnan(read["g_x_hit"]))
    assert ak.any(read["smoothed"])


def test_refuses_to_replace(written):
    folder, _, _ = written
    with pytest.raises(OutputExistsError, match=r"tracksummary_truth\.root"):
        UprootTrackSummaryWriter(folder / "tracksummary_truth.root", inputTracks="tracks")


def test_matcher_needs_the_measurements_of_tracks(tmp_path):
    with pytest.raises(ConfigError, match="needs inputTrackTable"):
        UprootTrackSummaryWriter(tmp_path / "x.root", inputTracks="tracks", matcher=max)
    assert list(tmp_path.iterdir()) == []


def test_job_that_fails_leaves_no_file(tmp_path):
    class Fail(acts.examples.IAlgorithm):
        def __init__(self):
            acts.examples.IAlgorithm.__init__(self, "Fail", acts.logging.MAX)
            self.handle = acts.examples.WriteDataHandle(
                self, acts.examples.ConstTrackContainer, "OutputTracks"
            )
            self.handle.initialize("tracks")

        def execute(self, context):
            raise RuntimeError("stop here")

    folder = tmp_path / "out"
    s = acts.examples.Sequencer(
        events=1, numThreads=1, logLevel=acts.logging.MAX, outputDir=str(tmp_path)
    )
    s.addAlgorithm(Fail())
    addTrackWriters(s, "x", "tracks", folder, writeStates=True)
    assert len(list(folder.glob(".*.part"))) == 2
    with pytest.raises(RuntimeError, match="stop here"):
        s.run()
    assert list(folder.glob("*.root")) == []
