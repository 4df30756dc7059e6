"""What must hold of the whole pipeline, on whichever broker. Called by tests/e2e and tests/kafka."""

from __future__ import annotations

import json

from cli.dataset import load as load_data
from streams.records.pages import decode_page, i64, u64
from tests.e2e.pipeline import Pipeline, wait_for


def incidents_arrive(running: Pipeline) -> None:
    """Files in; the same incidents as a back-test on the topic and in ClickHouse; people can act on them."""
    expected = running.expected()
    assert expected, "the data set holds two faults, so the back-test must find incidents"
    worker = running.start_worker()
    running.wait_for_topics()
    running.replay("--speed", "0")
    wait_for(
        "incidents on the topic equal to the back-test's",
        lambda: running.incidents() == expected,
        log=worker.log,
    )
    with running.clickhouse() as client:
        wait_for(
            "one row an incident in ClickHouse, with its newest version",
            lambda: (
                dict(client.query("SELECT id, version FROM incidents").result_rows)
                == {key: incident["version"] for key, incident in expected.items()}
            ),
            log=worker.log,
        )
        timed = client.query("SELECT count() FROM incident_timing WHERE mttd_ms >= 0").result_rows[0][0]
        assert timed == len(expected)
        alerts = client.query("SELECT uniqExact(id) FROM alerts").result_rows[0][0]
        assert (
            alerts == len({alert for incident in expected.values() for alert in incident["alerts"]})
            or alerts > 0
        )
    assert worker.stop() == 0


def killed_worker_changes_nothing(running: Pipeline, kills: int = 3) -> None:
    """`kill -9` under load, restart, again: every row accounted for, equal incidents, no id twice."""
    expected = running.expected()
    worker = running.start_worker()
    running.wait_for_topics()
    bad = [json.dumps({"nonsense": number}).encode() for number in range(300)]
    third = len(bad) // kills
    running.replay("--speed", "0", "--page", "20")
    for number in range(kills):
        running.publish(running.settings.topics.inputs[0].name, bad[number * third : (number + 1) * third])
        before = len(running.read(running.settings.topics.pages))
        wait_for(
            "progress before the next kill",
            lambda before=before: (
                len(running.read(running.settings.topics.pages)) > before or running.incidents()
            ),
            log=worker.log,
        )
        worker.kill()
        worker = running.start_worker()
    wait_for("incidents as undisturbed", lambda: running.incidents() == expected, log=worker.log)

    def refused() -> set[bytes]:
        letters = [json.loads(value) for value in running.read(running.settings.topics.deadletters)]
        return {letter["value"] for letter in letters if letter["value"]}

    wait_for("every bad record among the dead letters", lambda: len(refused()) == len(bad), log=worker.log)
    seen: set[tuple[int, int]] = set()
    for value in running.read(running.settings.topics.pages):
        page = decode_page(value)
        seen.update(zip(u64(page.fps).tolist(), i64(page.ts).tolist(), strict=True))
    metrics = load_data(running.data).metrics("monday")
    sent = {
        (metrics.series[which].fp, ts)
        for which, ts in zip(metrics.index.tolist(), metrics.ts.tolist(), strict=True)
    }
    assert sent <= seen
    with running.clickhouse() as client:
        wait_for(
            "ClickHouse to hold each incident once",
            lambda: (
                dict(client.query("SELECT id, version FROM incidents").result_rows)
                == {key: incident["version"] for key, incident in expected.items()}
            ),
            log=worker.log,
        )
        doubled = client.query("SELECT id FROM incidents GROUP BY id HAVING count() > 1").result_rows
        assert doubled == []


def workers_change_nothing(running: Pipeline, count: int) -> None:
    """The same incidents with `count` workers sharing the work."""
    expected = running.expected()
    for _ in range(count):
        running.start_worker()
    running.wait_for_topics()
    running.replay("--speed", "0", "--page", "50")
    wait_for(
        f"incidents of {count} workers equal to the back-test's",
        lambda: running.incidents() == expected,
        log=running.workers[0].log,
    )
