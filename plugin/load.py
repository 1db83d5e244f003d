"""Ready-made pipelines: shipped or of your own, with shipped or trained models."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trkx.plugin.errors import StageError, TrackFindingError
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.pipeline_file import PipelineFile, StageTable, shipped_pipelines
from trkx.plugin.space_points import SpacePoints
from trkx.plugin.workers import set_threads

if TYPE_CHECKING:
    from trkx.plugin.layer_map_graph import LayerMapGraphConfig

FINDERS = ("gnn", "classical")
# Name → stage of the track builder.
BUILDERS = {
    "viterbi": "viterbi",
    "walkthrough": "walkthrough",
    "components": "connected_components",
}
DEFAULT_PIPELINE = "fast"


def load_pipeline(
    finder: str = "gnn",
    target: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    weights: Path | str | None = None,
    builder: str | None = None,
    pipeline: Path | str | None = None,
) -> Pipeline:
    """The pipeline of a finder with its map and weights.

    Args:
        finder: 'gnn' (the pipeline 'fast'), 'classical' for the same graph and builder without
            the network, or the name of a shipped pipeline.
        target: 'pt1' (pT > 1 GeV) or 'pt05' (pT > 0.5 GeV); None: the default of the pipeline.
        device: 'cpu' or 'cuda', for the network.
        threads: threads within an event, in this process; None leaves them as they are.
        weights: a folder that 'trkx train' wrote; None: the shipped model.
        builder: instead of the pipeline's own: 'viterbi' (best chains of triplets), 'walkthrough'
            (components, then best paths) or 'components' (connected components); the latter two
            need the network's scores.
        pipeline: a pipeline file, or the name of a shipped one; then `finder` is not used.

    Raises:
        StageError: no such finder, pipeline, stage or builder, or a bad setting.
        WeightsError, DeviceError, MissingExtraError: see there.
    """
    if pipeline is None and finder not in (*FINDERS, *shipped_pipelines()):
        raise StageError(
            f"no finder '{finder}' in the plugin; choose one of "
            f"{', '.join((*FINDERS, *shipped_pipelines()))}, or pass pipeline=FILE"
        )
    if builder is not None and builder not in BUILDERS:
        raise StageError(f"no track builder '{builder}'; choose one of {', '.join(BUILDERS)}")
    if pipeline is None:
        pipeline = DEFAULT_PIPELINE if finder in FINDERS else finder
        file = PipelineFile.read(pipeline)
        if finder == "classical":
            file = replace(file, edge_classification=())
    else:
        file = PipelineFile.read(pipeline)
    if builder is not None:
        table = StageTable("the builder asked for", "track_builders", BUILDERS[builder], {})
        file = replace(file, track_building=table)
    if weights is not None and not file.reads_model:
        raise StageError(
            f"{file.where}: no stage of it reads the model folder {weights}; name the weights of "
            "its stages in a pipeline file of your own"
        )
    built = file.build(device, target, weights)
    if threads is not None:
        set_threads(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
    warm_up(built)
    return built


def graph_config() -> LayerMapGraphConfig:
    """How the default pipeline makes graphs: its network is trained on the same."""
    from trkx.plugin.layer_map_graph import LayerMapGraphConfig
    from trkx.plugin.stage_settings import read_settings

    table = PipelineFile.read(DEFAULT_PIPELINE).graph_construction
    return read_settings(LayerMapGraphConfig, table.settings, table.stage)


def warm_up(pipeline: Pipeline) -> None:
    """Run all stages once on the smallest event.

    Kernels are compiled at their first call, or read from the cache: not in the first event.
    """
    layer_map = getattr(pipeline.graph_constructor, "layer_map", None)
    if layer_map is not None:
        layers = layer_map.layers
        pipeline(two_hits(int(layers.volume[0]), int(layers.layer[0])))
        return
    try:
        pipeline(two_hits(8, 2))
    except TrackFindingError:
        # Stages for another detector or other columns refuse these hits; nothing is lost.
        return


def two_hits(volume: int, layer: int) -> SpacePoints:
    """The smallest event that goes through all stages: two hits of one module."""
    where = np.array([100.0, 101.0], np.float32)
    return SpacePoints(
        x=where,
        y=where,
        z=where,
        geometry_id=np.full(2, (volume << 56) | (layer << 36), np.uint64),
        size0=np.ones(2, np.float32),
        size1=np.ones(2, np.float32),
        strip=np.zeros(2, bool),
        clusters=np.repeat(where, 6).reshape(2, 2, 3),
    )
