"""Model repositories: folders from which Triton serves our models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trkx.plugin.serving.exatrkx_repository import custom_model, ensemble
from trkx.plugin.serving.exchange import CANDIDATE_OUTPUTS, EVENT_INPUTS
from trkx.plugin.serving.gnn_tracks_model import COLUMNS as FEATURE_COLUMNS
from trkx.plugin.serving.model_config import ModelConfig, TensorSpec
from trkx.plugin.serving.reco_exchange import MEASUREMENT_INPUTS, TRACK_OUTPUTS
from trkx.plugin.serving.repository_config import (
    DEFAULT_MODELS,
    MODELS,
    RepositoryConfig,
    ServedModel,
    pipeline_parameters,
)

__all__ = [
    "DEFAULT_MODELS",
    "MODELS",
    "RepositoryConfig",
    "ServedModel",
    "served_models",
    "write_model",
    "write_repository",
]

VERSION = "1"


def trkx_model(config: RepositoryConfig) -> ModelConfig:
    """The whole pipeline as one model, columns of space points in, candidates out."""
    return ModelConfig(
        name="trkx",
        inputs=EVENT_INPUTS,
        outputs=CANDIDATE_OUTPUTS,
        instances=config.instances,
        device=config.device,
        resources=config.resources,
        parameters=pipeline_parameters(config),
    )


def gnn_tracks_model(config: RepositoryConfig) -> ModelConfig:
    """The whole pipeline by Athena's contract."""
    return ModelConfig(
        name="gnn_tracks",
        inputs=(TensorSpec("FEATURES", "FP32", (-1, len(FEATURE_COLUMNS))),),
        outputs=(TensorSpec("LABELS", "INT64"),),
        instances=config.instances,
        device=config.device,
        resources=config.resources,
        parameters={**pipeline_parameters(config), "columns": ",".join(FEATURE_COLUMNS)},
    )


def trkx_reco_model(config: RepositoryConfig) -> ModelConfig:
    """Track finding and ACTS' Kalman fit, measurements in, fitted tracks out."""
    return ModelConfig(
        name="trkx_reco",
        inputs=MEASUREMENT_INPUTS,
        outputs=TRACK_OUTPUTS,
        instances=config.instances,
        device=config.device,
        resources=config.resources,
        parameters=pipeline_parameters(config),
    )


def served_models(name: str, config: RepositoryConfig) -> list[ServedModel]:
    """What serves a model of that name: itself, and of an ensemble its steps."""
    if name == "exatrkx":
        return ensemble(config)
    if name in ("exatrkxcpu", "exatrkxgpu"):
        return [custom_model(config, name)]
    make, implementation = _MAKE[name]
    return [ServedModel(make(config), implementation)]


# Name → its configuration, and the module with its class.
_MAKE: dict[str, tuple[Callable[[RepositoryConfig], ModelConfig], str]] = {
    "trkx": (trkx_model, "trkx.plugin.serving.trkx_model"),
    "gnn_tracks": (gnn_tracks_model, "trkx.plugin.serving.gnn_tracks_model"),
    # The one model that needs ACTS; by name only, as this package knows nothing of it.
    "trkx_reco": (trkx_reco_model, "trkx.algorithms.reco_model"),
}


def write_model(
    folder: Path, config: ModelConfig, implementation: str, versions: Sequence[str] = (VERSION,)
) -> None:
    """Write one model: its configuration, and per version a file that names its class."""
    path = folder / config.name
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.pbtxt").write_text(config.text())
    for version in versions:
        (path / version).mkdir(exist_ok=True)
        if implementation:
            (path / version / "model.py").write_text(model_file(implementation))


def model_file(implementation: str, before: str = "") -> str:
    """What Triton's python backend loads; `before` comes first."""
    module, _, name = implementation.partition(":")
    what = f"{name} as TritonPythonModel" if name else "TritonPythonModel"
    return f"{before}from {module} import {what}\n\n__all__ = ['TritonPythonModel']\n"


def write_repository(folder: Path, config: RepositoryConfig) -> Path:
    """Write a model repository; returns its folder."""
    for name in config.models:
        for model in served_models(name, config):
            write_model(folder, model.config, model.implementation)
    return folder
