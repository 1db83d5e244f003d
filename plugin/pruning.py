"""Structured pruning of the interaction GNN: channels leave, and the matrices get smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from trkx.plugin.errors import StageError
from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig

_TRAFFIC = 13  # measured on one core of an AMD EPYC (Zen 5), widths 8 to 64
NODES, EDGES = "nodes", "edges"  # the groups of the states that residual connections carry
Saliency = Mapping[str, Tensor]  # group → (channels,) float32


@dataclass(frozen=True)
class Slot:
    """Where the channels of a group lie: rows (axis 0) or columns (1) of a weight."""

    weight: str
    axis: int
    offset: int = 0


@dataclass(frozen=True)
class Group:
    """Channels that can only leave together: one hidden layer, or the states of nodes or edges."""

    name: str
    size: int
    slots: tuple[Slot, ...]


def channel_groups(config: InteractionGnnConfig) -> list[Group]:
    """All groups: hidden layers in the order of `hidden` of the configuration, nodes, edges.

    The states of nodes are rows and columns of every layer that reads or writes them, and of
    their layer norms, at all steps: residual connections tie them together.
    """
    hidden: list[Group] = []
    nodes: list[Slot] = []
    edges: list[Slot] = []
    widths = iter(config.mlp_widths())

    def chain(layers: list[str], sizes: tuple[int, ...]) -> None:
        for (a, b), size in zip(pairwise(layers), sizes, strict=True):
            slots = (Slot(f"{a}.weight", 0), Slot(f"{a}.bias", 0), Slot(f"{b}.weight", 1))
            hidden.append(Group(a, size, slots))

    def plain(name: str) -> str:
        """An MLP of one input; returns its last layer."""
        sizes = next(widths)
        layers = [f"{name}.{2 * k}" for k in range(len(sizes) + 1)]
        chain(layers, sizes)
        return layers[-1]

    def pair(name: str, has_state: bool = True) -> str:
        sizes = next(widths)
        first = [Slot(f"{name}.{part}.weight", 0) for part in ("source", "target")]
        first += [Slot(f"{name}.source.bias", 0), Slot(f"{name}.rest.0.weight", 1)]
        first += [Slot(f"{name}.state.weight", 0)] if has_state else []
        hidden.append(Group(f"{name}.source", sizes[0], tuple(first)))
        layers = [f"{name}.rest.{2 * k}" for k in range(len(sizes))]
        chain(layers, sizes[1:])
        nodes.extend(Slot(f"{name}.{part}.weight", 1) for part in ("source", "target"))
        return layers[-1]

    def rows(layer: str) -> list[Slot]:
        return [Slot(f"{layer}.weight", 0), Slot(f"{layer}.bias", 0)]

    nodes += rows(plain("encode_node"))
    edges += rows(pair("encode_edge", has_state=config.edge_features > 0))
    for k in range(config.modules):
        step = f"step.{k}"
        edges += [Slot(f"{step}.edge.state.weight", 1), *rows(pair(f"{step}.edge"))]
        edges += rows(f"{step}.edge_norm")
        nodes += [Slot(f"{step}.node.0.weight", 1), *rows(plain(f"{step}.node"))]
        nodes += rows(f"{step}.node_norm")
        edges += [
            Slot(f"{step}.node.0.weight", 1, config.width + i * config.edge_width) for i in (0, 1)
        ]
    pair("score")
    edges.append(Slot("score.state.weight", 1))
    return [
        *hidden,
        Group(NODES, config.width, tuple(nodes)),
        Group(EDGES, config.edge_width, tuple(edges)),
    ]


def cost(config: InteractionGnnConfig, edges_per_node: float = 5.0) -> float:
    """Time of one evaluation per node of the graph, in multiplications.

    Beside the products, every channel is gathered, added, normalised and summed; `_TRAFFIC`
    multiplications take as long as one of these.
    """
    node, edge, *steps, score = config.mlp_widths()

    def chain(*sizes: int) -> int:
        return sum(a * b for a, b in pairwise(sizes)) + _TRAFFIC * sum(sizes[1:])

    def pair(hidden: tuple[int, ...], state: int, outputs: int) -> float:
        per_edge = chain(state, *hidden, outputs) + _TRAFFIC * (hidden[0] + 3 * outputs)
        return 2 * config.width * hidden[0] + edges_per_node * per_edge

    total: float = chain(config.node_features, *node, config.width)
    total += pair(edge, config.edge_features, config.edge_width)
    total += pair(score, config.edge_width, 1)
    for k in range(config.modules):
        of_step = pair(steps[2 * k], config.edge_width, config.edge_width)
        of_step += chain(config.width + 2 * config.edge_width, *steps[2 * k + 1], config.width)
        total += of_step * (config.steps // config.modules)
    return total


def magnitude(network: InteractionGnn) -> dict[str, Tensor]:
    """Saliency of channels by the size of their weights, relative to their group's mean."""
    weights = dict(network.named_parameters())
    return _by_channel(network.config, {name: w.detach() ** 2 for name, w in weights.items()}, True)


