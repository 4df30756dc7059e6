"""Files of samples, read and written in chunks: CSV with the standard library, Parquet with pyarrow."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from cli.dataset import parquet
from cli.errors import CliError
from detectors.bank import Scores
from streams.records.pages import F64, I64

ROWS = 50_000
NO_TIME = -(2**62)
"""a row whose time cannot be read"""
ADDED = ("score", "expected", "lower", "upper", "state")
SECONDS_BELOW = 100_000_000_000
"""numbers below are seconds (until the year 5138), above milliseconds (from 1973)"""


class Chunk(NamedTuple):
    """Some rows: what is scored, and the rows as they were read."""

    series: list[str]
    ts: I64
    values: F64
    rows: Any


class Reader(Protocol):
    names: list[str]
    unit: str
    total: int
    done: int

    def chunks(self) -> Iterator[Chunk]: ...


class Columns(NamedTuple):
    """Where series, ts and value are; `series` is None when the file is one series."""

    series: int | None
    ts: int
    value: int


def columns_of(names: Sequence[str], path: Path) -> Columns:
    """Raises `CliError` naming the missing column."""
    for needed in ("ts", "value"):
        if needed not in names:
            raise CliError(
                f"{path} has no column {needed!r} (it has {', '.join(names) or 'none'})",
                "the input needs series (or file), ts and value",
            )
    taken = [name for name in ADDED if name in names]
    if taken:
        raise CliError(f"{path} already has a column {taken[0]!r}", "rename it, or score the original file")
    series = next((names.index(name) for name in ("series", "file") if name in names), None)
    return Columns(series, names.index("ts"), names.index("value"))


def to_ms(value: str | float | datetime | None) -> int:
    """Milliseconds UTC from a number (seconds or milliseconds), ISO 8601 text or a datetime."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                value = datetime.fromisoformat(str(value).strip())
            except ValueError:
                return NO_TIME
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if value is None or not math.isfinite(value) or abs(value) > 1e15:
        return NO_TIME
    return round(value * 1000 if abs(value) < SECONDS_BELOW else value)


def to_number(text: str) -> float:
    """NaN for what is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class CsvReader:
    """Cells stay text, so that they are written as they were read."""

    unit = "bytes"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = path.stat().st_size
        self.done = 0
        with path.open(newline="", encoding="utf-8-sig") as file:
            self.names = next(csv.reader(file), [])
        self.at = columns_of(self.names, path)

    def chunks(self) -> Iterator[Chunk]:
        with self.path.open("rb") as raw:
            lines = (line.decode("utf-8-sig" if raw.tell() == len(line) else "utf-8") for line in raw)
            reader = csv.reader(lines)
            next(reader)
            rows: list[list[str]] = []
            try:
                for row in reader:
                    if len(row) != len(self.names):
                        if not row:
                            continue
                        raise CliError(
                            f"{self.path} line {reader.line_num} has {len(row)} cells, the header "
                            f"{len(self.names)}",
                            "correct the line",
                        )
                    rows.append(row)
                    if len(rows) == ROWS:
                        yield self._chunk(rows)
                        self.done = raw.tell()
                        rows = []
            except (csv.Error, UnicodeDecodeError) as error:
                raise CliError(
                    f"{self.path} line {reader.line_num}: {error}", "is it CSV in UTF-8?"
                ) from None
            if rows:
                yield self._chunk(rows)
            self.done = self.total

    def _chunk(self, rows: list[list[str]]) -> Chunk:
        series, ts, value = self.at
        return Chunk(
            [row[series] for row in rows] if series is not None else [""] * len(rows),
            np.array([to_ms(row[ts]) for row in rows], np.int64),
            np.array([to_number(row[value]) for row in rows]),
            rows,
        )


class ParquetReader:
    """Record batches, kept whole."""

    unit = "rows"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = parquet().ParquetFile(path)
        except (ValueError, OSError) as error:
            raise CliError(f"{path} is not Parquet: {error}", "name a Parquet or CSV file") from None
        self.names = list(self.file.schema_arrow.names)
        self.total = self.file.metadata.num_rows
        self.done = 0
        self.at = columns_of(self.names, path)

    def chunks(self) -> Iterator[Chunk]:
        import pyarrow as pa

        for batch in self.file.iter_batches(ROWS):
            series, ts, value = self.at
            try:
                numbers = batch.column(value).cast(pa.float64()).to_numpy(zero_copy_only=False)
            except pa.ArrowInvalid as error:
                raise CliError(f"{self.path}: column 'value': {error}", "value must be a number") from None
            names = (
                ["" if n is None else str(n) for n in batch.column(series).to_pylist()]
                if (series is not None)
                else [""] * batch.num_rows
            )
            yield Chunk(names, _times(batch.column(ts)), numbers.astype(np.float64), batch)
            self.done += batch.num_rows


def _times(column: Any) -> I64:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        whole = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        return np.asarray(whole.fill_null(NO_TIME).to_numpy(zero_copy_only=False), np.int64)
    return np.array([to_ms(value) for value in column.to_pylist()], np.int64)


class CsvWriter:
    """Rows as text, followed by the added columns; what there is no figure for is empty."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self.names = reader.names

    def __enter__(self) -> Self:
        self._file = self.path.open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([*self.names, *ADDED])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is not None:
            self.path.unlink(missing_ok=True)  # half a file would look like a whole one

    def write(self, chunk: Chunk, scores: Scores, states: tuple[str, ...]) -> None:
        if isinstance(chunk.rows, list):
            rows = chunk.rows
        else:
            rows = list(zip(*(column.to_pylist() for column in chunk.rows.columns), strict=True))
        figures = (["" if math.isnan(x) else repr(x) for x in column.tolist()] for column in scores[:4])
        named = [states[i] for i in scores.state.tolist()]
        self._csv.writerows([*row, *added] for row, *added in zip(rows, *figures, named, strict=True))


