"""What a client shows a server, and by what it knows the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trkx.plugin.errors import ServerError

TOKEN_HEADER = "trkx-token"


def read_token(path: Path) -> str:
    """The token in a file, as servers and clients need it.

    Raises:
        ServerError: the file cannot be read, or does not hold one word.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ServerError(f"token file {path}: {why}") from error
    return check_token(token, f"token file {path}")


def check_token(token: str, source: str) -> str:
    """Return a token that can travel in a header and in an argument of Triton.

    Args:
        token: what users gave.
        source: where they gave it, for the message, which does not repeat the token.

    Raises:
        ServerError: it is empty, or not a word of letters, digits and -._~+/
    """
    if not token or not all(c.isascii() and (c.isalnum() or c in "-._~+/") for c in token):
        what = "is empty" if not token else "has other characters"
        raise ServerError(f"{source}: a token is one word of letters, digits and -._~+/; it {what}")
    return token


@dataclass(frozen=True)
class Security:
    """Certificate files and token of a client."""

    root_certificates: Path | None = None  # who may sign the server's certificate; None: the system
    certificate: Path | None = None  # of the client, for mutual TLS
    private_key: Path | None = None  # of the client's certificate
    token: str | None = None  # sent as a header with every request

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise ServerError("a client certificate needs its private key, and the other way round")
        for path in (self.root_certificates, self.certificate, self.private_key):
            if path is not None and not path.is_file():
                raise ServerError(f"certificate file {path}: no such file")

    def headers(self, protocol: str) -> dict[str, str]:
        """Headers of every request; Triton wants a prefix of its own over gRPC."""
        prefix = "triton-grpc-protocol-" if protocol == "grpc" else ""
        return {} if self.token is None else {prefix + TOKEN_HEADER: self.token}