def taylor(
    network: InteractionGnn,
    examples: Iterable[Any],
    loss: Callable[[nn.Module, Any], Tensor],
) -> dict[str, Tensor]:
    """Saliency of channels by the change of the loss that their removal makes, to first order.

    Args:
        network: the trained network.
        examples: some training examples; the saliencies of all are added.
        loss: of one example.

    References: Molchanov et al., CVPR 2019, arXiv:1906.10771: sum over a channel's weights of
    the squares of weight times gradient.
    """
    weights = dict(network.named_parameters())
    total: dict[str, Tensor] = {name: torch.zeros_like(w) for name, w in weights.items()}
    count = 0
    for example in examples:
        network.zero_grad()
        loss(network, example).backward()
        count += 1
        for name, w in weights.items():
            if w.grad is not None:
                total[name] += (w.detach() * w.grad) ** 2
    network.zero_grad()
    if count == 0:
        raise StageError("pruning by saliency needs at least one example to take gradients of")
    return _by_channel(network.config, total, False)


def _by_channel(
    config: InteractionGnnConfig, values: Mapping[str, Tensor], relative: bool
) -> dict[str, Tensor]:
    """Values of single weights, summed over those of each channel."""
    found = {}
    for group in channel_groups(config):
        total = torch.zeros(group.size)
        for slot in group.slots:
            part = values[slot.weight].movedim(slot.axis, 0)
            total += part[slot.offset : slot.offset + group.size].reshape(group.size, -1).sum(1)
        found[group.name] = total / total.mean().clamp(min=1e-30) if relative else total
    return found


def resized(config: InteractionGnnConfig, sizes: Mapping[str, int]) -> InteractionGnnConfig:
    """The configuration with other numbers of channels, by name of group."""
    names = [group.name for group in channel_groups(config)]
    return replace(
        config,
        width=sizes[NODES],
        edge_width=sizes[EDGES],
        hidden=tuple(sizes[name] for name in names[:-2]),
    )


def choose_channels(
    config: InteractionGnnConfig,
    saliency: Saliency,
    fraction: float,
    edges_per_node: float = 5.0,
    smallest: int = 4,
    multiple: int = 1,
) -> dict[str, Tensor]:
    """Channels to keep, ascending, by group.

    Those of the smallest saliency per cost saved leave first, over all groups, until
    the fraction is removed.

    Args:
        config: shape of the network.
        saliency: of all channels.
        fraction: of the cost that is to go.
        edges_per_node: of the graphs the network is for.
        smallest: channels that every group keeps.
        multiple: groups of at least that many channels keep a multiple of it, the nearest:
            matrices of other sizes waste the width of vector instructions.

    Raises:
        StageError: the fraction cannot be removed.
    """
    if not 0 <= fraction < 1:
        raise StageError(f"fraction to prune is {fraction}; expected 0 to below 1")
    sizes = {group.name: group.size for group in channel_groups(config)}
    whole = cost(config, edges_per_node)
    queue: list[tuple[float, str]] = []
    for name, size in sizes.items():
        fewer = {**sizes, name: size - 1} if size > 1 else sizes
        saved = whole - cost(resized(config, fewer), edges_per_node)
        queue += [(value / max(saved, 1e-9), name) for value in saliency[name].tolist()]
    left, target = dict(sizes), (1 - fraction) * whole
    for _, name in sorted(queue):
        if cost(resized(config, left), edges_per_node) <= target:
            break
        if left[name] > smallest:
            left[name] -= 1
    else:
        if cost(resized(config, left), edges_per_node) > target:
            raise StageError(
                f"cannot prune {fraction:.0%} and keep {smallest} channels of every layer; prune "
                "less, or lower 'smallest'"
            )
    kept = {}
    for name, size in sizes.items():
        n = left[name]
        if size >= multiple:
            n = min(max(round(n / multiple), 1) * multiple, size)
        kept[name] = saliency[name].topk(n).indices.sort().values
    return kept


def without_channels(network: InteractionGnn, kept: Mapping[str, Tensor]) -> InteractionGnn:
    """A smaller network with the weights of the channels that are kept."""
    config = network.config
    index: dict[tuple[str, int], list[tuple[int, Tensor]]] = {}
    for group in channel_groups(config):
        for slot in group.slots:
            pieces = index.setdefault((slot.weight, slot.axis), [])
            pieces.append((slot.offset, kept[group.name] + slot.offset))
    state = {name: w.detach() for name, w in network.state_dict().items()}
    for (name, axis), pieces in index.items():
        rows = torch.cat([piece for _, piece in sorted(pieces, key=lambda p: p[0])])
        state[name] = state[name].index_select(axis, rows)
    smaller = InteractionGnn(resized(config, {name: len(k) for name, k in kept.items()}))
    smaller.load_state_dict(state)
    return smaller.train(network.training)


def prune(
    network: InteractionGnn,
    saliency: Saliency,
    fraction: float,
    edges_per_node: float = 5.0,
    smallest: int = 4,
    multiple: int = 1,
) -> InteractionGnn:
    """A network with fewer channels, which should be trained a little further.

    Arguments and errors are those of `choose_channels`.

    References: for tracking, model reduction in GNN4ITk, ATL-PHYS-PUB-2025-046.
    """
    kept = choose_channels(network.config, saliency, fraction, edges_per_node, smallest, multiple)
    return without_channels(network, kept)
