"""Tables of samples, read in chunks: CSV with the standard library, Parquet with pyarrow."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from cli.columns import NO_TIME, TIMES, columns_of, is_empty, to_ms, to_number
from cli.dataset import parquet
from cli.errors import CliError
from streams.records.pages import F64, I64

ROWS = 50_000
STDIN = Path("-")
Name = tuple[str, str, str, str]
"""series, service, metric, unit"""


class Chunk(NamedTuple):
    """Some rows: what is scored, and the rows as they were read."""

    names: list[Name]
    ts: I64
    values: F64
    rows: Any


class Reader(Protocol):
    names: list[str]
    unit: str
    total: int | None
    done: int

    def chunks(self) -> Iterator[Chunk]: ...


class CsvReader:
    """Cells stay text, so that they are written as they were read."""

    unit = "bytes"

    def __init__(self, path: Path) -> None:
        self.source = "standard input" if path == STDIN else str(path)
        self._raw: BinaryIO = sys.stdin.buffer if path == STDIN else path.open("rb")
        self.total: int | None = None if path == STDIN else path.stat().st_size
        self.done = 0
        self._reader = csv.reader(self._lines())
        self.names = self._row() or []
        if not self.names:
            raise CliError(f"{self.source} is empty", "the first line names the columns: series,ts,value")
        self.at = columns_of(self.names, self.source)

    def _lines(self) -> Iterator[str]:
        first = True
        for line in self._raw:
            self.done += len(line)
            yield line.decode("utf-8-sig" if first else "utf-8")
            first = False

    def _row(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise CliError(
                f"{self.source} line {self._reader.line_num + 1}: {error}", "is it CSV in UTF-8?"
            ) from None

    def chunks(self) -> Iterator[Chunk]:
        rows: list[list[str]] = []
        lines: list[int] = []
        with self._raw:
            while (row := self._row()) is not None:
                if len(row) != len(self.names):
                    if not row:
                        continue
                    raise CliError(
                        f"{self.source} line {self._reader.line_num} has {len(row)} cells, the header "
                        f"{len(self.names)}",
                        "correct the line",
                    )
                rows.append(row)
                lines.append(self._reader.line_num)
                if len(rows) == ROWS:
                    yield self._chunk(rows, lines)
                    rows, lines = [], []
            if rows:
                yield self._chunk(rows, lines)

    def _chunk(self, rows: list[list[str]], lines: list[int]) -> Chunk:
        at = self.at
        ts = np.array([to_ms(row[at.ts]) for row in rows], np.int64)
        values = np.array([to_number(row[at.value]) for row in rows])
        for column, bad, expected in (
            (at.ts, ts == NO_TIME, TIMES),
            (at.value, np.isnan(values), "a number"),
        ):
            for i in np.flatnonzero(bad).tolist():
                if not is_empty(rows[i][column]):
                    raise CliError(
                        f"{self.source} line {lines[i]}, column {self.names[column]!r} is "
                        f"{rows[i][column][:60]!r}: expected {expected}",
                        "correct the cell, or leave it empty: the row is then kept and not scored",
                    )
        named = (at.series, at.service, at.metric, at.unit)
        columns = [[row[place] for row in rows] if place is not None else [""] * len(rows) for place in named]
        return Chunk(list(zip(*columns, strict=True)), ts, values, rows)


class ParquetReader:
    """Record batches, kept whole."""

    unit = "rows"

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        try:
            self.file = parquet().ParquetFile(path)
        except (ValueError, OSError) as error:
            raise CliError(f"{path} is not Parquet: {error}", "name a Parquet or CSV file") from None
        self.names: list[str] = list(self.file.schema_arrow.names)
        self.total: int | None = self.file.metadata.num_rows
        self.done = 0
        self.at = columns_of(self.names, self.source)

    def chunks(self) -> Iterator[Chunk]:
        for batch in self.file.iter_batches(ROWS):
            at = self.at
            named = (at.series, at.service, at.metric, at.unit)
            columns = [
                _texts(batch.column(place)) if place is not None else [""] * batch.num_rows for place in named
            ]
            ts = self._times(batch.column(at.ts))
            yield Chunk(list(zip(*columns, strict=True)), ts, self._values(batch.column(at.value)), batch)
            self.done += batch.num_rows

    def _values(self, column: Any) -> F64:
        import pyarrow as pa

        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts = _texts(column)
            values = np.array([to_number(text) for text in texts])
            bad = [i for i in np.flatnonzero(np.isnan(values)).tolist() if not is_empty(texts[i])]
            self._refuse(bad, self.at.value, texts, "a number")
            return values
        try:
            numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise CliError(
                f"{self.source}, column {self.names[self.at.value]!r} holds {column.type}: expected numbers",
                "convert the column",
            ) from None
        return np.asarray(numbers, np.float64)

    def _times(self, column: Any) -> I64:
        import pyarrow as pa

        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            zone = getattr(column.type, "tz", None)
            whole = column.cast(pa.timestamp("ms", zone), safe=False).cast(pa.int64())
            return np.asarray(whole.fill_null(NO_TIME).to_numpy(zero_copy_only=False), np.int64)
        cells = column.to_pylist()
        try:
            ts = np.array([to_ms(cell) for cell in cells], np.int64)
        except TypeError:
            raise CliError(
                f"{self.source}, column {self.names[self.at.ts]!r} holds {column.type}: expected {TIMES}",
                "convert the column",
            ) from None
        texts = {i: str(cells[i]) for i in np.flatnonzero(ts == NO_TIME).tolist() if cells[i] is not None}
        self._refuse([i for i, text in texts.items() if not is_empty(text)], self.at.ts, texts, TIMES)
        return ts

    def _refuse(self, bad: list[int], column: int, cells: Any, expected: str) -> None:
        if bad:
            raise CliError(
                f"{self.source} row {self.done + bad[0] + 1}, column {self.names[column]!r} is "
                f"{cells[bad[0]][:60]!r}: expected {expected}",
                "correct it, or make it null: the row is then kept and not scored",
            )


def _texts(column: Any) -> list[str]:
    return ["" if cell is None else str(cell) for cell in column.to_pylist()]


def open_input(path: Path) -> CsvReader | ParquetReader:
    """A reader by the file's extension; `-` is CSV from standard input."""
    if path == STDIN:
        return CsvReader(path)
    if not path.is_file():
        raise CliError(
            f"{path} is not a file", "name a CSV or Parquet file, or - for CSV from standard input"
        )
    if path.suffix.lower() == ".csv":
        return CsvReader(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return ParquetReader(path)
    raise CliError(f"{path}: unknown extension {path.suffix!r}", "name a .csv or .parquet file")
