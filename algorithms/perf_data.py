"""Events as input data of NVIDIA's perf_analyzer: real requests, to load a server with.

The file is `{"data": [{"INPUT": {"content": [flat numbers], "shape": [n, f]}, …}, …]}`, one entry
per event, used in turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trkx.io.errors import ConfigError, OutputError
from trkx.io.event_files import EventFiles
from trkx.plugin.space_points import SpacePoints


def trkx_tensors(points: SpacePoints) -> dict[str, np.ndarray]:
    """Inputs of the model `trkx`."""
    from trkx.plugin.serving.exchange import event_inputs

    return event_inputs(points, (0.0, 0.0))


def gnn_tracks_tensors(points: SpacePoints) -> dict[str, np.ndarray]:
    """Inputs of the model `gnn_tracks`."""
    from trkx.plugin.serving.gnn_tracks_model import features_of_points

    return {"FEATURES": features_of_points(points)}


def exatrkx_tensors(points: SpacePoints) -> dict[str, np.ndarray]:
    """Inputs of the models of the published contract."""
    from trkx.plugin.exatrkx_graph import scaled_features

    return {"FEATURES": scaled_features(points)}


_TENSORS: dict[str, Callable[[SpacePoints], dict[str, np.ndarray]]] = {
    "trkx": trkx_tensors,
    "gnn_tracks": gnn_tracks_tensors,
    **dict.fromkeys(("exatrkx", "exatrkxcpu", "exatrkxgpu"), exatrkx_tensors),
}
PERF_MODELS = tuple(_TENSORS)


def write_perf_data(
    path: Path,
    inputs: Sequence[str | Path],
    events: tuple[int | None, int | None] = (None, None),
    model: str = "trkx",
) -> int:
    """Write the events of a sample as requests of a model.

    Args:
        path: file to write; it appears when it is whole.
        inputs: folders or files of events.
        events: first number and last one + 1; None: from the first, to the last.
        model: of `PERF_MODELS`.

    Returns:
        the number of events.

    Raises:
        ConfigError: a model that takes something else.
        InputError, EventRangeError: the events cannot be read.
        OutputError: the file cannot be written.
    """
    if model not in _TENSORS:
        raise ConfigError(f"no data for model '{model}'; choose one of {', '.join(PERF_MODELS)}")
    entries = []
    with EventFiles.open(inputs) as files:
        low, high = files.available
        first = low if events[0] is None else events[0]
        stop = high if events[1] is None else events[1]
        files.check_range(first, stop)
        for number in range(first, stop):
            event = files.read(number, truth=False)
            points = SpacePoints.from_columns(event.space_points, number)
            entries.append({k: _entry(a) for k, a in _TENSORS[model](points).items()})
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps({"data": entries}))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return len(entries)


def _entry(array: np.ndarray) -> dict[str, list[int] | list[float]]:
    """One tensor; numbers as short as give back the same FP32."""
    flat = array.ravel()
    content = [float(str(x)) for x in flat] if flat.dtype == np.float32 else flat.tolist()
    return {"content": content, "shape": list(array.shape)}
