"""Calls to one Triton server by gRPC or HTTP, with errors told apart by whether to try again.

One class per protocol behind one interface; exceptions of the protocols' libraries end here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.security import Security

# A server that says one of these may answer the next time, or another server may. INTERNAL: the
# model's process died; `trkx serve` then starts the server anew.
TRANSIENT = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED", "INTERNAL"}
    | {"UNKNOWN", "408", "429", "499", "500", "502", "503", "504"}
)
COMPRESSIONS = ("none", "gzip", "deflate")


@dataclass(frozen=True)
class Place:
    """Where an input is in memory that the server shares."""

    region: str
    offset: int  # bytes


@dataclass(frozen=True)
class Call:
    """One inference."""

    model: str
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[str]
    version: str = ""  # empty: the newest
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: str = "none"
    places: Mapping[str, Place] = field(default_factory=dict)  # of inputs in shared memory

    @property
    def n_bytes(self) -> int:
        """Bytes of the inputs."""
        return sum(array.nbytes for array in self.inputs.values())


class Transport(Protocol):
    """One server; calls may come from several threads."""

    endpoint: Endpoint

    def infer(self, call: Call, seconds: float) -> dict[str, np.ndarray]:
        """Outputs by name; ServiceError where there are none within `seconds`."""

    def server_ready(self, seconds: float) -> bool:
        """Whether the server answers and all its models are loaded."""

    def ready(self, model: str, version: str, seconds: float) -> bool:
        """Whether the model can be asked."""

    def metadata(self, model: str, version: str, seconds: float) -> dict[str, Any]:
        """Inputs, outputs and versions of the model."""

    def parameters(self, model: str, version: str, seconds: float) -> dict[str, str]:
        """Parameters of the model's configuration."""

    def statistics(self, model: str, version: str, seconds: float) -> dict[str, int]:
        """Counters of the model: nanoseconds and numbers of requests."""

    def share(self, region: str, size: int, seconds: float) -> None:
        """Let the server read a region of shared memory, by its name."""

    def unshare(self, region: str, seconds: float) -> None:
        """Let the server forget a region."""

    def shared(self, seconds: float) -> list[str]:
        """Names of the regions that the server reads."""

    def close(self) -> None:
        """Give the connection back."""


STATISTICS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


def service_error(endpoint: Endpoint, what: str, error: Exception) -> ServiceError:
    """Our error for one of the client library's or of the connection's."""
    from tritonclient.utils import InferenceServerException

    if not isinstance(error, InferenceServerException):
        kind = type(error).__name__
        return ServiceError(f"{endpoint}: {what}: {kind}: {error}", transient=True)
    status = str(error.status() or "").removeprefix("StatusCode.")
    reason = error.message() or ""
    if "is restricted" in reason:  # how Triton says that the token is missing or wrong
        status = "PERMISSION_DENIED"
    transient = status in TRANSIENT or status == ""
    return ServiceError(f"{endpoint}: {what}: [{status}] {reason}", transient, status)


def _infer_inputs(module: Any, call: Call) -> list[Any]:
    return [
        _infer_input(module, name, array, call.places.get(name))
        for name, array in call.inputs.items()
    ]


def _infer_input(module: Any, name: str, array: np.ndarray, place: Place | None) -> Any:
    from tritonclient.utils import np_to_triton_dtype

    tensor = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    if place is None:
        tensor.set_data_from_numpy(np.ascontiguousarray(array))
    else:
        tensor.set_shared_memory(place.region, array.nbytes, place.offset)
    return tensor


def _flat_statistics(document: Mapping[str, Any]) -> dict[str, int]:
    """Sum over versions of what Triton counts per model."""
    found: dict[str, int] = {}
    for model in document.get("model_stats", ()):
        for name in STATISTICS:
            entry = model.get("inference_stats", {}).get(name, {})
            for key in ("count", "ns"):
                at = f"{name}_{key}"
                found[at] = found.get(at, 0) + int(entry.get(key, 0))
    return found


class GrpcTransport:
    """A server by gRPC; one channel, shared by all threads."""

    def __init__(self, endpoint: Endpoint, security: Security) -> None:
        """Make a client; nothing is sent yet."""
        import tritonclient.grpc as module

        self.endpoint, self._module = endpoint, module
        self._headers = security.headers("grpc")

        def name(path: Any) -> str | None:
            return None if path is None else str(path)

        self._client = module.InferenceServerClient(
            endpoint.address,
            ssl=endpoint.encrypted,
            root_certificates=name(security.root_certificates),
            private_key=name(security.private_key),
            certificate_chain=name(security.certificate),
            # A channel of its own, that looks for a restarted server within a second.
            channel_args=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )

    def _try(self, what: str, call: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, headers=self._headers, **kwargs)
        except Exception as error:
            raise service_error(self.endpoint, what, error) from error

    def infer(self, call: Call, seconds: float) -> dict[str, np.ndarray]:
        """Outputs by name."""
        m = self._module
        result = self._try(
            f"model '{call.model}'",
            self._client.infer,
            call.model,
            _infer_inputs(m, call),
            model_version=call.version,
            outputs=[m.InferRequestedOutput(name) for name in call.outputs],
            request_id=call.request_id,
            client_timeout=seconds,
            compression_algorithm=None if call.compression == "none" else call.compression,
        )
        return {name: result.as_numpy(name) for name in call.outputs}

    def server_ready(self, seconds: float) -> bool:
        return self._try("ready?", self._client.is_server_ready, client_timeout=seconds)

    def ready(self, model: str, version: str, seconds: float) -> bool:
        return self._try(
            "ready?", self._client.is_model_ready, model, version, client_timeout=seconds
        )

    def metadata(self, model: str, version: str, seconds: float) -> dict[str, Any]:
        return self._try(
            "metadata",
            self._client.get_model_metadata,
            model,
            version,
            as_json=True,
            client_timeout=seconds,
        )

    def parameters(self, model: str, version: str, seconds: float) -> dict[str, str]:
        found = self._try(
            "configuration",
            self._client.get_model_config,
            model,
            version,
            as_json=True,
            client_timeout=seconds,
        )
        entries = found.get("config", {}).get("parameters", {})
        return {key: value.get("string_value", "") for key, value in entries.items()}

    def statistics(self, model: str, version: str, seconds: float) -> dict[str, int]:
        found = self._try(
            "statistics",
            self._client.get_inference_statistics,
            model,
            version,
            as_json=True,
            client_timeout=seconds,
        )
        return _flat_statistics(found)

    def share(self, region: str, size: int, seconds: float) -> None:
        call = self._client.register_system_shared_memory
        self._try("shared memory", call, region, f"/{region}", size, client_timeout=seconds)

    def unshare(self, region: str, seconds: float) -> None:
        call = self._client.unregister_system_shared_memory
        self._try("shared memory", call, region, client_timeout=seconds)

    def shared(self, seconds: float) -> list[str]:
        call = self._client.get_system_shared_memory_status
        return list(
            self._try("shared memory", call, as_json=True, client_timeout=seconds).get(
                "regions", ()
            )
        )

    def close(self) -> None:
        self._client.close()


