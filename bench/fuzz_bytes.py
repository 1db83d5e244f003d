"""Requests that no client library sends: wrong bytes on the ports for HTTP and gRPC."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import numpy as np

SECONDS = 10.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Make = Callable[[np.random.Generator], bytes]


def exchange(port: int, content: bytes) -> str:
    """Send bytes, end the sending half, and say how the server took it."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as s:
            try:
                s.sendall(content)
                s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(1 << 16):
                    answer += chunk
            except TimeoutError:
                return "kept open" if not answer else _kind(answer)
            except OSError:
                return "closed"
    except OSError as error:
        return f"no connection: {error}"
    return _kind(answer)


def _kind(answer: bytes) -> str:
    if answer.startswith(b"HTTP/"):
        status = answer.split(None, 2)[1][:3].decode(errors="replace")
        return f"error {status}" if status[:1] in "45" else f"answered {status}"
    return "closed"


def post(body: bytes, path: str = "/v2/models/trkx/infer", **headers: object) -> bytes:
    """An HTTP request; `Content_Length` and others replace what is right."""
    lines = {"Host": "localhost", "Content-Length": len(body), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    return head.encode() + b"\r\n" + body


def document(rng: np.random.Generator, **changes: object) -> bytes:
    """The JSON of a request for two hits, with one entry of an input changed."""
    one = {"name": "X", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}
    inputs = [dict(one, name=name) for name in ("X", "Y", "Z")]
    inputs.append({"name": "GEOMETRY_ID", "shape": [2], "datatype": "UINT64", "data": [1, 2]})
    inputs[rng.integers(len(inputs))].update(changes)
    return json.dumps({"inputs": inputs}).encode()


def changed(*changes: dict[str, object]) -> Make:
    """A request over HTTP with one of these changes."""
    return lambda rng: post(document(rng, **changes[rng.integers(len(changes))]))


def garbage(rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 5000)))


def cut(rng: np.random.Generator) -> bytes:
    full = post(document(rng))
    return full[: rng.integers(1, len(full))]


def wrong_length(rng: np.random.Generator) -> bytes:
    wrong = ("-1", "99999999999999999999", "x", "1e3", str(10**12), "1000000")
    return post(document(rng), Content_Length=str(rng.choice(wrong)))


def wrong_header_length(rng: np.random.Generator) -> bytes:
    wrong = ("-1", "99999999999999999999", "x", "1000000", "3", "2147483648")
    return post(document(rng), Inference_Header_Content_Length=str(rng.choice(wrong)))


def wrong_binary(rng: np.random.Generator) -> bytes:
    size = int(rng.choice([0, 3, 7, 9, 2**31, 2**40, -8]))
    body = document(rng, data=None, parameters={"binary_data_size": size})
    return post(body + rng.bytes(8), Inference_Header_Content_Length=len(body))


def broken_json(rng: np.random.Generator) -> bytes:
    body = bytearray(document(rng))
    for _ in range(rng.integers(1, 20)):
        body[rng.integers(len(body))] = rng.integers(256)
    return post(bytes(body[: rng.integers(1, len(body))]))


def nested_json(rng: np.random.Generator) -> bytes:
    depth = int(rng.integers(100, 5000))
    return post(b'{"inputs":' + b"[" * depth + b"]" * depth + b"}")


def other_path(rng: np.random.Generator) -> bytes:
    paths = ("/", "/v3", "/v2/models//infer", "/v2/models/trkx/versions/x/infer", "/%00%ff")
    path = str(rng.choice([*paths, "/" + "a" * 20_000, "/v2/models/trkx/" + "../" * 50]))
    return post(document(rng), path)


def other_method(rng: np.random.Generator) -> bytes:
    method = rng.choice([b"BREW", b"DELETE", b"GET", b"PUT", b"CONNECT", b"\xff\xfe"])
    return bytes(method) + post(document(rng))[4:]


def many_headers(rng: np.random.Generator) -> bytes:
    more = {f"X{i}": "h" * 200 for i in range(rng.integers(10, 2000))}
    return post(broken_json(rng), **more)


def broken_gzip(rng: np.random.Generator) -> bytes:
    kind = str(rng.choice(["gzip", "deflate", "br"]))
    return post(rng.bytes(500), Content_Encoding=kind)


def http2_garbage(rng: np.random.Generator) -> bytes:
    return PREFACE + rng.bytes(int(rng.integers(1, 3000)))


def http2_cut(rng: np.random.Generator) -> bytes:
    return PREFACE[: rng.integers(1, len(PREFACE))]


def http2_frames(rng: np.random.Generator) -> bytes:
    """Frames of right form and wrong content: type, flags, stream and length at random."""
    found = PREFACE + b"\0\0\0\4\0\0\0\0\0"
    for _ in range(rng.integers(1, 20)):
        content = rng.bytes(int(rng.integers(0, 400)))
        length = len(content) if rng.random() < 0.8 else int(rng.integers(1 << 24))
        found += length.to_bytes(3, "big") + rng.bytes(2)
        found += int(rng.integers(1 << 32)).to_bytes(4, "big") + content
    return found


HTTP: dict[str, Make] = {
    "HTTP: garbage": garbage,
    "HTTP: cut": cut,
    "HTTP: wrong length": wrong_length,
    "HTTP: wrong header length": wrong_header_length,
    "HTTP: wrong binary length": wrong_binary,
    "HTTP: broken JSON": broken_json,
    "HTTP: nested JSON": nested_json,
    "HTTP: other path": other_path,
    "HTTP: other method": other_method,
    "HTTP: many headers": many_headers,
    "HTTP: broken compression": broken_gzip,
    "HTTP: wrong shape": changed(
        {"shape": [2**62, 4]}, {"shape": [-5]}, {"shape": []}, {"shape": [10**8]}, {"shape": "x"}
    ),
    "HTTP: wrong type": changed(
        {"datatype": "FP99"}, {"datatype": "BYTES"}, {"datatype": 5}, {"datatype": "Z" * 10_000}
    ),
    "HTTP: wrong data": changed(
        {"data": [1.0]}, {"data": ["x", None]}, {"data": {}}, {"data": [[[1]]]}, {"data": [1e999]}
    ),
    "HTTP: wrong name": changed({"name": None}, {"name": ""}, {"name": "n" * 100_000}),
    "HTTP: no such region": changed(
        {"data": None, "parameters": {"shared_memory_region": "x", "shared_memory_byte_size": 8}},
        {"data": None, "parameters": {"shared_memory_region": "", "shared_memory_byte_size": -1}},
    ),
}
HTTP2: dict[str, Make] = {
    "gRPC: garbage": garbage,
    "gRPC: HTTP/1 instead": cut,
    "gRPC: garbage after preface": http2_garbage,
    "gRPC: cut preface": http2_cut,
    "gRPC: wrong frames": http2_frames,
}
# Messages that are no request, in an exchange that is one.
MESSAGES: dict[str, Make] = {
    "gRPC: garbage message": garbage,
    "gRPC: huge message": lambda rng: rng.bytes(1000) * int(rng.integers(1000, 20_000)),
}
