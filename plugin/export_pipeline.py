"""All networks of a pipeline as files for ACTS' GNN plugin, checked, with what to configure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trkx.plugin.edge_features import EDGE_SCALES, OWN
from trkx.plugin.errors import StageError, need
from trkx.plugin.pipeline_file import PipelineFile, StageTable
from trkx.plugin.weights import sha256

if TYPE_CHECKING:
    from torch import nn

    from trkx.plugin.edge_network import EdgeNetworkClassifier
    from trkx.plugin.metric_learning import MetricLearning

FORMATS = {"torchscript": ".pt", "onnx": ".onnx"}
FILES = ("*.pt", "*.onnx", "export.json", "pipeline.toml", "README.md")


@dataclass(frozen=True)
class ExportedNetwork:
    """One network in a file."""

    number: int  # of the stage in the pipeline, from 0
    stage: str  # name in the registry
    file: str
    sha256: str
    difference: float  # largest of the file's scores from the network's, see `export_check`
    features: tuple[str, ...]  # what the network inside reads
    scales: tuple[float, ...]
    edge_features: tuple[str, ...]
    edge_scales: tuple[float, ...]
    edge_attr: tuple[str, ...]  # edge features that the file must be given
    settings: Mapping[str, Any]  # of the stage: cut, or radius and k
    dimensions: int = 0  # of an embedding
    notes: tuple[str, ...] = ()


@dataclass
class ExportedPipeline:
    """What `export_pipeline` wrote."""

    pipeline: PipelineFile
    format: str
    node_features: list[str]  # columns of x of all files, in mm and rad
    networks: list[ExportedNetwork] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The content of export.json."""
        from trkx.plugin.acts_form import ACTS_FEATURES

        return {
            "schema": "trkx-export",
            "schema_version": 1,
            "pipeline": self.pipeline.name,
            "format": self.format,
            "node_features": self.node_features,
            "nodeFeatures": [ACTS_FEATURES.get(name) for name in self.node_features],
            "featureScales": [1.0] * len(self.node_features),
            "networks": [vars(network) for network in self.networks],
            "notes": self.notes,
        }


def export_pipeline(
    file: PipelineFile,
    folder: Path,
    format: str = "torchscript",
    target: str | None = None,
    final: Path | None = None,
) -> ExportedPipeline:
    """Write every network of a pipeline, and check each file against its network.

    Besides the networks: export.json, README.md with ACTS' configuration, and pipeline.toml, the
    same pipeline on the files written, for `trkx run --pipeline`.

    Args:
        file: the pipeline.
        folder: where to write.
        format: of `FORMATS`. An embedding is always written as TorchScript as well: ACTS reads
            no other.
        target: 'pt1' or 'pt05'; None: the default of the pipeline.
        final: where the files will be in the end; None: `folder`.

    Raises:
        StageError: no such format, no network that can be exported, or a file that gives other
            scores than its network.
        MissingExtraError: torch, or for ONNX one of its packages, is not installed.
    """
    if format not in FORMATS:
        raise StageError(f"no format '{format}'; choose of {', '.join(FORMATS)}")
    need("torch", "local", "export of networks")
    for module in ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ():
        need(module, "onnx", "export to ONNX")
    from trkx.plugin.acts_form import ACTS_FEATURES, acts_features
    from trkx.plugin.export_readme import export_readme

    stages = _networks(file, target)
    names = [name for stage in stages.values() for name in stage.features]
    result = ExportedPipeline(file, format, acts_features(names))
    lacking = [name for name in result.node_features if name not in ACTS_FEATURES]
    if lacking:
        result.notes.append(
            f"ACTS has no node feature {', '.join(lacking)}: add it to its createFeatures.cpp, or "
            "train without it"
        )
    for number, stage in stages.items():
        result.networks += _export(stage, number, result, folder)
    (folder / "export.json").write_text(json.dumps(result.as_json(), indent=1) + "\n")
    (folder / "pipeline.toml").write_text(_pipeline_toml(result, final or folder))
    (folder / "README.md").write_text(export_readme(result))
    return result


def _networks(
    file: PipelineFile, target: str | None
) -> dict[int, MetricLearning | EdgeNetworkClassifier]:
    """Number of the stage → the stage, for those whose networks can be exported."""
    from trkx.plugin.edge_network import EdgeNetworkClassifier
    from trkx.plugin.metric_learning import MetricLearning

    plain = tuple(
        replace(table, settings={k: v for k, v in table.settings.items() if k != "compile"})
        for table in file.edge_classification
    )
    pipeline = replace(file, edge_classification=plain).build(target=target)
    stages = enumerate((pipeline.graph_constructor, *pipeline.edge_classifiers))
    found: dict[int, Any] = {
        number: stage
        for number, stage in stages
        if isinstance(stage, (MetricLearning, EdgeNetworkClassifier))
        and "model" not in file.stages[number].settings  # a file already
    }
    if not found:
        raise StageError(
            f"{file.where} ({' → '.join(table.stage for table in file.stages)}): no network that "
            "can be exported; ACTS has a place for an embedding (metric_learning) and for edge "
            "networks (filter, interaction_gnn, attention_gnn, heterogeneous_gnn)"
        )
    return found


