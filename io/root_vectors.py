"""Vectors of vectors and of strings in one entry of a TTree, decoded in compiled code.

uproot learns how to decode such a branch while it walks through its first entry in Python, which
takes seconds where an entry has half a million vectors. Their layout is simple: six bytes of
header, the number of vectors as a big-endian 32-bit integer, then for each its length and items.
"""

from __future__ import annotations

import functools
from typing import Any

import awkward.forth
import numpy as np

__all__ = ["decode_lists", "decode_strings"]

# NumPy type → type of an output of AwkwardForth, and its letter for big-endian input.
_FORTH = {
    "bool": ("bool", "?"),
    "int32": ("int32", "i"),
    "uint32": ("uint32", "I"),
    "int64": ("int64", "q"),
    "uint64": ("uint64", "Q"),
    "float32": ("float32", "f"),
    "float64": ("float64", "d"),
}
_LENGTH = "data !i-> stack"
# One byte, or 255 and four bytes for long strings.
_STRING_LENGTH = "data B-> stack dup 255 = if drop data !i-> stack then"


def decode_lists(raw: np.ndarray, stored: np.dtype | type) -> tuple[np.ndarray, np.ndarray]:
    """Take a `vector<vector<T>>` apart.

    Args:
        raw: (B,) uint8, the bytes of the entry.
        stored: type T.

    Returns:
        (N,) int64 lengths of the vectors, and the items of all of them in a row, of type `stored`.

    Raises:
        ValueError: the bytes are not those of such a vector.
    """
    kind, letter = _FORTH[np.dtype(stored).name]
    return _decode(raw, _LENGTH, kind, letter)


def decode_strings(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take a `vector<string>` apart.

    Args:
        raw: (B,) uint8, the bytes of the entry.

    Returns:
        (N,) int64 lengths of the strings, and their characters in a row, uint8.

    Raises:
        ValueError: the bytes are not those of such a vector.
    """
    return _decode(raw, _STRING_LENGTH, "uint8", "B")


@functools.cache
def _program(length: str, kind: str, letter: str) -> str:
    return f"""
        input data
        output lengths int64
        output items {kind}
        6 data skip
        data !i-> stack
        0 do {length} dup lengths <- stack data #!{letter}-> items loop
        data pos data len
    """


def _decode(raw: np.ndarray, length: str, kind: str, letter: str) -> tuple[np.ndarray, np.ndarray]:
    if len(raw) == 0:
        return np.zeros(0, np.int64), np.zeros(0, kind)
    machine: Any = awkward.forth.ForthMachine64(_program(length, kind, letter))
    machine.run({"data": raw})
    position, size = machine.stack
    if position != size:
        raise ValueError(f"{size} bytes, of which a vector takes {position}")
    return np.asarray(machine["lengths"]), np.asarray(machine["items"])
