"""Edge networks in sub-steps: the same scores, whatever the budget."""

import logging

import numpy as np
import pytest
import torch

from trkx.plugin.attention_gnn import AttentionGnn, AttentionGnnConfig
from trkx.plugin.edge_network import EdgeNetworkClassifier, EdgeNetworkClassifierConfig
from trkx.plugin.errors import StageError
from trkx.plugin.filter_mlp import FilterMlp, FilterMlpConfig
from trkx.plugin.graph import Graph
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
from trkx.plugin.substepping import (
    CACHE,
    SMALLEST_BLOCK,
    Footprint,
    Plan,
    StateStore,
    blocks,
    free_memory,
    is_out_of_memory,
    parse_budget,
    plan,
    score_edges,
)

CPU = torch.device("cpu")
KINDS = {
    "filter": lambda: FilterMlp(FilterMlpConfig(4, 2, width=8)),
    "attention": lambda: AttentionGnn(AttentionGnnConfig(4, 2, width=8, steps=3)),
    "recurrent": lambda: InteractionGnn(InteractionGnnConfig(4, 2, width=16, steps=5)),
    "deep": lambda: InteractionGnn(
        InteractionGnnConfig(
            4, 2, width=12, edge_width=7, steps=3, recurrent=False, hidden_layers=3
        )
    ),
    "pruned": lambda: InteractionGnn(
        InteractionGnnConfig(4, 2, width=9, steps=2, hidden=(3, 4, 5, 6, 7))
    ),
    "no edge features": lambda: InteractionGnn(InteractionGnnConfig(4, 0, width=8, steps=2)),
}


def random_inputs(edge_features=2, n=300, n_edges=2000):
    rng = torch.Generator().manual_seed(4)
    x = torch.randn(n, 4, generator=rng)
    index = torch.randint(0, n, (2, n_edges), generator=rng)
    return x, index, torch.randn(n_edges, edge_features, generator=rng) if edge_features else None


@pytest.fixture(params=KINDS)
def network(request):
    torch.manual_seed(1)
    return KINDS[request.param]().eval()


def inputs_of(network):
    return random_inputs(network.config.edge_features)


@pytest.mark.parametrize("rows", [7, 77, 2000, 10**6])
@pytest.mark.parametrize("offload", [False, True])
def test_blocks_of_any_size_give_the_unsplit_scores(network, rows, offload):
    inputs = inputs_of(network)
    with torch.inference_mode():
        whole = network(*inputs)
        split = network.scores_in_blocks(*inputs, rows=rows, offload=offload)
    assert split.dtype == torch.float32
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("budget", ["auto", "1 GiB", "300 kB", 1])
def test_any_budget_gives_the_unsplit_scores(network, budget, caplog):
    inputs = inputs_of(network)
    with torch.inference_mode():
        whole = network(*inputs)
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(score_edges(network, *inputs, budget), whole, rtol=0, atol=1e-5)
    assert ("even in blocks of" in caplog.text) == (budget == 1)


def test_other_networks_are_called_as_they_are():
    class Same(torch.nn.Module):
        def forward(self, x, edge_index, edge_attr=None):
            return x[edge_index[0], 0]

    x, index, _ = random_inputs()
    torch.testing.assert_close(score_edges(Same(), x, index), x[index[0], 0])
    assert score_edges(Same(), x, index[:, :0]).shape == (0,)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError("no"), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (RuntimeError("size mismatch"), "other"),
    ],
)
def test_out_of_memory_halves_the_budget_and_goes_on(monkeypatch, caplog, error, what):
    torch.manual_seed(1)
    network = KINDS["recurrent"]().eval()
    inputs = random_inputs()
    whole = network(*inputs).detach()
    compute, tried = network.scores_in_blocks, []

    def fails_twice(*args):
        tried.append(args[-2:])
        if len(tried) < 3:
            raise error
        return compute(*args)

    monkeypatch.setattr(network, "scores_in_blocks", fails_twice)
    assert is_out_of_memory(error) == (what == "memory")
    if what == "other":
        with pytest.raises(RuntimeError, match="size mismatch"):
            score_edges(network, *inputs, "1 MB")
        return
    with caplog.at_level(logging.WARNING):
        split = score_edges(network, *inputs, "1 MB")
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)
    assert caplog.text.count("halved") == 2
    assert tried[0][0] > tried[1][0] > tried[2][0]


