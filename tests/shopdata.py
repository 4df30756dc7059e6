"""A made-up shop as a data set: quiet telemetry with two known faults. Same seed, same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BEGIN_MS = 1_750_000_000_000
EDGES = [
    ("gateway", "catalogue"),
    ("gateway", "cart"),
    ("gateway", "checkout"),
    ("checkout", "payment"),
    ("checkout", "cart"),
    ("catalogue", "inventory"),
]
SERVICES = ("gateway", "catalogue", "cart", "checkout", "payment", "inventory")
QUIET = {
    "latency_p95_ms": (120.0, 6.0),
    "error_ratio": (0.004, 0.001),
    "cpu_share": (0.30, 0.02),
    "queue": (8.0, 1.0),
}
"""metric -> level and spread"""

PAYMENT_SLOW = (480, 600)
"""seconds from the beginning: payment is slow, checkout and gateway wait for it"""
INVENTORY_ERRORS = (960, 1080)
"""inventory fails, catalogue and gateway pass the errors on"""


def write_shop(folder: Path, seconds: int = 1_440, seed: int = 7) -> Path:
    """Write metrics, logs, topology and changes of one run, `monday`; returns the folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    ts = BEGIN_MS + np.arange(seconds) * 1_000
    second = np.arange(seconds)
    columns: dict[str, list[object]] = {
        name: [] for name in ("run", "ts", "service", "metric", "value", "instance")
    }
    for number, service in enumerate(SERVICES):
        for metric, (level, spread) in QUIET.items():
            values = level + spread * rng.standard_normal(seconds)
            _fault(service, metric, second, values)
            columns["run"] += ["monday"] * seconds
            columns["ts"] += (ts + 37 * number).tolist()
            columns["service"] += [service] * seconds
            columns["metric"] += [metric] * seconds
            columns["value"] += np.abs(values).tolist()
            columns["instance"] += [f"{service}-0"] * seconds
    pq.write_table(pa.table(columns), folder / "metrics.parquet")
    pq.write_table(_logs(ts, rng), folder / "logs.parquet")
    (folder / "topology.json").write_text(json.dumps([{"caller": a, "callee": b} for a, b in EDGES]))
    change = {
        "run": "monday",
        "ts": BEGIN_MS + (INVENTORY_ERRORS[0] - 20) * 1_000,
        "service": "inventory",
        "kind": "deployment",
        "version": "2.4.0",
        "id": "inventory-2.4.0",
    }
    (folder / "changes.json").write_text(json.dumps([change]))
    return folder


def _fault(service: str, metric: str, second: np.ndarray, values: np.ndarray) -> None:
    delay = {"payment": 0, "checkout": 4, "gateway": 8}.get(service)
    if delay is not None and metric == "latency_p95_ms":
        begin, end = PAYMENT_SLOW
        values[(second >= begin + delay) & (second < end)] *= {"payment": 9, "checkout": 6, "gateway": 3}[
            service
        ]
    delay = {"inventory": 0, "catalogue": 4, "gateway": 8}.get(service)
    if delay is not None and metric == "error_ratio":
        begin, end = INVENTORY_ERRORS
        values[(second >= begin + delay) & (second < end)] += {
            "inventory": 0.6,
            "catalogue": 0.4,
            "gateway": 0.2,
        }[service]


def _logs(ts: np.ndarray, rng: np.random.Generator) -> pa.Table:
    columns: dict[str, list[object]] = {
        name: [] for name in ("run", "ts", "service", "severity", "body", "instance")
    }

    def line(at: int, service: str, severity: str, body: str) -> None:
        for name, value in zip(columns, ("monday", at, service, severity, body, f"{service}-0"), strict=True):
            columns[name].append(value)

    for index, at in enumerate(ts.tolist()):
        for service in SERVICES:
            line(
                at + 500,
                service,
                "INFO",
                f"request {rng.integers(1 << 30)} served in {rng.integers(90, 150)} ms",
            )
        if INVENTORY_ERRORS[0] <= index < INVENTORY_ERRORS[1]:
            line(
                at + 600,
                "inventory",
                "ERROR",
                f"stock lookup failed for item {rng.integers(1000)}: no such column reserved_qty",
            )
    return pa.table(columns)
