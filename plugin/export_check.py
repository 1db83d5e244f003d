"""Whether an exported file gives the scores of the network that it was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from trkx.plugin.edge_features import edge_features
from trkx.plugin.edge_graph import edge_graph
from trkx.plugin.edge_network import EdgeNetworkClassifier
from trkx.plugin.errors import StageError
from trkx.plugin.foreign_networks import load_foreign
from trkx.plugin.graph import Graph
from trkx.plugin.space_points import SpacePoints

if TYPE_CHECKING:
    from trkx.plugin.metric_learning import MetricLearning

TOLERANCE = 1e-5  # of scores, relative where they are above 1
_OWN_COLUMNS = 64  # features that a graph constructor may have of its own
_LAYERS = 8


def difference(
    stage: MetricLearning | EdgeNetworkClassifier,
    path: Path,
    names: list[str],
    own: tuple[str, ...] = (),
    any_direction: bool = False,
) -> float:
    """Largest difference of the file's output from the network's, divided by what is above 1.

    The network gets its features as the stage makes them, the file gets those of ACTS.

    Args:
        stage: the stage with the network.
        path: file of TorchScript or ONNX.
        names: node features that the file reads, unscaled.
        own: edge features that it reads.
        any_direction: show it half of the edges turned round.

    Raises:
        StageError: it is above `TOLERANCE`.
    """
    graph = sample_graph()
    x = torch.from_numpy(graph.features(stage.features, stage.scales))
    inputs, given = [x], [torch.from_numpy(graph.features(names))]
    if isinstance(stage, EdgeNetworkClassifier):
        index = torch.from_numpy(graph.edge_index).long()
        turned = index.clone()
        if any_direction:
            turned[:, ::2] = index[:, ::2].flip(0)
        inputs.append(index)
        given.append(turned)
        if stage.edge_features:
            attr = torch.from_numpy(edge_features(graph, stage.edge_features, stage.edge_scales))
            inputs.append(attr)
            if own:
                given.append(attr[:, [stage.edge_features.index(name) for name in own]])
    with torch.inference_mode():
        ours = stage.network(*inputs).numpy()
        theirs = load_foreign(path)(*given).reshape(ours.shape).numpy()
    found = float((np.abs(theirs - ours) / np.maximum(np.abs(ours), 1.0)).max())
    if not found <= TOLERANCE:
        raise StageError(
            f"{path.name}: its scores differ from the network's by {found:.1e}, more than "
            f"{TOLERANCE:.0e}; this network cannot be exported in this format"
        )
    return found


def sample_graph(n_tracks: int = 40) -> Graph:
    """Straight tracks through eight layers, right and wrong edges, and all features there are.

    Columns of a graph constructor's own are random numbers.
    """
    rng = np.random.default_rng(1)
    n = n_tracks * _LAYERS
    r = np.tile(np.linspace(40.0, 600.0, _LAYERS), n_tracks) + rng.normal(0, 1, n)
    phi = np.repeat(rng.uniform(-np.pi, np.pi, n_tracks), _LAYERS) + rng.normal(0, 0.01, n)
    z = r * np.repeat(rng.uniform(-1.5, 1.5, n_tracks), _LAYERS) + rng.normal(0, 1, n)
    position = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1).astype(np.float32)
    strip = np.tile(np.arange(_LAYERS) >= _LAYERS // 2, n_tracks)
    second = np.where(strip[:, None], position + np.float32(5), np.float32(np.nan))
    points = SpacePoints(
        x=np.ascontiguousarray(position[:, 0]),
        y=np.ascontiguousarray(position[:, 1]),
        z=np.ascontiguousarray(position[:, 2]),
        geometry_id=np.tile(np.arange(_LAYERS, dtype=np.uint64) << np.uint64(36), n_tracks),
        size0=rng.integers(1, 5, n).astype(np.float32),
        size1=rng.integers(1, 5, n).astype(np.float32),
        strip=strip,
        clusters=np.stack([position, second], axis=1),
    )
    first = np.flatnonzero(np.arange(n) % _LAYERS < _LAYERS - 1)
    right, wrong = np.stack([first, first + 1]), np.stack([first, rng.permutation(first) + 1])
    graph = edge_graph(points, np.concatenate([right, wrong], axis=1))
    own = rng.normal(0, 1, (graph.n_edges, _OWN_COLUMNS)).astype(np.float32)
    return replace(graph, edge_features=own)
