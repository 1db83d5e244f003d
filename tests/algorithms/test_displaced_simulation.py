"""Decays of long-lived particles: kinematics, radii, lifetimes, truth in the files."""

from dataclasses import replace

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.simulation import simulate
from trkx.algorithms.simulation.displaced import (
    DECAY_Z_MAX,
    HNL_CHANNELS,
    HNL_PDG,
    displaced_record,
)
from trkx.algorithms.simulation.generator import CrossingGenerator, event_rng, make_pythia
from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings
from trkx.io.errors import ConfigError
from trkx.io.event_files import EventFiles

pytest.importorskip("pythia8mc")

HNL = SimulationSettings(
    process="hnl", pileup=0, gun=GunSettings(pt_min=5, pt_max=50, multiplicity=200)
)
V0 = SimulationSettings(
    process="v0", pileup=0, gun=GunSettings(pt_min=2, pt_max=20, multiplicity=300)
)


def record_of(settings, event=0):
    pythia = make_pythia(settings.process, settings)
    return displaced_record(pythia, settings, event_rng(settings.seed, event, 1))


def parents(record):
    """Rows of the long-lived particles, and of their first daughters."""
    top = record.offsets[:-1]
    assert (record.mother[top] == -1).all()
    return top, top + 1


def test_heavy_neutral_leptons():
    record = record_of(HNL)
    top, daughter = parents(record)
    assert len(top) == 200
    assert (record.pdg[top] == HNL_PDG).all()
    assert not record.final[top].any()
    assert sum(fraction for fraction, _ in HNL_CHANNELS) == pytest.approx(1)
    # Momentum and charge are conserved, and all products come from the same point.
    for begin, end in zip(record.offsets[:-1], record.offsets[1:], strict=True):
        products = np.flatnonzero(record.mother[begin:end] == begin) + begin
        total = record.momentum[products].sum(axis=0)
        np.testing.assert_allclose(total, record.momentum[begin], rtol=1e-5, atol=1e-5)
        assert (record.position[products] == record.position[products[0]]).all()
        charged = np.isin(np.abs(record.pdg[products]), (11, 13, 211))
        assert charged.sum() in (2, 4)
    radius = np.hypot(*record.position[daughter, :2].T)
    assert radius.max() < 300
    assert np.abs(record.position[daughter, 2]).max() < DECAY_Z_MAX
    # It flies straight from the beam line.
    cross = np.cross(record.position[daughter, :3], record.momentum[top, :3])
    assert np.abs(cross).max() < 1e-6 * 300 * 5000


def test_radii_are_uniform_near_the_centre():
    gun = replace(V0.gun, eta_min=-1.0, eta_max=1.0)
    record = record_of(replace(V0, gun=gun))
    top, daughter = parents(record)
    assert set(record.pdg[top]) == {310, 3122, -3122}
    radius = np.hypot(*record.position[daughter, :2].T)
    assert np.mean(radius) == pytest.approx(150, abs=20)
    assert np.std(radius) == pytest.approx(300 / np.sqrt(12), abs=10)


def test_lifetime():
    record = record_of(replace(HNL, gun=replace(HNL.gun, lifetime=20.0, mass=5.0)))
    top, daughter = parents(record)
    flight = np.linalg.norm(record.position[daughter, :3], axis=1)
    proper = flight / np.linalg.norm(record.momentum[top, :3], axis=1) * record.mass[top]
    assert record.mass[top] == pytest.approx(5.0)
    assert np.mean(proper) == pytest.approx(20, rel=0.25)


def test_every_event_has_its_own_decays():
    one, again, other = record_of(HNL), record_of(HNL), record_of(HNL, event=1)
    np.testing.assert_array_equal(one.momentum, again.momentum)
    np.testing.assert_array_equal(one.position, again.position)
    assert not np.array_equal(one.momentum[0], other.momentum[0])


def test_each_decay_is_a_collision_of_its_own():
    settings = replace(HNL, gun=replace(HNL.gun, multiplicity=7))
    generator = CrossingGenerator(settings)
    assert generator.n_signal == 7
    assert len(generator.collisions(0)) == 7


def test_truth_in_the_files(tmp_path):
    gun = replace(V0.gun, multiplicity=20, eta_min=-1.5, eta_max=1.5, radius_max=100)
    simulate(replace(V0, gun=gun), tmp_path, 1)
    event = EventFiles.open([str(tmp_path)]).read(0, truth=True)
    particles = event.particles
    radius = np.hypot(particles["vx"], particles["vy"])
    charged = np.asarray(particles["q"]) != 0
    assert charged.sum() > 15
    # Decays within 100 mm, and a few interactions with the material further out.
    assert np.mean(radius[charged] < 100.2) > 0.7
    assert len(np.unique(np.round(radius[charged & (radius > 0.2)], 3))) > 10
    assert len(np.unique(particles["vertex_primary"])) > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process", "ttbar", "--lifetime", "10"], "--process ttbar"),
        (["--process", "v0", "--mass", "5"], "--mass does not go with --process v0"),
        (["--process", "hnl", "--gun", "13"], "--gun does not go with --process hnl"),
        (["--process", "hnl", "--lifetime", "-1"], "lifetime is -1.0 mm"),
        (["--process", "hnl", "--mass", "0.1"], "mass is 0.1 GeV"),
    ],
)
def test_command_names_what_is_wrong(arguments, message, tmp_path, capsys):
    command = ["simulate", "--events", "1", "--out", str(tmp_path / "x"), *arguments]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_settings_name_what_is_wrong():
    with pytest.raises(ConfigError, match="lifetime is nan mm"):
        GunSettings(lifetime=float("nan"))
