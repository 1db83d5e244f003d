"""Stage-by-stage evaluation: figures that can be read off a drawing, then whole pipelines."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.evaluation import PipelineEvaluation, scores_of
from trkx.algorithms.evaluation_edges import FALSE, OTHER, TARGET, EdgeCounts, EventTruth
from trkx.algorithms.evaluation_resources import StageUse
from trkx.algorithms.evaluation_scores import ScoreSpectrum
from trkx.plugin import Pipeline
from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError
from trkx.plugin.space_points import LabelledEvent, SpacePoints

# Particle 0, a target, has hits 0 to 6 on layers 1 to 7; hit 11 is its second one on layer 2.
# Particle 1, too soft, has hits 7 to 9 on layers 1 to 3. Hit 10 is noise on layer 3.
LAYERS = np.array([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 3, 2], np.uint64)
OWNER = [0] * 7 + [1] * 3 + [-1, 0]
# Edges: three true ones of the target, one of the other, one false, one that skips a layer.
EDGES = [(0, 1), (1, 2), (2, 3), (7, 8), (1, 10), (0, 2)]


def hand_event():
    owner = np.array(OWNER)
    r = 30.0 * LAYERS.astype(np.float32) + np.where(np.arange(12) == 11, 1, 0)
    y = np.where(owner == 1, 20.0, 0.0).astype(np.float32)
    points = SpacePoints(
        x=r.astype(np.float32),
        y=y,
        z=np.zeros(12, np.float32),
        geometry_id=(np.uint64(8) << np.uint64(56)) | (LAYERS << np.uint64(36)),
    )
    return LabelledEvent(
        space_points=points,
        offsets=np.concatenate([[0], np.cumsum(owner >= 0)]).astype(np.int64),
        particle=owner[owner >= 0],
        pt=np.array([2.0, 0.4], np.float32),
        eta=np.zeros(2, np.float32),
        charge=np.ones(2, np.float32),
        vertex=np.zeros((2, 3), np.float32),
    )


def hand_graph(edges=EDGES, scores=None):
    graph = edge_graph(hand_event().space_points, np.array(edges, np.int64).reshape(-1, 2).T)
    if scores is None:
        return graph
    by_pair = {tuple(sorted(edge)): score for edge, score in zip(edges, scores, strict=True)}
    logits = [by_pair[tuple(sorted(pair))] for pair in graph.edge_index.T.tolist()]
    return graph.with_scores(np.array(logits, np.float32))


def kinds_of(graph, truth):
    kinds = truth.kinds(graph)
    return {tuple(p): k for p, k in zip(graph.edge_index.T.tolist(), kinds.tolist(), strict=True)}


def test_edges_by_hand():
    truth = EventTruth.of(hand_event(), pt_min=1.0)
    counts = EdgeCounts()
    counts.add(truth, hand_graph())
    # Layer 2 has two hits: steps 1-2 and 2-3 are two true edges each. 2 + 2 + 4 and 2.
    assert (counts.true_target, counts.true) == (8, 10)
    found = counts.summary(1)
    assert found["efficiency"] == {"target": 3 / 8, "all": 4 / 10}
    assert found["step_efficiency"] == {"target": 3 / 6, "all": 4 / 8}
    assert found["purity"] == {"target": 4 / 6, "all": 5 / 6}
    assert found["edges"] == 6
    # Hits 0 to 3 of eight are joined: half is not more than half.
    assert found["reachable"] == 0.0
    joined = EdgeCounts()
    joined.add(truth, hand_graph([*EDGES, (11, 2)]))
    assert joined.summary(1)["reachable"] == 1.0


def test_kinds_by_hand():
    kinds = kinds_of(hand_graph(), EventTruth.of(hand_event(), pt_min=1.0))
    assert kinds == {
        (0, 1): TARGET,
        (1, 2): TARGET,
        (2, 3): TARGET,
        (0, 2): TARGET,
        (7, 8): OTHER,
        (1, 10): FALSE,
    }
    # Above 3 GeV nothing is a target.
    kinds = kinds_of(hand_graph(), EventTruth.of(hand_event(), pt_min=3.0))
    assert set(kinds.values()) == {OTHER, FALSE}


def test_the_order_of_hits_edges_and_their_direction_change_nothing():
    rng = np.random.default_rng(1)
    truth, graph = EventTruth.of(hand_event(), pt_min=1.0), hand_graph()
    expected = EdgeCounts()
    expected.add(truth, graph)
    order, edges = rng.permutation(graph.n_nodes), rng.permutation(graph.n_edges)
    back = np.argsort(order).astype(np.int32)
    counts = EdgeCounts()
    counts.add(
        truth,
        replace(
            graph,
            space_point=graph.space_point[order],
            node_features=graph.node_features[order],
            edge_index=back[graph.edge_index[::-1, edges]],
        ),
    )
    assert counts == expected


def test_graphs_and_events_without_anything():
    event = hand_event()
    counts = EdgeCounts()
    counts.add(EventTruth.of(event, pt_min=1.0), hand_graph([]))
    assert counts.summary(1)["efficiency"] == {"target": 0.0, "all": 0.0}
    assert counts.summary(1)["purity"] == {"target": None, "all": None}
    noise = replace(
        event,
        offsets=np.zeros(13, np.int64),
        particle=np.zeros(0, np.int64),
        **{name: getattr(event, name)[:0] for name in ("pt", "eta", "charge", "vertex")},
    )
    counts = EdgeCounts()
    counts.add(EventTruth.of(noise, pt_min=1.0), hand_graph())
    assert counts.summary(1)["efficiency"] == {"target": None, "all": None}
    assert counts.summary(1)["purity"] == {"target": 0.0, "all": 0.0}


def test_areas_by_hand():
    spectrum = ScoreSpectrum()
    #                       target  target  false  other  false
    logits = np.array([3.0, -1.0, 0.0, 1.0, -2.0])
    kinds = np.array([TARGET, TARGET, FALSE, OTHER, FALSE])
    spectrum.add(logits, kinds)
    # Pairs of signal and false edge in the right order: 2 + 1 of 4, with the other 2 + 1 + 2 of 6.
    assert spectrum.auc("target") == pytest.approx(3 / 4)
    assert spectrum.auc("all") == pytest.approx(5 / 6)
    # An edge that was dropped ties with another one, and is below all scores.
    spectrum.add(np.array([-np.inf, -np.inf]), np.array([TARGET, FALSE]))
    assert spectrum.auc("target") == pytest.approx((3 + 2 + 0.5) / 9)
    found = spectrum.summary()
    assert found["scores"]["dropped"] == {"false": 1, "other": 0, "target": 1}
    assert sum(found["scores"]["target"]) == 2
    roc = found["roc"]["target"]
    assert (roc["signal"][0], roc["false"][0]) == (0.0, 0.0)
    at = roc["threshold"].index(pytest.approx(-0.4))
    assert (roc["signal"][at], roc["false"][at]) == pytest.approx((1 / 3, 1 / 3))
    assert (roc["signal"][-1], roc["false"][-1]) == pytest.approx((2 / 3, 2 / 3))


def test_scores_that_are_odd():
    spectrum = ScoreSpectrum()
    spectrum.add(np.zeros(0), np.zeros(0, np.int64))
    assert spectrum.auc("all") is None
    spectrum.add(np.array([1e9, -1e9]), np.array([TARGET, FALSE]))  # beyond the last bins
    assert spectrum.auc("target") == 1.0
    with pytest.raises(StageError, match="stage 'filter': 1 of 2 scores are NaN"):
        spectrum.add(np.array([np.nan, 0.0]), np.zeros(2, np.int64), "filter")


def test_scores_of_edges_that_were_dropped():
    graph = hand_graph()
    scored = graph.with_scores(np.arange(6, dtype=np.float32))
    kept = scored.keep_edges(np.arange(6) != 2).without_isolated_nodes()
    assert scores_of(object(), graph, kept).tolist() == [0.0, 1.0, -np.inf, 3.0, 4.0, 5.0]

    class Tells:
        def scores(self, graph):
            return np.full(graph.n_edges, 7.0)

    assert scores_of(Tells(), graph, kept).tolist() == [7.0] * 6
    assert scores_of(Tells(), graph, scored).tolist() == list(range(6))
    with pytest.raises(StageError, match="gave no edge scores"):
        scores_of(object(), graph, graph)


def test_a_pipeline_by_hand():
    scores = [4.0, 4.0, 4.0, 1.0, -4.0, 4.0]

    class Builder:
        def __call__(self, graph):
            hits = np.arange(7)
            return TrackCandidates(12, np.array([0, 7]), hits, np.ones(1, np.float32))

    def classify(graph):
        return hand_graph(scores=scores).keep_edges(hand_graph(scores=scores).edge_scores > 0)

    pipeline = Pipeline(lambda points, beam_spot: hand_graph(), [classify], Builder())
    evaluation = PipelineEvaluation(pipeline, ["drawn", "net", "walk"], cuts=(0.5, 0.9))
    evaluation.add(hand_event())
    evaluation.add(hand_event())
    found = json.loads(json.dumps(evaluation.summary()))
    first, second, last = found["stages"]
    assert (found["events"], found["space_points"]) == (2, 12.0)
    assert [first["stage"], second["stage"], last["stage"]] == ["drawn", "net", "walk"]
    assert (first["edges"], second["edges"]) == (6, 5)
    assert second["purity"]["all"] == 1.0
    assert second["auc"] == {"all": 1.0, "target": 1.0}
    assert second["scores"]["dropped"]["false"] == 2
    assert [c["cut"] for c in first["tracks"]["components"]] == [None]
    assert [c["cut"] for c in second["tracks"]["components"]] == [0.5, 0.9]
    # Components of four hits are no tracks; the builder's seven of eight hits are.
    assert second["tracks"]["components"][0]["efficiency"] == 0.0
    assert last["tracks"]["builder"]["efficiency"] == 1.0
    assert last["tracks"]["builder"]["counts"]["targets"] == 2
    assert all(stage["seconds"] >= 0 for stage in found["stages"])


def test_memory_of_a_stage():
    use = StageUse()
    with use.measure():
        # Above 32 MiB the allocator always asks the system; less may lie in memory already.
        np.ones(64_000_000 // 8).sum()
    found = use.summary()
    assert found["cpu_seconds"] > 0
    if found["peak_memory_mb"] is not None:  # Linux
        assert found["peak_memory_mb"] > found["memory_increase_mb"] > 15
    assert StageUse().summary()["seconds"] is None


@pytest.fixture(scope="module")
def evaluated(tiny_sample, tmp_path_factory):
    """Folder of an evaluation of the shipped pipeline."""
    out = tmp_path_factory.mktemp("evaluation") / "out"
    arguments = ["evaluate", "--input", str(tiny_sample), "--out", str(out), "--cuts", "0.5,0.1"]
    assert main([*arguments, "--events", "1:"]) == 0
    return out


def test_a_shipped_pipeline_at_the_command_line(evaluated):
    document = json.loads((evaluated / "evaluation.json").read_text())
    assert document["schema"] == "trkx-evaluation"
    assert document["events"] == 2
    assert document["input"][0]["provenance"]["seed"] == 600001
    graph, network, builder = document["stages"]
    assert graph["efficiency"]["target"] > 0.95
    assert graph["reachable"] > 0.97
    assert network["auc"]["target"] > 0.9
    assert builder["tracks"]["builder"]["efficiency"] > 0.95
    assert [c["cut"] for c in network["tracks"]["components"]] == [0.1, 0.5]
    used = {"efficiency", "purity", "auc", "roc", "scores", "seconds", "reachable", "tracks"}
    assert used <= set(document["definitions"])


def test_its_figures_are_pictures(evaluated):
    for name in ("edges", "scores", "roc", "tracks", "resources"):
        assert (evaluated / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_pipeline_without_classifier_has_no_curves(tiny_sample, tmp_path, capsys):
    path = tmp_path / "plain.toml"
    tables = '[graph_construction]\nstage = "layer_map"\n[track_building]\nstage = "viterbi"\n'
    path.write_text(f'name = "plain"\n{tables}')
    options = ["--pipeline", str(path), "--events", "0", "--out", str(tmp_path / "out")]
    assert main(["evaluate", "--input", str(tiny_sample), *options]) == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["edges.png", "evaluation.json", "resources.png", "tracks.png"]
    assert "layer_map, components, all edges" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pipeline", "fats"], "no pipeline 'fats'; did you mean 'fast'"),
        (["--pipeline", "none.toml"], "pipeline file none.toml: no such file"),
        (["--cuts", "0.5,2"], "cuts: '0.5,2' are no cuts on the edge score"),
        (["--cuts", "high"], "cuts: 'high' are no cuts"),
        (["--events", "7:9"], "7"),
        (["--events", "b"], "events: 'b' is no range of events"),
        (["--beam-spot", "40,0"], "beam_spot: '40,0' is no position"),
        (["--input", "nowhere"], "nowhere"),
        (["--weights", "nowhere"], "model nowhere: no card.json there"),
    ],
)
def test_bad_options(tiny_sample, tmp_path, capsys, options, message):
    base = ["evaluate", "--input", str(tiny_sample), "--out", str(tmp_path / "out")]
    assert main([*base, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_input_without_truth_and_results_that_are_there(evaluated, tiny_sample, tmp_path, capsys):
    shutil.copy(tiny_sample / "spacepoints.root", tmp_path)
    base = ["evaluate", "--input", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(base) == 2
    assert "an evaluation needs truth" in capsys.readouterr().err
    base = ["evaluate", "--input", str(tiny_sample), "--out", str(evaluated)]
    assert main(base) == 2
    assert "already holds results" in capsys.readouterr().err


def test_an_error_of_a_stage_names_the_event(tiny_sample, tmp_path, capsys, monkeypatch):
    from trkx.plugin.viterbi import ViterbiTrackBuilder

    real = ViterbiTrackBuilder.__call__

    def fail(self, graph):
        if graph.n_nodes > 2:  # not the event that warms up
            raise StageError("stage 'viterbi': no good")
        return real(self, graph)

    monkeypatch.setattr(ViterbiTrackBuilder, "__call__", fail)
    base = ["evaluate", "--input", str(tiny_sample), "--out", str(tmp_path / "out")]
    assert main([*base, "--events", "2"]) == 2
    assert "pipeline 'fast', event 2: stage 'viterbi': no good" in capsys.readouterr().err
