"""Examples in memory and on disk, and the loss of edge networks."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from trkx.plugin.errors import StageError
from trkx.plugin.training.edge_training import (
    EdgeTraining,
    GraphExample,
    edge_loss,
    join_graphs,
    n_edges,
)
from trkx.plugin.training.example_chunks import ExampleChunks
from trkx.plugin.training.examples import DiskExamples, MemoryExamples
from trkx.plugin.training.loader import Loader
from trkx.plugin.training.settings import FitSettings

_spec = importlib.util.spec_from_file_location(
    "trkx_training_toy", Path(__file__).parent / "training_toy.py"
)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)


def graph(n, seed=1):
    return toy.toy_graph(n, torch.Generator().manual_seed(seed))


class Numbers:
    """Three chunks of two 'events', which count how often they are made."""

    n_chunks, keep = 3, True

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 6

    def __iter__(self):
        return (event for number in range(3) for event in self.chunk(number))

    def chunk(self, number):
        self.asked.append(number)
        yield from (10 * number + 2, 10 * number + 3)


def disk(folder):
    return DiskExamples(folder, GraphExample, n_edges, join_graphs)


def chunks(events, folder, **options):
    return ExampleChunks(events, graph, folder, GraphExample, n_edges, join_graphs, **options)


def test_two_edges_on_paper():
    """ln 2 each at logit 0; a focal loss counts the square of 1 - p = 1/2 of it."""
    logits, label, weight = torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 3.0])
    assert float(edge_loss(logits, label, weight)) == pytest.approx(4 * math.log(2))
    assert float(edge_loss(logits, label, weight, focal=2)) == pytest.approx(math.log(2))
    assert float(edge_loss(logits, label, weight, positive=2)) == pytest.approx(5 * math.log(2))
    hard = torch.tensor([3.0, 3.0])  # the false edge is the hard one
    one, none = edge_loss(hard, label, torch.tensor([1.0, 0]), 2), torch.tensor([0.0, 1.0])
    assert float(one) < 0.01 < 2 < float(edge_loss(hard, label, none, 2))


def test_joined_graphs_score_as_they_do_alone():
    network = toy.toy_training(FitSettings(), dropout=0.0).network
    graphs = [graph(n, seed=n) for n in (5, 1, 12)]
    joined = join_graphs(graphs)
    alone = [network(g.x, g.edge_index, g.edge_attr) for g in graphs]
    torch.testing.assert_close(
        network(joined.x, joined.edge_index, joined.edge_attr), torch.cat(alone)
    )
    assert n_edges(joined) == 18
    assert join_graphs(graphs[:1]) is graphs[0]


def test_a_step_on_joined_graphs_is_the_weighted_mean():
    training = toy.toy_training(FitSettings(), dropout=0.0)
    graphs = [graph(5), graph(12)]
    losses = [float(training.training_step(g, 0).detach()) for g in graphs]
    weights = [float(g.weight.sum()) for g in graphs]
    both = float(training.training_step(join_graphs(graphs), 0).detach())
    assert both == pytest.approx(np.average(losses, weights=weights), rel=1e-5)


def test_a_graph_without_edges_is_no_problem():
    training = EdgeTraining(toy.ToyNetwork(), FitSettings())
    loss = training.training_step(graph(0), 0)
    loss.backward()
    assert float(loss.detach()) == 0


def test_examples_on_disk_are_those_in_memory(tmp_path):
    sizes = [3, 0, 40]
    examples = disk(tmp_path / "a")
    examples.build(lambda: sizes, graph, key={"pt": 1.0})
    memory = MemoryExamples(map(graph, sizes), n_edges, join_graphs)
    assert examples.sizes.tolist() == memory.sizes.tolist() == sizes
    for row in range(3):
        for found, expected in zip(examples[row], memory[row], strict=True):
            torch.testing.assert_close(found, expected)


def test_examples_are_made_anew_only_if_they_must_be(tmp_path):
    made = []

    def make(n):
        made.append(n)
        return graph(n)

    for key in (1, 1, 2):
        disk(tmp_path).build(lambda: [4, 5], make, key)
    assert made == [4, 5, 4, 5]
    (tmp_path / "index.json").unlink()  # as a kill leaves it
    disk(tmp_path).build(lambda: [4, 5], make, 2)
    assert len(made) == 6
    assert disk(tmp_path).open(2)
    assert not disk(tmp_path).open(3)


def test_a_damaged_example_is_named(tmp_path):
    examples = disk(tmp_path)
    examples.build(lambda: [4], graph, 1)
    (tmp_path / "000000.npz").write_bytes(b"PK nothing")
    with pytest.raises(StageError, match=r"000000.npz cannot be read.*made anew"):
        examples[0]


def test_a_stream_has_one_chunk_at_a_time(tmp_path):
    events = Numbers()
    data = chunks(events, tmp_path, keep=False)
    sizes = [data.at_epoch(epoch).sizes.tolist() for epoch in range(4)]
    assert sizes == [[2, 3], [12, 13], [22, 23], [2, 3]]
    assert events.asked == [0, 1, 2, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["chunk-0"]


def test_kept_chunks_are_not_made_twice(tmp_path):
    events = Numbers()
    data = chunks(events, tmp_path)
    for epoch in range(6):
        data.at_epoch(epoch)
    assert events.asked == [0, 1, 2]


def test_the_loader_begins_anywhere(tmp_path):
    """Batches are a function of the step, on whichever of two processes."""
    settings = FitSettings(epochs=3, batch_edges=8, batches_per_step=2)

    def batches(first=0, rank=0, processes=1):
        loader = Loader(
            chunks(Numbers(), tmp_path),
            FitSettings(epochs=3, batch_edges=8, batches_per_step=2, processes=processes),
        )
        loader.first, loader.rank = first, lambda: rank
        return [len(batch.label) for batch in loader]

    assert len(Loader(chunks(Numbers(), tmp_path), settings)) == 3
    assert batches() == [5, 25, 45]
    assert batches(first=1) == [25, 45]
    two = np.array([batches(rank=rank, processes=2) for rank in (0, 1)])
    assert two.sum(axis=0).tolist() == [5, 25, 45]


def test_nothing_to_train_on():
    with pytest.raises(StageError, match="nothing to train on"):
        Loader(MemoryExamples([], n_edges), FitSettings())


def test_examples_that_cannot_be_joined():
    data = MemoryExamples([1, 2], lambda example: 1)
    with pytest.raises(StageError, match="cannot join; set batch_edges = 0"):
        list(Loader(data, FitSettings(batches_per_step=2)))
