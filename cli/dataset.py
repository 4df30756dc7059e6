"""Data sets on disk: tables of metrics, logs and spans, and what other systems and people said meanwhile.

    metrics.parquet  run, ts (ms UTC), service, metric, value [+ instance, stat]
    logs.parquet     run, ts, service, severity, body [+ instance]
    spans.parquet    run, ts, service, trace_id, span_id [+ parent_id, error, instance]
    external.jsonl   {run, ts, alert: what another system sent}        (see `cli.messages`)
    actions.jsonl    {run, ts, incident, action, ...}
    topology.json    [{caller, callee}], or {run: [{caller, callee}]}
    changes.json     [{run, timestamp, service, kind, version, ...}]

A `run` is one timeline, replayed on its own. `truth.json` beside them is never opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cli.errors import CliError
from streams.records.digest import digest_hex, fingerprint
from streams.records.messages import Change
from streams.records.pages import Origin, Series

TABLE_FILES = ("metrics.parquet", "logs.parquet", "spans.parquet")
MESSAGE_FILES = ("external.jsonl", "actions.jsonl")

SEVERITY_NUMBERS = {
    "TRACE": 1, "DEBUG": 5, "INFO": 9, "NOTICE": 10, "WARN": 13, "WARNING": 13,
    "ERROR": 17, "ERR": 17, "SEVERE": 17, "CRITICAL": 21, "CRIT": 21, "FATAL": 21, "ALERT": 21, "EMERG": 21,
}  # fmt: skip
"""severity text -> OpenTelemetry severity number"""


@dataclass(frozen=True, slots=True)
class Metrics:
    """n samples sorted by (ts, fingerprint, value); sample i belongs to `series[index[i]]`."""

    series: list[Series]
    index: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogLines:
    """n log lines sorted by (ts, service, instance, body); line i comes from `origins[origin[i]]`."""

    origins: list[Origin]
    origin: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    severity: npt.NDArray[np.uint8]
    bodies: list[str]


@dataclass(frozen=True, slots=True)
class Spans:
    """n spans sorted by (ts, service, trace, span); span i comes from `origins[origin[i]]`."""

    origins: list[Origin]
    origin: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    ids: list[tuple[str, str, str]]
    """trace, span, parent, in hexadecimal digits"""
    error: npt.NDArray[np.bool_]


def parquet() -> Any:
    """pyarrow's Parquet module, or a clear word on how to get it."""
    try:
        import pyarrow.parquet as module
    except ImportError:
        raise CliError("reading Parquet needs pyarrow", "pip install 'tocsin[files]'") from None
    return module