class ParquetWriter:
    """Columns as read (from CSV: value as a number, the rest as text), then the added ones."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self.names = reader.names
        self._pq = parquet()
        self._file: Any = None
        self._schema: Any = reader.file.schema_arrow if isinstance(reader, ParquetReader) else None

    def __enter__(self) -> Self:
        import pyarrow as pa

        fields = (
            list(self._schema)
            if self._schema is not None
            else [pa.field(name, pa.float64() if name == "value" else pa.string()) for name in self.names]
        )
        fields += [pa.field(name, pa.float64()) for name in ADDED[:4]] + [pa.field("state", pa.string())]
        self._file = self._pq.ParquetWriter(self.path, pa.schema(fields), compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is not None:
            self.path.unlink(missing_ok=True)  # half a file would look like a whole one

    def write(self, chunk: Chunk, scores: Scores, states: tuple[str, ...]) -> None:
        import pyarrow as pa

        if isinstance(chunk.rows, list):
            columns: list[Any] = [list(column) for column in zip(*chunk.rows, strict=True)]
            columns[self.names.index("value")] = chunk.values
        else:
            columns = list(chunk.rows.columns)
        arrays = [pa.array(c) if not isinstance(c, pa.Array) else c for c in columns]
        arrays += [pa.array(c, mask=np.isnan(c)) for c in scores[:4]]
        arrays.append(pa.array([states[i] for i in scores.state.tolist()], pa.string()))
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._file.schema))


def open_input(path: Path) -> CsvReader | ParquetReader:
    """A reader by the file's extension."""
    if not path.is_file():
        raise CliError(f"{path} is not a file", "name a CSV or Parquet file")
    if path.suffix.lower() == ".csv":
        return CsvReader(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return ParquetReader(path)
    raise CliError(f"{path}: unknown extension {path.suffix!r}", "name a .csv or .parquet file")


def open_output(path: Path, reader: Reader) -> CsvWriter | ParquetWriter:
    """A writer by the file's extension."""
    if not path.parent.is_dir():
        raise CliError(f"folder {path.parent} does not exist", "create it first")
    if path.suffix.lower() == ".csv":
        return CsvWriter(path, reader)
    if path.suffix.lower() in (".parquet", ".pq"):
        return ParquetWriter(path, reader)
    raise CliError(f"{path}: unknown extension {path.suffix!r}", "name a .csv or .parquet output")
