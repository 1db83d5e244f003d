"""Graph files: what is written is read back, and bad files are named."""

import numpy as np
import pytest

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.errors import StageError
from trkx.plugin.graph_files import GraphDump, GraphFiles, graph_file, read_graph, write_graph
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.stage_settings import StageContext


@pytest.fixture
def points():
    r = 10 * np.arange(5, dtype=np.float32)
    return SpacePoints(r, 0 * r, r, np.arange(1, 6, dtype=np.uint64), event=12)


def test_a_graph_comes_back_with_its_scores(points, tmp_path):
    graph = edge_graph(points, np.array([[0, 1, 3], [1, 3, 4]]))
    graph = graph.with_scores(np.array([-2.0, 0.5, 3.0], np.float32))
    write_graph(graph, tmp_path / "g.csv")
    again = read_graph(tmp_path / "g.csv", points)
    np.testing.assert_array_equal(again.edge_index, graph.edge_index)
    np.testing.assert_allclose(again.edge_scores, graph.edge_scores, rtol=1e-5)


def test_rows_are_those_of_the_event_not_of_the_nodes_kept(points, tmp_path):
    graph = edge_graph(points, np.array([[3], [4]])).without_isolated_nodes()
    write_graph(graph, tmp_path / "g.csv")
    assert (tmp_path / "g.csv").read_text() == "edge0,edge1,weight\n3,4,1\n"


def test_edges_in_any_direction_and_order_keep_their_own_weight(points, tmp_path):
    (tmp_path / "g.csv").write_text("edge0,edge1,weight\n4,3,0.9\n1,0,0.2\n0,1,0.3\n2,2,1\n")
    graph = read_graph(tmp_path / "g.csv", points)
    assert graph.edge_index.T.tolist() == [[0, 1], [3, 4]]
    np.testing.assert_allclose(1 / (1 + np.exp(-graph.edge_scores)), [0.3, 0.9], rtol=1e-6)


def test_no_edges_is_an_ordinary_file(points, tmp_path):
    (tmp_path / "g.csv").write_text("edge0,edge1,weight\n")
    assert read_graph(tmp_path / "g.csv", points).n_edges == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,target\n0,1\n", "columns source, target; expected edge0"),
        ("edge0,edge1,weight\n0,x,1\n", "three numbers per row"),
        ("edge0,edge1,weight\n0.5,1,1\n", "rows of space points"),
        ("edge0,edge1,weight\n0,9,1\n", "5 space points"),
    ],
)
def test_bad_files_say_what_is_wrong(points, tmp_path, text, message):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(StageError, match=message) as error:
        read_graph(tmp_path / "g.csv", points)
    assert "g.csv" in str(error.value)


def test_a_pipeline_reads_the_graphs_that_another_dumped(points, tmp_path):
    seen = []

    def builder(graph):
        seen.append(graph)
        return TrackCandidates.empty(graph.n_space_points)

    def score(graph):
        return graph.with_scores(np.full(graph.n_edges, 1.5, np.float32))

    first = Pipeline(
        lambda points, spot: edge_graph(points, np.array([[0, 1], [1, 2]]), spot),
        [score],
        builder,
        hooks=[GraphDump(tmp_path)],
    )
    first(points)
    settings = {"folder": ".", "name": "edge_classification"}
    again = GraphFiles.from_settings(settings, StageContext(tmp_path))
    Pipeline(again, [], builder)(points)
    assert seen[1].event == 12
    np.testing.assert_array_equal(seen[0].edge_index, seen[1].edge_index)
    np.testing.assert_allclose(seen[1].edge_scores, 1.5, rtol=1e-5)
    with pytest.raises(StageError, match="event000000007-graph.csv: No such file"):
        read_graph(graph_file(tmp_path, "graph", 7), points)


def test_fed_in_graphs_have_the_types_of_nodes_that_maps_give_them(points, tmp_path):
    graph = edge_graph(points, np.array([[0], [1]]))
    write_graph(graph, graph_file(tmp_path, "graph", 12))
    settings = {"folder": ".", "strip_volumes": [0], "single_clusters": True}
    again = GraphFiles.from_settings(settings, StageContext(tmp_path))(points)
    np.testing.assert_array_equal(again.features(("is_strip", "cluster1_x"))[3], [1, points.x[3]])


def test_acts_reads_and_writes_the_same_files(points, tmp_path):
    pytest.importorskip("acts")
    import acts
    import acts.examples

    graph = edge_graph(points, np.array([[0, 1, 3], [1, 3, 4]]))
    graph = graph.with_scores(np.array([-2.0, 0.5, 3.0], np.float32))
    write_graph(graph, graph_file(tmp_path, "graph", 12))
    out = tmp_path / "acts"
    out.mkdir()
    s = acts.examples.Sequencer(events=1, numThreads=1, logLevel=acts.logging.ERROR)
    s.addReader(
        acts.examples.CsvGnnGraphReader(
            level=acts.logging.ERROR, inputDir=str(tmp_path), inputStem="graph", outputGraph="graph"
        )
    )
    s.addWriter(
        acts.examples.CsvGnnGraphWriter(
            level=acts.logging.ERROR, outputDir=str(out), outputStem="again", inputGraph="graph"
        )
    )
    s.run()
    again = read_graph(graph_file(out, "again", 12), points)
    np.testing.assert_array_equal(again.edge_index, graph.edge_index)
    np.testing.assert_allclose(again.edge_scores, graph.edge_scores, rtol=1e-4)
