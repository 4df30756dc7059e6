"""Rows of a report as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.errors import CliError

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def as_csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """With a header; None is an empty cell, never a zero.

    Text that a spreadsheet would run as a formula gets a quote before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return out.getvalue()


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Whole numbers as int64, the rest as double or string. Raises `CliError` without pyarrow, `OSError`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise CliError(
            "writing Parquet needs pyarrow", "pip install 'tocsin[files]', or --format csv"
        ) from None
    module: Any = pa
    schema = module.schema([(name, _type(module, name)) for name in columns])
    cells = {name: [row[name] for row in rows] for name in columns}
    parquet: Any = pq
    parquet.write_table(module.table(cells, schema=schema), path)


_TEXT = {"service", "team", "severity", "category", "week", "day", "name", "signature", "title", "problem"}
_SHARES = ("_rate", "_share", "_ms", "compliance", "reduction")


def _type(pa: Any, name: str) -> Any:
    """By name, so that a column has the same type whether or not it has values."""
    if name in _TEXT:
        return pa.string()
    return pa.float64() if name.endswith(_SHARES) else pa.int64()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_RISKY):
        return f"'{value}"
    return value
