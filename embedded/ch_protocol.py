"""The ClickHouse HTTP protocol, as far as it is pure: statements in, statuses and bodies out.

No I/O and no engine here. What the server does is described at clickhouse.com/docs/interfaces/http;
the status of each error code follows the server's own table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import cramjam

# URL parameters the HTTP layer consumes itself; every other one is a query setting.
TRANSPORT_PARAMETERS: Final = frozenset(
    {
        "query", "database", "default_format", "user", "password", "quota_key", "role",
        "query_id", "session_id", "session_timeout", "session_check", "stacktrace",
        "compress", "decompress", "buffer_size", "wait_end_of_query", "client_protocol_version",
        "enable_http_compression", "http_zlib_compression_level", "send_progress_in_http_headers",
        "http_headers_progress_interval_ms", "http_write_exception_in_output_format",
        "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip

_CODES_OF_STATUS: Final[dict[int, tuple[int, ...]]] = {
    400: (
        6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441,
        675, 676,
    ),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}  # fmt: skip
_STATUS_OF_CODE: Final = {code: status for status, codes in _CODES_OF_STATUS.items() for code in codes}

_COMMENTS = rb"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_FIRST_WORD = re.compile(_COMMENTS + rb"\(*\s*(\w+)", re.DOTALL)
_INSERT = re.compile(_COMMENTS + rb"INSERT\s+INTO\s", re.DOTALL | re.IGNORECASE)
_OPAQUE = rb"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/"
# FORMAT ends the statement; what follows, after blanks and at most one line break, is data. A column
# may be called `values`: a name is followed by a comma or a parenthesis, the keyword never is.
_INSERT_CLAUSE = re.compile(
    _OPAQUE + rb"|\b(?:(?P<settings>SETTINGS)\s+\w+\s*="
    rb"|FORMAT\s+(?P<format>\w+)[ \t]*(?:\r?\n)?"
    rb"|(?P<other>SELECT|WITH|VALUES|WATCH|INFILE)\b(?!\s*[,)]))",
    re.DOTALL | re.IGNORECASE,
)
_INPUT_TABLE = re.compile(_OPAQUE + rb"|\bFROM\s+(?P<input>input)\s*\(", re.DOTALL | re.IGNORECASE)
_MAX_HEAD = 262_144  # the engine's max_query_size: no statement is longer, whatever data follow it
_TRAILING_FORMAT = re.compile(
    rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^;']*(?:'[^']*'[^;']*)*)?;?\s*$", re.IGNORECASE
)
_ERROR_CODE = re.compile(r"Code: (\d+)")
_WRAPPED_ERROR = re.compile(
    r"^Code: (?P<code>\d+)\. DB::Exception: (?P<inner>Code: (?P=code)\. .*) \(version [\d.]+\)\. \(\w+\)$",
    re.DOTALL,
)
_ROWS_FILE = re.compile(r": \(in file/uri (?:/proc/self/fd/|[^)]*/tocsin-insert-)\w+\)")

# Statements that answer with rows (and therefore with a format), and that a GET may carry.
_READS: Final = frozenset(
    {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK"}
)

_FORMAT_TYPES: Final = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class RawInsert:
    """An INSERT whose rows follow as bytes: table and columns, SETTINGS clause or empty, format, data."""

    head: bytes
    settings: bytes
    format: bytes
    data: bytes

    def from_file(self, path: str) -> bytes:
        """The statement that reads the same rows from a file; `path` needs no quoting."""
        return b"%s FROM INFILE '%s' COMPRESSION 'none' %s FORMAT %s" % (
            self.head, path.encode(), self.settings, self.format,
        )  # fmt: skip


def split_insert(sql: bytes) -> RawInsert | None:
    """The parts of ``INSERT INTO … FORMAT name DATA``; None for every other statement."""
    if not _INSERT.match(sql):
        return None
    head_end = None
    for found in _INSERT_CLAUSE.finditer(sql, 0, _MAX_HEAD):
        if found["settings"] and head_end is None:
            head_end = found.start()
        elif found["format"]:
            if found["format"].upper() == b"VALUES":
                return None
            end = found.start() if head_end is None else head_end
            return RawInsert(
                sql[:end].rstrip(), sql[end : found.start()].strip(), found["format"], sql[found.end() :]
            )
        elif found["other"]:
            return None
    return None


def reads_posted_rows(sql: bytes) -> bool:
    """Whether an INSERT selects from ``input(…)``, that is from rows sent with the statement."""
    return _INSERT.match(sql) is not None and any(
        found["input"] for found in _INPUT_TABLE.finditer(sql, 0, _MAX_HEAD)
    )


def first_word(sql: bytes) -> bytes:
    """The statement's first keyword in upper case, comments and parentheses skipped; empty if none."""
    found = _FIRST_WORD.match(sql)
    return found.group(1).upper() if found else b""


