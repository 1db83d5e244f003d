"""Addresses of Triton servers, as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trkx.plugin.errors import ServerError

PORTS = {"grpc": 8001, "grpcs": 8001, "http": 8000, "https": 8000}
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[0-9a-fA-F:]+\]|[^:/,\s]+)(?::(?P<port>\d+))?/?"
)
_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Endpoint:
    """One server by one protocol."""

    scheme: str  # grpc or http; with s: encrypted
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def protocol(self) -> str:
        """'grpc' or 'http', encrypted or not."""
        return self.scheme.removesuffix("s")

    @property
    def encrypted(self) -> bool:
        return self.scheme.endswith("s")

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, as far as the name tells."""
        return self.host.startswith(_LOOPBACK)


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """Endpoints from `grpc://host:8001,host2:8001`.

    One without a scheme has that of the one before, the first is gRPC; the port is Triton's usual
    one unless given.

    Raises:
        ServerError: no address, an unknown scheme, or a port that is none.
    """
    found: list[Endpoint] = []
    scheme = "grpc"
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _ADDRESS.fullmatch(part)
        if match is None:
            raise ServerError(f"'{part}' is no address; write one such as grpc://host:8001")
        scheme = match["scheme"] or scheme
        if scheme not in PORTS:
            raise ServerError(
                f"'{part}': unknown scheme '{scheme}'; choose one of {', '.join(PORTS)}"
            )
        port = int(match["port"] or PORTS[scheme])
        if not 0 < port < 65536:
            raise ServerError(f"'{part}': port {port} is not between 1 and 65535")
        found.append(Endpoint(scheme, match["host"], port))
    if not found:
        raise ServerError("no server address given; write one such as grpc://host:8001")
    return tuple(dict.fromkeys(found))
