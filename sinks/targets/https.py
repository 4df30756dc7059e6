"""HTTP sessions of targets: whom they believe, who they say they are, and what is said when that fails."""

from __future__ import annotations

import errno
import ssl

import aiohttp

from config import tls
from config.notify import Target
from sinks.protocol import SinkMisconfigured


def session_of(settings: Target) -> aiohttp.ClientSession:
    """Raises `SinkMisconfigured` when a file or a secret has gone since the settings were checked."""
    if not (settings.ca_file or settings.cert_file):
        return aiohttp.ClientSession(auto_decompress=True)
    try:
        context = tls.context_of(settings, settings.key_password)
    except (OSError, ValueError) as error:
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
    text = f"{name}: {error}" if str(error) else name
    if not getattr(settings, "url", "").startswith("https://"):
        return text
    # A service that wants a certificate hangs up, in the handshake or (TLS 1.3) after it; a machine that is
    # off or a name that is unknown come with a number of the operating system.
    hung_up = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    if isinstance(error.__cause__, ssl.SSLError) or (
        hung_up and getattr(error, "errno", None) in (None, errno.ECONNRESET)
    ):
        own = settings.cert_file or "none"
        return f"{text}: it may ask for a certificate: check cert_file of target {settings.name}, now {own}"
    return text
