"""Certificates for a service of one's own: an authority, a server and a client.

Sites with an authority of their own use its certificates instead; the files are the same.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trkx.plugin.errors import ServerError, need

_DAYS = 365
_NAMES = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")


@dataclass(frozen=True)
class CertificateFolder:
    """Five PEM files: who signs, and certificate and key of server and client."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, role: str) -> Path:
        """Certificate of 'server' or 'client'."""
        return self.folder / f"{role}.pem"

    def key(self, role: str) -> Path:
        """Private key of 'server' or 'client'."""
        return self.folder / f"{role}.key"

    @classmethod
    def open(cls, folder: Path | str, hosts: Sequence[str]) -> CertificateFolder:
        """The certificates in a folder; made for `hosts` where it holds none.

        Raises:
            ServerError: the folder holds some of the files, but not all.
        """
        folder = Path(folder)
        there = [name for name in _NAMES if (folder / name).is_file()]
        if not there:
            _make(folder, hosts)
        elif len(there) < len(_NAMES) and not {"ca.pem", "server.pem", "server.key"} <= set(there):
            missing = ", ".join(name for name in _NAMES if name not in there)
            raise ServerError(
                f"certificates {folder}: {missing} missing; add them, or give an empty folder and "
                "they are made"
            )
        return cls(folder)


def _make(folder: Path, hosts: Sequence[str]) -> None:
    """Make an authority, and certificates of it for a server on `hosts` and a client."""
    need("cryptography", "serve", "making certificates")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = {role: ec.generate_private_key(ec.SECP256R1()) for role in ("ca", "server", "client")}
    for role, key in keys.items():
        certificate = _certificate(role, key, keys["ca"], hosts)
        (folder / f"{role}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        if role != "ca":  # what signs is not kept: nobody can sign with it later
            path = folder / f"{role}.key"
            path.touch(0o600)
            path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _certificate(role: str, key: Any, authority: Any, hosts: Sequence[str]) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def name(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"trkx {text}")])

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(role))
        .issuer_name(name("ca"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=role == "ca", path_length=None), critical=True)
    )
    if role == "server":
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(x509, host) for host in hosts]), critical=False
        )
    return builder.sign(authority, hashes.SHA256())


def _host(x509: Any, host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
