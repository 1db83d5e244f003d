"""Files of a real ROOT are read, and a real ROOT reads ours."""

from __future__ import annotations

import json
import math

import acts
import acts.examples
import numpy as np
import pytest
import uproot

from trkx.io.event_files import EventFiles
from trkx.io.histograms import (
    Efficiency,
    Histogram,
    ProfileHistogram,
    wilson_half_width,
    write_histograms,
)
from trkx.io.readers import addEventReader
from trkx.io.track_writers import addTrackWriters

BARCODE = ("vertex_primary", "vertex_secondary", "particle", "generation", "sub_particle")


def acts_columns():
    """Columns of two events as ACTS' C++ writers lay them out, and event 1 without hits."""
    rng = np.random.default_rng(900004)
    sensitive = np.array([1, 2, 3, 4, 5, 1])
    event = [0, 0, 0, 0, 0, 2]
    n = len(event)
    geometry_id = [(8 << 56) | (2 << 36) | (int(s) << 8) for s in sensitive]
    x, y, z, loc0, loc1 = rng.normal(0, 100, (5, n)).astype(np.float32).tolist()
    space_points = {
        "event_id": ("u32", event),
        "measurement_id": ("u64", [0, 1, 2, 3, 4, 0]),
        "geometry_id": ("u64", geometry_id),
        "measurement_id_2": ("u64", [0] * n),
        "geometry_id_2": ("u64", [0] * n),
        "x": ("f32", x),
        "y": ("f32", y),
        "z": ("f32", z),
        "t": ("f32", [0.0] * n),
        "var_r": ("f32", [0.5] * n),
        "var_z": ("f32", [0.25] * n),
    }
    owners = [[0], [1], [0, 1], [], [1], [0]]
    measurements = {
        "event_nr": ("i32", event),
        "volume_id": ("i32", [8] * n),
        "layer_id": ("i32", [2] * n),
        "surface_id": ("i32", sensitive.tolist()),
        "extra_id": ("i32", [0] * n),
        "rec_loc0": ("f32", loc0),
        "rec_loc1": ("f32", loc1),
        "rec_time": ("f32", [math.nan] * n),
        "var_loc0": ("f32", [0.5] * n),
        "var_loc1": ("f32", [0.25] * n),
        "var_time": ("f32", [math.nan] * n),
        "clus_size_loc0": ("i32", [1, 2, 3, 4, 5, 6]),
        "clus_size_loc1": ("i32", [1] * n),
        "channel_value": ("list f32", [[0.5, 0.25]] * n),
    }
    for name in BARCODE:
        value = [[{"vertex_primary": 1, "particle": 7 + p}.get(name, 0) for p in o] for o in owners]
        measurements[f"particles_{name}"] = ("list u32", value)
    sizes = [2, 0, 1]
    particles = {"event_id": ("u32", [0, 1, 2])}
    for name in BARCODE:
        value = {"vertex_primary": lambda p: 1, "particle": lambda p: 7 + p}.get(name, lambda p: 0)
        particles[name] = ("list u32", [[value(p) for p in range(k)] for k in sizes])
    particles["particle_hash"] = ("list u64", [[2**63 + p for p in range(k)] for k in sizes])
    particles["particle_type"] = ("list i32", [[13, -211][:k] for k in sizes])
    particles["hf_origin"] = ("list u8", [[3, 5][:k] for k in sizes])
    for i, name in enumerate(("q", "m", "vx", "vy", "vz", "vt", "px", "py", "pz")):
        particles[name] = ("list f32", [[i + 0.5 + p for p in range(k)] for k in sizes])
    return {"spacePoints": space_points, "measurements": measurements, "particles": particles}


