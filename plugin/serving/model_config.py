"""Model configurations (config.pbtxt), written from dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    data_type: str  # as Triton names it: FP32, INT64, UINT64, UINT8
    dims: tuple[int, ...] = (-1,)  # -1: any
    optional: bool = False

    def text(self) -> str:
        dims = ", ".join(map(str, self.dims))
        extra = " optional: true" if self.optional else ""
        return f'{{ name: "{self.name}" data_type: TYPE_{self.data_type} dims: [ {dims} ]{extra} }}'


@dataclass(frozen=True)
class EnsembleStep:
    """One model of an ensemble; maps from its tensors to those of the ensemble."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def text(self) -> str:
        def mapping(kind: str, pairs: Mapping[str, str]) -> str:
            return "".join(
                f'\n      {kind}_map {{ key: "{k}" value: "{v}" }}' for k, v in pairs.items()
            )

        maps = mapping("input", self.inputs) + mapping("output", self.outputs)
        return f'    {{\n      model_name: "{self.model}"\n      model_version: -1{maps}\n    }}'


@dataclass(frozen=True)
class ModelConfig:
    """What Triton is told of a model."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    backend: str = "python"  # 'ensemble': no backend, but steps
    parameters: Mapping[str, str] = field(default_factory=dict)
    instances: int = 1
    device: str = "cpu"
    steps: tuple[EnsembleStep, ...] = ()
    warm_up: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # input → shape; the
    #   values are in the file of that name in the model's folder 'warmup'
    resources: int = 0  # of the rate limiter's "core"; 0: no limit
    priority: int = 0  # with the rate limiter: one of 2 gets half as many turns as one of 1

    def text(self) -> str:
        """The content of config.pbtxt."""
        lines = [f'name: "{self.name}"']
        if self.steps:
            lines.append('platform: "ensemble"')
        else:
            lines.append(f'backend: "{self.backend}"')
            if self.backend == "pytorch":
                lines.append('platform: "pytorch_libtorch"')
        lines.append("max_batch_size: 0")
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            lines.append(f"{kind} [\n  " + ",\n  ".join(t.text() for t in tensors) + "\n]")
        if self.steps:
            steps = ",\n".join(step.text() for step in self.steps)
            lines.append("ensemble_scheduling {\n  step [\n" + steps + "\n  ]\n}")
        else:
            lines.append(self._instance_group())
        for key, value in self.parameters.items():
            lines.append(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')
        if self.warm_up:
            lines.append(self._warm_up())
        return "\n".join(lines) + "\n"

    def _instance_group(self) -> str:
        kind = "KIND_GPU" if self.device == "cuda" else "KIND_CPU"
        limit = ""
        if self.resources:
            # Global: all models draw on the same cores.
            core = f'resources [{{ name: "core" global: true count: {self.resources} }}]'
            priority = f" priority: {self.priority}" if self.priority else ""
            limit = f" rate_limiter {{ {core}{priority} }}"
        return f"instance_group [{{ kind: {kind} count: {self.instances}{limit} }}]"

    def _warm_up(self) -> str:
        types = {t.name: t.data_type for t in self.inputs}
        inputs = "".join(
            f'\n  inputs {{ key: "{name}" value {{ data_type: TYPE_{types[name]} '
            f'dims: [ {", ".join(map(str, shape))} ] input_data_file: "{name}" }} }}'
            for name, shape in self.warm_up.items()
        )
        return f'model_warmup [{{ name: "two hits" batch_size: 0{inputs}\n}}]'
