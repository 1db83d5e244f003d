"""Whether a service finds what the job itself finds: every model, by both protocols."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trkx.algorithms.reconstruction_service import ReconstructionService
from trkx.io.event_files import EventFiles
from trkx.plugin.load import load_pipeline
from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs, read_candidates
from trkx.plugin.serving.gnn_tracks_model import features_of_points, track_list
from trkx.plugin.serving.reco_exchange import (
    TRACK_OUTPUTS,
    FittedTracks,
    measurement_tensors,
    read_measurements,
)
from trkx.plugin.serving.repository import DEFAULT_MODELS, RepositoryConfig, write_repository
from trkx.plugin.serving.server import LOOPBACK, ServerConfig, TritonServer
from trkx.plugin.serving.transport import Call, Transport, connect
from trkx.plugin.space_points import SpacePoints

CHECKED_MODELS = (*DEFAULT_MODELS, "exatrkxcpu", "exatrkx")
_SECONDS = 600.0  # for one answer

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """How many events of one model by one protocol have the same result as in this process."""

    model: str
    protocol: str
    events: int
    identical: int
    hits: int  # space points of all events
    tracks: int  # of all events, found in this process
    differing: tuple[int, ...] = ()  # numbers of the events that differ


def check_service(
    inputs: Sequence[str], n: int, pipeline: str = "fast", target: str = "pt1"
) -> list[Agreement]:
    """Compare the first `n` events of files, label by label, and track by track where it fits.

    Args:
        inputs: simulated events with measurements.
        n: events to compare.
        pipeline: of the models that run any; those of the published contract run 'exatrkx'.
        target: 'pt1' or 'pt05'.
    """
    found = load_pipeline(pipeline=pipeline, target=target, threads=1)
    contract = load_pipeline(pipeline="exatrkx", threads=1)
    config = RepositoryConfig(CHECKED_MODELS, pipeline, target)
    rows: dict[tuple[str, str], list[tuple[int, bool, int, int]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonServer(
            ServerConfig(
                write_repository(Path(folder), config), grpc_port=0, http_port=0, metrics_port=0
            )
        ) as server,
        ReconstructionService(found) as reconstruct,
        EventFiles.open(inputs) as files,
    ):
        http = Endpoint("http", LOOPBACK, server.config.http_port)
        transports = [connect(server.endpoint), connect(http)]
        first, stop = files.available
        for number in range(first, min(stop, first + n)):
            event = files.read(number, truth=False)
            points = SpacePoints.from_columns(event.space_points)
            candidates, labels = found(points), contract(points).labels
            tensors = measurement_tensors(event.space_points, event.measurements)
            fitted = reconstruct(read_measurements(tensors))
            here: dict[str, tuple[Arrays, int]] = {
                "trkx": (_candidate_arrays(candidates), len(candidates)),
                "gnn_tracks": ({"LABELS": track_list(candidates)}, len(candidates)),
                "trkx_reco": (fitted.tensors(), len(fitted)),
                "exatrkxcpu": ({"LABELS": labels}, int(labels.max(initial=-1)) + 1),
                "exatrkx": ({"LABELS": labels}, int(labels.max(initial=-1)) + 1),
            }
            for transport in transports:
                for model, (expected, n_tracks) in here.items():
                    there = _ASK[model](transport, points, tensors)
                    same = all(np.array_equal(there[name], expected[name]) for name in expected)
                    row = (number, same, len(points), n_tracks)
                    rows.setdefault((model, transport.endpoint.protocol), []).append(row)
        for transport in transports:
            transport.close()
    return [
        Agreement(
            model=model,
            protocol=protocol,
            events=len(seen),
            identical=sum(same for _, same, _, _ in seen),
            hits=sum(hits for _, _, hits, _ in seen),
            tracks=sum(tracks for *_, tracks in seen),
            differing=tuple(number for number, same, _, _ in seen if not same),
        )
        for (model, protocol), seen in sorted(rows.items())
    ]


def _candidate_arrays(candidates) -> Arrays:
    names = ("labels", "offsets", "hits")
    return {name: getattr(candidates, name) for name in names}


def _ask_trkx(transport: Transport, points: SpacePoints, _: Arrays) -> Arrays:
    call = Call("trkx", event_inputs(points, (0.0, 0.0)), (*CLIENT_OUTPUTS, "LABELS"))
    outputs = transport.infer(call, _SECONDS)
    return {
        **_candidate_arrays(read_candidates(outputs, len(points))[0]),
        "labels": outputs["LABELS"],
    }


def _ask_features(
    model: str, features: Callable[[SpacePoints], np.ndarray]
) -> Callable[[Transport, SpacePoints, Arrays], Arrays]:
    def ask(transport: Transport, points: SpacePoints, _: Arrays) -> Arrays:
        return transport.infer(Call(model, {"FEATURES": features(points)}, ["LABELS"]), _SECONDS)

    return ask


def _scaled_features(points: SpacePoints) -> np.ndarray:
    from trkx.plugin.exatrkx_graph import scaled_features

    return scaled_features(points)


def _ask_reco(transport: Transport, _: SpacePoints, tensors: Arrays) -> Arrays:
    call = Call("trkx_reco", tensors, [spec.name for spec in TRACK_OUTPUTS])
    return FittedTracks.from_tensors(transport.infer(call, _SECONDS)).tensors()


_ASK = {
    "trkx": _ask_trkx,
    "gnn_tracks": _ask_features("gnn_tracks", features_of_points),
    "trkx_reco": _ask_reco,
    "exatrkxcpu": _ask_features("exatrkxcpu", _scaled_features),
    "exatrkx": _ask_features("exatrkx", _scaled_features),
}


def format_agreement(rows: Sequence[Agreement]) -> str:
    """A table for people."""
    lines = [f"{'model':12}{'by':6}{'events':>8}{'identical':>11}{'hits':>12}{'tracks':>9}"]
    for row in rows:
        text = f"{row.model:12}{row.protocol:6}{row.events:>8}{row.identical:>11}"
        text += f"{row.hits:>12}{row.tracks:>9}"
        if row.differing:
            text += f"  differing: {', '.join(map(str, row.differing[:8]))}"
        lines.append(text)
    return "\n".join(lines) + "\n"
