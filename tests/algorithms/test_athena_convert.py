"""Simulated events as Athena dumps and back, and what the commands do with dumps."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import uproot

from trkx.algorithms.athena_convert import athena_provenance, write_athena
from trkx.algorithms.athena_rings import athena_rings
from trkx.algorithms.cli.main import main
from trkx.algorithms.labelled_events import labelled_event
from trkx.algorithms.training_input import input_provenance, open_training_events
from trkx.io.athena_files import AthenaFiles
from trkx.io.errors import ConfigError, InputError, OutputExistsError
from trkx.io.event_files import EventFiles
from trkx.io.event_sources import open_events
from trkx.plugin import load_pipeline
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.module_map_graph import ModuleMapGraph
from trkx.plugin.stage_settings import StageContext

SEED = 600003


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Two events of muons on double-sided strip modules."""
    pytest.importorskip("pythia8mc")
    pytest.importorskip("pyhepmc")
    from trkx.algorithms.simulation import GunSettings, SimulationSettings, simulate

    folder = tmp_path_factory.mktemp("stereo") / "sample"
    gun = GunSettings(pdg=13, pt_min=1, pt_max=20, eta_min=-3, eta_max=3, multiplicity=40)
    settings = SimulationSettings(
        process="gun", pileup=0, seed=SEED, strips="stereo", noise=0.2, gun=gun
    )
    simulate(settings, folder, 2)
    return folder


@pytest.fixture(scope="module")
def dump(sample):
    path = sample.parent / "Dump_GNN4Itk.root"
    with EventFiles.open(sample) as files:
        made = athena_provenance([str(sample)], "trkx convert")
        write_athena(files, files.numbers, path, made)
    return path


def test_nothing_is_lost(sample, dump):
    before, after = EventFiles.open(sample), open_events(dump)
    assert isinstance(after, AthenaFiles) and after.numbers == before.numbers
    assert after.acts_modules and after.has_truth
    for number in before.numbers:
        one, two = before.read(number), after.read(number)
        for name in ("geometry_id", "rec_gx", "rec_gy", "rec_gz"):
            np.testing.assert_array_equal(one.measurements[name], two.measurements[name])
        barrel = ~np.isfinite(two.measurements["rec_loc1"])
        np.testing.assert_array_equal(
            one.measurements["rec_loc0"][barrel], two.measurements["rec_loc0"][barrel]
        )
        for name in ("measurement_id", "measurement_id_2", "geometry_id", "geometry_id_2",
                     "x", "y", "z", "is_strip", "cluster1_x", "cluster2_z", "var_r", "var_z",
                     "clus_size_loc0", "clus_size_loc1"):  # fmt: skip
            np.testing.assert_array_equal(one.space_points[name], two.space_points[name], name)
        for name in ("px", "py", "pz", "vx", "vy", "vz", "q", "particle_type", "vertex_primary"):
            np.testing.assert_allclose(one.particles[name], two.particles[name], rtol=1e-6)
        for name in ("measurement_particle_offsets", "measurement_particle_rows"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        one, two = labelled_event(one), labelled_event(two)
        np.testing.assert_array_equal(one.offsets, two.offsets)
        np.testing.assert_array_equal(one.particle, two.particle)
        assert one.targets(1.0).sum() > 20


def test_strips_of_the_endcaps_measure_the_second_coordinate(sample, dump):
    one = EventFiles.open(sample).read(0).measurements
    two = AthenaFiles.open(dump).read(0).measurements
    strip = ~np.isfinite(one["rec_loc1"])
    endcap = np.isfinite(two["rec_loc1"]) & strip
    volume = one["geometry_id"] >> np.uint64(56)
    np.testing.assert_array_equal(endcap, np.isin(volume, (12, 14, 16, 18)))
    np.testing.assert_array_equal(two["rec_loc1"][endcap], one["rec_loc0"][endcap])
    np.testing.assert_array_equal(two["var_loc1"][endcap], one["var_loc0"][endcap])


def test_order_units_and_keys(dump):
    with uproot.open(dump) as file:
        tree = file["GNN4ITk"]
        a = {name: tree[name].array(library="np")[0] for name in tree.keys()}
    assert (np.diff(a["CLhardware"]) >= 0).all() and (np.diff(a["SPCL2_index"] >= 0) >= 0).all()
    np.testing.assert_array_equal(a["SPisOverlap"], np.where(a["SPCL2_index"] < 0, -1, 0))
    assert a["Part_pt"][a["Part_passed"] == 1].min() > 1000  # MeV
    primary = a["Part_status"] == 1
    assert (a["Part_barcode"][primary] < 200000).all() and (a["Part_barcode"] > 0).all()
    assert (a["Part_barcode"][~primary] > 200000).all()
    assert len(np.unique(a["Part_barcode"])) == len(a["Part_barcode"])  # one collision
    assert set(a["CLbarrel_endcap"]) == {-2, 0, 2}
    normal = np.stack([a[f"CLnorm_{axis}"] for axis in "xyz"])
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1.0, rtol=1e-6)
    assert (np.abs(normal[2]) > 0.9)[a["CLbarrel_endcap"] != 0].all()
    assert a["CLeta_module"].max() < 100 and a["CLphi_module"].max() < 200
    length = np.linalg.norm([a[f"CLJan_loc_direction{i}"] for i in (1, 2, 3)], axis=0)
    np.testing.assert_array_equal(length > 0, a["CLhardware"] == 1)
    assert length[length > 0].min() > 20 and length.max() < 60  # mm


