"""What all our models of Triton's python backend share."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trkx.plugin.errors import ServiceError, TrackFindingError
from trkx.plugin.serving.tensors import make_tensor


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
