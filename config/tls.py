"""Files of TLS: read into a context, and checked before anything connects."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from config import secrets
from config.response import Problem
from config.secrets import Secret


class Files(Protocol):
    """Settings that name PEM files; an empty name is none."""

    @property
    def ca_file(self) -> str: ...
    @property
    def cert_file(self) -> str: ...
    @property
    def key_file(self) -> str: ...


NAMES = ("ca_file", "cert_file", "key_file")


def context_of(
    files: Files, key_password: str | Secret = "", *, check_hostname: bool = True
) -> ssl.SSLContext:
    """Trusts `ca_file` (empty: the system's authorities) and shows our certificate to whom asks for it.

    Raises `OSError`, of which `ssl.SSLError` and `SecretError` are.
    """
    context = ssl.create_default_context(cafile=files.ca_file or None)
    context.check_hostname = check_hostname
    if files.cert_file:
        _own_certificate(context, files, secrets.read(key_password))
    return context


def unused(section: str, files: Files, why: str) -> Iterator[Problem]:
    """A file that is named where nothing is encrypted is a mistake that would go unnoticed."""
    for name in NAMES:
        if getattr(files, name):
            yield Problem(f"{section}.{name}", getattr(files, name), why)


def problems(section: str, files: Files, key_password: str | Secret = "") -> Iterator[Problem]:
    """Each file is opened and understood, so that a bad one is named."""
    if bool(files.cert_file) != bool(files.key_file):
        missing, given = ("key_file", "cert_file") if files.cert_file else ("cert_file", "key_file")
        yield Problem(f"{section}.{missing}", "", f"a PEM file, because {section}.{given} is set")
        return
    for name in NAMES:
        path = getattr(files, name)
        if path:
            try:
                Path(path).read_bytes()
            except OSError as error:
                yield Problem(f"{section}.{name}", path, f"a PEM file that can be read ({error.strerror})")
                return
    if files.ca_file:
        try:
            ssl.create_default_context(cafile=files.ca_file)
        except (ssl.SSLError, ValueError) as error:
            yield Problem(f"{section}.ca_file", files.ca_file, f"certificates in PEM ({error})")
    if files.cert_file:
        password = secrets.read(key_password)
        try:
            _own_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files, password)
        except (ssl.SSLError, ValueError) as error:
            what = f"a certificate in PEM and its key in {section}.key_file"
            yield Problem(f"{section}.cert_file", files.cert_file, f"{what} ({_in_words(error, password)})")


def secret_problems(key: str, secret: str | Secret) -> Iterator[Problem]:
    """A secret that is not where the settings say."""
    if isinstance(secret, str):
        return
    if bool(secret.env) == bool(secret.file):
        yield Problem(key, "both" if secret.env else "neither", "one of env: NAME and file: PATH")
        return
    try:
        secrets.read(secret)
    except secrets.SecretError as error:
        yield Problem(key, secret.env or secret.file, f"a secret to be there: {error}")


def _own_certificate(context: ssl.SSLContext, files: Files, key_password: str) -> None:
    # A function, because without any password OpenSSL would ask for one on the terminal.
    context.load_cert_chain(files.cert_file, files.key_file, password=lambda: key_password)


def _in_words(error: Exception, key_password: str) -> str:
    """OpenSSL does not say that a key is encrypted."""
    text = str(error)
    if "mismatch" not in text.lower() and ("PEM lib" in text or "decrypt" in text.lower()):
        return f"{text}; is key_password {'right' if key_password else 'missing'}?"
    return text
