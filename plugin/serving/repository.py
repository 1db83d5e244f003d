"""Model repositories: folders from which Triton serves our models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trkx.plugin.errors import ServerError
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.exchange import CANDIDATE_OUTPUTS, EVENT_INPUTS
from trkx.plugin.serving.identity import pipeline_identity
from trkx.plugin.serving.model_config import ModelConfig

VERSION = "1"
MODELS = ("trkx",)


@dataclass(frozen=True)
class RepositoryConfig:
    """What is served, and with how much of the machine."""

    models: tuple[str, ...] = MODELS
    pipeline: str = "fast"  # pipeline file, or the name of a shipped one
    target: str = "pt1"
    weights: str = ""  # model folder instead of the shipped one
    instances: int = 1  # processes per model
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in self.models:
            if name not in MODELS:
                raise ServerError(f"no model '{name}' to serve; choose of {', '.join(MODELS)}")
        if self.instances < 1:
            raise ServerError(f"{self.instances} instances; serve at least one")


def trkx_model(config: RepositoryConfig) -> ModelConfig:
    """The whole pipeline as one model."""
    file = PipelineFile.read(config.pipeline)
    return ModelConfig(
        name="trkx",
        inputs=EVENT_INPUTS,
        outputs=CANDIDATE_OUTPUTS,
        instances=config.instances,
        device=config.device,
        parameters={
            # Shipped pipelines by name: the same repository then serves where trkx is elsewhere.
            "pipeline": file.name if file.is_shipped else str(file.path.resolve()),
            "target": config.target,
            "weights": config.weights,
            "identity": pipeline_identity(config.pipeline, config.target, config.weights or None),
        },
        warm_up=dict.fromkeys(("X", "Y", "Z", "GEOMETRY_ID"), 1),
    )


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


def write_repository(folder: Path, config: RepositoryConfig) -> Path:
    """Write a model repository; returns its folder."""
    for name in config.models:
        if name == "trkx":
            write_model(folder, trkx_model(config), "trkx.plugin.serving.trkx_model")
    return folder
