"""Certificates of the tests' own authority: real ones, made when they are needed."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_PASSWORD = "of the key"  # noqa: S105 - of these tests


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PKCS#8, in PEM."""

    cert: Path
    key: Path


class Authority:
    """Signs; `ca` is the file that says whom to trust."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(organization_name=name)
        self.ca = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, common_name: str = "", password: str = "") -> Pair:
        """For host names, addresses or a user (`common_name`)."""
        made = self._ca.issue_cert(*names, common_name=common_name or None)
        stem = (common_name or names[0]).replace(".", "-").replace("@", "-")
        cert, key = self._folder / f"{stem}.cert.pem", self._folder / f"{stem}.key.pem"
        cert.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        private = load_pem_private_key(made.private_key_pem.bytes(), None)
        hidden = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        # PKCS#8, because that is what Kafka reads.
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
        return Pair(cert, key)

    def server_context(self, pair: Pair, *, ask: bool = False) -> ssl.SSLContext:
        """For a server; `ask`: it lets in only whom this authority knows."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert, pair.key)
        if ask:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
