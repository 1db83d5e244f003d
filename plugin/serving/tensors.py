"""Tensors in and out of the python backend.

With numpy 2 the backend's own conversions of arrays are wrong without an error (Triton 2.51), so
everything passes by DLPack, which copies nothing. Text has no DLPack: identities are bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def read_tensor(request: Any, name: str) -> np.ndarray | None:
    """An input of a request as an array; None: it was not sent."""
    import triton_python_backend_utils as pb

    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else np.from_dlpack(tensor)


def make_tensor(name: str, array: np.ndarray) -> Any:
    """An output of a response; its memory is shared, not copied."""
    import triton_python_backend_utils as pb

    return pb.Tensor.from_dlpack(name, np.ascontiguousarray(array))
