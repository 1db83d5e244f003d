"""A model repository for anyone's Triton: models, weights and our code in one folder.

Triton's python backend needs an environment with numpy, scipy, torch, numba and safetensors; trkx
itself need not be installed there, as every model brings its copy of the track finding.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trkx.plugin.errors import ServerError
from trkx.plugin.load import two_hits
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.exatrkx_repository import contract_config
from trkx.plugin.serving.exatrkx_tensors import STEPS, example_inputs
from trkx.plugin.serving.exchange import event_inputs
from trkx.plugin.serving.gnn_tracks_model import features_of_points
from trkx.plugin.serving.model_config import ModelConfig
from trkx.plugin.serving.repository import (
    VERSION,
    RepositoryConfig,
    ServedModel,
    model_file,
    served_models,
)

CODE = Path(__file__).parents[1]
PACKAGES = ("numpy", "scipy", "torch", "numba", "safetensors")
# Models that need no more than the track finding.
EXPORTED = ("trkx", "gnn_tracks", "exatrkx", "exatrkxcpu", "exatrkxgpu")
_CONFIG_NAMES = {"cpu": "cpu", "cuda": "gpu"}  # device → name for --model-config-name
_SKIPPED = shutil.ignore_patterns("__pycache__", "training", "*.pyc")

_LIBTORCH = """

The models embed, filter and gnn are TorchScript for the libtorch backend of NVIDIA's container, and
need no Python. They give the scores of the python backend to some 1e-5, not to the last bit.
"""
_README = """\
# Model repository of trkx

Models: {models}. Pipeline: {identity}.

    tritonserver --model-repository=$PWD --disable-auto-complete-config \\
        --backend-config=python,stub-timeout-seconds=180

The Python of the server needs {packages} (`pip install -r requirements.txt`; in NVIDIA's container
`tritonserver:YY.MM-py3` after that). Each model holds its own copy of the code and weights;
`SHA256SUMS` lists every file: `sha256sum -c SHA256SUMS`.

Instances are set in `config.pbtxt` (`instance_group`). `--model-config-name=cpu` or `=gpu` takes
that of the folder `configs` instead, for instances on either. `rate_limiter` counts one `core` per
execution, which limits them with `--rate-limit=execution_count --rate-limit-resource=core:N`: at
most N at once, of all models together.{libtorch}
"""


def export_repository(folder: Path, config: RepositoryConfig, force: bool = False) -> str:
    """Write the repository; returns what to tell the user.

    Args:
        folder: to write; made if it is not there.
        config: models and instances.
        force: replace what the folder holds.

    Raises:
        ServerError: the folder holds something, or the pipeline is not a shipped one.
    """
    if folder.exists() and any(folder.iterdir()):
        if not force:
            raise ServerError(f"{folder} is not empty; pass --force to replace what it holds")
        shutil.rmtree(folder)
    file = PipelineFile.read(config.pipeline)
    if not file.is_shipped or config.weights:
        raise ServerError(
            "only shipped pipelines with shipped weights are exported; serve your own with "
            "'trkx serve --pipeline FILE'"
        )
    models = [name for name in config.models if name in EXPORTED]
    if not models:
        raise ServerError(f"none of these models can be exported; choose of {', '.join(EXPORTED)}")
    config = replace(config, rate_limited=True)
    served = _served(models, config)
    variants = {model.config.name: {config.device: model.config} for model in served}
    for device in {"cpu", "cuda"} - {config.device}:
        others = [name for name in models if name != "exatrkxgpu"]
        for model in _served(others, replace(config, models=(), device=device)):
            variants[model.config.name][device] = model.config
    for model in served:
        _export_model(folder / model.config.name, model, variants[model.config.name])
    if config.libtorch and "exatrkx" in models:
        from trkx.plugin.serving.exatrkx_torchscript import write_scripts

        contract = PipelineFile.read(contract_config(config).pipeline)
        write_scripts(contract, config.target, folder, VERSION)
    identities = sorted({model.config.parameters["identity"] for model in served})
    identity, names = ", ".join(identities), ", ".join(model.config.name for model in served)
    text = _README.format(
        models=names,
        identity=identity,
        packages=", ".join(PACKAGES),
        libtorch=_LIBTORCH.rstrip() if config.libtorch else "",
    )
    (folder / "README.md").write_text(text)
    (folder / "requirements.txt").write_text("\n".join(PACKAGES) + "\n")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return f"models {names} ({identity}) → {folder}"


def _served(models: Sequence[str], config: RepositoryConfig) -> list[ServedModel]:
    return [model for name in models for model in served_models(name, config)]


def _export_model(folder: Path, model: ServedModel, variants: Mapping[str, ModelConfig]) -> None:
    """One model: configurations by device, warm-up, code and weights."""
    version = folder / VERSION
    version.mkdir(parents=True)
    warm_up = _warm_up_inputs(model.config)
    shapes = {name: array.shape for name, array in warm_up.items()}
    (folder / "config.pbtxt").write_text(replace(model.config, warm_up=shapes).text())
    if not model.config.steps:
        (folder / "configs").mkdir()
    for device, config in variants.items() if not model.config.steps else ():
        text = replace(config, warm_up=shapes).text()
        (folder / "configs" / f"{_CONFIG_NAMES[device]}.pbtxt").write_text(text)
    if warm_up:
        (folder / "warmup").mkdir()
    for tensor, array in warm_up.items():
        (folder / "warmup" / tensor).write_bytes(array.tobytes())
    if model.implementation:
        shutil.copytree(CODE, version / "trkx" / "plugin", ignore=_SKIPPED)
        path = "import sys\nfrom pathlib import Path\n\n"
        path += "sys.path.insert(0, str(Path(__file__).parent))\n"
        (version / "model.py").write_text(model_file(model.implementation, path))


def _warm_up_inputs(config: ModelConfig) -> dict[str, np.ndarray]:
    """The smallest event that goes through all stages, as the model's inputs."""
    if config.steps:
        return {}  # its steps warm up
    if config.name in STEPS:
        return example_inputs(config.name, int(config.parameters["dimensions"]))
    points = two_hits(8, 2)
    if config.name == "gnn_tracks":
        return {"FEATURES": features_of_points(points)}
    if config.name.startswith("exatrkx"):
        return {"FEATURES": example_inputs("embed", 0)["INPUT__0"]}
    inputs = event_inputs(points, (0.0, 0.0))
    return {key: inputs[key] for key in ("X", "Y", "Z", "GEOMETRY_ID")}
