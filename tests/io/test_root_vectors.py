"""Vectors of vectors and strings, from bytes written by hand."""

import struct

import numpy as np
import pytest

from trkx.io.root_vectors import decode_lists, decode_strings

HEADER = b"\x40\x00\x00\x00\x00\x0a"


def entry(items, code):
    body = struct.pack(">i", len(items))
    for item in items:
        body += struct.pack(f">i{len(item)}{code}", len(item), *item)
    return np.frombuffer(bytearray(HEADER + body), np.uint8)


@pytest.mark.parametrize(("code", "kind"), [("i", np.int32), ("f", np.float32), ("d", np.float64),
                                            ("?", np.bool_), ("Q", np.uint64)])  # fmt: skip
def test_lists(code, kind):
    lengths, items = decode_lists(entry([[1, 0], [], [1]], code), kind)
    assert lengths.tolist() == [2, 0, 1] and items.tolist() == [1, 0, 1]
    assert items.dtype == kind


def test_no_lists():
    for raw in (entry([], "i"), np.zeros(0, np.uint8)):
        lengths, items = decode_lists(raw, np.int32)
        assert len(lengths) == len(items) == 0


def test_strings():
    long = "x" * 300
    body = struct.pack(">i", 3) + b"\x05PIXEL" + b"\x00" + b"\xff" + struct.pack(">i", 300)
    raw = np.frombuffer(bytearray(HEADER + body + long.encode()), np.uint8)
    lengths, letters = decode_strings(raw)
    assert lengths.tolist() == [5, 0, 300]
    assert bytes(letters).decode() == "PIXEL" + long


def test_damaged():
    raw = entry([[1, 2], [3]], "i")
    with pytest.raises(ValueError, match="beyond"):
        decode_lists(raw[:-2], np.int32)
    with pytest.raises(ValueError, match="bytes, of which"):
        decode_lists(np.concatenate([raw, raw[:4]]), np.int32)
