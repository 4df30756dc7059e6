"""HTTP sessions of targets: whom they believe, who they say they are, and what is said when that fails."""

from __future__ import annotations

import ssl

import aiohttp

from config import tls
from config.notify import Target
from config.secrets import SecretError
from sinks.protocol import SinkMisconfigured


def session_of(settings: Target) -> aiohttp.ClientSession:
    """Raises `SinkMisconfigured` when a file or a secret has gone since the settings were checked."""
    if not (settings.ca_file or settings.cert_file):
        return aiohttp.ClientSession(auto_decompress=True)
    try:
        context = tls.context_of(settings, settings.key_password)
    except (OSError, ValueError, SecretError) as error:
        raise SinkMisconfigured(
            f"target {settings.name}: cannot use its certificates ({error}):"
            " check ca_file, cert_file, key_file"
        ) from error
    return aiohttp.ClientSession(auto_decompress=True, connector=aiohttp.TCPConnector(ssl=context))


def in_words(error: Exception, settings: Target) -> str:
    """Why a request did not get through, and what to check where that is certificates."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not trusted ({error.certificate_error}): check ca_file of target"
            f" {settings.name}, now {settings.ca_file or 'the authorities of the system'}"
        )
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        own = settings.cert_file or "none"
        return f"no TLS ({error}): check url and cert_file of target {settings.name}, now {own}"
    return f"{name}: {error}" if str(error) else name
