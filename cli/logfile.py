"""Log files of any kind, or standard input, line by line in bounded memory: text, JSON lines, compressed."""

from __future__ import annotations

import bz2
import codecs
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cli.errors import CliError
from cli.logstamps import NO_TIME, Layout, choose
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import BadRecord
from streams.decode.logs import levels, texts
from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.lines import TRACEBACK, goes_on, in_trace
from streams.decode.logs.shape import SEVERITY, Shape
from streams.decode.senders import Usual

STDIN = Path("-")
BLOCK = 1 << 18
"""bytes read at once"""
BATCH = 1_000
"""events handed on at once"""
MAX_LINE = 65_536
"""bytes of a line that are kept"""
SAMPLE = 500
"""lines by which the layout of times is chosen"""

_SHAPE = Shape(
    "file",
    time=(
        *("@timestamp", "timestamp", "time", "ts", "datetime", "date", "asctime", "eventTime", "event_time"),
        *("t", "@t", "Timestamp", "created", "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"),
    ),
    message=(
        *("message", "msg", "log", "event", "body", "text", "full_message", "short_message", "MESSAGE"),
        *("textPayload", "@m", "@mt", "Message", "line"),
    ),
    sent_by=("service", "service.name", "logger", "logger_name", "host", "hostname", "kubernetes", "stream"),
    usual=Usual(),
    severity=(*SEVERITY, "severityText", "Level", "@l", "severity_number", "LogLevel"),
)


_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
}
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


class Event(NamedTuple):
    """One log record."""

    number: int
    """of its first line, from 1"""
    ts: int
    """ms UTC; `NO_TIME` if there is none"""
    severity: int
    """OpenTelemetry number, 0 unknown"""
    text: str
    """without the time it begins with; of a stack trace the line that says what it is"""


class Source:
    """A file, or standard input. `done` counts bytes as they lie in the file."""

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self.damage = ""
        """why reading ended early"""
        self._raw = _Counting(_opened(path))
        self.total = path.stat().st_size if path != STDIN and path.is_file() else None
        self._blocks = self._decoded()

    @property
    def done(self) -> int:
        return self._raw.count

    def lines(self) -> Iterator[str]:
        """Lines without their ends; of overlong ones the beginning. Raises `CliError` for what is no text."""
        rest = b""
        first, skipping = True, False
        for block in self._blocks:
            if first and block:
                self._check(block)
                block, first = block.removeprefix(codecs.BOM_UTF8), False
            *whole, rest_of = (rest + block).split(b"\n")
            for line in whole:
                if not skipping:
                    yield _text(line)
                skipping = False
            rest = rest_of
            if len(rest) > MAX_LINE:
                if not skipping:
                    yield _text(rest)
                skipping, rest = True, b""
        if rest and not skipping:
            yield _text(rest)

    def _check(self, block: bytes) -> None:
        at = block[:8_192].find(b"\x00")
        if at >= 0:
            raise CliError(
                f"{self.name} is not text (byte {at:,} is 0)",
                "name a log file; export binary journals as text first",
            )

    def _decoded(self) -> Iterator[bytes]:
        head = self._raw.peek()
        kind = next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), "")
        wide = _WIDE.get(head[:2], "")
        decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
        try:
            for block in self._plain(kind):
                yield decoder.decode(block).encode() if decoder is not None else block
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            if not kind:
                raise CliError(f"{self.name} cannot be read: {error}", "is the disk in order?") from None
            self.damage = f"the {kind} data are damaged or end too early"

    def _plain(self, kind: str) -> Iterator[bytes]:
        """Decompressed blocks, as far as there are any."""
        if not kind or kind in ("zstd", "lz4"):
            stream: Any = self._arrow(kind) if kind else self._raw
            while block := stream.read(BLOCK):
                yield block
            return
        while rest := self._raw.read(BLOCK):
            while rest:
                unpack = _DECOMPRESSORS[kind]()
                while not unpack.eof:
                    yield unpack.decompress(rest, BLOCK)
                    rest = b"" if kind != "gzip" else unpack.unconsumed_tail
                    wants = not rest if kind == "gzip" else unpack.needs_input
                    if wants and not unpack.eof:
                        rest = self._raw.read(BLOCK)
                        if not rest:
                            raise EOFError
                # What follows a member without being one is padding.
                rest = unpack.unused_data
                if not rest.startswith(_MAGIC[kind]):
                    break

    def _arrow(self, kind: str) -> Any:
        try:
            import pyarrow as pa
        except ImportError:
            raise CliError(
                f"reading {kind} needs pyarrow",
                f"pip install 'tocsin[files]', or {kind}cat FILE | tocsin logs -",
            ) from None
        return pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), kind)


