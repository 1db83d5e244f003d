"""Configurations of the models of the published contract: custom ones and the ensemble.

Names of models and tensors are those of exatrkx-service, github.com/The-ExaTrkX-Project.
"""

from __future__ import annotations

from dataclasses import replace

from trkx.plugin.errors import ServerError
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.exatrkx_tensors import ENSEMBLE, FEATURES, LABELS, STEPS
from trkx.plugin.serving.model_config import ModelConfig
from trkx.plugin.serving.repository_config import (
    RepositoryConfig,
    ServedModel,
    pipeline_parameters,
)
from trkx.plugin.stage_weights import StageWeights

PIPELINE = "exatrkx"
_STAGES = ["exatrkx", "filter", "interaction_gnn", "connected_components"]
NETWORKS = ("embed", "filter", "gnn")  # steps that are a network and nothing else
# How a client makes FEATURES of r (mm), phi (rad) and z (mm).
SCALING = {"features": "r,phi,z", "feature_scales": "1000,3.14159265358979,1000"}
_CLASSES = {
    "embed": "Embed",
    "frnn": "Frnn",
    "filter": "Filter",
    "applyfilter": "ApplyFilter",
    "gnn": "Gnn",
    "wcc": "Wcc",
}


def contract_config(config: RepositoryConfig) -> RepositoryConfig:
    """The configuration with a pipeline that reads FEATURES: its own, or the shipped one.

    Raises:
        ServerError: a pipeline on FEATURES with other stages than the ensemble has.
    """
    file = PipelineFile.read(config.pipeline)
    if file.graph_construction.stage != "exatrkx":
        return replace(config, pipeline=PIPELINE, target="pt1", weights="")
    stages = [table.stage for table in file.stages]
    if stages != _STAGES:
        raise ServerError(
            f"{file.where}: its stages are {', '.join(stages)}; the models 'exatrkx' have "
            f"{', '.join(_STAGES)}"
        )
    return config


def custom_model(config: RepositoryConfig, name: str) -> ServedModel:
    """The whole pipeline in one model; 'exatrkxcpu' or 'exatrkxgpu'."""
    config = contract_config(config)
    made = ModelConfig(
        name=name,
        inputs=(FEATURES,),
        outputs=(LABELS,),
        instances=config.instances,
        device="cuda" if name == "exatrkxgpu" else "cpu",
        resources=config.resources,
        parameters={**pipeline_parameters(config), **SCALING},
    )
    return ServedModel(made, "trkx.plugin.serving.exatrkx_model")


def ensemble(config: RepositoryConfig) -> list[ServedModel]:
    """The steps of the model `exatrkx`, and the model itself."""
    config = contract_config(config)
    dimensions = embedding_dimensions(config.pipeline)
    parameters = {**pipeline_parameters(config), **SCALING}
    steps = []
    for number, name in enumerate(STEPS):
        tensors = STEPS[name].of(dimensions)
        made = ModelConfig(
            name=name,
            inputs=tensors.inputs,
            outputs=(tensors.output,),
            instances=config.instances,
            # Neighbour search and components are compiled for the CPU.
            device=config.device if name in NETWORKS else "cpu",
            resources=config.resources,
            priority=len(STEPS) - number,  # events are finished before others are begun
            parameters={**parameters, "dimensions": str(dimensions)},
        )
        as_script = config.libtorch and name in NETWORKS
        steps.append(
            ServedModel(_for_libtorch(made))
            if as_script
            else ServedModel(made, f"trkx.plugin.serving.exatrkx_steps:{_CLASSES[name]}")
        )
    whole = ModelConfig("exatrkx", (FEATURES,), (LABELS,), steps=ENSEMBLE, parameters=parameters)
    return [*steps, ServedModel(whole)]


def embedding_dimensions(pipeline: str) -> int:
    """Of the space that the pipeline's embedding maps to."""
    file = PipelineFile.read(pipeline)
    weights = file.path.parent / file.graph_construction.settings["weights"]
    return StageWeights.open(weights).card["network"]["dimensions"]


def _for_libtorch(config: ModelConfig) -> ModelConfig:
    """The same step for the libtorch backend, whose model is a file of TorchScript."""
    # Every event has another shape: kernels that are made for one would be made anew each time.
    options = {"DISABLE_OPTIMIZED_EXECUTION": "true", "INFERENCE_MODE": "true"}
    return replace(config, backend="pytorch", parameters={**config.parameters, **options})
