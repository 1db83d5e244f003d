"""`trkx simulate` and `trkx info` from end to end, on small events."""

import json

import awkward as ak
import numpy as np
import pytest
import uproot

from trkx.algorithms.cli.main import main
from trkx.algorithms.simulation import GunSettings, SimulationSettings, simulate
from trkx.io.errors import ConfigError
from trkx.io.provenance import read_provenance
from trkx.io.schema import TREES

pytest.importorskip("pythia8mc")
pytest.importorskip("pyhepmc")


def read(folder):
    return {
        name: uproot.open(folder / schema.file_name)[name].arrays()
        for name, schema in TREES.items()
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert len(one[name]) == len(other[name]), name
        for column in one[name].fields:
            a, b = (ak.to_numpy(ak.flatten(t[name][column], axis=None)) for t in (one, other))
            np.testing.assert_array_equal(a, b, err_msg=f"{name}.{column}")


@pytest.fixture(scope="module")
def sample(tiny_sample):
    return read(tiny_sample)


def test_events_and_rows(sample):
    measurements, points = sample["measurements"], sample["spacepoints"]
    assert len(measurements) == len(points) > 3 * 3000
    assert np.unique(points.event_id).tolist() == [0, 1, 2]
    assert np.all(np.diff(ak.to_numpy(points.event_id).astype(int)) >= 0)
    for ours, theirs in (
        ("measurement_id", "measurement_id"),
        ("geometry_id", "geometry_id"),
        ("x", "rec_gx"),
        ("y", "rec_gy"),
        ("z", "rec_gz"),
    ):
        assert ak.all(points[ours] == measurements[theirs]), ours
    assert np.isfinite(ak.to_numpy(points.x)).all()


def test_schema(tiny_sample):
    for name, schema in TREES.items():
        tree = uproot.open(tiny_sample / schema.file_name)[name]
        expected = [b.name for b in schema.branches]
        if schema.jagged:
            expected.append(schema.counter)
            expected += [schema.jagged_prefix + b.name for b in schema.jagged_branches]
        assert tree.keys() == expected


def test_noise_belongs_to_no_particle(sample):
    measurements = sample["measurements"]
    noise = measurements.n_measurement_particles == 0
    assert ak.mean(noise) == pytest.approx(0.15, abs=0.015)
    assert np.isnan(ak.to_numpy(measurements.true_x[noise])).all()
    assert np.isfinite(ak.to_numpy(measurements.true_x[~noise])).all()
    # As many layers, and the same cluster sizes: nothing but the position tells noise.
    layers = [
        len(np.unique(measurements.layer_id[c] * 100 + measurements.volume_id[c]))
        for c in (noise, ~noise)
    ]
    assert layers[0] >= 0.9 * layers[1]
    sizes = [ak.mean(np.log(measurements.clus_size_loc1[c])) for c in (noise, ~noise)]
    assert sizes[0] == pytest.approx(sizes[1], abs=0.15)


def test_pulls_have_unit_width(sample):
    measurements = sample["measurements"]
    single = measurements.n_measurement_particles == 1
    for name in ("pull_loc0", "pull_loc1"):
        pull = ak.to_numpy(measurements[name][single])
        assert np.std(pull[np.abs(pull) < 5]) == pytest.approx(1.0, abs=0.1)
        assert np.mean(np.abs(pull) < 5) > 0.98


def test_decays_are_displaced(sample):
    particles = sample["particles"]
    radius = np.hypot(particles.vx, particles.vy)
    charged = (particles.q != 0) & (particles.pt > 0.5)
    displaced = radius[charged] > 1.0
    assert 0.02 < ak.mean(displaced) < 0.25
    # Decays in Pythia (vertex_secondary) and conversions in Fatras (generation).
    from_pythia = charged & (particles.vertex_secondary > 0) & (particles.generation == 0)
    assert ak.max(radius[from_pythia]) > 50.0
    assert (
        ak.max(radius[charged & (particles.vertex_secondary == 0) & (particles.generation == 0)])
        < 0.2
    )
    assert ak.max(particles.vertex_primary) > 2
    # A primary vertex is one point; different ones are apart along the beam.
    prompt = (particles.vertex_secondary == 0) & (particles.generation == 0)
    first = prompt & (particles.vertex_primary == 1)
    assert ak.all(ak.max(particles.vz[first], axis=1) == ak.min(particles.vz[first], axis=1))
    assert ak.std(particles.vz[prompt]) > 10.0


def test_measurements_name_their_particles(sample):
    names = [b.name for b in TREES["particles"].jagged_branches if b.dtype == "u4"][1:6]
    key = {
        event: set(zip(*(ak.to_list(sample["particles"][n][event]) for n in names), strict=True))
        for event in range(3)
    }
    measurements = sample["measurements"]
    for event in range(3):
        mine = measurements[measurements.event_nr == event]
        seen = set(
            zip(*(ak.to_list(ak.flatten(mine[f"particles_{n}"])) for n in names), strict=True)
        )
        assert seen and seen <= key[event]


def test_hits_match_the_number_of_hits(sample):
    hits, particles = sample["hits"], sample["particles"]
    assert len(hits) == ak.sum(particles.number_of_hits)
    assert ak.max(hits.deltae) <= 0.0
    assert np.all(np.diff(ak.to_numpy(hits.event_id).astype(int)) >= 0)


def test_provenance(tiny_sample):
    for schema in TREES.values():
        record = read_provenance(tiny_sample / schema.file_name)
        assert record["seed"] == 600001
        assert record["detector"] == "generic"
        assert record["settings"]["pileup"] == 5.0
        assert {"trkx", "pyacts", "pythia8mc"} <= record["versions"].keys()
        assert record["command"].startswith("trkx")


def test_content_depends_on_seed_and_event_only(tmp_path):
    settings = SimulationSettings(pileup=2.0, seed=17)
    simulate(settings, tmp_path / "one", 3, threads=1)
    simulate(settings, tmp_path / "two", 2, first=1, threads=2)
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    later = {name: table[table[TREES[name].event_branch] > 0] for name, table in one.items()}
    assert_same(later, two)
    events = [one["spacepoints"].x[one["spacepoints"].event_id == event] for event in (0, 1)]
    assert ak.to_list(events[0][:20]) != ak.to_list(events[1][:20])


def test_guns_and_smearing(tmp_path):
    gun = GunSettings(pdg=211, pt_min=5.0, pt_max=5.0, eta_min=-1.0, eta_max=1.0, multiplicity=30)
    settings = SimulationSettings(
        process="gun", pileup=0.0, noise=0.0, seed=3, gun=gun, digitization="smeared"
    )
    simulate(settings, tmp_path, 2)
    sample = read(tmp_path)
    particles, measurements = sample["particles"], sample["measurements"]
    primary = particles.generation == 0
    assert ak.sum(primary, axis=1).to_list() == [30, 30]
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(particles.pt[primary])), 5.0, rtol=1e-5)
    assert ak.min(measurements.n_measurement_particles) == 1
    assert np.std(measurements.pull_loc0) == pytest.approx(1.0, abs=0.15)
    assert ak.mean(particles.number_of_hits[primary]) > 9


