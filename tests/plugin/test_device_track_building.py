"""Track building on torch tensors: equal to the compiled forms."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trkx.plugin import device_components  # noqa: E402
from trkx.plugin.component_kernels import connected_labels  # noqa: E402
from trkx.plugin.connected_components import probabilities  # noqa: E402
from trkx.plugin.device_walkthrough import walkthrough_labels  # noqa: E402
from trkx.plugin.graph import Graph  # noqa: E402
from trkx.plugin.junction_removal import remove_junctions  # noqa: E402
from trkx.plugin.walkthrough import Walkthrough, WalkthroughConfig  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return request.param


def layered_graph(seed, n_tracks=40, n_layers=8, n_random=300, modules=50, equal=False):
    """Tracks through layers, doubled hits, random edges; scores that overlap."""
    rng = np.random.default_rng(seed)
    hit = np.arange(n_tracks * n_layers).reshape(n_layers, n_tracks)
    true = np.stack([hit[:-1].ravel(), hit[1:].ravel()])
    skip = np.stack([hit[:-2].ravel(), hit[2:].ravel()])[:, rng.random(hit[2:].size) < 0.3]
    random = np.sort(rng.integers(0, hit.size, (2, n_random)), axis=0)
    edges = np.concatenate([true, skip, random[:, random[0] < random[1]]], axis=1)
    edges = np.unique(edges, axis=1)
    logits = rng.normal(-2, 3, edges.shape[1])
    logits[(edges[1] - edges[0]) % n_tracks == 0] += 4
    if equal:
        logits = np.round(logits / 3) * 3
    r = np.repeat(np.arange(1.0, n_layers + 1), n_tracks)
    return Graph(
        n_space_points=hit.size,
        space_point=np.arange(hit.size),
        module=rng.integers(0, modules, hit.size).astype(np.int32),
        node_features=np.stack([r, 0 * r, 0 * r], axis=1).astype(np.float32),
        edge_index=edges.astype(np.int32),
        edge_pair=np.zeros(edges.shape[1], np.int64),
        edge_features=np.zeros((edges.shape[1], 0), np.float32),
        edge_scores=logits.astype(np.float32),
    )


def tensors(graph, device):
    edges = torch.from_numpy(graph.edge_index.astype(np.int64)).to(device)
    return edges, torch.from_numpy(probabilities(graph, "test")).to(device)


def test_a_chain_against_the_order_of_its_nodes(device):
    edges = torch.tensor([[4, 3, 5, 0], [3, 5, 1, 2]], device=device)
    assert device_components.connected_labels(edges, 7).tolist() == [0, 1, 0, 1, 1, 1, 2]
    none = torch.zeros((2, 0), dtype=torch.int64, device=device)
    assert device_components.connected_labels(none, 3).tolist() == [0, 1, 2]
    assert device_components.connected_labels(none, 0).tolist() == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("equal", [False, True])
def test_components_and_junctions(seed, equal, device):
    graph = layered_graph(seed, equal=equal)
    edges, p = tensors(graph, device)
    mask = p > 0.5
    label = device_components.connected_labels(edges, graph.n_nodes, mask)
    expected, _ = connected_labels(*graph.edge_index, mask.cpu().numpy(), graph.n_nodes)
    assert np.array_equal(label.cpu().numpy(), expected)
    for m in (None, mask):
        keep = device_components.remove_junctions(edges, p, graph.n_nodes, m)
        own = None if m is None else m.cpu().numpy()
        again = remove_junctions(graph.edge_index, p.cpu().numpy(), graph.n_nodes, own)
        assert np.array_equal(keep.cpu().numpy(), again)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "config",
    [
        WalkthroughConfig(),
        WalkthroughConfig(attach_cut=1.0, min_path=3, min_hits=3),
        WalkthroughConfig(add_cut=0.1, attach_cut=0.1, passes=5),
        WalkthroughConfig(component_cut=0.5, walk_cut=0.5, min_path=2, min_hits=2),
    ],
    ids=str,
)
def test_walkthrough_finds_the_same_tracks(seed, config, device):
    graph = layered_graph(seed, equal=seed % 2 == 1)
    edges, p = tensors(graph, device)
    module = torch.from_numpy(graph.module.astype(np.int64)).to(device)
    label, score = walkthrough_labels(edges, p, module, config)
    expected = Walkthrough(config)(graph)
    assert len(expected) > 5
    assert np.array_equal(label.cpu().numpy(), expected.labels)
    assert np.allclose(score.cpu().numpy(), expected.scores, rtol=1e-5)


def test_the_order_of_edges_does_not_matter(device):
    graph = layered_graph(1)
    edges, p = tensors(graph, device)
    module = torch.from_numpy(graph.module.astype(np.int64)).to(device)
    label, _ = walkthrough_labels(edges, p, module)
    order = torch.randperm(len(p), generator=torch.Generator().manual_seed(1)).to(device)
    again, _ = walkthrough_labels(edges[:, order], p[order], module)
    assert torch.equal(label, again)


def test_no_edges_no_tracks(device):
    none = torch.zeros((2, 0), dtype=torch.int64, device=device)
    module = torch.zeros(3, dtype=torch.int64, device=device)
    label, score = walkthrough_labels(none, torch.zeros(0, device=device), module)
    assert label.tolist() == [-1, -1, -1]
    assert len(score) == 0
