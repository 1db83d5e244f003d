"""Ready-made pipelines from shipped or trained models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trkx.plugin.errors import StageError, need
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.weights import find_model

if TYPE_CHECKING:
    from trkx.plugin.layer_map import LayerMap

FINDERS = ("gnn", "classical")
BUILDERS = ("viterbi", "walkthrough", "components")


def load_pipeline(
    finder: str = "gnn",
    target: str = "pt1",
    device: str = "cpu",
    threads: int | None = None,
    weights: Path | str | None = None,
    builder: str = "viterbi",
) -> Pipeline:
    """The pipeline of a finder with its map and weights.

    Args:
        finder: 'gnn', or 'classical' for the same graph and builder without the network.
        target: 'pt1' (pT > 1 GeV) or 'pt05' (pT > 0.5 GeV).
        device: 'cpu' or 'cuda', for the network.
        threads: threads of torch in this process; None leaves them as they are.
        weights: a folder that 'trkx train' wrote; None: the shipped model.
        builder: 'viterbi' (best chains of triplets), 'walkthrough' (components, then best paths)
            or 'components' (connected components); the latter two need the network's scores.

    Raises:
        StageError: no such finder or builder.
        WeightsError, DeviceError, MissingExtraError: see there.
    """
    if finder not in FINDERS:
        raise StageError(f"no finder '{finder}' in the plugin; choose one of {', '.join(FINDERS)}")
    if builder not in BUILDERS:
        raise StageError(f"no track builder '{builder}'; choose one of {', '.join(BUILDERS)}")
    need("numba", "local", f"finder '{finder}'")
    from trkx.plugin.connected_components import ConnectedComponents
    from trkx.plugin.layer_map_graph import LayerMapGraph
    from trkx.plugin.viterbi import ViterbiTrackBuilder
    from trkx.plugin.walkthrough import Walkthrough

    model = find_model(target, weights)
    classifiers = []
    if finder == "gnn":
        torch = need("torch", "local", "finder 'gnn'")
        from trkx.plugin.network_classifier import NetworkClassifier

        classifiers.append(NetworkClassifier(model.network(), device))
        if threads is not None:
            torch.set_num_threads(threads)
    layer_map = model.layer_map()
    builders: dict[str, type] = {
        "viterbi": ViterbiTrackBuilder,
        "walkthrough": Walkthrough,
        "components": ConnectedComponents,
    }
    pipeline = Pipeline(
        graph_constructor=LayerMapGraph(layer_map),
        edge_classifiers=classifiers,
        track_builder=builders[builder](layer_map=layer_map),
        meta={"finder": finder, "target": target, **model.card},
    )
    # Kernels are compiled at their first call, or read from the cache: not in the first event.
    pipeline(_two_hits(layer_map))
    return pipeline


def _two_hits(layer_map: LayerMap) -> SpacePoints:
    """The smallest event that goes through all stages: two hits of one module."""
    layers = layer_map.layers
    volume, layer = int(layers.volume[0]), int(layers.layer[0])
    where = np.array([100.0, 101.0], np.float32)
    return SpacePoints(
        x=where,
        y=where,
        z=where,
        geometry_id=np.full(2, (volume << 56) | (layer << 36), np.uint64),
        size0=np.ones(2, np.float32),
        size1=np.ones(2, np.float32),
    )
