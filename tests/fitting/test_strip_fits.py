"""Fits of strips with one coordinate, on a geometry that has both sensors of their modules."""

import json

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.event_inputs import check_fits, open_inputs
from trkx.algorithms.job_config import JobConfig
from trkx.algorithms.simulation import GunSettings, SimulationSettings, simulate
from trkx.algorithms.simulation.modules import module_table
from trkx.algorithms.simulation.strip_sensors import SensorFrames, StripSensors
from trkx.algorithms.strip_geometry import StripEvents, buildStripGeometry
from trkx.fitting.surface_table import beam_pipe, surface_table
from trkx.io.errors import ConfigError, GeometryIdError
from trkx.io.event_files import EventFiles


@pytest.fixture(scope="module")
def muons(tmp_path_factory):
    pytest.importorskip("pythia8mc")
    pytest.importorskip("pyhepmc")
    folder = tmp_path_factory.mktemp("stereo")
    gun = GunSettings(pdg=13, pt_min=1, pt_max=20, eta_min=-2, eta_max=2, multiplicity=60)
    simulate(
        SimulationSettings(process="gun", pileup=0, seed=600002, strips="stereo", gun=gun),
        folder,
        1,
    )
    return folder


def test_surfaces_are_the_sensors():
    geometry, modules, sensors = buildStripGeometry(), module_table(), StripSensors()
    table = surface_table(geometry.trackingGeometry)
    strips = int(sensors.has(modules.volume).sum())
    assert len(table.geometry_id) == len(modules.geometry_id) + strips == 33452
    for side in (1, 2):
        row = np.array([int(np.flatnonzero(modules.volume == 13)[100])])
        found = table.rows(geometry.translate(modules.geometry_id[row] | np.uint64(side)))
        frame = SensorFrames.of(sensors, modules, row, np.array([side]))
        np.testing.assert_allclose(table.center[found], frame.origin, atol=1e-6)
        np.testing.assert_allclose(table.axis0[found], frame.across, atol=1e-6)
        np.testing.assert_allclose(table.axis1[found], frame.along, atol=1e-6)
    radius, depth = beam_pipe(geometry.trackingGeometry)
    assert radius < 25 and 0.001 < depth < 0.01
    assert 0.015 < (table.thickness + table.layer_thickness).min() < 0.05
    with pytest.raises(GeometryIdError, match="no sensor"):
        geometry.translate(np.array([1], np.uint64))


def test_events_are_on_the_surfaces(muons):
    geometry = buildStripGeometry()
    with EventFiles.open(muons) as files:
        events = StripEvents(files, geometry)
        number = events.available[0]
        plain, placed = files.read(number), events.read(number)
    ids = placed.measurements["geometry_id"]
    assert np.isin(ids, geometry.surface_ids).all()
    assert not np.array_equal(ids, plain.measurements["geometry_id"])
    assert np.array_equal(placed.space_points["geometry_id"], plain.space_points["geometry_id"])


def test_muons_are_fitted(muons, tmp_path):
    out = tmp_path / "out"
    arguments = ["--finders", "truth", "--fitters", "helix,kf,gx2f", "--no-report"]
    assert main(["compare", "--input", str(muons), *arguments, "--out", str(out)]) == 0
    document = json.loads((out / "performance.json").read_text())
    fits = document["finders"]["truth"]["fits"]
    for fitter in ("helix", "kf", "gx2f"):
        fit = fits[fitter]
        assert fit["n_found"] >= 50
        assert fit["fit_fraction"] >= 0.95, fitter
        for name, pull in fit["pulls"].items():
            assert 0.6 < pull["width"] < 1.6, (fitter, name)


def test_strips_of_two_clusters_are_no_seeds_of_the_ckf(muons, tmp_path):
    def config(finder, fitter):
        return JobConfig(input=[muons], out=tmp_path, finders=finder, fitters=fitter)

    with open_inputs([muons]) as files:
        for fitter in ("none", "helix", "kf", "gx2f"):
            check_fits(files, config("gnn", fitter))
        for finder in ("ckf-fast", "gnn+ckf"):
            with pytest.raises(ConfigError, match="no double-sided strip modules"):
                check_fits(files, config(finder, "none"))
