"""Tables of scored samples, written in chunks. A file appears when it is whole."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from cli.columns import ADDED
from cli.dataset import parquet
from cli.errors import CliError
from cli.samples import Chunk, ParquetReader, Reader
from detectors.bank import STATES
from detectors.scorer import Figures

STDOUT = Path("-")


class Target:
    """The file a writer fills: beside the output first, in its place when all went well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path if path == STDOUT else path.with_name(path.name + ".partial")

    def end(self, well: bool) -> None:
        if self.path == STDOUT:
            return
        if well:
            self.partial.replace(self.path)
        else:
            self.partial.unlink(missing_ok=True)


class CsvWriter:
    """Rows as text, followed by the added columns; what there is no figure for is empty."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.target = Target(path)
        self.names = reader.names

    def __enter__(self) -> Self:
        to_stdout = self.target.path == STDOUT
        self._file: TextIO = (
            sys.stdout if to_stdout else self.target.partial.open("w", newline="", encoding="utf-8")
        )
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([*self.names, *ADDED])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not sys.stdout:
            self._file.close()
        self.target.end(kind is None)

    def write(self, chunk: Chunk, figures: Figures) -> None:
        if isinstance(chunk.rows, list):
            rows = chunk.rows
        else:
            rows = list(zip(*(column.to_pylist() for column in chunk.rows.columns), strict=True))
        numbers = (
            ["" if not math.isfinite(x) else repr(x) for x in column.tolist()] for column in figures[:4]
        )
        named = [STATES[i] for i in figures.state.tolist()]
        added = zip(rows, *numbers, named, figures.reason, strict=True)
        self._csv.writerows([*row, *more] for row, *more in added)


class ParquetWriter:
    """Columns as read (from CSV: value as a number, the rest as text), then the added ones."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.target = Target(path)
        self.names = reader.names
        self._value = reader.at.value  # type: ignore[attr-defined]
        self._pq = parquet()
        self._file: Any = None
        self._schema: Any = reader.file.schema_arrow if isinstance(reader, ParquetReader) else None

    def __enter__(self) -> Self:
        import pyarrow as pa

        fields = (
            list(self._schema)
            if self._schema is not None
            else [
                pa.field(name, pa.float64() if i == self._value else pa.string())
                for i, name in enumerate(self.names)
            ]
        )
        fields += [pa.field(name, pa.float64()) for name in ADDED[:4]]
        fields += [pa.field(name, pa.string()) for name in ADDED[4:]]
        self._file = self._pq.ParquetWriter(self.target.partial, pa.schema(fields), compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.target.end(kind is None)

    def write(self, chunk: Chunk, figures: Figures) -> None:
        import pyarrow as pa

        if isinstance(chunk.rows, list):
            columns: list[Any] = [list(column) for column in zip(*chunk.rows, strict=True)]
            columns[self._value] = pa.array(chunk.values, mask=np.isnan(chunk.values))
        else:
            columns = list(chunk.rows.columns)
        arrays = [pa.array(c) if not isinstance(c, pa.Array) else c for c in columns]
        arrays += [pa.array(c, mask=~np.isfinite(c)) for c in figures[:4]]
        arrays.append(pa.array([STATES[i] for i in figures.state.tolist()], pa.string()))
        arrays.append(pa.array([text or None for text in figures.reason], pa.string()))
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._file.schema))


def open_output(path: Path, reader: Reader) -> CsvWriter | ParquetWriter:
    """A writer by the file's extension; `-` is CSV to standard output."""
    if path == STDOUT:
        return CsvWriter(path, reader)
    if not path.parent.is_dir():
        raise CliError(f"folder {path.parent} does not exist", "create it first")
    if path.suffix.lower() == ".csv":
        return CsvWriter(path, reader)
    if path.suffix.lower() in (".parquet", ".pq"):
        return ParquetWriter(path, reader)
    raise CliError(f"{path}: unknown extension {path.suffix!r}", "name a .csv or .parquet output")
