"""Model repositories: folders from which Triton serves our models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trkx.plugin.errors import ServerError
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.exchange import CANDIDATE_OUTPUTS, EVENT_INPUTS
from trkx.plugin.serving.gnn_tracks_model import COLUMNS as FEATURE_COLUMNS
from trkx.plugin.serving.identity import pipeline_identity
from trkx.plugin.serving.model_config import ModelConfig, TensorSpec
from trkx.plugin.serving.reco_exchange import MEASUREMENT_INPUTS, TRACK_OUTPUTS

VERSION = "1"


@dataclass(frozen=True)
class RepositoryConfig:
    """What is served, and with how much of the machine."""

    models: tuple[str, ...] = ()  # of MODELS; none: all
    pipeline: str = "fast"  # pipeline file, or the name of a shipped one
    target: str = "pt1"
    weights: str = ""  # model folder instead of the shipped one
    instances: int = 1  # processes per model
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", self.models or MODELS)
        for name in self.models:
            if name not in MODELS:
                raise ServerError(f"no model '{name}' to serve; choose of {', '.join(MODELS)}")
        if self.instances < 1:
            raise ServerError(f"{self.instances} instances; serve at least one")


def _pipeline_parameters(config: RepositoryConfig) -> dict[str, str]:
    file = PipelineFile.read(config.pipeline)
    return {
        # Shipped pipelines by name: the same repository then serves where trkx is elsewhere.
        "pipeline": file.name if file.is_shipped else str(file.path.resolve()),
        "target": config.target,
        "weights": config.weights,
        "identity": pipeline_identity(config.pipeline, config.target, config.weights or None),
    }


def trkx_model(config: RepositoryConfig) -> ModelConfig:
    """The whole pipeline as one model, columns of space points in, candidates out."""
    return ModelConfig(
        name="trkx",
        inputs=EVENT_INPUTS,
        outputs=CANDIDATE_OUTPUTS,
        instances=config.instances,
        device=config.device,
        parameters=_pipeline_parameters(config),
    )


def gnn_tracks_model(config: RepositoryConfig) -> ModelConfig:
    """The whole pipeline by Athena's contract."""
    return ModelConfig(
        name="gnn_tracks",
        inputs=(TensorSpec("FEATURES", "FP32", (-1, len(FEATURE_COLUMNS))),),
        outputs=(TensorSpec("LABELS", "INT64"),),
        instances=config.instances,
        device=config.device,
        parameters={**_pipeline_parameters(config), "columns": ",".join(FEATURE_COLUMNS)},
    )


def trkx_reco_model(config: RepositoryConfig) -> ModelConfig:
    """Track finding and ACTS' Kalman fit, measurements in, fitted tracks out."""
    return ModelConfig(
        name="trkx_reco",
        inputs=MEASUREMENT_INPUTS,
        outputs=TRACK_OUTPUTS,
        instances=config.instances,
        device=config.device,
        parameters=_pipeline_parameters(config),
    )


# Name → its configuration, and the module with its class.
_MAKE: dict[str, tuple[Callable[[RepositoryConfig], ModelConfig], str]] = {
    "trkx": (trkx_model, "trkx.plugin.serving.trkx_model"),
    "gnn_tracks": (gnn_tracks_model, "trkx.plugin.serving.gnn_tracks_model"),
    # The one model that needs ACTS; by name only, as this package knows nothing of it.
    "trkx_reco": (trkx_reco_model, "trkx.algorithms.reco_model"),
}
MODELS = tuple(_MAKE)


def write_model(
    folder: Path, config: ModelConfig, module: str, versions: Sequence[str] = (VERSION,)
) -> None:
    """Write one model: its configuration, and per version a file that names its class."""
    path = folder / config.name
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.pbtxt").write_text(config.text())
    for version in versions:
        (path / version).mkdir(exist_ok=True)
        (path / version / "model.py").write_text(
            f"from {module} import TritonPythonModel\n\n__all__ = ['TritonPythonModel']\n"
        )


def model_config(name: str, config: RepositoryConfig) -> ModelConfig:
    """The configuration of a model by name."""
    return _MAKE[name][0](config)


def model_module(name: str) -> str:
    """The module that holds the class of a model."""
    return _MAKE[name][1]


def write_repository(folder: Path, config: RepositoryConfig) -> Path:
    """Write a model repository; returns its folder."""
    for name in config.models:
        write_model(folder, model_config(name, config), model_module(name))
    return folder
