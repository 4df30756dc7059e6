"""Masks secrets: in the lines of a chunk all at once, and in the bytes of a record that is a dead letter.

A line's secret gives way to the name of its kind (`<password>`), which is the same for every value, so that
templates stay few. In the bytes of a record it gives way to as many asterisks (a number to nines): lengths
and quotes stay, and what could be decoded still can.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from config.logs import SECRETS, Secrets
from streams.decode.logs.secrets import APART, Finder, Found

MAX_NAMED = 1_000
"""secrets of a dead letter that are looked for in its words"""
LEAST_PART = 4
"""characters of a secret that are too many to be shown"""

_BASE64 = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/]+={0,2})"')
_BINARY = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\xff]")
_CONTROL = bytes.maketrans(bytes(range(1, 9)) + bytes(range(14, 27)), bytes(21))
_BEYOND = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|([\x80-\xff])"
)
_LENGTH = re.compile(rb"([\x00\n\"*2:])[ -~]")
_FIELD = re.compile(
    rb"(?i:passw(?:or)?d|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|token|authorization)"
    rb"[\x00-\x1f\x7f-\xff]{1,8}([!-~]{3,})"
)
"""name and value as neighbouring fields of protobuf or MessagePack"""


class Masker:
    """Masks the secrets of the kinds asked for. Mutable in nothing."""

    def __init__(self, secrets: Secrets) -> None:
        kinds = [kind for kind in SECRETS if kind not in secrets.keep] if secrets.mask else []
        self._finder = Finder(kinds) if kinds else None
        self._fields = {"password", "secret"} <= set(kinds)

    def mask(self, text: str) -> str:
        """One text."""
        return self.mask_all([text], Counter()).get(0, text)

    def mask_all(self, texts: Sequence[str], counts: Counter[str]) -> dict[int, str]:
        """The texts that had secrets, by their place, masked; `counts` says how many of which kind."""
        if self._finder is None or not texts:
            return {}
        joined = "\x00" + "\x00".join(texts) + "\x00"
        found = self._finder.find(joined.encode())
        if not found:
            return {}
        raw = [text.encode() for text in texts]
        begins = list(accumulate((len(each) + 1 for each in raw), initial=1))
        by_text: dict[int, list[Found]] = {}
        for secret in found:
            counts[secret.kind] += 1
            by_text.setdefault(bisect_right(begins, secret.start) - 1, []).append(secret)
        return {i: _named(raw[i], begins[i], secrets) for i, secrets in by_text.items()}

    def blot(self, value: bytes) -> tuple[bytes, list[bytes]]:
        """Bytes of the same length without secrets, and those there were."""
        if self._finder is None or not value:
            return value, []
        blotted, secrets = self._blot(self._finder, value)
        if b'"data_base64"' in value:  # a CloudEvent's
            for match in _BASE64.finditer(value):
                inner, more = self._blot(self._finder, _decoded(match[1]))
                if more:
                    blotted[match.start(1) : match.end(1)] = base64.b64encode(inner)
                    secrets += more
        return bytes(blotted) if secrets else value, secrets

    def _blot(self, finder: Finder, value: bytes) -> tuple[bytearray, list[bytes]]:
        spans = _binary(finder, value) if _BINARY.search(value) else _plain(finder, value)
        if self._fields:
            spans += _fields(value)
        blotted = bytearray(value)
        for start, end in spans:
            fill = b"9" if value[start:end].isdigit() else b"*"
            blotted[start:end] = fill * (end - start)
        return blotted, [value[start:end] for start, end in spans]

    def words(self, text: str, secrets: Sequence[bytes]) -> str:
        """Words about a record, without its secrets or the beginnings of them."""
        for secret in secrets[:MAX_NAMED]:
            said = secret.decode("utf-8", "replace")
            for size in range(min(len(said), len(text)), LEAST_PART - 1, -1):
                if said[:size] in text:
                    text = text.replace(said[:size], "*" * size)
                    break
        return self.mask(text)


def _named(raw: bytes, begin: int, secrets: Sequence[Found]) -> str:
    parts: list[bytes] = []
    at = 0
    for secret in secrets:
        parts += raw[at : secret.start - begin], f"<{secret.kind}>".encode()
        at = secret.end - begin
    parts.append(raw[at:])
    return b"".join(parts).decode("utf-8", "replace")


def _plain(finder: Finder, value: bytes) -> list[tuple[int, int]]:
    return [(each.start - 1, each.end - 1) for each in finder.find(APART + value + APART)]


def _binary(finder: Finder, value: bytes) -> list[tuple[int, int]]:
    """What is neither text nor UTF-8 ends a text; so may a byte that is a length, and looks like a letter."""
    text = _BEYOND.sub(lambda m: m[0] if m[1] is None else APART, value.translate(_CONTROL))
    spans = {*_plain(finder, text), *_plain(finder, _LENGTH.sub(lambda m: m[1] + APART, text))}
    return sorted((start, _trimmed(value, start, end)) for start, end in spans)


def _trimmed(value: bytes, start: int, end: int) -> int:
    """Protobuf: the next field's tag, which may look like a letter, and a length follow a text."""
    behind = value[end : end + 1]
    return end - 1 if end - start > 1 and behind and behind < b" " and behind not in b"\t\n\r" else end


def _fields(value: bytes) -> list[tuple[int, int]]:
    found = []
    for match in _FIELD.finditer(value):
        start, end = match.span(1)
        size = value[start - 1]
        size = size if size < 0x80 else size & 0x1F
        found.append((start, start + size if 0 < size < end - start else end))
    return found


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
