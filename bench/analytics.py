# ruff: noqa: S608, E501 -- SQL of our own, written as it reads best
"""A million incidents in the embedded ClickHouse: how fast the views answer, and how fast rows come in.

    python -m bench.analytics [--incidents 1000000] [--rows 100000] [--json]

The past is a year of incidents in two versions each, with 20 timeline entries an incident in its JSON, five
alerts and two clocks an incident, written in SQL through the same tables and materialized views that the
sink writes to. Then each view is asked for 90 days, three times; the middle time counts, with the rows that
were read. Inserts: clock versions (16 columns) and incident versions (59 columns, some of them JSON) through
the sink, beside a plain clickhouse-connect insert of the same rows into the same table, in turns; the ratio
of the two is what the sink costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table as Shown

from bench.common import print_json
from config.settings import ClickHouse
from correlator.incident import Evidence, Hint, Incident, Member, Reason, ServiceRole, TimelineEntry
from correlator.response import Clock
from embedded.stack import Stack
from sinks.clickhouse import ClickHouseSink, connect
from sinks.inbox import Delivery, Origin
from sinks.rows import row_of
from streams.records.digest import digest_hex

YEAR_S = 365 * 86_400
END_S = 1_767_225_600
"""2026-01-01, the end of the generated past"""
BLOCK = 50_000
TIMES = 3
SINCE = "toDateTime('2025-10-03 00:00:00', 'UTC')"

QUESTIONS = {
    "incident_timings": f"SELECT count(), quantile(0.9)(mttr_ms) FROM incident_timings WHERE resolved_at >= {SINCE}",
    "one service, auto apart": (
        "SELECT resolved_by, quantileExactInclusive(0.9)(mttr_ms) FROM incident_timings"
        f" WHERE has(services, 'service-7') AND resolved_at >= {SINCE} GROUP BY resolved_by"
    ),
    "mtta_mttr_daily": f"SELECT * FROM mtta_mttr_daily WHERE day >= toDate({SINCE}) ORDER BY day",
    "sla_compliance": (
        f"SELECT name, severity, sum(met) / sum(n) FROM sla_compliance WHERE day >= toDate({SINCE})"
        " GROUP BY name, severity"
    ),
    "clock_status": "SELECT * FROM clock_status WHERE state IN ('running', 'warned') ORDER BY due_at LIMIT 100",
    "noise_reduction": f"SELECT * FROM noise_reduction WHERE day >= toDate({SINCE}) ORDER BY day",
    "recurrence": f"SELECT * FROM recurrence WHERE last_at >= {SINCE} ORDER BY n DESC LIMIT 20",
    "team_load": f"SELECT * FROM team_load WHERE week >= toDate({SINCE}) ORDER BY week, team",
    "hint_accuracy": f"SELECT * FROM hint_accuracy WHERE month >= toDate({SINCE}) ORDER BY month",
    "timeline of one": "SELECT * FROM timeline WHERE incident = '{id}'",
}


def fill(client: Client, incidents: int) -> float:
    """Write the past; returns seconds."""
    began = time.perf_counter()
    step_ms = YEAR_S * 1000 / incidents
    for first in range(0, incidents, BLOCK):
        count = min(BLOCK, incidents - first)
        for version in (1, 2):
            client.command(_incidents_sql(first, count, version, step_ms))
        client.command(_clocks_sql(first, count, step_ms))
        client.command(_alerts_sql(first, count, step_ms))
    return time.perf_counter() - began


def _incidents_sql(first: int, count: int, version: int, step_ms: float) -> str:
    entry = '{"at_ms":1760000000000,"kind":"alert","text":"service-1: latency 900 ms, usually 90","ref":"aa00bb11cc22dd33"}'
    over = version == 2
    return f"""
        INSERT INTO incident_versions
            (id, version, domain, state, title, category, severity, priority, started_at, detected_at, opened_at,
             updated_at, acknowledged_at, resolved_at, closed_at, first_resolved_at, active_ms, resolved_by,
             services.service, services.role, services.owner, services.tier, services.runbook, services.links,
             alerts, members, hints, timeline, owner, signature, recurrence_of, cause_service)
        SELECT
            lower(hex(sipHash64(n))) AS id, {version}, 'default',
            {"if(n % 500 = 0, 'open', 'closed')" if over else "'open'"},
            concat('service-', toString(n % 400), ' is slow'),
            ['service disruption', 'performance degradation', 'operational issue'][n % 3 + 1],
            ['warning', 'error', 'critical'][n % 3 + 1], ['P1', 'P2', 'P3'][n % 3 + 1],
            fromUnixTimestamp64Milli(toInt64({(END_S - YEAR_S) * 1000} + n * {step_ms}), 'UTC') AS s,
            s + INTERVAL (30 + n % 90) SECOND AS d, d, d + INTERVAL 1 HOUR,
            if({int(over)} AND n % 3 != 0, d + INTERVAL (60 + n % 1200) SECOND, NULL),
            if({int(over)} AND n % 500 != 0, d + INTERVAL (600 + n % 7200) SECOND, NULL) AS r,
            r + INTERVAL 15 MINUTE, r, if(r IS NULL, 0, toUnixTimestamp64Milli(r) - toUnixTimestamp64Milli(s)),
            if(r IS NULL, '', if(n % 4 = 0, 'human', 'auto')),
            [concat('service-', toString(n % 400)), concat('service-', toString(n % 397))],
            ['suspected cause', 'affected'], [concat('team-', toString(n % 30)), ''], [1, 2], ['', ''], [map(), map()],
            arrayMap(x -> concat(lower(hex(sipHash64(n))), '-', toString(x)), range(5)), '[]',
            concat('[{{"service":"service-', toString(n % 400), '","confidence":0.6,"evidence":[],"cause":"latency"}}]'),
            concat('[', arrayStringConcat(arrayMap(x -> '{entry}', range(20)), ','), ']'),
            concat('team-', toString(n % 30)), lower(hex(sipHash64(n % 5000))), '',
            if(n % 10 = 0, concat('service-', toString(if(n % 3 = 0, n % 400, n % 397))), '')
        FROM (SELECT number + {first} AS n FROM numbers({count}))
        """


def _clocks_sql(first: int, count: int, step_ms: float) -> str:
    return f"""
        INSERT INTO clock_versions
            (id, version, incident, domain, name, kind, state, started_at, warn_at, due_at, stopped_at, paused_ms,
             changed_at, basis, severity, owner)
        SELECT
            lower(hex(sipHash64(n, name))), 12, lower(hex(sipHash64(n))), 'default', name, 'sla',
            if(n % 500 = 0, 'running', if(n % 7 = 0, 'missed', 'met')),
            fromUnixTimestamp64Milli(toInt64({(END_S - YEAR_S) * 1000} + n * {step_ms}), 'UTC') AS s,
            s + INTERVAL 12 MINUTE, s + INTERVAL 15 MINUTE, s + INTERVAL 9 MINUTE, 0, s,
            '15 min from opening (severity critical)', ['warning', 'error', 'critical'][n % 3 + 1],
            concat('team-', toString(n % 30))
        FROM (SELECT number + {first} AS n FROM numbers({count})) ARRAY JOIN ['sla respond', 'sla resolve'] AS name
        """


def _alerts_sql(first: int, count: int, step_ms: float) -> str:
    return f"""
        INSERT INTO alert_versions
            (id, version, state, kind, fingerprint, service, metric, severity, started_at, detected_at, last_seen_at,
             resolved_at, summary)
        SELECT
            concat(lower(hex(sipHash64(n))), '-', toString(x)), 1, 'firing', 'metric', lower(hex(sipHash64(n, x))),
            concat('service-', toString(n % 400)), 'latency', 'error',
            fromUnixTimestamp64Milli(toInt64({(END_S - YEAR_S) * 1000} + n * {step_ms}), 'UTC') AS s,
            s + INTERVAL 30 SECOND, s, NULL, 'latency 900 ms, usually 90 ms'
        FROM (SELECT number + {first} AS n FROM numbers({count})) ARRAY JOIN range(5) AS x
        """


def ask(client: Client, sql: str) -> dict[str, Any]:
    """Middle time of three until the answer is here, and the rows the engine read for it."""
    seconds, said = [], {}
    for _ in range(TIMES):
        began = time.perf_counter()
        said = json.loads(client.raw_query(f"{sql} FORMAT JSON"))
        seconds.append(time.perf_counter() - began)
    rows = said["statistics"]["rows_read"]
    return {"s": round(statistics.median(seconds), 3), "rows_read": rows, "answered": said["rows"]}


def clock(n: int) -> Clock:
    """A clock version as the respond stage writes it."""
    at = END_S * 1000 + n
    return Clock(
        id=digest_hex("bench", str(n)), version=6, incident=digest_hex("i", str(n // 2)), domain="default",
        name="sla respond", kind="sla", state="running", started_at=at, warn_at=at + 1, due_at=at + 2,
        stopped_at=None, paused_ms=0, at_ms=at, basis="15 min from opening (severity critical)",
        severity="critical", owner="team-1",
    )  # fmt: skip


def incident(n: int) -> Incident:
    """An incident version of usual size: three members, two hints, ten timeline entries."""
    at = END_S * 1000 + n
    id = digest_hex("bench-incident", str(n))
    reasons = (Reason("topology", 0.6, "checkout calls payment"), Reason("time", 0.3, "12 s"))
    members = tuple(
        Member(f"{id}{k}", f"service-{k}", "metric", "latency", "error", at, at, None, 7.5, "latency 900 ms", at, reasons)
        for k in range(3)
    )  # fmt: skip
    hints = tuple(
        Hint(f"service-{k}", 0.4, (Evidence("onset", "first by 12 s", 0.5, at, id),)) for k in range(2)
    )
    timeline = tuple(TimelineEntry(at + k, "alert", "latency of payment", id) for k in range(10))
    return Incident(
        id=id, version=3, domain="default", state="resolved", title="payment is slow", category="service disruption",
        severity="error", priority="P2", started_at=at, detected_at=at, opened_at=at, updated_at=at,
        acknowledged_at=None, mitigated_at=None, resolved_at=at, closed_at=None, first_resolved_at=at, active_ms=0,
        resolved_by="auto", acknowledged_by="", reopened=0,
        services=tuple(ServiceRole(f"service-{k}", "affected") for k in range(3)),
        alerts=tuple(m.alert_id for m in members), members=members, hints=hints, timeline=timeline,
    )  # fmt: skip


def inserts(settings: ClickHouse, make: Callable[[int], Any], rows: int) -> dict[str, Any]:
    """Rows a second through the sink and by a plain insert of the same rows, in turns; the middle ratio."""
    items = [make(n) for n in range(rows)]
    deliveries = [Delivery(Origin("t", 0, n, 0), item) for n, item in enumerate(items)]
    table = row_of(items[0]).table
    client = connect(settings)
    described = client.query(f"DESCRIBE TABLE {table.name}").result_rows
    types = {name: kind for name, kind, *_ in described}
    kinds = [types[column] for column in table.columns]
    sink = ClickHouseSink(settings)
    size = settings.batch_rows

    async def through_the_sink() -> float:
        await sink.start()
        began = time.perf_counter()
        for at in range(0, rows, size):
            refused = await sink.write(deliveries[at : at + size])
            if refused:
                raise RuntimeError(f"{len(refused)} rows refused: {refused[0].detail}")
        return time.perf_counter() - began

    def plainly() -> float:
        made = [row_of(item).values for item in items]  # as rows already: what a plain insert starts from
        began = time.perf_counter()
        for at in range(0, rows, size):
            client.insert(
                table.name, made[at : at + size], column_names=table.columns, column_type_names=kinds
            )
        return time.perf_counter() - began

    ours, theirs = [], []
    loop = asyncio.new_event_loop()
    for _ in range(TIMES):
        ours.append(loop.run_until_complete(through_the_sink()))
        theirs.append(plainly())
    loop.run_until_complete(sink.stop())
    loop.close()
    client.close()
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return {
        "rows_per_s": round(rows / statistics.median(ours)),
        "plain_rows_per_s": round(rows / statistics.median(theirs)),
        "ratio": round(ratio, 3),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="of each insert")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    with Stack(kafka=False) as stack:
        settings = ClickHouse(url=stack.clickhouse, database="bench")
        sink = ClickHouseSink(settings)
        asyncio.run(sink.start())
        client = connect(settings)
        said = {
            "clock versions": inserts(settings, clock, given.rows),
            "incident versions": inserts(settings, incident, max(1, given.rows // 10)),
        }
        filled = fill(client, given.incidents)
        one = client.query("SELECT id FROM incident_facts LIMIT 1").result_rows[0][0]
        asked = {name: ask(client, sql.replace("{id}", one)) for name, sql in QUESTIONS.items()}
        client.close()
    figures = {"incidents": given.incidents, "fill_s": round(filled, 1), "inserts": said, "views": asked}
    if given.json:
        print_json(figures)
        return
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print(f"{figures['incidents']:,} incidents written in {figures['fill_s']} s")
    shown = Shown("view, 90 days", "s", "rows read", "rows answered")
    for name, found in figures["views"].items():
        shown.add_row(name, f"{found['s']:.3f}", f"{found['rows_read']:,}", str(found["answered"]))
    console.print(shown)
    shown = Shown("insert", "through the sink, rows/s", "plain, rows/s", "ratio")
    for name, found in figures["inserts"].items():
        shown.add_row(name, f"{found['rows_per_s']:,}", f"{found['plain_rows_per_s']:,}", str(found["ratio"]))
    console.print(shown)


if __name__ == "__main__":
    main()
