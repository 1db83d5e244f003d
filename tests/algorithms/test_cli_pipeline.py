"""Pipeline files and shipped pipelines at the command line: `run`, `compare` and `stages`."""

import json

import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.job_config import JobConfig, make_config
from trkx.algorithms.performance import load_performance
from trkx.algorithms.track_finding_gnn import TrackFindingAlgorithmGnn
from trkx.io.errors import ConfigError
from trkx.plugin import Pipeline
from trkx.plugin.errors import StageError
from trkx.plugin.pipeline_file import PipelineFile

MINE = """
name = "mine"
[graph_construction]
stage = "layer_map"
[[edge_classification]]
stage = "fast"
[track_building]
stage = "connected_components"
score_cut = 0.8
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


@pytest.fixture
def refused(capsys, tiny_sample, tmp_path):
    """Run a command that must fail; return the one line of its error."""

    def run(command, *arguments):
        capsys.readouterr()
        options = ["--input", str(tiny_sample), "--out", str(tmp_path / "out")]
        assert main([command, *options, *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"trkx {command}: error: ")
        assert len(error.splitlines()) == 1, error
        assert not list(tmp_path.glob("out/*")), "a refused job leaves files"
        return error

    return run


def test_a_comparison_of_own_and_shipped_pipelines(mine, tiny_sample, tmp_path, capsys):
    out = tmp_path / "out"
    finders = ["--finders", "fast,gnn", "--pipeline", str(mine), "--fitters", "none"]
    assert main(["compare", "--input", str(tiny_sample), "--out", str(out), *finders]) == 0
    found = load_performance(out / "performance.json")["finders"]
    assert list(found) == ["fast", "gnn", "mine"]
    efficiency = {name: f["targets"]["pt1"]["n_found"] for name, f in found.items()}
    assert efficiency["fast"] == efficiency["gnn"] > 50
    assert efficiency["mine"] > 0.9 * efficiency["fast"]
    for name in found:
        stages = list(found[name]["seconds_per_event"]["stages"])
        assert stages[:5] == ["finding", *(f"finding: {s}" for s in (
            "input", "graph_construction", "edge_classification", "track_building"))]  # fmt: skip
    record = json.loads((out / "job.json").read_text())
    assert record["pipelines"]["mine"]["stages"][2] == {
        "stage": "connected_components",
        "score_cut": 0.8,
    }
    assert record["settings"]["pipelines"] == [str(mine)]
    assert (out / "performance_mine.root").exists()


def test_a_pipeline_alone_is_run_alone(mine, tiny_sample, tmp_path, capsys):
    for source, name in ((mine, "mine"), ("fast", "fast")):
        out = tmp_path / name
        options = ["--fitter", "none", "--no-report", "--events", "0"]
        arguments = ["run", "--input", str(tiny_sample), "--out", str(out), *options]
        assert main([*arguments, "--pipeline", str(source)]) == 0
        assert list(load_performance(out / "performance.json")["finders"]) == [name]


def test_settings_of_jobs(mine, tmp_path):
    base = {"input": "in", "out": "out"}
    assert make_config({**base, "pipelines": f"{mine},fast"}).finders == ("mine", "fast")
    assert make_config({**base, "pipelines": str(mine), "finders": "ckf"}).finders == (
        "ckf",
        "mine",
    )
    assert make_config({**base, "finders": "fast"}).fitters == ("kf",)
    config = tmp_path / "job.toml"
    config.write_text(f'input = "in"\nout = "out"\npipeline = "{mine}"\n')
    assert make_config({}, config, {"finders": "gnn,ckf"}).finders == ("mine",)
    again = JobConfig(**base, finders=(), pipelines=(mine,))
    assert JobConfig(**{**again.as_json(), "events": again.events}) == again
    with pytest.raises(ConfigError, match="pipeline: 3 is not a file"):
        JobConfig(**base, pipelines=3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer_map", "layermap", "[graph_construction]: no stage 'layermap'"),
        ("score_cut", "score_ct", "[track_building]: stage 'connected_components': no setting"),
        ('"mine"', '"gnn"', "its name 'gnn' is that of the finder 'gnn'; give it another one"),
        ('"mine"', '"ckf_fast"', "its name 'ckf_fast' is that of the finder 'ckf-fast'"),
        ('"mine"', '"fast"', "its name 'fast' is that of a shipped pipeline"),
        ("[track_building]", "[track_bulding]", "unknown key 'track_bulding'; did you mean"),
        ("=", "", "not TOML"),
    ],
)
def test_bad_pipeline_files(refused, mine, old, new, message):
    mine.write_text(MINE.replace(old, new))
    error = refused("run", "--pipeline", mine)
    assert f"pipeline file {mine}" in error
    assert message in error


def test_pipelines_that_are_not_there_or_for_something_else(refused, mine, tmp_path):
    assert "no such file" in refused("run", "--pipeline", tmp_path / "none.toml")
    assert "no pipeline 'fats'; did you mean 'fast'" in refused("run", "--pipeline", "fats")
    assert "unknown finder 'fats'; did you mean 'fast'" in refused("run", "--finder", "fats")
    error = refused("run", "--pipeline", mine, "--target", "pt05")
    assert "made for target pt1, not for 'pt05'; pass --target pt1" in error
    other = tmp_path / "other.toml"
    other.write_text(MINE)
    error = refused("compare", "--pipeline", f"{mine},{other}")
    assert "have the same name 'mine'" in error


def test_a_model_folder_that_no_stage_reads(refused, monkeypatch):
    from trkx.plugin.weights import SHIPPED

    monkeypatch.setattr(PipelineFile, "reads_model", property(lambda self: False))
    error = refused("run", "--pipeline", "fast", "--weights", SHIPPED / "generic_pt1")
    assert "no stage of fast reads the model folder" in error


def test_the_algorithm_takes_files_and_names(mine):
    for source in (mine, str(mine), "fast"):
        assert isinstance(TrackFindingAlgorithmGnn(source)._pipeline, Pipeline)
    with pytest.raises(StageError, match="no pipeline 'fats'"):
        TrackFindingAlgorithmGnn("fats")


def test_cluster_columns_reach_the_pipeline(muon_chain, whiteboard):
    """Columns that strip space points have are handed on; without them there are none."""
    from trkx.algorithms.helpers import addGnnTrackFinding
    from trkx.plugin.candidates import TrackCandidates

    seen = []

    def pipeline(points, beam_spot):
        seen.append((points.size0 is None, points.clusters is None))
        return TrackCandidates.empty(len(points))

    s = muon_chain(muons=5)
    addGnnTrackFinding(s, pipeline=pipeline)
    s.run()
    assert seen == [(False, True)]


def test_stages_are_listed_with_their_origin(capsys):
    assert main(["stages"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("  layer_map "))
    assert line.endswith("Graph constructor on a learned layer map. (trkx, needs trkx[local])")
    assert "layer_map → fast → viterbi" in out
    assert main(["stages", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert set(listing["stages"]) == {"graph_constructors", "edge_classifiers", "track_builders"}
    assert "fast" in [pipeline["name"] for pipeline in listing["pipelines"]]
    for entries in listing["stages"].values():
        assert not [e["name"] for e in entries if e["summary"].startswith("(broken")]
        assert all(e["summary"].endswith(".") for e in entries)


def test_a_shipped_file_is_printed_to_start_from(capsys, tmp_path):
    assert main(["stages", "--pipeline", "fast"]) == 0
    path = tmp_path / "copy.toml"
    path.write_text(capsys.readouterr().out)
    assert PipelineFile.read(path).stages == PipelineFile.read("fast").stages
    assert main(["stages", "--pipeline", "fats"]) == 2
    assert "did you mean 'fast'" in capsys.readouterr().err
