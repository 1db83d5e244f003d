"""Generated particles to HepMC3 events: hand-drawn decay chains, guns, Pythia."""

import numpy as np
import pytest

from trkx.algorithms.simulation.generator import CrossingGenerator, event_rng
from trkx.algorithms.simulation.generator_process import GeneratorProcess
from trkx.algorithms.simulation.guns import gun_record
from trkx.algorithms.simulation.hepmc import (
    ParticleRecord,
    displaced_parents,
    hepmc_events,
    keep_with_ancestors,
    select_final,
)
from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings
from trkx.io.errors import ConfigError

pytest.importorskip("pyhepmc")


def record(rows):
    """Particles (pdg, final, mother, x) along the x axis, all with px = 1 GeV."""
    pdg, final, mother, x = zip(*rows, strict=True)
    n = len(rows)
    position = np.zeros((n, 4))
    position[:, 0] = x
    return ParticleRecord(
        pdg=np.array(pdg, dtype=np.int32),
        final=np.array(final),
        mother=np.array(mother, dtype=np.int64),
        momentum=np.tile([1.0, 0.0, 0.0, 1.5], (n, 1)),
        mass=np.ones(n),
        position=position,
        offsets=np.array([0, n]),
    )


# B0 (1) flies 2 mm to D- (3) and pi+ (2); the D- flies 3 mm more to a prompt K* (4), which gives
# K+ (5) and a pi0 (6), whose photon (7) appears 1 µm on; 8 is a prompt pion.
CHAIN = record(
    [
        (2212, False, -1, 0.0),
        (511, False, 0, 0.0),
        (211, True, 1, 2.0),
        (-411, False, 1, 2.0),
        (313, False, 3, 5.0),
        (321, True, 4, 5.0),
        (111, False, 4, 5.0),
        (22, True, 6, 5.001),
        (-211, True, 0, 0.0),
    ]
)


def test_parents_are_the_particles_that_flew():
    parents = displaced_parents(CHAIN, np.array([2, 3, 5, 7, 8]))
    assert parents.tolist() == [1, 1, 3, 3, -1]


def test_only_finals_and_flying_ancestors_are_kept():
    rows, parents = keep_with_ancestors(CHAIN, CHAIN.final)
    assert rows.tolist() == [1, 2, 3, 5, 7, 8]
    assert parents.tolist() == [-1, 0, 0, 2, 2, -1]


def test_an_ancestor_without_selected_decay_product_is_dropped():
    rows, _ = keep_with_ancestors(CHAIN, CHAIN.pdg == -211)
    assert rows.tolist() == [8]


def test_hepmc_event_has_true_decay_vertices():
    (event,) = hepmc_events(CHAIN, CHAIN.final, number=7, beam_energy=7000.0)
    assert event.event_number == 7
    vertices = {
        tuple(p.pid for p in v.particles_in): (v.position.x, {p.pid for p in v.particles_out})
        for v in event.vertices
    }
    assert vertices[2212, 2212] == (0.0, {511, -211})
    assert vertices[(511,)] == (2.0, {211, -411})
    assert vertices[(-411,)][0] == pytest.approx(5.0, abs=2e-3)
    assert vertices[(-411,)][1] == {321, 22}
    assert all(p.status == 1 for p in event.particles if not p.end_vertex)


def test_selection_cuts():
    base = record([(211, True, -1, 0.0)] * 6)
    base.momentum[0, :3] = (0.1, 0.0, 0.0)  # soft
    base.momentum[1, :3] = (1.0, 0.0, 100.0)  # forward
    base.position[2, 0] = 400.0  # far out
    base.position[3, 2] = -3000.0  # far along the beam
    base.pdg[4] = -14  # invisible
    chosen = select_final(base, pt_min=0.15, abs_eta_max=4.0, radius_max=300.0, z_max=2700.0)
    assert chosen.tolist() == [False] * 5 + [True]


def test_gun_stays_in_its_ranges():
    settings = SimulationSettings(
        process="gun",
        gun=GunSettings(
            pdg=211, pt_min=2.0, pt_max=3.0, eta_min=-1.0, eta_max=0.5, multiplicity=200
        ),
    )
    gun = gun_record(settings, np.random.default_rng(3))
    pt = np.hypot(gun.momentum[:, 0], gun.momentum[:, 1])
    eta = np.arcsinh(gun.momentum[:, 2] / pt)
    assert pt.min() >= 2.0 and pt.max() <= 3.0
    assert eta.min() >= -1.0 and eta.max() <= 0.5
    assert set(gun.pdg.tolist()) == {211, -211}
    assert not gun.position.any()


def test_displaced_gun_is_displaced():
    settings = SimulationSettings(process="displaced", gun=GunSettings(multiplicity=500))
    gun = gun_record(settings, np.random.default_rng(3))
    decayed = gun.final
    radius = np.hypot(*gun.position[decayed, :2].T)
    assert decayed.sum() == 500
    assert radius.max() <= 300.0
    assert abs(radius.mean() - 150.0) < 15.0
    px, py = gun.momentum[decayed, :2].T
    d0 = (gun.position[decayed, 0] * py - gun.position[decayed, 1] * px) / np.hypot(px, py)
    assert np.abs(d0).max() > 100.0
    assert np.abs(gun.position[:, 2]).max() <= 500.0 + 1e-9
    assert displaced_parents(gun, np.flatnonzero(decayed)).tolist() == list(range(500))


def test_streams_are_independent_of_each_other():
    draws = {
        float(event_rng(seed, event, stream).random())
        for seed in (1, 2)
        for event in (0, 1)
        for stream in (0, 1)
    }
    assert len(draws) == 8


def test_crossing_depends_on_seed_and_number_only():
    pytest.importorskip("pythia8mc")
    generator = CrossingGenerator(SimulationSettings(pileup=3.0, seed=5))

    def momenta(event):
        return [
            (p.pid, p.momentum.px, p.momentum.pz)
            for collision in generator.collisions(event)
            for p in collision.particles
        ]

    first, other = momenta(4), momenta(2)
    assert first != other
    assert momenta(4) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"process": "ttbr"}, "did you mean 'ttbar'"),
        ({"digitization": "geometrical"}, "geometric, smeared"),
        ({"noise": 1.0}, "noise is 1.0"),
        ({"pileup": -1.0}, "pileup is -1.0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        SimulationSettings(**change)


def test_bad_gun_settings_are_named():
    with pytest.raises(ConfigError, match=r"pT range 5\.0:1\.0"):
        GunSettings(pt_min=5.0, pt_max=1.0)


def test_a_failing_generator_process_is_reported(tmp_path, capfd):
    with GeneratorProcess(SimulationSettings(process="gun", pileup=0.0)) as generator:
        generator.request(tmp_path / "one.hepmc3", 0, 2)
        assert generator.wait() == 1
        assert (tmp_path / "one.hepmc3").stat().st_size > 0
        generator.request(tmp_path / "no such folder" / "two.hepmc3", 0, 1)
        with pytest.raises(RuntimeError, match="exit code 1"):
            generator.wait()
    assert "no such folder" in capfd.readouterr().err


def test_settings_survive_the_way_to_the_process():
    settings = SimulationSettings(pileup=0.1, gun=GunSettings(pdg=11, pt_min=0.3))
    assert SimulationSettings.from_dict(settings.as_dict()) == settings