@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_files_of_acts_writers(run_root, tmp_path, kind):
    columns = acts_columns()
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    folder = tmp_path / "sample"
    folder.mkdir()
    run_root("write_acts_files.py", tmp_path / "columns.json", folder, kind)
    files = EventFiles.open(folder)
    assert files.numbers == [0, 1, 2]
    event = files.read(0)
    for name, (_, values) in columns["spacePoints"].items():
        np.testing.assert_array_equal(event.space_points[name], values[:5], err_msg=name)
    np.testing.assert_array_equal(event.space_points["clus_size_loc0"], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(
        event.measurements["rec_loc0"], columns["measurements"]["rec_loc0"][1][:5]
    )
    np.testing.assert_array_equal(
        event.measurements["geometry_id"], columns["spacePoints"]["geometry_id"][1][:5]
    )
    assert "channel_value" not in event.measurements
    np.testing.assert_array_equal(event.measurement_particle_offsets, [0, 1, 2, 4, 4, 5])
    np.testing.assert_array_equal(event.measurement_particle_rows, [0, 1, 0, 1, 1])
    for name, (_, values) in columns["particles"].items():
        if name != "event_id":
            np.testing.assert_array_equal(event.particles[name], values[0], err_msg=name)
    assert files.read(1).n_space_points == files.read(1).n_particles == 0
    assert files.read(2).n_space_points == files.read(2).n_particles == 1
    _check_in_the_event_loop(folder)


def _check_in_the_event_loop(folder):
    seen = {}

    class Count(acts.examples.IAlgorithm):
        def __init__(self):
            acts.examples.IAlgorithm.__init__(self, "Count", acts.logging.WARNING)
            self.handles = []
            for key, kind in (
                ("measurements", acts.examples.MeasurementContainer),
                ("spacepoints", acts.SpacePointContainer),
                ("particles", acts.examples.SimParticleContainer),
                ("measurement_particles_map", acts.examples.MeasurementParticlesMap),
            ):
                self.handles.append(acts.examples.ReadDataHandle(self, kind, key))
                self.handles[-1].initialize(key)

        def execute(self, context):
            found = [len(handle(context.eventStore)) for handle in self.handles]
            seen[context.eventNumber] = found
            return acts.examples.ProcessCode.SUCCESS

    s = acts.examples.Sequencer(numThreads=1, logLevel=acts.logging.ERROR)
    addEventReader(s, folder, logLevel=acts.logging.WARNING)
    s.addAlgorithm(Count())
    s.run()
    assert seen == {0: [5, 5, 2, 5], 1: [0, 0, 0, 0], 2: [1, 1, 1, 1]}


def test_lists_of_lists_of_acts_writers(run_root, tmp_path):
    """What uproot cannot write, it reads."""
    run_root("write_lists_of_lists.py", tmp_path / "x.root")
    with uproot.open(tmp_path / "x.root") as file:
        chi2 = file["tracksummary/measurementChi2"].array()
    assert chi2.tolist() == [[[1.0, 2.0], [], [3.0]], []]


N_ENTRIES = 300  # of each tree that are compared; JSON of all takes minutes


def assert_same_trees(run_root, folder, names):
    """Compare trees as ROOT reads them with the same trees as uproot reads them.

    Args:
        run_root: the fixture.
        folder: folder of the files.
        names: tree by file name.

    Returns:
        what ROOT read, by tree and branch.
    """
    pairs = [argument for file, tree in names.items() for argument in (folder / file, tree)]
    found = run_root("read_trees.py", N_ENTRIES, *pairs)
    for (file_name, tree_name), in_root in zip(names.items(), found, strict=True):
        with uproot.open(folder / file_name) as file:
            tree = file[tree_name]
            assert in_root["entries"] == tree.num_entries > 0
            branches = tree.keys()
            assert set(in_root["columns"]) == set(branches)
            for name in branches:
                ours = tree[name].array(entry_stop=N_ENTRIES).tolist()
                theirs = in_root["columns"][name]
                for one, other in zip(ours, theirs, strict=True):
                    one, other = np.atleast_1d(one), np.atleast_1d(other)
                    assert len(one) == len(other), name
                    np.testing.assert_array_equal(
                        other.astype(np.float64), one.astype(np.float64), err_msg=name
                    )
    return {tree: in_root["columns"] for tree, in_root in zip(names.values(), found, strict=True)}


def test_event_files(run_root, tiny_sample):
    kinds = ("spacepoints", "measurements", "particles", "hits")
    assert_same_trees(run_root, tiny_sample, {f"{kind}.root": kind for kind in kinds})


def test_track_files(run_root, tiny_sample, tmp_path):
    from trkx.algorithms.detector import buildGenericDetector, constantField
    from trkx.algorithms.helpers import addKalmanFit, addTruthTrackFinding
    from trkx.algorithms.matching import match_tracks

    geometry = buildGenericDetector()[1]
    s = acts.examples.Sequencer(
        events=2,
        numThreads=1,
        logLevel=acts.logging.ERROR,
        trackFpes=False,
        outputDir=str(tmp_path),
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
    addTrackWriters(
        s,
        "truth",
        "tracks",
        tmp_path,
        matcher=match_tracks,
        writeStates=True,
        writeCovMat=True,
        writeStateLists=True,
        inputMeasurementTable="measurement_table",
        provenance={"seed": 1},
    )
    s.run()
    kinds = ("tracksummary", "trackstates")
    found = assert_same_trees(run_root, tmp_path, {f"{kind}_truth.root": kind for kind in kinds})
    assert found["tracksummary"]["event_nr"] == [0, 1]
    pulls = [p for event in found["trackstates"]["pull_eLOC0_smt"] for p in event if p != "nan"]
    assert len(pulls) > 100


def test_histogram_files(run_root, tmp_path):
    edges = np.array([-1.0, 0.0, 1.0, 4.0])
    regular = np.array([0.0, 1.0, 2.0, 3.0])
    counts = np.array([2.0, 5.0, 1.0])
    passed, total = np.array([3, 0, 5]), np.array([4, 0, 5])
    two = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    title = "efficiency;#eta;efficiency"
    path = write_histograms(
        tmp_path / "h.root",
        {
            "gnn/trackeff_vs_eta": Efficiency(passed, total, edges, title),
            "res_d0": Histogram(counts, regular),
            "weighted": Histogram(counts, regular, counts**2),
            "res_d0_vs_eta": Histogram(two, (edges, [0.0, 1.0, 2.0])),
            "holes_vs_eta": ProfileHistogram([2, 0, 1], [3.0, 0, 4.0], [5.0, 0, 16.0], edges),
        },
        provenance={"seed": 1},
    )
    found = run_root("read_histograms.py", path)
    assert found["consistent"]
    assert found["classes"] == ["TH1D", "TH1D", "TH2D", "TProfile"]
    assert found["titles"] == ["efficiency", "#eta", "efficiency"]
    assert found["efficiency"] == found["ratio"] == [0.75, 0.0, 1.0]
    np.testing.assert_allclose(found["ratio_error"], wilson_half_width(passed, total))
    np.testing.assert_allclose(found["edges"], edges)
    assert found["residual"] == [0.0, *counts, 0.0]
    centers = regular[:-1] + 0.5
    mean = np.average(centers, weights=counts)
    assert found["residual_mean"] == pytest.approx(mean)
    sigma = np.average((centers - mean) ** 2, weights=counts) ** 0.5
    assert found["residual_sigma"] == pytest.approx(sigma)
    assert found["residual_entries"] == counts.sum()
    np.testing.assert_allclose(found["weighted_error"], counts)
    assert found["two"] == two.tolist()
    assert found["two_sizes"] == [3, 2]
    x_centers, y_centers = np.array([-0.5, 0.5, 2.5]), np.array([0.5, 1.5])
    means = [
        np.average(x_centers, weights=two.sum(axis=1)),
        np.average(y_centers, weights=two.sum(axis=0)),
    ]
    np.testing.assert_allclose(found["two_means"], means)
    assert found["profile"] == [1.5, 0.0, 4.0]
    assert found["profile_error"][0] == pytest.approx(0.5 / 2**0.5)
    assert found["profile_entries"] == [2.0, 0.0, 1.0]
    assert json.loads(found["provenance"]) == {"seed": 1}
