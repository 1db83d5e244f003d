"""Tensors of the models of the published contract, as exatrkx-service names them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trkx.plugin.serving.model_config import EnsembleStep, TensorSpec

FEATURES = TensorSpec("FEATURES", "FP32", (-1, 3))
LABELS = TensorSpec("LABELS", "INT64")
EMBEDDED = -2  # stands for the dimensions of the embedding space


class StepTensors(NamedTuple):
    """Inputs and output of one step."""

    inputs: tuple[TensorSpec, ...]
    output: TensorSpec

    def of(self, dimensions: int) -> StepTensors:
        """The same with the dimensions of an embedding filled in."""

        def filled(tensor: TensorSpec) -> TensorSpec:
            dims = tuple(dimensions if d == EMBEDDED else d for d in tensor.dims)
            return TensorSpec(tensor.name, tensor.data_type, dims, tensor.optional)

        return StepTensors(tuple(map(filled, self.inputs)), filled(self.output))


def _hits(name: str, optional: bool = False) -> TensorSpec:
    return TensorSpec(name, "FP32", (-1, 3), optional)


def _edges(name: str) -> TensorSpec:
    return TensorSpec(name, "INT64", (2, -1))


def _scores(name: str, *columns: int) -> TensorSpec:
    return TensorSpec(name, "FP32", (-1, *columns))


def _embedded(name: str) -> TensorSpec:
    return TensorSpec(name, "FP32", (-1, EMBEDDED))


# In the order they run. Ours are the optional ones.
STEPS = {
    "embed": StepTensors((_hits("INPUT__0"),), _embedded("OUTPUT__0")),
    "frnn": StepTensors(
        (_embedded("INPUT0"), _hits("INPUT1", optional=True)),
        _edges("OUTPUT0"),
    ),
    "filter": StepTensors((_hits("INPUT__0"), _edges("INPUT__1")), _scores("OUTPUT__0", 1)),
    "applyfilter": StepTensors(
        (_scores("FILTER_SCORES", 1), _edges("EDGE_LIST")), _edges("EDGE_LIST_AFTER_FILTER")
    ),
    "gnn": StepTensors((_hits("INPUT__0"), _edges("INPUT__1")), _scores("OUTPUT__0")),
    "wcc": StepTensors(
        (_edges("INPUT0"), _scores("INPUT1"), _hits("INPUT2", optional=True)),
        TensorSpec("OUTPUT0", "INT64"),
    ),
}
# What the ensemble calls the tensors that go from step to step; inputs in the order of STEPS.
_FLOW = {
    "embed": (("FEATURES",), "embedding_output"),
    "frnn": (("embedding_output", "FEATURES"), "raw_edge_list"),
    "filter": (("FEATURES", "raw_edge_list"), "filter_score"),
    "applyfilter": (("filter_score", "raw_edge_list"), "filtered_edge_list"),
    "gnn": (("FEATURES", "filtered_edge_list"), "gnn_score"),
    "wcc": (("filtered_edge_list", "gnn_score", "FEATURES"), "LABELS"),
}
ENSEMBLE = tuple(
    EnsembleStep(
        name,
        {t.name: value for t, value in zip(STEPS[name].inputs, inputs, strict=True)},
        {STEPS[name].output.name: output},
    )
    for name, (inputs, output) in _FLOW.items()
)


def example_inputs(step: str, dimensions: int) -> dict[str, np.ndarray]:
    """Inputs of a step for the smallest event that goes through all: four hits on a line."""
    hits = np.linspace(0.1, 0.4, 4, dtype=np.float32)
    edges = np.stack([np.arange(3), np.arange(1, 4)])
    values: dict[str, np.ndarray] = {
        "FEATURES": np.stack([hits, np.full_like(hits, 0.1), hits], axis=1),
        "embedding_output": np.zeros((4, dimensions), np.float32),
        "raw_edge_list": edges,
        "filter_score": np.full((3, 1), 5.0, np.float32),
        "filtered_edge_list": edges,
        "gnn_score": np.full(3, 5.0, np.float32),
    }
    names = [t.name for t in STEPS[step].inputs]
    return {name: values[value] for name, value in zip(names, _FLOW[step][0], strict=True)}
