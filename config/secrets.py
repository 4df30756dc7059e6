"""Secrets: in the settings as text, or better the place where one is found; read when they are used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

LEAST_CHARS = 4
"""shorter texts are not looked for in messages: they occur by chance"""


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a secret is found. Never the secret itself."""

    env: str = ""
    """name of an environment variable"""
    file: str = ""
    """path of a file; read again at each use, so that it may be exchanged while the worker runs"""


class SecretError(OSError):
    """A secret that is not where the settings say; the message names the place and never the secret.

    An `OSError`, because it may come back: a worker that runs waits for it as for a service that is away.
    """


def read(secret: str | Secret) -> str:
    """Its value now; empty where none is configured. Raises `SecretError`."""
    if isinstance(secret, str):
        return secret
    if secret.env:
        value = os.environ.get(secret.env, "").strip()
        if not value:
            raise SecretError(f"the environment has no {secret.env}: set it")
        return value
    if secret.file:
        try:
            value = Path(secret.file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"cannot read {secret.file} ({error})") from error
        if not value:
            raise SecretError(f"{secret.file} is empty")
        return value
    return ""


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it replaced."""
    for secret in secrets:
        for part in {secret, *secret.split()}:
            if len(part) >= LEAST_CHARS:
                text = text.replace(part, "***")
    return text
