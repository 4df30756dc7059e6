"""Rows a second and core through each decoder of metrics, from the golden records of the tests.

    python -m bench.formats [--seconds 1] [--json]

A case takes the golden records of a format, spreads them over many senders by rewriting a host or
service in their bytes, so that the look-up of series is a real one, and decodes them again and again
into columns. Beside it stands `json.loads` of the same bytes, where they are JSON. No pages are made:
that is `bench.ingest`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
from rich.console import Console
from rich.table import Table

from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns

GOLDEN = Path(__file__).parent.parent / "tests" / "decode" / "golden"
SENDERS = 200
CHUNK = 500

NAMES = {
    "prometheus-remote-write": b"127.0.0.1:19987",
    "prometheus-json": b"10.0.0.7:8080",
    "telegraf-json": b"raynor",
    "influx": b"raynor",
    "collectd": b"web-01",
    "collectd-counters": b"web-01",
    "statsd": b"checkout",
    "vector": b"node-1",
}
"""format -> what names the sender in its golden records; the copies have the same length"""


def records(name: str) -> list[bytes]:
    """The golden records of a format, once for each sender."""
    packed = name == "prometheus-remote-write"
    found: list[bytes] = []
    for sender in range(SENDERS):
        for path in sorted((GOLDEN / name).iterdir()):
            value = path.read_bytes().rstrip(b"\n")
            raw = bytes(cramjam.snappy.decompress_raw(value)) if packed else value
            old = NAMES[name]
            raw = raw.replace(old, b"%0*d" % (len(old), sender))
            found.append(bytes(cramjam.snappy.compress_raw(raw)) if packed else raw)
    return found


def lines(name: str, values: list[bytes]) -> list[bytes]:
    """Records of 100 lines, objects or requests each."""
    if name == "prometheus-remote-write":
        raws = [bytes(cramjam.snappy.decompress_raw(value)) for value in values]
        # Protobuf messages one after another are one message.
        return [
            bytes(cramjam.snappy.compress_raw(b"".join(raws[at : at + 100])))
            for at in range(0, len(raws), 100)
        ]
    whole = [b"\n".join(values[at : at + 100]) for at in range(0, len(values), 100)]
    if name.startswith("collectd"):
        return [b"[" + each.replace(b"]\n[", b",")[1:] for each in whole]
    return whole


def rate(once: Callable[[], int], seconds: float) -> float:
    """Items a CPU second of what `once` does; the best of three, after one to warm up."""
    once()
    best = 0.0
    for _ in range(3):
        began, items = time.process_time(), 0
        while time.process_time() - began < seconds / 3:
            items += once()
        best = max(best, items / (time.process_time() - began))
    return best


def measure(name: str, values: list[bytes], seconds: float) -> dict[str, Any]:
    """One row of the table."""
    catalog = Catalog(4, 10**7)
    decode = formats.DECODERS[name]

    def ours() -> int:
        rows = 0
        for at in range(0, len(values), CHUNK):
            columns = Columns(catalog)
            columns.reference_ms = 1_900_000_000_000
            for value in values[at : at + CHUNK]:
                decode(value, columns)
                columns.finish()
            rows += sum(columns.counts)
        return rows

    rows = ours()
    found = {"format": name, "records": len(values), "rows": rows, "rows_s": rate(ours, seconds)}

    def plain() -> int:
        for value in values:
            for line in value.split(b"\n"):
                json.loads(line)
        return rows

    try:
        plain()
    except ValueError:
        return found
    return {**found, "json_loads_rows_s": rate(plain, seconds)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for name in NAMES:
        values = records(name)
        found.append({"per": "record", **measure(name, values, options.seconds)})
        found.append({"per": "100 in one", **measure(name, lines(name, values), options.seconds)})
    if options.json:
        print(json.dumps(found))
        return
    table = Table("format", "", "rows a record", "rows/s", "json.loads, rows/s", "ratio")
    for row in found:
        other = row.get("json_loads_rows_s")
        table.add_row(
            row["format"],
            row["per"],
            f"{row['rows'] / row['records']:.1f}",
            f"{row['rows_s']:,.0f}",
            f"{other:,.0f}" if other else "",
            f"{row['rows_s'] / other:.2f}" if other else "",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
