"""The module map of the GenericDetector: rings of modules, ROOT files, and `trkx train`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.module_map_files import load_module_map
from trkx.algorithms.module_rings import module_rings
from trkx.algorithms.simulation.modules import module_table
from trkx.algorithms.track_counts import TrackCounts
from trkx.io.event_files import EventFiles
from trkx.plugin.module_map import ModuleMap, Modules
from trkx.plugin.module_map_graph import ModuleMapGraph, ModuleMapGraphConfig
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.training.module_map_training import GENERIC_MODULES


def test_rings():
    rings, table = module_rings(), module_table()
    assert rings.n_cells == 358
    # A ring is one layer at one place; the first pixel layer has 14 rings of 16 modules.
    first = np.flatnonzero(table.layer_key == table.layer_key[table.volume == 8][0])
    cells, sizes = np.unique(rings.cell[first], return_counts=True)
    assert sizes.tolist() == [16] * 14
    z = table.center[:, 2]
    of_ring = np.bincount(rings.cell, z) / np.bincount(rings.cell)
    np.testing.assert_allclose(of_ring[rings.mirror], -of_ring, atol=1.0)
    assert (rings.mirror[cells] == cells[::-1]).all()


def test_shipped_modules_are_those_of_the_detector():
    shipped, rings = Modules.load(GENERIC_MODULES), module_rings()
    for name in ("geometry_id", "cell", "mirror"):
        np.testing.assert_array_equal(getattr(shipped, name), getattr(rings, name), err_msg=name)


@pytest.fixture(scope="module")
def learned(tiny_sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    (folder / "map.toml").write_text(f'input = ["{tiny_sample}"]\nevents = 2\nchunk = 1\n')
    command = ["train", "module_map", "--config", str(folder / "map.toml"), "--out", str(folder)]
    assert main(command) == 0
    return folder


def test_train_command(learned):
    card = json.loads((learned / "module_map.json").read_text())
    assert card["stage"] == "module_map" and card["training"]["events"] == 2
    found, from_root = (
        ModuleMap.load(learned / "module_map.npz"),
        load_module_map(learned / "module_map"),
    )
    assert found.meta["symmetry"] == "phi_z" and from_root.frame == found.frame
    for name in ("key", "count", "low", "high"):
        a, b = (getattr(m.statistics, name) for m in (found, from_root))
        np.testing.assert_array_equal(a, b, err_msg=name)
    np.testing.assert_allclose(found.statistics.rms, from_root.statistics.rms, rtol=1e-5)
    assert not (learned / "training-module_map" / "seen.npz").exists()


def test_graph_of_a_simulated_event(learned, tiny_sample):
    event = next(labelled_events(EventFiles.open([str(tiny_sample)]), 0, 1))
    config = ModuleMapGraphConfig(method="minmax", occurrences=1)
    graph = ModuleMapGraph(load_module_map(learned / "module_map"), config)(event.space_points)
    assert graph.n_edges > 100 and graph.n_triplets > 100
    assert (np.diff(graph.features(("r",))[graph.edge_index, 0], axis=0) > -200).all()


def test_shipped_chain(tiny_sample):
    """Module map, interaction GNN and walkthrough find the tracks of small events."""
    pipeline = PipelineFile.read("module_map").build()
    counts = TrackCounts()
    for event in labelled_events(EventFiles.open([str(tiny_sample)])):
        counts.add(event, pipeline(event.space_points), 1.0)
    found = counts.summary()
    assert counts.targets > 50
    assert found["efficiency"] > 0.95 and found["fakes"] < 0.03