def test_bad_arguments(tmp_path):
    with pytest.raises(ConfigError, match="events is 0"):
        simulate(SimulationSettings(), tmp_path, 0)
    with pytest.raises(ConfigError, match="first event is -1"):
        simulate(SimulationSettings(), tmp_path, 1, first=-1)


def test_command_refuses_to_overwrite(tiny_sample, capsys):
    before = (tiny_sample / "hits.root").stat().st_mtime_ns
    assert main(["simulate", "--events", "1", "--out", str(tiny_sample)]) == 2
    assert "holds results already" in capsys.readouterr().err
    assert (tiny_sample / "hits.root").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process", "ttbar", "--gun", "13"], "do not go with --process ttbar"),
        (["--process", "single-muon", "--gun", "211"], "shoots muons"),
        (["--process", "muons"], "unknown process 'muons'"),
        (["--gun", "13", "--eta", "-2:-3"], "η range -2.0:-3.0"),
        (["--gun", "999999"], "gun pdg is 999999; choose one of 11 (electron)"),
    ],
)
def test_command_names_what_is_wrong(arguments, message, tmp_path, capsys):
    command = ["simulate", "--events", "1", "--out", str(tmp_path / "x"), *arguments]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_output_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["simulate", "--events", "1", "--out", str(tmp_path / "file" / "x")]
    assert main(command) == 2
    assert "cannot make the output folder" in capsys.readouterr().err


def test_info(tiny_sample, capsys):
    assert main(["info", str(tiny_sample)]) == 0
    text = capsys.readouterr().out
    assert "3 events (0 to 2)" in text
    assert "noise (no particle): 1" in text
    assert "seed: 600001" in text
    assert main(["info", str(tiny_sample / "particles.root")]) == 0
    assert "px                float[]      GeV" in capsys.readouterr().out
    assert main(["info", "--json", str(tiny_sample / "measurements.root")]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    tree = found["trees"]["measurements"]
    assert tree["columns"]["rec_loc0"] == {"type": "float", "unit": "mm"}
    assert sum(tree["rows_per_event"]) == tree["entries"]
    assert found["provenance"]["seed"] == 600001


def test_info_on_other_things(tmp_path, capsys):
    assert main(["info", str(tmp_path / "nothing")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert main(["info", str(tmp_path)]) == 2
    assert "no ROOT file" in capsys.readouterr().err
    (tmp_path / "text.root").write_text("not ROOT")
    assert main(["info", str(tmp_path / "text.root")]) == 2
    assert "not a ROOT file" in capsys.readouterr().err
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("points", {"x": np.dtype("f8")}).extend({"x": np.zeros(4)})
    assert main(["info", str(tmp_path / "other.root")]) == 0
    assert "tree points: 4 entries" in capsys.readouterr().out
