"""A model repository for anyone's Triton: models, weights and our code in one folder.

Triton's python backend needs an environment with numpy, scipy, torch, numba and safetensors; trkx
itself need not be installed there, as every model brings its copy of the track finding.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from trkx.plugin.errors import ServerError
from trkx.plugin.load import two_hits
from trkx.plugin.pipeline_file import PipelineFile
from trkx.plugin.serving.exchange import event_inputs
from trkx.plugin.serving.gnn_tracks_model import features_of_points
from trkx.plugin.serving.repository import (
    VERSION,
    RepositoryConfig,
    model_config,
    model_module,
)

CODE = Path(__file__).parents[1]
PACKAGES = ("numpy", "scipy", "torch", "numba", "safetensors")
# Models that need no more than the track finding.
EXPORTED = ("trkx", "gnn_tracks")
_SKIPPED = shutil.ignore_patterns("__pycache__", "training", "*.pyc")

_README = """\
# Model repository of trkx

Models: {models}. Pipeline: {identity}.

    tritonserver --model-repository=$PWD --disable-auto-complete-config \\
        --backend-config=python,stub-timeout-seconds=180

The Python of the server needs {packages} (`pip install -r requirements.txt`; in NVIDIA's container
`tritonserver:YY.MM-py3` after that). Each model holds its own copy of the code and weights;
`SHA256SUMS` lists every file: `sha256sum -c SHA256SUMS`.

Instances are set in `config.pbtxt` (`instance_group`); `rate_limiter` there counts one `core` per
instance, which counts with `--rate-limit=execution_count --rate-limit-resource=core:N`.
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
    for name in models:
        _export_model(folder / name, name, config)
    identity = model_config(models[0], config).parameters["identity"]
    text = _README.format(models=", ".join(models), identity=identity, packages=", ".join(PACKAGES))
    (folder / "README.md").write_text(text)
    (folder / "requirements.txt").write_text("\n".join(PACKAGES) + "\n")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return f"models {', '.join(models)} ({identity}) → {folder}"


def _export_model(folder: Path, name: str, config: RepositoryConfig) -> None:
    """One model: configuration, warm-up, code and weights."""
    version = folder / VERSION
    shutil.copytree(CODE, version / "trkx" / "plugin", ignore=_SKIPPED)
    made = model_config(name, config)
    warm_up = _warm_up_inputs(name)
    made = replace(made, resources=1, warm_up={k: v.shape for k, v in warm_up.items()})
    (folder / "config.pbtxt").write_text(made.text())
    (folder / "warmup").mkdir()
    for tensor, array in warm_up.items():
        (folder / "warmup" / tensor).write_bytes(array.tobytes())
    (version / "model.py").write_text(
        "import sys\nfrom pathlib import Path\n\n"
        "sys.path.insert(0, str(Path(__file__).parent))\n"
        f"from {model_module(name)} import TritonPythonModel  # noqa: E402\n\n"
        "__all__ = ['TritonPythonModel']\n"
    )


def _warm_up_inputs(name: str) -> dict[str, np.ndarray]:
    """The smallest event that goes through all stages, as the model's inputs."""
    points = two_hits(8, 2)
    if name == "gnn_tracks":
        return {"FEATURES": features_of_points(points)}
    inputs = event_inputs(points, (0.0, 0.0))
    return {key: inputs[key] for key in ("X", "Y", "Z", "GEOMETRY_ID")}
