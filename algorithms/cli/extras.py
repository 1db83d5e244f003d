"""Which optional dependency comes with which extra of trkx."""

from __future__ import annotations

EXTRAS: dict[str, dict[str, str]] = {
    "local": {"torch": "torch", "numba": "numba", "safetensors": "safetensors"},
    "train": {"lightning": "lightning", "tensorboard": "tensorboard"},
    "search": {"faiss": "faiss-cpu"},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    "sim": {"pythia8mc": "pythia8mc", "pyhepmc": "pyhepmc"},
    "serve": {"pytriton": "nvidia-pytriton"},
    "report": {"hist": "hist", "mplhep": "mplhep", "matplotlib": "matplotlib"},
}
"""Extra → {module to import: distribution that has it}."""

EXTRA_OF_MODULE = {module: extra for extra, modules in EXTRAS.items() for module in modules}

CORE = {
    "acts": "pyacts",
    "uproot": "uproot",
    "awkward": "awkward",
    "numpy": "numpy",
    "scipy": "scipy",
    "pyarrow": "pyarrow",
    "tritonclient": "tritonclient",
    "tqdm": "tqdm",
}
"""What trkx always needs: module → distribution."""
