"""Secrets of targets: read where the settings say, never written anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from config.notify import Secret
from sinks.protocol import SinkMisconfigured

LEAST_CHARS = 4
"""shorter texts are not looked for in messages: they occur by chance"""


def read(secret: Secret, what: str) -> str:
    """Its value now; empty where none is configured. Raises `SinkMisconfigured`, which names the place."""
    if secret.env:
        value = os.environ.get(secret.env, "")
        if not value:
            raise SinkMisconfigured(f"{what}: the environment has no {secret.env}: set it")
        return value.strip()
    if secret.file:
        try:
            value = Path(secret.file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SinkMisconfigured(f"{what}: cannot read {secret.file} ({error})") from error
        if not value:
            raise SinkMisconfigured(f"{what}: {secret.file} is empty")
        return value
    return ""


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it replaced."""
    for secret in secrets:
        for part in {secret, *secret.split()}:
            if len(part) >= LEAST_CHARS:
                text = text.replace(part, "***")
    return text
