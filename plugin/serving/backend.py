"""What all our models of Triton's python backend share."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trkx.plugin.errors import ServiceError, SpacePointError, TrackFindingError
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.serving.tensors import make_tensor, read_tensor


def model_parameters(args: Mapping[str, str]) -> dict[str, str]:
    """Parameters of the model's configuration."""
    config = json.loads(args["model_config"])
    return {key: value["string_value"] for key, value in config["parameters"].items()}


def instance_device(args: Mapping[str, str]) -> str:
    """Where the networks of an instance run."""
    return "cuda" if args["model_instance_kind"] == "GPU" else "cpu"


def given(request: Any, name: str) -> np.ndarray:
    """An input that a request must have.

    Raises:
        SpacePointError: it was not sent.
    """
    array = read_tensor(request, name)
    if array is None:
        raise SpacePointError(f"input '{name}' is missing")
    return array


def keep_memory() -> None:
    """Let this process keep freed memory for its next event, whatever the server does with its own.

    Arrays of an event come and go; giving each back to the system costs a page fault per page.
    """
    limit = 32 << 20  # the largest threshold there is
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-3, limit), (-1, 2 * limit), (-8, 8)):
            mallopt(parameter, value)  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX


def load_model_pipeline(args: Mapping[str, str]) -> Pipeline:
    """The pipeline that the model's configuration names, on the device of its instance."""
    from trkx.plugin.load import load_pipeline

    keep_memory()
    parameters = model_parameters(args)
    return load_pipeline(
        pipeline=parameters["pipeline"],
        target=parameters["target"],
        weights=parameters["weights"] or None,
        device=instance_device(args),
        threads=int(os.environ.get("OMP_NUM_THREADS", "1")),
    )


def answer_each(
    requests: list[Any], answer: Callable[[Any], Mapping[str, np.ndarray]]
) -> list[Any]:
    """A response per request; one that fails gets an error and leaves the others alone."""
    return [_answer(request, answer) for request in requests]


def _answer(request: Any, answer: Callable[[Any], Mapping[str, np.ndarray]]) -> Any:
    import triton_python_backend_utils as pb

    wanted = set(request.requested_output_names())
    try:
        outputs = answer(request)
        tensors = [make_tensor(name, array) for name, array in outputs.items() if name in wanted]
        return pb.InferenceResponse(tensors)
    except ServiceError as error:  # damaged on the way: the client may send it again
        wrong = pb.TritonError(str(error), pb.TritonError.UNAVAILABLE)
    except (TrackFindingError, ValueError) as error:
        wrong = pb.TritonError(str(error), pb.TritonError.INVALID_ARG)
    except Exception as error:  # the server must outlive any event
        pb.Logger.log_error(traceback.format_exc())
        wrong = pb.TritonError(f"{type(error).__name__}: {error}", pb.TritonError.INTERNAL)
    return pb.InferenceResponse(error=wrong)
