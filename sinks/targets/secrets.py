"""Secrets of targets: read where the settings say, never written anywhere."""

from __future__ import annotations

from config import secrets
from config.secrets import LEAST_CHARS, Secret, without
from sinks.protocol import SinkMisconfigured


def read(secret: Secret, what: str) -> str:
    """Its value now; empty where none is configured. Raises `SinkMisconfigured`, which names the place."""
    try:
        return secrets.read(secret)
    except secrets.SecretError as error:
        raise SinkMisconfigured(f"{what}: {error}") from error


__all__ = ["LEAST_CHARS", "read", "without"]
