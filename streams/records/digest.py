"""Stable digests: the only source of ids and shard numbers, so that every process agrees."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def digest64(*parts: str) -> int:
    """Unsigned 64-bit digest of the parts in order; parts never run into each other."""
    h = blake2b(digest_size=8)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        h.update(len(raw).to_bytes(4, "little"))
        h.update(raw)
    return int.from_bytes(h.digest(), "little")


def digest_hex(*parts: str, size: int = 8) -> str:
    """The digest as `2 * size` hex digits, for ids people and tools pass around."""
    h = blake2b(digest_size=size)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        h.update(len(raw).to_bytes(4, "little"))
        h.update(raw)
    return h.hexdigest()


def fingerprint(service: str, metric: str, labels: Iterable[tuple[str, str]]) -> int:
    """Identity of a series: digest of service, metric name and the labels sorted by name."""
    flat = [part for pair in sorted(labels) for part in pair]
    return digest64(service, metric, *flat)


def shard_of(owner: str, shards: int) -> int:
    """The shard that owns a service (or a trace id, for spans)."""
    return digest64(owner) % shards
