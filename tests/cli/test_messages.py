"""What other systems and people said during a run takes its place among the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.backtest import Findings, run_backtest
from cli.dataset import load
from cli.errors import CliError
from config.settings import Settings
from tests.shopdata import BEGIN_MS, write_shop


def at(minutes: float) -> int:
    return BEGIN_MS + int(minutes * 60_000)


def alert(minutes: float, service: str, status: str = "firing", began: float | None = None) -> dict[str, Any]:
    """One notification of Alertmanager, as its webhook sends it."""

    def when(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")

    one = {
        "status": status,
        "labels": {"alertname": "Down", "service": service, "severity": "critical"},
        "annotations": {"summary": f"{service} is down"},
        "startsAt": when(at(minutes if began is None else began)),
        "endsAt": when(at(minutes)) if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": service,
    }
    payload = {"version": "4", "receiver": "x", "status": status, "groupKey": service, "alerts": [one]}
    return {"ts": at(minutes), "alert": payload}


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")


def found(folder: Path, page: int = 1_000) -> Findings:
    data = load(folder)
    return run_backtest(data, data.runs[0], Settings(), page)


def test_alerts_alone_are_a_data_set(tmp_path: Path) -> None:
    """No telemetry is needed: time goes by what other systems say."""
    write(tmp_path / "external.jsonl", [alert(0, "mail"), alert(5, "mail", "resolved", 0), alert(60, "dns")])
    incidents = sorted(found(tmp_path).incidents.values(), key=lambda i: i.started_at)
    assert [(i.services[0].service, i.state) for i in incidents] == [("mail", "closed"), ("dns", "open")]
    assert incidents[0].resolved_at == at(5)


def test_people_act_on_what_was_found(tmp_path: Path) -> None:
    """An id told by one back-test is acted on in the next, at its time."""
    write(tmp_path / "external.jsonl", [alert(0, "mail"), alert(60, "dns")])
    id = min(found(tmp_path).incidents.values(), key=lambda i: i.started_at).id
    write(
        tmp_path / "actions.jsonl",
        [
            {"ts": at(3), "incident": id, "action": "acknowledge", "actor": "ann"},
            {"ts": at(9), "incident": id, "action": "resolve", "actor": "ann"},
        ],
    )
    incident = found(tmp_path).incidents[id]
    assert (incident.acknowledged_at, incident.resolved_at) == (at(3), at(9))
    assert incident.resolved_by == "human"


def test_pages_do_not_matter(tmp_path: Path) -> None:
    """Alerts, actions and spans among rows: the same for records of 7 rows and of 5,000."""
    write_shop(tmp_path, seconds=900)
    write(tmp_path / "external.jsonl", [alert(8.5, "cart"), alert(9.5, "cart", "resolved", 8.5)])
    ids = found(tmp_path, 5_000).incidents
    acts = [{"ts": at(10), "incident": id, "action": "acknowledge", "actor": "ann"} for id in sorted(ids)]
    write(tmp_path / "actions.jsonl", acts)
    small, large = found(tmp_path, 7), found(tmp_path, 5_000)
    assert small.incidents == large.incidents
    assert any(i.acknowledged_at == at(10) for i in large.incidents.values())
    assert any(a.kind == "external" for a in large.alerts.values())


def test_calls_are_learned_from_spans(tmp_path: Path) -> None:
    """A span and its parent of another service are a call."""
    count = 40
    table: dict[str, list[Any]] = {
        n: [] for n in ("run", "ts", "service", "trace_id", "span_id", "parent_id")
    }
    for n in range(count):
        for service, span, parent in (("web", f"{n:015x}1", ""), ("store", f"{n:015x}2", f"{n:015x}1")):
            values = ("", BEGIN_MS + n * 1_000, service, f"{n + 1:032x}", span, parent)
            for name, value in zip(table, values, strict=True):
                table[name].append(value)
    pq.write_table(pa.table(table), tmp_path / "spans.parquet")
    calls = [(s.service, c.callee) for s in found(tmp_path).services.values() for c in s.calls]
    assert calls == [("web", "store")]


@pytest.mark.parametrize(
    ("text", "named"), [("{", "external.jsonl:1 is no JSON"), ('{"alert": {}}', "external.jsonl:1 has no ts")]
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, named: str) -> None:
    """The file and the line, and what was expected."""
    (tmp_path / "external.jsonl").write_text(text)
    with pytest.raises(CliError, match=named):
        found(tmp_path)


def test_a_folder_with_nothing_to_run_is_refused(tmp_path: Path) -> None:
    """It says what could be in it."""
    with pytest.raises(CliError, match=r"spans\.parquet"):
        load(tmp_path)