def _export(
    stage: MetricLearning | EdgeNetworkClassifier,
    number: int,
    result: ExportedPipeline,
    folder: Path,
) -> list[ExportedNetwork]:
    """Write one network, in one file or two."""
    import torch

    from trkx.plugin.acts_form import ActsEdgeNetwork, ActsEdges, ActsEmbedding, ActsNodes
    from trkx.plugin.export import export_onnx, export_torchscript
    from trkx.plugin.export_check import difference
    from trkx.plugin.metric_learning import MetricLearning

    table, constructor = result.pipeline.stages[number], result.pipeline.graph_construction.stage
    nodes = ActsNodes(result.node_features, stage.features, stage.scales)
    formats = [result.format]
    edge_names: tuple[str, ...] = ()
    edge_scales: tuple[float, ...] = ()
    own: tuple[str, ...] = ()
    dimensions = 0
    if isinstance(stage, MetricLearning):
        form: nn.Module = ActsEmbedding(stage.network, nodes)
        settings: dict[str, Any] = {"radius": stage.config.radius, "k": stage.config.k}
        n_attr, any_direction = None, False
        with torch.inference_mode():
            dimensions = stage.network(torch.zeros(1, len(stage.features))).shape[1]
        if result.format != "torchscript":
            formats.append("torchscript")
    else:
        edge_names = stage.edge_features
        given = [EDGE_SCALES.get(name, 1.0) for name in edge_names]
        edge_scales = tuple(stage.edge_scales or given)
        own = tuple(name for name in edge_names if name.startswith(OWN))
        edges = ActsEdges(edge_names, stage.edge_scales) if edge_names else None
        # Maps give edges the direction of their layers, all others that of the distance.
        any_direction = constructor not in ("layer_map", "module_map")
        form = ActsEdgeNetwork(stage.network, nodes, edges, any_direction)
        settings = {"cut": stage.config.cut}
        n_attr = len(own)
    notes: tuple[str, ...] = ()
    if own:
        notes = (
            f"reads {', '.join(own)} as edge_attr, which trkx's graph constructor '{constructor}' "
            "makes and ACTS does not",
        )
    written = []
    for format in formats:
        path = folder / f"{number + 1}_{table.stage}{FORMATS[format]}"
        write = export_onnx if format == "onnx" else export_torchscript
        write(form, path, len(result.node_features), n_attr)
        written.append(
            ExportedNetwork(
                number=number,
                stage=table.stage,
                file=path.name,
                sha256=sha256(path),
                difference=difference(stage, path, result.node_features, own, any_direction),
                features=stage.features,
                scales=tuple(stage.scales or [1.0] * len(stage.features)),
                edge_features=edge_names,
                edge_scales=edge_scales,
                edge_attr=own,
                settings=settings,
                notes=notes,
                dimensions=dimensions,
            )
        )
    return written


def _pipeline_toml(result: ExportedPipeline, folder: Path) -> str:
    """The pipeline on the files written."""
    file = result.pipeline
    chosen = {n.number: n for n in result.networks if n.file.endswith(FORMATS[result.format])}
    lines = [
        f"# {file.name}, with its networks as {result.format}.",
        f'name = "{file.name}_exported"',
        f"description = {json.dumps(file.description)}",
        f"target = {json.dumps(list(file.targets))}",
    ]
    for number, table in enumerate(file.stages):
        settings = {k: _moved(v, file.path.parent, folder) for k, v in table.settings.items()}
        stage = table.stage
        network = chosen.get(number)
        if network is not None:
            settings = {k: v for k, v in settings.items() if k not in ("weights", "compile")}
            settings |= {"model": network.file, "features": result.node_features}
            if table.kind == "edge_classifiers":
                stage = result.format
                if network.edge_attr:
                    at = [network.edge_features.index(name) for name in network.edge_attr]
                    settings["edge_features"] = network.edge_attr
                    settings["edge_scales"] = [network.edge_scales[i] for i in at]
        lines += ["", _header(table), f'stage = "{stage}"']
        lines += [f"{key} = {_toml(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def _header(table: StageTable) -> str:
    if table.kind == "edge_classifiers":
        return "[[edge_classification]]"
    return "[graph_construction]" if table.kind == "graph_constructors" else "[track_building]"


def _moved(value: Any, old: Path, new: Path) -> Any:
    """A setting that names a file, seen from another folder."""
    if not isinstance(value, str) or not value:
        return value
    if (old / value).exists() or (old / value).with_suffix(".safetensors").exists():
        return os.path.relpath(old / value, new)
    return value


def _toml(value: Any) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)  # inf, which JSON spells otherwise
    return json.dumps(value)