class DataSet:
    """One folder of files. Tables are read once, runs are cut out of them on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines: dict[str, list[dict[str, Any]]] = {}

    def _table(self, name: str) -> Any:
        path = self.folder / name
        return parquet().read_table(path) if path.exists() else None

    @cached_property
    def _metrics(self) -> Any:
        return self._table("metrics.parquet")

    @cached_property
    def _logs(self) -> Any:
        return self._table("logs.parquet")

    @cached_property
    def _spans(self) -> Any:
        return self._table("spans.parquet")

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """All runs, sorted."""
        names: set[str] = set()
        for table in (self._metrics, self._logs, self._spans):
            if table is not None:
                names.update(_run_column(table).unique().to_pylist())
        for file in MESSAGE_FILES:
            names.update(line.get("run", "") for line in self.lines(file))
        if len(names) > 1:
            names.discard("")
        return tuple(sorted(names))

    def metrics(self, run: str) -> Metrics:
        """The run's samples. `instance` and `stat` columns become labels; non-finite values are dropped."""
        rows = _of_run(self._metrics, run)
        if rows is None:
            return Metrics([], *_no_rows(), np.empty(0))
        ts = rows["ts"].to_numpy().astype(np.int64)
        value = rows["value"].to_numpy().astype(np.float64)
        extra = [name for name in ("instance", "stat") if name in rows.column_names]
        identity = _codes(rows, ["service", "metric", *extra])
        series: list[Series] = []
        for service, metric, *labels in identity.names:
            pairs = tuple(sorted((k, v) for k, v in zip(extra, labels, strict=True) if v))
            series.append(Series(fingerprint(service, metric, pairs), service, metric, pairs))
        fps = np.array([s.fp for s in series], dtype=np.uint64)
        index = identity.codes
        keep = np.isfinite(value)
        ts, value, index = ts[keep], value[keep], index[keep]
        order = np.lexsort((value, fps[index], ts))
        return Metrics(series, index[order], ts[order], value[order])

    def logs(self, run: str) -> LogLines:
        """The run's log lines."""
        rows = _of_run(self._logs, run)
        if rows is None:
            index, ts = _no_rows()
            return LogLines([], index, ts, np.empty(0, dtype=np.uint8), [])
        extra = ["instance"] if "instance" in rows.column_names else []
        identity = _codes(rows, ["service", *extra])
        origins = [Origin(service, instance[0] if instance else "") for service, *instance in identity.names]
        severity = np.array(
            [SEVERITY_NUMBERS.get((text or "").upper(), 0) for text in rows["severity"].to_pylist()],
            dtype=np.uint8,
        )
        ts = rows["ts"].to_numpy().astype(np.int64)
        bodies = [body or "" for body in rows["body"].to_pylist()]
        codes = identity.codes
        order = sorted(
            range(len(bodies)),
            key=lambda i: (ts[i], origins[codes[i]].service, origins[codes[i]].instance, bodies[i]),
        )
        pick = np.array(order, dtype=np.int64)
        return LogLines(origins, codes[pick], ts[pick], severity[pick], [bodies[i] for i in order])

    def spans(self, run: str) -> Spans:
        """The run's spans."""
        rows = _of_run(self._spans, run)
        if rows is None:
            index, ts = _no_rows()
            return Spans([], index, ts, [], np.empty(0, dtype=np.bool_))
        extra = ["instance"] if "instance" in rows.column_names else []
        identity = _codes(rows, ["service", *extra])
        origins = [Origin(service, instance[0] if instance else "") for service, *instance in identity.names]
        ts = rows["ts"].to_numpy().astype(np.int64)
        none = [""] * rows.num_rows

        def texts(name: str) -> list[str]:
            return [t or "" for t in rows[name].to_pylist()] if name in rows.column_names else none

        ids = list(zip(texts("trace_id"), texts("span_id"), texts("parent_id"), strict=True))
        error = np.zeros(len(ts), dtype=np.bool_)
        if "error" in rows.column_names:
            error = rows["error"].fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_)
        codes = identity.codes
        order = sorted(range(len(ids)), key=lambda i: (ts[i], origins[codes[i]].service, ids[i]))
        pick = np.array(order, dtype=np.int64)
        return Spans(origins, codes[pick], ts[pick], [ids[i] for i in order], error[pick])

    def lines(self, file: str) -> list[dict[str, Any]]:
        """Objects of a file of JSON lines; none where there is no such file. Raises `CliError`."""
        known = self._lines.get(file)
        if known is None:
            known = self._lines[file] = _objects(self.folder / file)
        return known

    @cached_property
    def _topology(self) -> Any:
        path = self.folder / "topology.json"
        return json.loads(path.read_text()) if path.exists() else []

    def edges(self, run: str) -> list[tuple[str, str]]:
        """Declared calls as (caller, callee), sorted."""
        rows = self._topology.get(run, []) if isinstance(self._topology, dict) else self._topology
        return sorted({(row["caller"], row["callee"]) for row in rows})

    def changes(self, run: str) -> list[Change]:
        """Deployments and the like, by time."""
        path = self.folder / "changes.json"
        if not path.exists():
            return []
        found = []
        for row in json.loads(path.read_text()):
            if row.get("run", run) != run:
                continue
            when = row.get("ts") or int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)
            version = row.get("version") or row.get("commit_sha") or ""
            kind = row.get("kind", "change")
            found.append(
                Change(
                    id=row.get("id") or digest_hex(row["service"], kind, str(when), version),
                    ts=when,
                    service=row["service"],
                    kind="deployment" if kind in ("deploy", "deployment") else kind,
                    version=version,
                    summary=row.get("summary") or row.get("message") or "",
                )
            )
        return sorted(found, key=lambda change: (change.ts, change.id))


@dataclass(frozen=True, slots=True)
class _Codes:
    names: list[tuple[str, ...]]
    codes: npt.NDArray[np.int64]


def _codes(rows: Any, columns: list[str]) -> _Codes:
    """Dictionary-encode several text columns together; codes follow the sorted combinations."""
    combined = np.zeros(rows.num_rows, dtype=np.int64)
    levels: list[list[str]] = []
    for column in columns:
        encoded = rows[column].combine_chunks().dictionary_encode()
        words = [word or "" for word in encoded.dictionary.to_pylist()]
        if encoded.null_count:
            words.append("")
        codes = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
        levels.append(words)
        combined = combined * len(words) + codes
    present, inverse = np.unique(combined, return_inverse=True)
    names: list[tuple[str, ...]] = []
    for code in present.tolist():
        parts: list[str] = []
        for words in reversed(levels):
            code, word = divmod(code, len(words))
            parts.append(words[word])
        names.append(tuple(reversed(parts)))
    return _Codes(names, inverse.astype(np.int64))


def _no_rows() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)


def _run_column(table: Any) -> Any:
    import pyarrow as pa

    if "run" in table.column_names:
        return table["run"]
    return pa.array([""] * min(1, table.num_rows))


def _of_run(table: Any, run: str) -> Any:
    if table is None:
        return None
    if "run" not in table.column_names:
        return table if run == "" else None
    import pyarrow.compute as pc

    rows = table.filter(pc.equal(table["run"], run))
    return rows if rows.num_rows else None


def _objects(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
        except ValueError as error:
            raise CliError(f"{path}:{number} is no JSON ({error})", "one object a line is expected") from None
        if not isinstance(one, dict) or not isinstance(one.get("ts"), int):
            raise CliError(f"{path}:{number} has no ts", "an object with ts, in ms UTC, is expected")
        found.append(one)
    return found


def load(folder: Path) -> DataSet:
    """Open a folder. Raises `CliError` when it holds nothing to run."""
    if not folder.is_dir():
        raise CliError(
            f"{folder} is not a folder", "name a folder that holds metrics.parquet or logs.parquet"
        )
    if not any((folder / name).exists() for name in (*TABLE_FILES, *MESSAGE_FILES)):
        raise CliError(
            f"{folder} holds none of {', '.join((*TABLE_FILES, *MESSAGE_FILES))}",
            "see docs/files.md for the layout",
        )
    return DataSet(folder)
