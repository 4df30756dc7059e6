"""What must hold of the whole pipeline, on whichever broker. Called by tests/e2e and tests/kafka."""

from __future__ import annotations

import base64
import json
import signal
import time

from cli.dataset import load as load_data
from tests.e2e.pipeline import DEADLINE_S, Pipeline, wait_for

BACKLOG_S = 2.0
"""wall time in which records pile up behind a killed worker"""


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
        members = {alert for incident in expected.values() for alert in incident["alerts"]}
        wait_for(
            "every member alert in ClickHouse",
            lambda: members <= {row[0] for row in client.query("SELECT id FROM alerts").result_rows},
            log=worker.log,
        )
    assert worker.stop() == 0


def killed_worker_changes_nothing(running: Pipeline, kills: int = 3) -> None:
    """`kill -9` under load, restart, again: every sample accounted for, equal incidents, no id twice."""
    expected = running.expected()
    worker = running.start_worker()
    running.wait_for_topics()
    with running.replaying("--speed", "60", "--page", "20") as replay:
        for _ in range(kills):
            before = len(running.samples_in_pages())
            wait_for(
                "progress before the next kill",
                lambda before=before: len(running.samples_in_pages()) > before + 1_000,
                log=worker.log,
            )
            assert replay.poll() is None, "the kill must come while records still arrive"
            worker.kill()
            worker = running.start_worker()
            time.sleep(BACKLOG_S)
            # However long a start takes on a busy machine, records are left for the next kill.
            replay.send_signal(signal.SIGSTOP)
            waiting = len(running.samples_in_pages())
            wait_for(
                "the new worker to read what waits",
                lambda waiting=waiting: len(running.samples_in_pages()) > waiting,
                log=worker.log,
            )
            replay.send_signal(signal.SIGCONT)
        assert replay.wait(DEADLINE_S) == 0
    wait_for("incidents as undisturbed", lambda: running.incidents() == expected, log=worker.log)
    metrics = load_data(running.data).metrics("monday")
    sent = {
        (metrics.series[which].fp, ts)
        for which, ts in zip(metrics.index.tolist(), metrics.ts.tolist(), strict=True)
    }
    assert sent <= running.samples_in_pages()
    with running.clickhouse() as client:
        wait_for(
            "ClickHouse to hold each incident once",
            lambda: (
                sorted(client.query("SELECT id, version FROM incidents").result_rows)
                == sorted((key, incident["version"]) for key, incident in expected.items())
            ),
            log=worker.log,
        )


def bad_input_is_kept(running: Pipeline) -> None:
    """Every unreadable record is a dead letter with its bytes and reason; a flood of them is an incident."""
    bad = [b'{"nonsense": %d}' % number for number in range(200)] + [b"\xff\xfe", b"[" * 50]
    worker = running.start_worker()
    running.wait_for_topics()
    running.publish(running.settings.topics.inputs[0].name, bad)
    wait_for(
        "every bad record among the dead letters",
        lambda: {base64.b64decode(letter["value"]) for letter in running.dead_letters()} == set(bad),
        log=worker.log,
    )
    letter = running.dead_letters()[0]
    assert letter["topic"] == running.settings.topics.inputs[0].name
    assert letter["reason"]
    assert letter["detail"]
    listed = running.tocsin("deadletters", "--json", "--limit", "5")
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)) == 5
    flood = wait_for(
        "an incident about the flood",
        lambda: [i for i in running.incidents().values() if "dead-letter" in i["title"]],
        log=worker.log,
    )
    assert flood[0]["services"][0]["service"] == "tocsin"
    with running.clickhouse() as client:
        wait_for(
            "the dead letters in ClickHouse",
            lambda: client.query("SELECT count() FROM dead_letters FINAL").result_rows[0][0] == len(bad),
            log=worker.log,
        )


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


def people_act(running: Pipeline) -> None:
    """An incident of live data is acknowledged and resolved by command; a second resolve is refused."""
    worker = running.start_worker()
    running.wait_for_topics()
    with running.live_fault("payment"):
        incident = wait_for("an incident", lambda: list(running.incidents()), log=worker.log)[0]
        with running.clickhouse() as client:
            wait_for(
                "the incident in ClickHouse",
                lambda: client.query(
                    "SELECT count() FROM incidents WHERE id = {id:String}", {"id": incident}
                ).result_rows[0][0],
                log=worker.log,
            )
        listed = running.tocsin("incidents", "--json")
        assert incident in listed.stdout, listed.stderr
        explained = running.tocsin("explain", incident)
        assert explained.returncode == 0, explained.stderr
        assert "payment" in explained.stdout
        for command, state in (("ack", "acknowledged"), ("resolve", "resolved")):
            done = running.tocsin(command, incident, "--actor", "kim", "--note", "on it")
            assert done.returncode == 0, done.stdout + done.stderr
            assert running.incidents()[incident]["state"] == state
        again = running.tocsin("resolve", incident, "--note", "again")
        assert again.returncode == 1
        assert "resolved" in again.stdout + again.stderr
    timed = wait_for(
        "its timing in ClickHouse",
        lambda: _timing(running, incident),
        log=worker.log,
    )
    assert timed[0] is not None
    assert timed[1] >= timed[0]
    reported = running.tocsin("report", "--json")
    assert reported.returncode == 0, reported.stderr


def _timing(running: Pipeline, incident: str) -> tuple[int, int] | None:
    """(MTTA, MTTR) in ms once the incident is resolved in ClickHouse."""
    with running.clickhouse() as client:
        rows = client.query(
            "SELECT mtta_ms, mttr_ms FROM incident_timing WHERE id = {id:String} AND mttr_ms IS NOT NULL",
            {"id": incident},
        ).result_rows
    return rows[0] if rows else None
