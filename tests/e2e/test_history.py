"""After the pipeline ran, the alerts of an incident lead to samples with the anomaly in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.explore import explore
from embedded.stack import Stack
from sinks.history import raw_of, source_of, sparklines
from sinks.reader import Reader
from tests.e2e.pipeline import Pipeline, pipeline, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BEFORE_MS, AFTER_MS = 6 * 3_600_000, 600_000


@pytest.fixture
def running(tmp_path: Path, stack: Stack, shop: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path, stack.kafka, stack.clickhouse, "history", shop) as started:
        yield started


def test_alerts_lead_to_samples_with_the_anomaly_in_them(running: Pipeline) -> None:
    """Whatever was derived on the way; the sparkline of each is drawn, too."""
    expected = running.expected()
    worker = running.start_worker()
    running.wait_for_topics()
    running.replay("--speed", "0")
    wait_for("incidents", lambda: running.incidents() == expected, log=worker.log)
    sent = len(running.samples_in_pages())
    with running.clickhouse() as client:
        reader = Reader(client)
        wait_for(
            "every sample in ClickHouse, once",
            lambda: reader.ask("SELECT count() AS n FROM samples FINAL") == [{"n": sent}],
            log=worker.log,
        )
        alerts = reader.ask(
            "SELECT fingerprint, metric, started_at, last_seen_at, value FROM alerts WHERE kind = 'metric'"
        )
        kept = [alert for alert in alerts if source_of(reader, alert["fingerprint"])]
        assert kept, "the faults of the data set show in metrics"
        for alert in kept:
            since, until = alert["started_at"] - BEFORE_MS, alert["last_seen_at"] + AFTER_MS
            raw = raw_of(reader, alert["fingerprint"], since, until)
            found = explore(raw, alert["fingerprint"], running.settings.detect)
            assert found is not None, alert
            during = (found.ts_ms >= alert["started_at"]) & (found.ts_ms <= alert["last_seen_at"])
            assert during.any(), alert
            assert abs(found.value[during] - alert["value"]).min() <= 1e-9 * abs(alert["value"]), alert
        windows = {
            alert["fingerprint"]: (alert["started_at"] - 3_600_000, alert["last_seen_at"]) for alert in kept
        }
        assert set(sparklines(reader, windows)) == set(windows)
    assert worker.stop() == 0
