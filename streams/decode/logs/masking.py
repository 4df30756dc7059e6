"""Masks secrets: in the lines of a chunk all at once, and in the bytes of a record that is a dead letter.

A line's secret gives way to the name of its kind (`<password>`), which is the same for every value, so that
templates stay few. In the bytes of a record it gives way to as many asterisks (a number to nines): lengths
and quotes stay, and what could be decoded still can. Both go through what they are given in pieces, so that
no record costs more than a few times its size.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from config.logs import SECRETS, Secrets
from streams.decode.logs.secrets import APART, Finder, Found

AT_ONCE = 1_000
"""texts looked through together"""
WINDOW, OVERLAP = 1 << 18, 1 << 13
"""bytes of a record looked at together, and how far they reach into the next: the longest secret there"""
MAX_NAMED = 100
"""secrets of a dead letter that are looked for in its words"""
LEAST_PART = 4
"""characters of a secret that are too many to be shown"""

_BASE64 = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/]+={0,2})"')
_BINARY = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\xff]")
_CONTROL = bytes.maketrans(bytes(range(1, 9)) + bytes(range(14, 27)), bytes(21))
_LENGTHS = np.isin(np.arange(256), list(b'\x00\n"*2:'))
"""what may stand before a length: protobuf's tags of texts, as far as they can be taken for text"""
_FIELD = re.compile(
    rb"(?i:passw(?:or)?d|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|token|authorization)"
    rb"[\x00-\x1f\x7f-\xff]{1,8}([!-~]{3,})"
)
"""name and value as neighbouring fields of protobuf or MessagePack"""
Span = tuple[int, int]


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
        masked: dict[int, str] = {}
        if self._finder is not None:
            for start in range(0, len(texts), AT_ONCE):
                _mask(self._finder, texts[start : start + AT_ONCE], start, masked, counts)
        return masked

    def blot(self, value: bytes) -> tuple[bytes, list[bytes]]:
        """Bytes of the same length without secrets, and some of those there were: at most `MAX_NAMED`."""
        if self._finder is None or not value:
            return value, []
        blotted, secrets = self._blot(self._finder, value)
        if b'"data_base64"' in value:  # a CloudEvent's
            for match in _BASE64.finditer(value):
                inner, more = self._blot(self._finder, _decoded(match[1]))
                if more:
                    blotted[match.start(1) : match.end(1)] = base64.b64encode(inner)
                    secrets = (secrets + more)[:MAX_NAMED]
        return bytes(blotted) if secrets else value, secrets

    def _blot(self, finder: Finder, value: bytes) -> tuple[bytearray, list[bytes]]:
        blotted = bytearray(value)
        secrets: list[bytes] = []
        for begin in range(0, len(value), WINDOW):
            part = value[begin : begin + WINDOW + OVERLAP]
            spans = _binary(finder, part) if _BINARY.search(part) else _plain(finder, part)
            if self._fields:
                spans += _fields(part)
            for start, end in spans:
                said = part[start:end]
                blotted[begin + start : begin + end] = (b"9" if said.isdigit() else b"*") * (end - start)
                if len(secrets) < MAX_NAMED:
                    secrets.append(said)
        return blotted, secrets

    def words(self, text: str, secrets: Sequence[bytes]) -> str:
        """Words about a record, without its secrets or the beginnings of them."""
        for secret in secrets:
            said = secret.decode("utf-8", "replace")
            if said[:LEAST_PART] not in text:
                continue
            for size in range(min(len(said), len(text)), min(LEAST_PART, len(said)) - 1, -1):
                if said[:size] in text:
                    text = text.replace(said[:size], "*" * size)
                    break
        return self.mask(text)


def _mask(
    finder: Finder, texts: Sequence[str], first: int, masked: dict[int, str], counts: Counter[str]
) -> None:
    found = finder.find(("\x00" + "\x00".join(texts) + "\x00").encode())
    if not found:
        return
    raw = [text.encode() for text in texts]
    begins = list(accumulate((len(each) + 1 for each in raw), initial=1))
    by_text: dict[int, list[Found]] = {}
    for secret in found:
        counts[secret.kind] += 1
        by_text.setdefault(bisect_right(begins, secret.start) - 1, []).append(secret)
    for i, secrets in by_text.items():
        masked[first + i] = _named(raw[i], begins[i], secrets)


def _named(raw: bytes, begin: int, secrets: Sequence[Found]) -> str:
    parts: list[bytes] = []
    at = 0
    for secret in secrets:
        parts += raw[at : secret.start - begin], f"<{secret.kind}>".encode()
        at = secret.end - begin
    parts.append(raw[at:])
    return b"".join(parts).decode("utf-8", "replace")


def _plain(finder: Finder, value: bytes) -> list[Span]:
    return [(each.start - 1, each.end - 1) for each in finder.find(APART + value + APART)]


def _binary(finder: Finder, value: bytes) -> list[Span]:
    """What is neither text nor UTF-8 ends a text; so may a byte that is a length, and looks like a letter."""
    text = _texts(value.translate(_CONTROL))
    spans = {*_plain(finder, text.tobytes())}
    before = _LENGTHS[text[:-1]] & (text[1:] >= 0x20) & (text[1:] < 0x7F)
    text[1:][before] = 0
    spans.update(_plain(finder, text.tobytes()))
    return sorted((start, _trimmed(value, start, end)) for start, end in spans)


def _texts(value: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The bytes with a zero for each that belongs to no character of UTF-8."""
    text = np.frombuffer(value, np.uint8).copy()
    high = text >= 0x80
    if not high.any():
        return text
    padded = np.concatenate([text, np.zeros(3, np.uint8)])
    goes_on = (padded & 0xC0) == 0x80
    kept = np.zeros(len(padded), np.bool_)
    for size, least, most in ((2, 0xC2, 0xDF), (3, 0xE0, 0xEF), (4, 0xF0, 0xF4)):
        whole = (text >= least) & (text <= most)
        for i in range(1, size):
            whole &= goes_on[i : i + len(text)]
        for i in range(size):
            kept[i : i + len(text)] |= whole
    text[high & ~kept[: len(text)]] = 0
    return text


def _trimmed(value: bytes, start: int, end: int) -> int:
    """Protobuf: the next field's tag, which may look like a letter, and a length follow a text."""
    behind = value[end : end + 1]
    return end - 1 if end - start > 1 and behind and behind < b" " and behind not in b"\t\n\r" else end


def _fields(value: bytes) -> list[Span]:
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
