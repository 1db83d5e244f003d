"""Structured pruning: smaller matrices, and the same scores where nothing of use is removed."""

import pytest
import torch

from trkx.plugin.errors import StageError
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
from trkx.plugin.pruning import (
    EDGES,
    NODES,
    channel_groups,
    choose_channels,
    cost,
    magnitude,
    prune,
    resized,
    taylor,
    without_channels,
)

SHAPES = {
    "recurrent": InteractionGnnConfig(4, 2, width=10, steps=3),
    "deep": InteractionGnnConfig(
        4, 2, width=10, edge_width=7, steps=2, recurrent=False, hidden_layers=3
    ),
    "no edge features": InteractionGnnConfig(4, 0, width=8, steps=2, hidden_layers=2),
}


@pytest.fixture(params=SHAPES)
def network(request):
    torch.manual_seed(1)
    return InteractionGnn(SHAPES[request.param]).eval()


def inputs_of(network, n=20, n_edges=60):
    rng = torch.Generator().manual_seed(4)
    index = torch.randint(0, n, (2, n_edges), generator=rng)
    features = network.config.edge_features
    attr = torch.randn(n_edges, features, generator=rng) if features else None
    return torch.randn(n, 4, generator=rng), index, attr


def loss(network, inputs):
    return (network(*inputs) ** 2).sum()


def test_groups_cover_every_weight_but_inputs_and_scores(network):
    """Each axis of each weight is in slots completely, unless it is of fixed size."""
    covered = {}
    for group in channel_groups(network.config):
        for slot in group.slots:
            key = (slot.weight, slot.axis)
            covered.setdefault(key, set()).update(range(slot.offset, slot.offset + group.size))
    fixed = {("encode_node.0.weight", 1), ("encode_edge.state.weight", 1)}
    last = f"score.rest.{2 * (network.config.hidden_layers - 1)}"
    fixed |= {(f"{last}.weight", 0), (f"{last}.bias", 0)}
    for name, weight in network.named_parameters():
        for axis, size in enumerate(weight.shape):
            if (name, axis) not in fixed:
                assert covered[name, axis] == set(range(size)), (name, axis)


def test_keeping_all_channels_changes_nothing(network):
    sizes = {group.name: group.size for group in channel_groups(network.config)}
    kept = {name: torch.arange(size) for name, size in sizes.items()}
    same = without_channels(network, kept)
    torch.testing.assert_close(same(*inputs_of(network)), network(*inputs_of(network)))
    assert sum(p.numel() for p in same.parameters()) == sum(p.numel() for p in network.parameters())


def test_dead_hidden_channels_leave_without_a_trace(network):
    """Channels whose outgoing weights are zero have no saliency, and no effect."""
    kept = {}
    with torch.no_grad():
        for group in channel_groups(network.config):
            kept[group.name] = torch.arange(group.size)
            if group.name in (NODES, EDGES):
                continue
            weights = dict(network.named_parameters())
            for slot in group.slots:
                if slot.axis == 1:
                    weights[slot.weight][:, 2:4] = 0
            kept[group.name] = torch.tensor([i for i in range(group.size) if i not in (2, 3)])
    inputs = inputs_of(network)
    smaller = without_channels(network, kept)
    torch.testing.assert_close(smaller(*inputs), network(*inputs))
    found = taylor(network, [inputs], loss)
    for name, channels in kept.items():
        if len(channels) < len(found[name]):
            assert found[name][2] == found[name][3] == 0
            assert (found[name][channels] > 0).any()


def test_states_of_nodes_and_edges_shrink_with_their_norms(network):
    c = network.config
    sizes = {group.name: group.size for group in channel_groups(c)}
    kept = {name: torch.arange(size) for name, size in sizes.items()}
    kept[NODES], kept[EDGES] = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5, 6])
    smaller = without_channels(network, kept)
    assert (smaller.config.width, smaller.config.edge_width) == (3, 4)
    step, old = smaller.step[0], network.step[0]
    assert step.node_norm.normalized_shape == (3,) and step.edge_norm.normalized_shape == (4,)
    columns = [0, 3, 4, *(c.width + i for i in (1, 2, 5, 6))]
    columns += [c.width + c.edge_width + i for i in (1, 2, 5, 6)]
    torch.testing.assert_close(step.node[0].weight, old.node[0].weight[:, columns])
    assert smaller(*inputs_of(network)).isfinite().all()


@pytest.mark.parametrize("how", ["magnitude", "taylor"])
def test_the_fraction_asked_for_is_removed(network, how):
    by = magnitude(network) if how == "magnitude" else taylor(network, [inputs_of(network)], loss)
    whole = cost(network.config)
    previous = whole
    for fraction in (0.2, 0.5):
        smaller = prune(network, by, fraction, smallest=2)
        now = cost(smaller.config)
        assert (1 - fraction - 0.15) * whole < now <= (1 - fraction) * whole
        assert now < previous
        previous = now
        # The card holds the shape, and the network trains on.
        again = InteractionGnn(InteractionGnnConfig(**smaller.config.to_dict()))
        again.load_state_dict(smaller.state_dict())
        loss(again, inputs_of(network)).backward()
    assert prune(network, by, 0.0).config.width == network.config.width


def test_the_least_salient_channels_leave_first():
    config = InteractionGnnConfig(2, 2, width=4, steps=1)
    saliency = {g.name: torch.ones(g.size) for g in channel_groups(config)}
    saliency["score.source"] = torch.tensor([5.0, 0.0, 5.0, 5.0])
    kept = choose_channels(config, saliency, 0.01, smallest=1)
    assert kept["score.source"].tolist() == [0, 2, 3]
    assert all(len(k) == 4 for name, k in kept.items() if name != "score.source")
    assert resized(config, {n: len(k) for n, k in kept.items()}).hidden == (4, 4, 4, 4, 3)


def test_impossible_fractions_and_no_examples_are_errors(network):
    with pytest.raises(StageError, match="cannot prune 99%"):
        prune(network, magnitude(network), 0.99, smallest=4)
    with pytest.raises(StageError, match="expected 0 to below 1"):
        prune(network, magnitude(network), 1.0)
    with pytest.raises(StageError, match="at least one example"):
        taylor(network, [], loss)
