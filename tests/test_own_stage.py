"""The example of a stage in a package of its own: installed for real, listed and run."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.performance import load_performance
from trkx.plugin.errors import StageError
from trkx.plugin.graph import Graph

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_stage"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder that pip has installed the example into, without network."""
    folder = tmp_path_factory.mktemp("own_stage")
    shutil.copytree(EXAMPLE, folder / "source")  # pip builds in place
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    target = ["--target", str(folder / "site"), str(folder / "source")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *target], check=True)
    return folder / "site"


def trkx(site, *arguments):
    """Run `trkx arguments` in a process of its own that has the package on its path."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "trkx.algorithms.cli.main", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_listed_with_its_package(installed):
    result = trkx(installed, "stages")
    assert result.returncode == 0, result.stderr
    (line,) = [x for x in result.stdout.splitlines() if x.startswith("  mutual_best ")]
    assert "Chains of edges that are the best one outward" in line
    assert line.endswith("(trkx-mutual-best 1.0)")


def test_it_finds_tracks_in_a_pipeline(installed, tiny_sample, tmp_path):
    result = trkx(
        installed, "compare", "--input", tiny_sample, "--finders", "fast", "--fitters", "none",
        "--pipeline", EXAMPLE / "mutual_best.toml", "--no-report", "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    finders = load_performance(tmp_path / "out" / "performance.json")["finders"]
    assert finders["fast"]["targets"]["pt1"]["efficiency"] > 0.95
    # Two hits of one layer, where modules overlap, compete for the best edge and break the chain.
    assert finders["mutual_best"]["targets"]["pt1"]["efficiency"] > 0.6
    assert finders["mutual_best"]["targets"]["pt1"]["fake_rate"] < 0.1


def test_bad_settings_name_file_and_table(installed, tiny_sample, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text((EXAMPLE / "mutual_best.toml").read_text().replace("0.4", "1.4"))
    arguments = ["run", "--input", tiny_sample, "--pipeline", path, "--out", tmp_path / "out"]
    result = trkx(installed, *arguments)
    assert result.returncode == 2
    assert f"pipeline file {path}, [track_building]: stage 'mutual_best': score_cut is 1.4" in (
        result.stderr
    )


def test_without_the_package_the_stage_is_unknown(tiny_sample, tmp_path):
    arguments = ["--pipeline", EXAMPLE / "mutual_best.toml", "--out", tmp_path / "out"]
    result = trkx("", "run", "--input", tiny_sample, *arguments)
    assert result.returncode == 2
    assert "[track_building]: no stage 'mutual_best' among the track builders" in result.stderr


@pytest.fixture(scope="module")
def stage():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("own_stage_example", EXAMPLE / "mutual_best.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_by_hand(stage):
    # Chain 0-1-2-3; hit 4 competes for 1 and loses.
    edges = np.array([[0, 4, 1, 2], [1, 1, 2, 3]], np.int32)
    r = 10.0 * np.arange(1, 6, dtype=np.float32)
    graph = Graph(
        n_space_points=9,
        space_point=np.arange(5) + 2,
        module=np.arange(5, dtype=np.int32),
        node_features=np.stack([r, 0 * r, 0 * r], axis=1),
        edge_index=edges,
        edge_pair=np.zeros(4, np.int64),
        edge_features=np.zeros((4, 0), np.float32),
        edge_scores=np.array([3.0, 2.0, 1.0, 0.5], np.float32),
    )
    builder = stage.MutualBest(stage.MutualBestConfig(min_hits=4))
    found = builder(graph)
    assert found.hits.tolist() == [2, 3, 4, 5]
    assert found.offsets.tolist() == [0, 4]
    probability = 1 / (1 + np.exp(-np.array([3.0, 1.0, 0.5])))
    assert found.scores == pytest.approx([probability.mean()], rel=1e-5)
    assert len(builder(graph.keep_edges(np.zeros(4, bool)))) == 0
    with pytest.raises(StageError, match="no scores"):
        builder(replace(graph, edge_scores=None))
