"""Bad inference requests that a client library can send: wrong shapes, types, sizes and values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, checksum
from trkx.plugin.serving.transport import Call

Columns = dict[str, np.ndarray]
Make = Callable[[np.random.Generator, Columns], Call]
FLOATS = ("X", "Y", "Z", "SIZE0", "SIZE1", "BEAM_SPOT")
MANY = 10_000_000


def call(inputs: Columns, model: str = "trkx", outputs=CLIENT_OUTPUTS, **extra) -> Call:
    """A request with a checksum that fits, so that what is wrong is reached."""
    if model == "trkx" and "CHECKSUM" in inputs:
        rest = [array for name, array in inputs.items() if name != "CHECKSUM"]
        if all(array.dtype != object for array in rest):
            inputs = {**inputs, "CHECKSUM": np.array([checksum(rest)], np.uint32)}
    return Call(model, inputs, outputs, **extra)


def with_value(value: float, names=FLOATS) -> Make:
    """One value of one column replaced."""

    def make(rng: np.random.Generator, event: Columns) -> Call:
        name = str(rng.choice(names))
        column = event[name].copy()
        column[rng.integers(len(column))] = value
        return call({**event, name: column})

    return make


def other_lengths(rng: np.random.Generator, event: Columns) -> Call:
    name = str(rng.choice([n for n in event if n != "CHECKSUM"]))
    n = len(event[name])
    return call({**event, name: np.resize(event[name], rng.choice([max(0, n - 1), n + 1, 3 * n]))})


def other_type(rng: np.random.Generator, event: Columns) -> Call:
    name = str(rng.choice([n for n in event if n != "CHECKSUM"]))
    kinds = ("f8", "i1", "i4", "i8", "u1", "u2", "?", "f2", "O")
    kind = str(rng.choice(kinds))
    column = np.array([b"x" * 20] * 5, object) if kind == "O" else event[name].astype(kind)
    return call({**event, name: column})


def other_rank(rng: np.random.Generator, event: Columns) -> Call:
    name = str(rng.choice([n for n in event if n != "CHECKSUM"]))
    shape = ((-1, 1), (1, -1), (1, 1, -1))[rng.integers(3)]
    return call({**event, name: event[name].reshape(shape)})


def missing(rng: np.random.Generator, event: Columns) -> Call:
    name = str(rng.choice(["X", "Y", "Z", "GEOMETRY_ID"]))
    return call({n: a for n, a in event.items() if n != name})


def unknown_input(rng: np.random.Generator, event: Columns) -> Call:
    return call({**event, f"W{rng.integers(1000)}": event["X"]})


def unknown_output(rng: np.random.Generator, event: Columns) -> Call:
    return call(event, outputs=("OFFSETS", f"NONE{rng.integers(1000)}"))


def unknown_model(rng: np.random.Generator, event: Columns) -> Call:
    return call(event, model=f"model{rng.integers(1000)}")


def unknown_version(rng: np.random.Generator, event: Columns) -> Call:
    return call(event, version=str(rng.choice(["2", "99", "x"])))


def huge_model_name(rng: np.random.Generator, event: Columns) -> Call:
    return call(event, model="m" * int(rng.integers(1000, 200_000)))


def huge_text(rng: np.random.Generator, event: Columns) -> Call:
    text = np.array([b"y" * int(rng.integers(100_000, 2_000_000))], object)
    return call({**event, "X": text})


def damaged(rng: np.random.Generator, event: Columns) -> Call:
    name = str(rng.choice(["X", "Y", "Z", "GEOMETRY_ID"]))
    column = event[name].copy()
    column.view(np.uint8)[rng.integers(column.nbytes)] ^= 1
    return Call("trkx", {**event, name: column}, CLIENT_OUTPUTS)


def unknown_modules(rng: np.random.Generator, event: Columns) -> Call:
    ids = rng.integers(0, 2**63, len(event["X"]), dtype=np.uint64)
    return call({**event, "GEOMETRY_ID": ids})


def ten_million(rng: np.random.Generator, event: Columns) -> Call:
    if rng.random() < 0.5:
        return call({"FEATURES": np.zeros((MANY, 8), np.float32)}, "gnn_tracks", ("LABELS",))
    n = len(event["X"])
    long = {name: a if len(a) < n else np.resize(a, MANY) for name, a in event.items()}
    return Call("trkx", long, CLIENT_OUTPUTS)  # without a checksum that fits: it takes seconds


def features(change: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Make:
    """A change to a good request of `gnn_tracks`."""

    def make(rng: np.random.Generator, event: Columns) -> Call:
        g = event["GEOMETRY_ID"]
        parts = [
            (g >> np.uint64(s)) & np.uint64((1 << b) - 1) for s, b in ((56, 8), (36, 12), (8, 20))
        ]
        rows = [event["X"], event["Y"], event["Z"], *parts, event["SIZE0"], event["SIZE1"]]
        table = np.stack(rows, axis=1).astype(np.float32)
        return call({"FEATURES": change(rng, table)}, "gnn_tracks", ("LABELS",))

    return make


def _put(value: float) -> Callable[[np.random.Generator, np.ndarray], np.ndarray]:
    def change(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
        table[rng.integers(len(table)), rng.integers(6)] = value
        return table

    return change


def _put_id(value: float) -> Callable[[np.random.Generator, np.ndarray], np.ndarray]:
    def change(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
        table[rng.integers(len(table)), rng.integers(3, 6)] = value
        return table

    return change


def _other_width(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    return np.resize(table, (len(table), rng.choice([1, 3, 7, 9, 44])))


# Name → how the request is made; each must be answered with an error.
TENSORS: dict[str, Make] = {
    "NaN": with_value(np.nan),
    "infinite": with_value(np.inf),
    "-infinite": with_value(-np.inf),
    "columns of other lengths": other_lengths,
    "other types": other_type,
    "other ranks": other_rank,
    "input missing": missing,
    "unknown input": unknown_input,
    "unknown output": unknown_output,
    "unknown model": unknown_model,
    "unknown version": unknown_version,
    "huge model name": huge_model_name,
    "huge text": huge_text,
    "damaged": damaged,
    "unknown modules": unknown_modules,
    "FEATURES: NaN": features(_put(np.nan)),
    "FEATURES: infinite": features(_put(np.inf)),
    "FEATURES: no identifier": features(_put_id(1e9)),
    "FEATURES: half an identifier": features(_put_id(2.5)),
    "FEATURES: other width": features(_other_width),
}
RARE: dict[str, Make] = {"ten million hits": ten_million}