def test_strip_vectors_span_the_space_points(dump):
    """A strip space point lies on the line from the origin through both of its strips."""
    names = ("SPtopStripDirection", "SPbottomStripDirection", "SPstripCenterDistance",
             "SPtopStripCenterPosition")  # fmt: skip
    found = AthenaFiles.open(dump).read_dump(0, (*names, "SPx", "SPy", "SPz", "SPCL2_index"))
    strip = found["SPCL2_index"] >= 0
    for name in names:
        np.testing.assert_array_equal(found[name].counts, 3 * strip)
    top, bottom, distance, center = (found[name].content.reshape(-1, 3) for name in names)
    point = np.stack([found[f"SP{axis}"][strip] for axis in "xyz"], axis=1)
    for middle, along in ((center, top), (center - distance, bottom)):
        plane = np.cross(middle, along)
        plane /= np.linalg.norm(plane, axis=1)[:, None]
        assert np.abs((point * plane).sum(axis=1)).max() < 0.05  # mm


def test_info_and_training(dump, tmp_path, capsys):
    assert main(["info", str(dump), "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    tree = summary["trees"]["GNN4ITk"]
    assert tree["events"] == [0, 1] and min(tree["rows_per_event"]) > 300
    assert tree["noise_share"] == pytest.approx(0.2, abs=0.03)
    assert tree["columns"]["SPx"] == {"type": "double[]", "unit": "mm"}
    assert tree["columns"]["Part_px"]["unit"] == "MeV"
    assert input_provenance([str(dump)])[0]["seed"] == SEED
    assert len(open_training_events([str(dump)])) == 2
    with AthenaFiles.open(dump) as files:
        write_athena(files, [1], tmp_path / "test.root", {"seed": 900000})
    with pytest.raises(ConfigError, match="seeds from 900000 on are for tests"):
        open_training_events([str(tmp_path / "test.root")])


def test_tracks_of_a_dump(sample, dump, tmp_path, capsys, monkeypatch):
    """A dump gives the tracks of its sample, in the plugin and in a job."""
    find = load_pipeline("classical")
    one, two = (labelled_event(open_events(path).read(0)) for path in (sample, dump))
    tracks = find(one.space_points)
    assert len(tracks) > 20
    np.testing.assert_array_equal(find(two.space_points).labels, tracks.labels)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # no report, which takes its time
    arguments = ["--finder", "classical", "--fitter", "none", "--out", str(tmp_path / "out")]
    assert main(["run", "--input", str(dump), "--events", "0:1", *arguments]) == 0
    document = json.loads((tmp_path / "out" / "performance.json").read_text())
    assert "classical" in document["finders"]
    assert dump.name in (tmp_path / "out" / "job.json").read_text()
    assert main(["run", "--input", str(dump), "--finder", "ckf-fast", "--out", str(tmp_path)]) == 2
    assert "no double-sided strip modules" in capsys.readouterr().err


@pytest.fixture(scope="module")
def foreign(dump):
    """The same events on modules that have other numbers, as those of Athena are."""
    path = dump.parent / "foreign.root"
    with uproot.open(dump) as file, uproot.recreate(path) as other:
        tree = file["GNN4ITk"]
        columns = {name: tree[name].array() for name in tree.keys()}
        ids = columns["CLmoduleID"]
        columns["CLmoduleID"] = ((ids >> np.uint64(8)) + (ids & np.uint64(3))) << np.uint64(36)
        other.mktree("GNN4ITk", columns)
    return path


def test_modules_that_a_pipeline_does_not_know(foreign, tmp_path, capsys):
    """Reading goes well; it is the map that says no."""
    assert not AthenaFiles.open(foreign).acts_modules
    arguments = ["--finder", "classical", "--fitter", "none", "--out", str(tmp_path / "out")]
    assert main(["run", "--input", str(foreign), *arguments]) == 2
    message = capsys.readouterr().err
    assert "modules that the map does not know" in message and "trkx train" in message
    assert not (tmp_path / "out" / "job.json").exists()


def test_a_module_map_of_these_modules(foreign, tmp_path):
    """Learned from a dump with any module numbers, and used on it."""
    with AthenaFiles.open(foreign) as files:
        modules = athena_rings(files)
    assert modules.n_cells < 0.9 * len(modules.geometry_id)
    np.testing.assert_array_equal(modules.mirror[modules.mirror], np.arange(modules.n_cells))
    assert (modules.mirror != np.arange(modules.n_cells)).sum() > 0.2 * modules.n_cells
    modules.save(tmp_path / "modules.npz")
    config = tmp_path / "map.toml"
    config.write_text(
        f"""stage = "module_map"
        out = "itk"
        input = ["{foreign}"]
        [data]
        modules = "modules.npz"
        pt_min = 0.9
        [optimisation]
        threads = 1
        """
    )
    arguments = ["--config", str(config), "--out", str(tmp_path), "--quiet"]
    assert main(["train", "module_map", *arguments]) == 0
    make_graph = ModuleMapGraph.from_settings(
        {"map": "itk.npz"}, StageContext(folder=tmp_path, target="pt1")
    )
    event = labelled_event(AthenaFiles.open(foreign).read(0))
    graph = make_graph(event.space_points, (0.0, 0.0))
    labels = label_graph(graph, event, 1.0)
    assert labels.edge.sum() > 5 * event.targets(1.0).sum()


def test_what_cannot_be_written(sample, dump, tmp_path):
    with EventFiles.open(sample) as files, pytest.raises(OutputExistsError):
        write_athena(files, [0], dump, {})
    with (
        EventFiles.open(sample / "spacepoints.root") as files,
        pytest.raises(InputError, match="holds clusters and truth"),
    ):
        write_athena(files, [0], tmp_path / "x.root", {})
    assert not list(tmp_path.iterdir())


def test_convert_command(sample, tmp_path, capsys):
    out = tmp_path / "Dump_GNN4Itk.root"
    command = ["convert", str(sample), str(out), "--to", "athena", "--events", "1:2"]
    assert main(command) == 0
    assert "1 events" in capsys.readouterr().out
    with AthenaFiles.open(out) as files:
        assert files.identity(0) == (SEED, 1)
    assert main(command) == 2 and "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    out.write_bytes(out.read_bytes()[:3000])
    arguments = ["--fitter", "none", "--out", str(tmp_path / "tracks")]
    assert main(["run", "--input", str(out), *arguments]) == 2
    assert "truncated" in capsys.readouterr().err
