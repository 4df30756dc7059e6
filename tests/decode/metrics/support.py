"""Reads golden records and shows what became of them."""

from __future__ import annotations

from pathlib import Path

from tests.decode.support import Read, decode

GOLDEN = Path(__file__).parent.parent / "golden"

Row = tuple[str, dict[str, str], int, float]
"""metric, labels, ts, value"""


def golden(name: str, ts: int) -> Read:
    """A golden record (`<format>/<file>`) through the ingest core; `ts`: its Kafka timestamp."""
    path = GOLDEN / name
    return decode(path.read_bytes(), path.parent.name, ts=ts)


def rows(found: Read) -> list[Row]:
    """Samples by metric and labels."""
    of = found.series
    return sorted(
        ((of[fp].metric, dict(of[fp].labels), ts, value) for _, fp, ts, value in found.samples),
        key=lambda row: (row[0], sorted(row[1].items()), row[2]),
    )


def reasons(found: Read) -> list[tuple[str, int]]:
    """Reason and number of rows of each dead letter."""
    return [(letter.reason, letter.rows) for letter in found.letters]