def answers_rows(sql: bytes) -> bool:
    """Whether the statement answers with a result set, be it empty."""
    return first_word(sql) in _READS


def trailing_format(sql: bytes) -> str | None:
    """The name in the statement's own FORMAT clause, or None."""
    found = _TRAILING_FORMAT.search(sql[-4_096:])
    return found.group(1).decode() if found else None


def content_type(format_name: str) -> str:
    """The Content-Type the server sends for an output format."""
    return _FORMAT_TYPES.get(format_name, "text/plain; charset=UTF-8")


def error_code(message: str) -> int:
    """ClickHouse's numeric error code in an exception text; 1002 (unknown exception) when there is none."""
    found = _ERROR_CODE.search(message)
    return int(found.group(1)) if found else 1002


def as_the_server_says(message: str) -> str:
    """The engine's error text without the traces of the file an INSERT's rows were read from."""
    wrapped = _WRAPPED_ERROR.match(message)
    if wrapped:
        message = wrapped["inner"]
    message, count = _ROWS_FILE.subn("", message)
    if count:
        message = message.replace(
            "While executing File: data for INSERT was parsed from file",
            "data for INSERT was parsed from query",
        )
    return message


def http_status(code: int) -> int:
    """The HTTP status the server sends with an error code."""
    return _STATUS_OF_CODE.get(code, 500)


class UnknownEncoding(ValueError):
    """A Content-Encoding this front does not read."""


def decompress(body: bytes, encoding: str) -> bytes:
    """Undo a Content-Encoding; raises UnknownEncoding, or ValueError when the bytes are not of it."""
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return body
            case "gzip" | "x-gzip":
                return bytes(cramjam.gzip.decompress(body))
            case "lz4":
                return bytes(cramjam.lz4.decompress(body))
            case "zstd":
                return bytes(cramjam.zstd.decompress(body))
            case "deflate":
                return bytes(cramjam.zlib.decompress(body))
            case "br":
                return bytes(cramjam.brotli.decompress(body))
            case other:
                raise UnknownEncoding(
                    f"Content-Encoding {other!r} is not one of gzip, lz4, zstd, deflate, br"
                )
    except cramjam.DecompressionError as error:
        raise ValueError(f"the body is not {encoding}: {error}") from error


def compress(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """``body`` in the cheapest encoding an Accept-Encoding header names, and that encoding (or None)."""
    names = {
        part.split(";")[0].strip().lower()
        for part in accepted.split(",")
        if "q=0" not in part.split(";", 1)[-1]
    }
    if len(body) < 1024:  # smaller than a packet: encoding would only cost time
        return body, None
    if "lz4" in names:
        return bytes(cramjam.lz4.compress(body)), "lz4"
    if "zstd" in names:
        return bytes(cramjam.zstd.compress(body, level=1)), "zstd"
    if "gzip" in names:
        return bytes(cramjam.gzip.compress(body, level=1)), "gzip"
    if "br" in names:
        return bytes(cramjam.brotli.compress(body, level=1)), "br"
    if "deflate" in names:
        return bytes(cramjam.zlib.compress(body, level=1)), "deflate"
    return body, None
