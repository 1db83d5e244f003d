"""Inputs by shared memory, for a server on this machine: it reads what the client wrote.

A region is a file in /dev/shm that loses its name as soon as the server has it open, so nothing is
left there however either side ends. It is never made smaller, which would kill who reads it, and
what a server may still read is neither written again nor taken from it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trkx.plugin.errors import ServiceError
from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.processes import SHARED_MEMORY, is_running
from trkx.plugin.serving.transport import Call, Place, Transport

_NAME = "trkx-client"
_LEAST = 1 << 20  # bytes; sizes are powers of two from here
_ALIGNMENT = 64
_MOST_LEFT = 16  # regions of requests that were not answered; a frozen server must not take more
_SECONDS = 5.0  # for telling the server of a region


@dataclass(frozen=True)
class Region:
    """Memory that a server reads as well."""

    name: str
    memory: np.ndarray  # (size,) uint8

    def place(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Place]:
        """Write arrays one after the other; returns where each is."""
        places, end = {}, 0
        for name, array in inputs.items():
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.memory[end : end + len(raw)] = raw
            places[name] = Place(self.name, end)
            end += -(-len(raw) // _ALIGNMENT) * _ALIGNMENT
        return places


class SharedMemoryTransport:
    """A transport to a server on this machine; without shared memory where that fails."""

    def __init__(self, transport: Transport) -> None:
        """Wrap a transport; no memory is taken yet."""
        self.endpoint: Endpoint = transport.endpoint
        self._transport = transport
        self._lock = threading.Lock()
        self._free: list[Region] = []
        self._left: list[tuple[int, Region]] = []  # with the number of the last request before
        self._requests = 0
        self._works = SHARED_MEMORY.is_dir()
        self._swept = False
        self.count = 0  # requests by shared memory

    def __getattr__(self, name: str) -> Any:
        """All other calls are those of the transport."""
        return getattr(self._transport, name)

    def infer(self, call: Call, seconds: float) -> dict[str, np.ndarray]:
        """Outputs by name; inputs go by shared memory."""
        with self._lock:
            self._requests += 1
            number = self._requests
        region = self._take(sum(a.nbytes + _ALIGNMENT for a in call.inputs.values()))
        if region is None:
            found = self._transport.infer(call, seconds)
            self._release_read(number)
            return found
        try:
            shared = replace(call, places=region.place(call.inputs))
            found = self._transport.infer(shared, seconds)
        except ServiceError as error:
            if "shared memory region" in str(error):  # the server is another one by now
                with self._lock:
                    self._free.clear()
                    self._left.clear()
                return self._transport.infer(call, seconds)
            with self._lock:
                if error.transient:  # it may still be read
                    self._left.append((self._requests, region))
                else:
                    self._free.append(region)
            raise
        with self._lock:
            self._free.append(region)
            self.count += 1
            sweep, self._swept = not self._swept, True
        self._release_read(number)
        if sweep:
            self._sweep()
        return found

    def _take(self, n_bytes: int) -> Region | None:
        """A region that is large enough; None: there is no shared memory."""
        with self._lock:
            if len(self._left) >= _MOST_LEFT:
                return None
            region = self._free.pop() if self._free else None
        if region is not None and len(region.memory) >= n_bytes:
            return region
        if region is not None:
            self._release(region)
        return self._make(max(_LEAST, 1 << (n_bytes - 1).bit_length())) if self._works else None

    def _make(self, size: int) -> Region | None:
        name = f"{_NAME}-{os.getpid()}-{secrets.token_hex(6)}"
        path = SHARED_MEMORY / name
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(file, 0, size)  # a write beyond a full disk would kill us
                memory = np.frombuffer(mmap.mmap(file, size), np.uint8)
            finally:
                os.close(file)
            self._transport.share(name, size, _SECONDS)
        except OSError:
            self._works = False  # no room, or not allowed
            return None
        except ServiceError as error:
            self._works = error.transient  # it has another /dev/shm, or shares none
            return None
        finally:
            path.unlink(missing_ok=True)
        return Region(name, memory)

    def _release_read(self, number: int) -> None:
        """Release what nobody reads any more, as request `number` has been answered.

        The server reads requests in their order: those before this one have been read.
        """
        with self._lock:
            read = [r for last, r in self._left if last < number]
            self._left = [(last, r) for last, r in self._left if last >= number]
        for region in read:
            self._release(region)

    def _release(self, region: Region) -> None:
        with contextlib.suppress(ServiceError):
            self._transport.unshare(region.name, _SECONDS)

    def _sweep(self) -> None:
        """Release what clients that were killed have left with the server."""
        with contextlib.suppress(ServiceError):
            for name in self._transport.shared(_SECONDS):
                owner = name.removeprefix(f"{_NAME}-").partition("-")[0]
                if name.startswith(_NAME) and owner.isdigit() and not is_running(int(owner)):
                    self._transport.unshare(name, _SECONDS)

    def close(self) -> None:
        """Give regions and connection back."""
        with self._lock:
            free, self._free = self._free, []
        for region in free:
            self._release(region)
        self._transport.close()
