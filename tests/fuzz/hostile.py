"""Records made to hurt: compressed to nothing, 9 MB long, with ten thousand labels; and time by size.

Each goes through the ingest core alone. It must end in time, in bounded memory and in messages a broker
takes, and twice the bytes may not cost four times the time.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cramjam

from streams.agents import footprint
from streams.decode.ingest import ingest_factory
from streams.records.stage import Record
from tests.fuzz import memory
from tests.fuzz.chunks import Failure, TooSlow, limited, saved, warm_up
from tests.fuzz.enlarge import ways
from tests.fuzz.families import names, schemas
from tests.fuzz.feed import TOPIC, Unbalanced, check_outputs, settings_of
from tests.fuzz.seeds import T0, Seed, seeds
from tests.fuzz.shapes import varint

SIZES = (10_000, 100_000, 1_000_000, 9_000_000)
MAX_RECORD_BYTES = 16_000_000
"""here, so that a record of 9 MB is read and not just refused by its length"""
SECONDS_PER_MB = 4.0
"""of CPU, so that a busy machine is not a finding"""
BYTES_PER_BYTE = 120
"""peak of memory for a byte of input: Python objects for a JSON of empty objects are what costs most"""
MOST_MB = 192
"""of any record, however long: `ingest.max_record_items` is there for that"""
BOMB_BYTES = 512 << 20
STEEP, CHEAP_S = 5.0, 1e-7
"""ten times the bytes may take this many times the time per byte; a byte below 0.1 µs costs nothing"""


@dataclass
class Cost:
    """What one record took."""

    seconds: float
    peak: int
    size: int


def run(wire_formats: Sequence[str], folder: Path, sizes: Sequence[int] = SIZES) -> list[Failure]:
    """Everything hostile, format by format; prints a line each."""
    print("\nhostile               records  worst s/MB                 most bytes/byte, most MB", flush=True)
    failures: list[Failure] = []
    for wire_format in wire_formats:
        warm_up(wire_format)
        found: list[Failure] = []
        count, slowest, largest, most = 0, (0.0, ""), (0.0, ""), (0, "")
        for name, cost in _all(wire_format, folder, sizes, found):
            count += 1
            most = max(most, (cost.peak >> 20, name))
            if cost.size >= 100_000:
                slowest = max(slowest, (cost.seconds / cost.size * 1e6, name))
                largest = max(largest, (cost.peak / cost.size, name))
        print(
            f"{wire_format:20} {count:8} {slowest[0]:7.2f} {slowest[1]:26} {largest[0]:7.1f} {largest[1]:26}"
            f" {most[0]:4} {most[1]}" + (f"  {len(found)} FAILED" if found else ""),
            flush=True,
        )
        failures += found
    return failures


def _all(
    wire_format: str, folder: Path, sizes: Sequence[int], failures: list[Failure]
) -> Iterator[tuple[str, Cost]]:
    def failed(value: bytes, ts: int, text: str) -> None:
        failures.append(saved(folder, wire_format, -1, [(value, ts)], text))

    for seed in seeds()[wire_format]:
        for way in ways(seed):
            name, before = f"{seed.name}: {way.name}", None
            for size in sizes:
                value = way.make(size)
                try:
                    cost = cost_of(wire_format, value, seed.ts, size)
                    if before is not None and _steep(before, cost):
                        again = cost_of(wire_format, value, seed.ts, size)
                        if _steep(before, again):
                            failed(value, seed.ts, f"steep: {name}: {before} then {again}")
                            break
                        cost = again
                except (Exception, TooSlow) as error:  # noqa: BLE001 - whatever it is, it is a finding
                    failed(value, seed.ts, f"{type(error).__name__}: {name}, {len(value)} bytes: {error}")
                    break
                before = cost
                yield name, cost
    for name, value, ts in bombs(seeds()[wire_format]):
        try:
            yield name, cost_of(wire_format, value, ts, most_bytes=MOST_MB << 20)
        except (Exception, TooSlow) as error:  # noqa: BLE001 - likewise
            failed(value, ts, f"{type(error).__name__}: {name}, {len(value)} bytes: {error}")


def _steep(before: Cost, after: Cost) -> bool:
    return after.seconds / after.size > STEEP * max(before.seconds / before.size, CHEAP_S)


def cost_of(wire_format: str, value: bytes, ts: int, size: int = 0, *, most_bytes: int | None = None) -> Cost:
    """Through a core of its own; `size` is that of the content, where the value is compressed.

    Raises `Unbalanced` for too much memory or a message no broker takes.
    """
    size = max(size, len(value))
    settings = settings_of(wire_format, 5_000, MAX_RECORD_BYTES)
    core = ingest_factory(settings, [f"{TOPIC}/0"], schemas())(TOPIC, 0)
    # What earlier records have left free would take in some of what this one costs.
    footprint.trim()
    memory.forget_peak()
    base, begun = memory.resident(), time.process_time()
    with limited(max(5.0, SECONDS_PER_MB * size / 1e6)):
        outputs = core.process([Record(TOPIC, 0, 0, ts, None, value)])
    cost = Cost(time.process_time() - begun, memory.peak() - base, size)
    check_outputs(outputs, settings)
    if cost.peak > (most_bytes or min(MOST_MB << 20, max(64 << 20, BYTES_PER_BYTE * size))):
        raise Unbalanced(f"{cost.peak >> 20} MiB of memory for {len(value)} bytes")
    return cost


def bombs(pool: Sequence[Seed], empty: int = 4_000_000) -> Iterator[tuple[str, bytes, int]]:
    """(name, value, reference time) of small records that decompress to half a gigabyte, or say so.

    `empty`: bytes of those that hold nothing but empty items.
    """
    zeros = bytes(1 << 20)
    lines = (pool[0].raw + b"\n") * max(1, (1 << 20) // (len(pool[0].raw) + 1))
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda raw: gzip.compress(raw, 9, mtime=0),
        "zstd": lambda raw: bytes(cramjam.zstd.compress(raw, 9)),
        "lz4": lambda raw: bytes(cramjam.lz4.compress(raw)),
        "snappy frames": lambda raw: bytes(cramjam.snappy.compress(raw)),
    }
    for what, content in (("zeros", zeros), ("records", lines)):
        for name, pack in packers.items():
            # Each of them may be many frames one after another.
            piece = pack(content)
            times = min(BOMB_BYTES // len(content), 8_000_000 // len(piece))
            yield f"{name} bomb of {what}", piece * times, pool[0].ts
            if name in ("gzip", "zstd"):
                yield f"{name} bomb of {what} twice", pack(piece * times), pool[0].ts
    for name, pack in packers.items():
        piece = pack(b"") or pack(b"x")
        yield f"{name}, many tiny ones", piece * (8_000_000 // len(piece)), T0
    whole = bytes(cramjam.zstd.compress(bytes(BOMB_BYTES // 4), 9))
    yield "zstd bomb in one frame", whole, T0
    for name, value in empties(empty):
        yield name, value, T0
    for claim in (2**32 - 1, 2**31, 2**30):
        yield f"snappy that claims {claim}", varint(claim) + b"\x00a" * 50, T0
        yield f"snappy copies that claim {claim}", varint(claim) + b"\x00a" + b"\xfe\x01\x00" * 2_000_000, T0
    yield "a length of 2 GiB", b"\x0a" + varint(2**31 - 1) + b"x", T0
    yield "deep gzip", _nested_gzip(40), T0


def empties(size: int) -> Iterator[tuple[str, bytes]]:
    """Records of nothing but items without content, whatever format they were meant for."""
    half = size // 2

    def inside(*tags: bytes, raw: bytes) -> bytes:
        for tag in reversed(tags):
            raw = tag + varint(len(raw)) + raw
        return raw

    scope, resource = b"\x12", b"\x0a"
    log = inside(scope, raw=b"\x09" + (T0 * 10**6).to_bytes(8, "little"))
    span = inside(scope, raw=b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x39" + bytes(8))
    for what, first in (("log records", log), ("spans", span)):
        yield f"empty {what}", inside(resource, scope, raw=first + b"\x12\x00" * half)
    for what, kind in (
        ("gauge", b"\x2a"),
        ("histogram", b"\x4a"),
        ("exponential", b"\x52"),
        ("summary", b"\x5a"),
    ):
        points = inside(kind, raw=b"\x0a\x00" * half)
        yield f"empty points of a {what}", inside(resource, scope, scope, raw=b"\x0a\x01m" + points)
        attributes = inside(kind, resource, raw=b"\x3a\x00" * half)
        yield f"empty attributes of a {what}", inside(resource, scope, scope, raw=b"\x0a\x01m" + attributes)
    yield "empty metrics", inside(resource, scope, raw=b"\x12\x03\x0a\x01m" + b"\x12\x00" * half)
    yield "empty scopes", inside(resource, raw=b"\x12\x00" * half)
    yield "empty resources", b"\x0a\x00" * half
    for what, piece in (("objects", b"{},"), ("arrays", b"[],"), ("texts", b'"a",'), ("numbers", b"1.5,")):
        raw = piece * (size // len(piece))
        yield f"JSON of {what}", b"[" + raw[:-1] + b"]"
        yield f"JSON of a field of {what}", b'{"a":[' + raw[:-1] + b"]}"
    yield "JSON of lines", b"{}\n" * (size // 3)
    for what, piece in (
        ("maps", b"\x80"),
        ("arrays", b"\x90"),
        ("pairs", b"\x92\x01\x80"),
        ("texts", b"\xa1a"),
    ):
        number = size // len(piece)
        yield f"MessagePack of {what}", b"\xdd" + number.to_bytes(4) + piece * number
        yield f"MessagePack of a field of {what}", b"\x81\xa3log\xdd" + number.to_bytes(4) + piece * number
    for what in (",", "\n", "=", "|", ":", ";", " ", "a\n", "a:1|c\n", "1:"):
        yield f"text of {what!r}", what.encode() * (size // len(what))
        yield f"a counter and {what!r}", b"a:1|c|#" + what.encode() * (size // len(what))
        yield f"a field and {what!r}", b"m,a=b f=1" + what.encode() * (size // len(what))


def _nested_gzip(depth: int) -> bytes:
    value = b"{}"
    for _ in range(depth):
        value = gzip.compress(value, 1, mtime=0)
    return value


if __name__ == "__main__":
    sys.exit(bool(run(names(), Path("fuzz-failures"))))