class _Counting:
    """A binary stream that counts, and shows its first bytes beforehand."""

    closed = False

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._head = b""
        self.count = 0

    def peek(self) -> bytes:
        self._head = self._raw.read(16)
        return self._head

    def read(self, size: int = BLOCK) -> bytes:
        found, self._head = self._head, b""
        found += self._raw.read(max(0, size - len(found)))
        self.count += len(found)
        return found

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()


def _opened(path: Path) -> BinaryIO:
    if path == STDIN:
        return sys.stdin.buffer
    if path.is_dir():
        raise CliError(f"{path} is a folder", f"name a file in it, or cat {path}/*.log | tocsin logs -")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise CliError(f"{path} does not exist", "name a log file, or - for standard input") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None


def _text(line: bytes) -> str:
    return line[:MAX_LINE].rstrip(b"\r").decode("utf-8", "replace")


class Events:
    """The log records of a source, in batches."""

    def __init__(self, source: Source, near_ms: int) -> None:
        self._source = source
        self._near_ms = near_ms
        """years are taken near it"""
        self._json = JsonLog(_SHAPE)
        self.lines = 0
        self.layout = "none"

    def batches(self) -> Iterator[list[Event]]:
        lines = self._source.lines()
        sample = [line for _, line in zip(range(SAMPLE), lines, strict=False)]
        plain = [line for line in sample if line.strip() and not line.startswith(("{", " ", "\t"))]
        chosen = choose(plain, self._near_ms) if plain else None
        read: Layout | None = None
        if chosen is not None:
            self.layout, read = chosen
        elif any(line.startswith("{") for line in sample):
            self.layout = "JSON"
        batch: list[Event] = []
        for number, parts in self._joined(sample, lines):
            event = self._event(number, parts, read)
            if event is not None:
                batch.append(event)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _joined(self, sample: list[str], lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """Lines with those that go on with them, each with the number of the first."""
        parts: list[str] = []
        begin, length, trace, traced = 0, 0, False, False
        for each in (sample, lines):
            for line in each:
                self.lines += 1
                # A traceback behind a finished one is of another record, unless they are chained.
                another = traced and not trace and line.startswith(TRACEBACK)
                if parts and goes_on(line, trace) and not (another and not parts[-1].startswith(_CHAINED)):
                    trace = in_trace(line, trace)
                    traced = traced or trace
                    if length < MAX_LINE:
                        parts.append(line)
                        length += len(line)
                    continue
                if not line or line.isspace():
                    continue
                if parts:
                    yield begin, parts
                parts, begin, length = [line], self.lines, len(line)
                trace = traced = in_trace(line, False)
        if parts:
            yield begin, parts

    def _event(self, number: int, parts: list[str], read: Layout | None) -> Event | None:
        line = parts[0]
        if line.startswith("{"):
            found = self._of_json(number, line)
            if found is not None:
                return found
        ms, end = read(line) if read is not None else (NO_TIME, 0)
        text = line[end:].lstrip(" ]|,:-\t") if end else line
        if len(parts) > 1 and text.startswith(TRACEBACK):
            text = parts[-1].strip()
        text = texts.plain(text)
        return Event(number, ms, levels.leading(line, end), text) if text else None

    def _of_json(self, number: int, line: str) -> Event | None:
        sink = Columns(_CATALOG)
        sink.reference_ms = 0  # stands for: none
        try:
            self._json.decode(line.encode(), sink)
        except BadRecord:
            return None
        if not sink.bodies:
            return None
        return Event(number, sink.l_ts[0] or NO_TIME, sink.l_severity[0], sink.bodies[0].partition("\n")[0])


_CATALOG = Catalog(1, 1_000_000)
