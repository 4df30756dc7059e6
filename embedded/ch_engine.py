"""The real ClickHouse engine in this process, asked one statement at a time per handle.

A chDB process has one engine and any number of connection handles. Settings, ``USE`` and temporary
tables belong to a handle, and a handle must not be used by two threads. So each request gets a handle
of its own (0.2 ms, measured), and a session keeps one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import chdb

from embedded.ch_protocol import (
    answers_rows,
    as_the_server_says,
    error_code,
    reads_posted_rows,
    split_insert,
    trailing_format,
)

_MAX_SESSIONS: Final = 64


class EngineError(Exception):
    """What the engine refused; ``code`` is ClickHouse's number, the text ClickHouse's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def named(cls, code: int, name: str, message: str) -> EngineError:
        """In the engine's own form, for what is refused before it gets there."""
        return cls(code, f"Code: {code}. DB::Exception: {message}. ({name})")


@dataclass(frozen=True, slots=True)
class Statement:
    """One request: the statement's bytes (with an INSERT's data), and what applies to it alone."""

    sql: bytes
    format: str = "TabSeparated"
    database: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    read_only: bool = False
    role: str = ""
    """what this request may do; empty: everything"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result's bytes; ``format`` is empty where there is no result set."""

    body: bytes
    format: str
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


@dataclass(slots=True)
class _Session:
    handle: Any
    busy: bool = False


class Engine:
    """One data directory. ``run`` may be called from several threads at once."""

    def __init__(self, path: Path, config: Path | None = None) -> None:
        """`config`: the engine's own configuration file, for roles (`embedded.ch_users`)."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path) if config is None else f"{path}?config-file={config}"
        try:
            self._main = chdb.connect(self._path)  # keeps the engine alive between requests
        except RuntimeError as error:
            raise EngineError(
                error_code(str(error)), f"cannot open {path}: is it open in another process? ({error})"
            ) from error
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()
        version, timezone = self._main.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        self.version: str = version
        self.timezone: str = timezone

    def close(self) -> None:
        """Close all handles; the engine writes what it holds."""
        for session in self._sessions.values():
            session.handle.close()
        self._sessions.clear()
        self._main.close()

    def run(self, statement: Statement) -> Answer:
        """Execute one statement; raises EngineError."""
        if statement.read_only and not answers_rows(statement.sql):
            raise EngineError.named(
                164, "READONLY", "Cannot execute query in readonly mode; GET implies readonly, use POST"
            )
        if statement.role and statement.session:
            # In a session `SET ROLE` would outlive its request, and take any role there is.
            raise EngineError.named(497, "ACCESS_DENIED", "Sessions are only for a server without users")
        try:
            with self._handle(statement.session) as handle:
                try:
                    return self._execute(handle, statement)
                finally:
                    if statement.session:
                        for name in statement.settings:
                            _quietly(handle, f"SET {name} = DEFAULT")
        except (RuntimeError, chdb.ChdbError) as error:
            raise _refusal(str(error)) from error
        except UnicodeDecodeError as error:
            # The engine's text quotes the statement, which need not be UTF-8; chDB fails to decode it.
            raise _refusal(error.object.decode(errors="replace")) from error
        except OSError as error:
            raise EngineError.named(
                243, "NOT_ENOUGH_SPACE", f"Cannot hold the rows of the INSERT: {error}"
            ) from error

    def _execute(self, handle: Any, statement: Statement) -> Answer:
        if statement.role:
            handle.query(f"SET ROLE {_name(statement.role)}", "TSV")
        if statement.database:
            handle.query(f"USE {_name(statement.database)}", "TSV")
        for name, value in statement.settings.items():
            if not name.isidentifier():
                raise EngineError.named(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
            handle.query(f"SET {name} = {_literal(value)}", "TSV")
        insert = split_insert(statement.sql)
        if insert is not None:
            # chDB's two direct ways lose rows without a word (measured, chDB 4.4): `query` cuts Native data
            # at 256 KiB, and `send_insert` reports success when a constraint, a materialized view or the
            # table itself refused the rows. From a file, every refusal is raised.
            with _rows_file(insert.data) as path:
                done = handle.query(insert.from_file(path), "TSV", params=dict(statement.params))
            rows, size = done.rows_written(), done.bytes_written()
            return Answer(b"", "", rows, size, rows, size, int(done.elapsed() * 1e9))
        if reads_posted_rows(statement.sql):
            # The engine would find no rows and call that success.
            raise EngineError.named(
                48, "NOT_IMPLEMENTED", "INSERT … SELECT FROM input(…) is not supported by the embedded server"
            )
        _refuse_several(handle, statement.sql)
        result = handle.query(statement.sql, statement.format, params=dict(statement.params))
        body = result.bytes()
        has_rows = bool(body) or answers_rows(statement.sql)
        return Answer(
            body,
            (trailing_format(statement.sql) or statement.format) if has_rows else "",
            result.rows_read(),
            result.bytes_read(),
            result.rows_written(),
            result.bytes_written(),
            int(result.elapsed() * 1e9),
        )

    @contextmanager
    def _handle(self, session_id: str) -> Iterator[Any]:
        """A handle nobody else uses: a fresh one, or the session's; a busy session is refused."""
        if not session_id:
            handle = chdb.connect(self._path)
            try:
                yield handle
            finally:
                handle.close()
            return
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                session = self._sessions[session_id] = _Session(chdb.connect(self._path))
                self._forget_oldest()
            if session.busy:
                raise EngineError.named(
                    373, "SESSION_IS_LOCKED", f"Session {session_id} is locked by a concurrent client"
                )
            session.busy = True
            self._sessions.move_to_end(session_id)
        try:
            yield session.handle
        finally:
            session.busy = False

    def _forget_oldest(self) -> None:
        idle = [key for key, session in self._sessions.items() if not session.busy]
        for key in idle[: max(0, len(self._sessions) - _MAX_SESSIONS)]:
            self._sessions.pop(key).handle.close()


def _refusal(text: str) -> EngineError:
    # chDB may put words of its own before the engine's text.
    text = as_the_server_says(text[max(text.find("Code: "), 0) :].strip())
    return EngineError(error_code(text), text)


@contextmanager
def _rows_file(data: bytes) -> Iterator[str]:
    """A file with ``data`` that the engine can open; raises OSError when there is no room for it.

    In memory on Linux: as fast as it gets, and gone with the process however that ends.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("tocsin-insert")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile(prefix="tocsin-insert-") as file:
            file.write(data)
            file.flush()
            yield file.name


def _refuse_several(handle: Any, sql: bytes) -> None:
    """chDB would run ``SELECT 1; SELECT 2``; the server refuses it, so we do."""
    if b";" not in sql.rstrip().rstrip(b";"):
        return
    count = handle._conn.classify_query(sql.decode(errors="replace"))["statement_count"]
    if count > 1:
        raise EngineError.named(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")


def _quietly(handle: Any, sql: str) -> None:
    try:
        handle.query(sql, "TSV")
    except (RuntimeError, chdb.ChdbError):
        return  # the setting never was set: its name or value was what the engine refused


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _name(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