class HttpTransport:
    """A server by HTTP; the library's client is of one thread, so every thread has its own."""

    def __init__(self, endpoint: Endpoint, security: Security) -> None:
        """Prepare; clients are made by the threads that call."""
        import tritonclient.http as module

        self.endpoint, self._module = endpoint, module
        self._headers, self._security = security.headers("http"), security
        self._own = threading.local()

    def _client(self, seconds: float) -> Any:
        """This thread's client; its time limit is fixed when it is made."""
        if getattr(self._own, "seconds", None) != seconds:
            if hasattr(self._own, "client"):
                self._own.client.close()
            self._own.client, self._own.seconds = self._make(seconds), seconds
        return self._own.client

    def _make(self, seconds: float) -> Any:
        extra: dict[str, Any] = {}
        if self.endpoint.encrypted:
            import ssl

            context = ssl.create_default_context(
                cafile=None
                if self._security.root_certificates is None
                else str(self._security.root_certificates)
            )
            if self._security.certificate is not None and self._security.private_key is not None:
                context.load_cert_chain(self._security.certificate, self._security.private_key)
            extra = {"ssl": True, "ssl_context_factory": lambda: context}
        return self._module.InferenceServerClient(
            self.endpoint.address, connection_timeout=seconds, network_timeout=seconds, **extra
        )

    def _try(self, what: str, seconds: float, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            call = getattr(self._client(seconds), name)
            return call(*args, headers=self._headers, **kwargs)
        except Exception as error:
            if hasattr(self._own, "client"):  # its connection may be half way through an answer
                self._own.client.close()
                del self._own.client, self._own.seconds
            raise service_error(self.endpoint, what, error) from error

    def infer(self, call: Call, seconds: float) -> dict[str, np.ndarray]:
        """Outputs by name."""
        m = self._module
        packed = None if call.compression == "none" else call.compression
        result = self._try(
            f"model '{call.model}'",
            seconds,
            "infer",
            call.model,
            _infer_inputs(m, call),
            model_version=call.version,
            outputs=[m.InferRequestedOutput(name, binary_data=True) for name in call.outputs],
            request_id=call.request_id,
            request_compression_algorithm=packed,
            response_compression_algorithm=packed,
        )
        return {name: result.as_numpy(name) for name in call.outputs}

    def server_ready(self, seconds: float) -> bool:
        return self._try("ready?", seconds, "is_server_ready")

    def ready(self, model: str, version: str, seconds: float) -> bool:
        return self._try("ready?", seconds, "is_model_ready", model, version)

    def metadata(self, model: str, version: str, seconds: float) -> dict[str, Any]:
        return self._try("metadata", seconds, "get_model_metadata", model, version)

    def parameters(self, model: str, version: str, seconds: float) -> dict[str, str]:
        found = self._try("configuration", seconds, "get_model_config", model, version)
        entries = found.get("parameters", {})
        return {key: value.get("string_value", "") for key, value in entries.items()}

    def statistics(self, model: str, version: str, seconds: float) -> dict[str, int]:
        found = self._try("statistics", seconds, "get_inference_statistics", model, version)
        return _flat_statistics(found)

    def share(self, region: str, size: int, seconds: float) -> None:
        name = "register_system_shared_memory"
        self._try("shared memory", seconds, name, region, f"/{region}", size)

    def unshare(self, region: str, seconds: float) -> None:
        self._try("shared memory", seconds, "unregister_system_shared_memory", region)

    def shared(self, seconds: float) -> list[str]:
        found = self._try("shared memory", seconds, "get_system_shared_memory_status")
        return [entry["name"] for entry in found]

    def close(self) -> None:
        if hasattr(self._own, "client"):
            self._own.client.close()
            del self._own.client, self._own.seconds


def connect(endpoint: Endpoint, security: Security | None = None) -> Transport:
    """The transport of an endpoint."""
    kind = GrpcTransport if endpoint.protocol == "grpc" else HttpTransport
    return kind(endpoint, security or Security())
