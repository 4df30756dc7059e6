"""Put items into the tables the way the sink does, without its retries."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from correlator.incident import Incident
from correlator.past import Knowledge, Problem
from detectors.alert import Alert
from sinks.rows import row_of
from streams.records.audit import AuditRecord
from streams.records.messages import DeadLetter


def store(client: Client, *items: Incident | Alert | Problem | Knowledge | DeadLetter | AuditRecord) -> None:
    for item in items:
        row = row_of(item)
        client.insert(row.table.name, [row.values], column_names=row.table.columns)