def test_no_memory_at_all_is_an_error(monkeypatch):
    network = KINDS["recurrent"]().eval()

    def fails(*args):
        raise MemoryError

    monkeypatch.setattr(network, "scores_in_blocks", fails)
    with pytest.raises(StageError, match=r"300 nodes and 2000 edges.* at least .* MiB are needed"):
        score_edges(network, *random_inputs(), "1 MB")


def test_plans_keep_to_the_budget():
    need = Footprint(state=1000, nodes=500, row=2)
    smallest = SMALLEST_BLOCK * 2
    assert plan(need, 10**6, 1500 + 2 * 400, CPU) == Plan(400, False)
    assert plan(need, 10**6, 1500 + smallest - 1, CPU) == Plan((1000 + smallest - 1) // 2, True)
    assert plan(need, 10**6, 1, CPU) == Plan(SMALLEST_BLOCK, True)
    assert plan(need, 10**9, 1 << 40, CPU).rows == CACHE // 2
    assert plan(need, 10**9, 1 << 33, torch.device("cuda")).rows > CACHE
    assert plan(need, 700, 1 << 40, CPU) == Plan(700, False)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 GiB", 4 << 30),
        ("1.5GB", 1_500_000_000),
        ("500 MB", 500_000_000),
        ("64 KiB", 1 << 16),
        (12345, 12345),
        ("auto", None),
    ],
)
def test_budgets(text, size):
    assert parse_budget(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4 GB", "0", "1.2.3 GB", "4 GHz"])
def test_bad_budgets(text):
    with pytest.raises(StageError, match="such as '4 GiB'"):
        parse_budget(text)


@pytest.mark.parametrize("offload", [False, True])
def test_states_keep_what_is_stored(offload):
    n, width = 5000, 7
    kept = StateStore(n, width, CPU, offload)
    expected = torch.arange(n * width, dtype=torch.float32).view(n, width)
    for rows in blocks(n, 900):
        kept.store(rows, expected[rows])
    for rows in blocks(n, 333):
        values = kept.load(rows, CPU)
        torch.testing.assert_close(values, expected[rows])
        values += 1  # in place
        kept.store(rows, values)
    torch.testing.assert_close(kept.states, expected + 1)
    assert StateStore(0, width, CPU, offload).states.shape == (0, width)


def test_blocks_cover_all_rows():
    assert [(b.start, b.stop) for b in blocks(5, 2)] == [(0, 2), (2, 4), (4, 5)]
    assert list(blocks(0, 3)) == []
    assert free_memory(CPU) > 1 << 20


def graph_of(index, n=300):
    rng = np.random.default_rng(1)
    return Graph(
        n_space_points=n,
        space_point=np.arange(n),
        module=np.zeros(n, np.int32),
        node_features=rng.uniform(1, 3, (n, 3)).astype(np.float32),
        edge_index=index.numpy().astype(np.int32),
        edge_pair=np.zeros(index.shape[1], np.int64),
        edge_features=np.zeros((index.shape[1], 0), np.float32),
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_lower_precision_is_close(precision):
    torch.manual_seed(1)
    network = InteractionGnn(InteractionGnnConfig(3, 6, width=16, steps=3)).eval()
    card = {"features": ("r", "phi", "z")}
    graph = graph_of(random_inputs()[1])
    exact = EdgeNetworkClassifier(network, card)(graph).edge_scores
    config = EdgeNetworkClassifierConfig(precision=precision, memory_budget="1 MB")
    found = EdgeNetworkClassifier(network, card, config)(graph).edge_scores
    np.testing.assert_allclose(found, exact, atol=0.05 if precision != "float32" else 1e-5)
    assert (precision == "float32") == np.array_equal(found, exact)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("offload", [False, True])
def test_blocks_on_a_gpu(network, offload):
    network = network.cuda()
    inputs = [None if t is None else t.cuda() for t in inputs_of(network)]
    with torch.inference_mode():
        whole = network(*inputs)
        split = network.scores_in_blocks(*inputs, rows=300, offload=offload)
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)
