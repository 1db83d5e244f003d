"""Tensors in and out of the python backend.

With numpy 2 the backend's own conversions of arrays are wrong without an error (Triton 2.51), so
everything passes by DLPack, which copies nothing. Text has no DLPack: identities are bytes.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_TAKEN = b"used_dltensor"  # the name by which a capsule's owner knows that it was taken


def read_tensor(request: Any, name: str) -> np.ndarray | None:
    """An input of a request as an array; None: it was not sent."""
    import triton_python_backend_utils as pb

    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else np.from_dlpack(tensor)


def make_tensor(name: str, array: np.ndarray) -> Any:
    """An output of a response; its memory is shared, not copied."""
    import triton_python_backend_utils as pb

    capsule = _contiguous(array).__dlpack__()
    tensor = pb.Tensor.from_dlpack(name, capsule)
    # The backend renames it to something else (Triton 2.51), at which numpy complains in the log.
    ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), _TAKEN)
    return tensor


def _contiguous(array: np.ndarray) -> np.ndarray:
    """In C order; of an empty array, whose strides mean nothing, with those the backend expects."""
    array = np.ascontiguousarray(array)
    if array.size:
        return array
    after = np.cumprod([1, *array.shape[:0:-1]])[::-1]  # product of the lengths of later axes
    return np.lib.stride_tricks.as_strided(array, strides=after * array.itemsize)
