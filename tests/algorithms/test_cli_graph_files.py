"""Graphs leave and enter a job: dumped after every stage, fed in at any."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trkx.algorithms.cli.main import main  # noqa: E402
from trkx.plugin.graph_files import read_edges  # noqa: E402

WHOLE = """
name = "whole"
[graph_construction]
stage = "geometric"
[[edge_classification]]
stage = "torchscript"
model = "straight.pt"
features = ["phi", "eta"]
cut = 0.1
[track_building]
stage = "walkthrough"
"""
BUILDER_ONLY = """
name = "builder_only"
[graph_construction]
stage = "graph_files"
folder = "graphs"
name = "edge_classification"
[track_building]
stage = "walkthrough"
"""


class StraightEdges(torch.nn.Module):
    """Scores edges by how straight from the origin they are."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        phi, eta = (x[edge_index[1]] - x[edge_index[0]]).abs().unbind(1)
        return 5.0 - 100.0 * phi - 50.0 * eta


@pytest.fixture
def run(tiny_sample, tmp_path):
    """`trkx run` on the last two events; returns its exit code."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would like TorchScript to go
        torch.jit.save(torch.jit.script(StraightEdges()), tmp_path / "straight.pt")

    def run(pipeline, *options, events="1:3"):
        path = tmp_path / f"{pipeline.split()[2][1:-1]}.toml"
        path.write_text(pipeline)
        out = ["--out", str(tmp_path / path.stem), "--fitter", "none", "--no-report"]
        arguments = ["run", "--input", str(tiny_sample), "--pipeline", str(path), *out]
        return main([*arguments, "--events", events, *map(str, options)])

    return run


def test_dumped_graphs_fed_in_give_the_same_tracks(run, tmp_path):
    graphs = tmp_path / "graphs"
    assert run(WHOLE, "--dump-graphs", graphs, "--labels", tmp_path / "first") == 0
    stages = ("edge_classification", "graph_construction")
    assert sorted(path.name for path in graphs.iterdir()) == [
        f"event{event:09d}-{stage}.csv" for event in (1, 2) for stage in stages
    ]
    constructed, weight = read_edges(graphs / "event000000001-graph_construction.csv")
    assert (weight == 1).all()
    kept, _ = read_edges(graphs / "event000000001-edge_classification.csv")
    assert 0 < kept.shape[1] < constructed.shape[1]
    assert run(BUILDER_ONLY, "--labels", tmp_path / "again") == 0
    for path in sorted((tmp_path / "first").glob("*.npy")):
        first, again = np.load(path), np.load(tmp_path / "again" / path.name)
        assert first.max() > 10
        assert partition(first) == partition(again)


def partition(labels):
    """Tracks as sets of hits: their numbers do not matter."""
    return {frozenset(np.flatnonzero(labels == k)) for k in np.unique(labels[labels >= 0])}


def test_an_event_without_a_file_is_named(run, tmp_path, capsys):
    (tmp_path / "graphs").mkdir()
    assert run(BUILDER_ONLY, events="2") == 2
    assert "event000000002-edge_classification.csv: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--finder", "gnn"], "only with one finder"),
        (["--backend", "triton", "--url", "grpc://localhost:1"], "stay on the servers"),
    ],
)
def test_dumps_that_cannot_be_made(run, tmp_path, capsys, options, message):
    assert run(WHOLE, "--dump-graphs", tmp_path / "graphs", *options) == 2
    assert message in capsys.readouterr().err


def test_a_finder_without_a_graph_has_no_dump(tiny_sample, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out"), "--dump-graphs", str(tmp_path / "graphs")]
    assert main(["run", "--input", str(tiny_sample), "--finder", "truth", *out]) == 2
    assert "finder 'truth' has no graph" in capsys.readouterr().err
