"""What a model repository is made of: settings, and what every model is told of its pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from trkx.plugin.errors import ServerError
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.identity import pipeline_identity
from trkx.plugin.serving.model_config import ModelConfig

# Those of the published contract run a pipeline of their own, and are served on request only.
DEFAULT_MODELS = ("trkx", "gnn_tracks", "trkx_reco")
MODELS = (*DEFAULT_MODELS, "exatrkx", "exatrkxcpu", "exatrkxgpu")


@dataclass(frozen=True)
class RepositoryConfig:
    """What is served, and with how much of the machine."""

    models: tuple[str, ...] = ()  # of MODELS; none: DEFAULT_MODELS
    pipeline: str = "fast"  # pipeline file, or the name of a shipped one
    target: str = "pt1"
    weights: str = ""  # model folder instead of the shipped one
    instances: int = 1  # processes per model
    device: str = "cpu"
    rate_limited: bool = False  # each execution takes one "core" of the server's rate limiter
    libtorch: bool = False  # networks of `exatrkx` as TorchScript, for a server with libtorch

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", self.models or DEFAULT_MODELS)
        for name in self.models:
            if name not in MODELS:
                raise ServerError(f"no model '{name}' to serve; choose of {', '.join(MODELS)}")
        if self.instances < 1:
            raise ServerError(f"{self.instances} instances; serve at least one")
        if "exatrkxgpu" in self.models and self.device != "cuda":
            raise ServerError("model 'exatrkxgpu' runs on a GPU; pass --device cuda")

    @property
    def resources(self) -> int:
        """Of the rate limiter, that one execution takes."""
        return int(self.rate_limited)


class ServedModel(NamedTuple):
    """A model's configuration, and what runs it."""

    config: ModelConfig
    implementation: str = ""  # 'module', or 'module:Class'; '': nothing of ours


def pipeline_parameters(config: RepositoryConfig) -> dict[str, str]:
    """Parameters of a model that tell its processes, and clients, what it runs."""
    file = PipelineFile.read(config.pipeline)
    return {
        # Shipped pipelines by name: the same repository then serves where trkx is elsewhere.
        "pipeline": file.name if file.is_shipped else str(file.path.resolve()),
        "target": config.target,
        "weights": config.weights,
        "identity": pipeline_identity(config.pipeline, config.target, config.weights or None),
    }
