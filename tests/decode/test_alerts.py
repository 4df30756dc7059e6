"""Alerts of other systems: what their golden records become, exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.settings import Correlate, InputTopic, Settings, Topics
from streams.decode.alerts import common
from streams.decode.ingest import ingest_factory
from streams.decode.times import rfc3339_ms
from streams.records.digest import shard_of
from tests.decode.support import T0, Read, core, decode, read, record, settings

GOLDEN = Path(__file__).parent / "golden"
NOW = rfc3339_ms("2026-11-22T19:00:00Z")


def golden(name: str, wire_format: str) -> list[dict[str, Any]]:
    found = decode((GOLDEN / name).read_bytes(), wire_format, NOW)
    assert not found.letters
    return [message for _, message in found.messages]


def alert(**more: Any) -> dict[str, Any]:
    labels = {"alertname": "Down", "service": "cart"}
    one = {"status": "firing", "labels": labels, "startsAt": "", "endsAt": ""}
    return {**one, **more}


def webhook(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    top = {"receiver": "r", "status": "firing", "version": "4", "groupKey": "{}", "alerts": list(alerts)}
    return {**top, **more}


def sent(value: Any, wire_format: str = "alerts") -> Read:
    return decode(value, wire_format, NOW)


def test_a_notification_of_alertmanager_is_as_many_alerts() -> None:
    """Labels name the service, the severity and the failure domain; annotations give the summary."""
    cart, checkout = golden("alertmanager/firing.json", "alertmanager")
    assert checkout == {
        "type": "external",
        "id": common.identity("alertmanager", "17ed80dcf03695b9"),
        "source": "alertmanager",
        "state": "firing",
        "seen_at": NOW,
        "started_at": rfc3339_ms("2026-11-22T18:58:58.894Z"),
        "ended_at": None,
        "service": "checkout",
        "name": "HighErrorRate",
        "severity": "critical",
        "summary": "5xx ratio 12%",
        "value": None,
        "instance": "",
        "labels": [["cluster", "eu-1"]],
        "resource": [["cluster", "eu-1"]],
    }
    assert (cart["service"], cart["severity"], cart["summary"]) == ("cart", "warning", "5xx ratio 4%")


def test_a_resolved_alert_has_an_end() -> None:
    """The year 1 says that there is none yet."""
    cart, checkout = golden("alertmanager/resolved.json", "alertmanager")
    assert (cart["state"], cart["ended_at"]) == ("firing", None)
    assert (checkout["state"], checkout["ended_at"]) == ("resolved", rfc3339_ms("2026-11-22T00:00:00Z"))


def test_fields_of_newer_versions_change_nothing() -> None:
    """notification_reason and routeLabels are stepped over."""
    assert golden("alertmanager/newer.json", "alertmanager") == golden(
        "alertmanager/firing.json", "alertmanager"
    )


def test_an_alert_of_grafana_has_its_value_and_its_zone() -> None:
    """A single value is the alert's; of several nobody says which one counts."""
    first, second = golden("grafana/alerting.json", "grafana")
    assert (first["source"], first["service"], first["name"]) == ("grafana", "cart", "High memory usage")
    assert first["value"] == 44.23943737541908
    assert ["zone", "us-1"] in first["resource"]
    assert first["started_at"] == rfc3339_ms("2026-10-12T07:51:03.157Z")
    assert (second["state"], second["value"], second["service"]) == ("resolved", None, "unknown")


def test_a_trigger_of_pagerduty_says_where_and_what() -> None:
    """The component is the service, the source the instance; details are labels."""
    (found,) = golden("pagerduty/trigger.json", "pagerduty")
    assert found["id"] == common.identity("pagerduty", "samplekeyhere")
    assert (found["service"], found["instance"]) == ("mysql", "prod-datapipe03.example.com")
    assert (found["name"], found["severity"], found["state"]) == ("disk", "critical", "firing")
    assert found["summary"] == "DISK at 99% on machine prod-datapipe03.example.com"
    assert found["started_at"] == rfc3339_ms("2026-07-17T08:42:58.315Z")
    assert dict(found["labels"]) == {
        "class": "disk",
        "group": "prod-datapipe",
        "free space": "1%",
        "ping time": "1500ms",
        "load avg": "0.75",
    }


def test_a_resolve_of_pagerduty_names_the_same_alert() -> None:
    """By its key alone."""
    (found,) = golden("pagerduty/resolve.json", "pagerduty")
    assert found["id"] == golden("pagerduty/trigger.json", "pagerduty")[0]["id"]
    assert (found["state"], found["ended_at"]) == ("resolved", None)


def test_the_event_recorder_and_the_webhook_name_one_alert() -> None:
    """The one writes the fingerprint as a number, the other as hex digits."""
    (created,) = golden("alertmanager-events/created.json", "alertmanager-events")
    (over,) = golden("alertmanager-events/resolved.json", "alertmanager-events")
    _, told = golden("alertmanager/firing.json", "alertmanager")
    assert created["id"] == over["id"] == told["id"]
    assert created["started_at"] == told["started_at"]
    assert (created["state"], over["state"]) == ("firing", "resolved")
    assert over["ended_at"] == rfc3339_ms("2026-11-22T19:03:58.894Z")


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ({"severity": "page"}, "critical"),
        ({"severity": "P1"}, "critical"),
        ({"severity": " HIGH "}, "error"),
        ({"priority": "p3"}, "warning"),
        ({"severity": "none"}, "info"),
        ({"severity": "whatever", "level": "error"}, "error"),
        ({}, "warning"),
    ],
)
def test_severities_are_told_by_their_usual_names(said: dict[str, str], ours: str) -> None:
    """In any case; an unknown one leaves it to the next label."""
    assert common.severity(said) == ours


def test_one_topic_takes_the_alerts_of_all_systems() -> None:
    """Format `alerts` looks at each record."""
    of = settings("alerts")
    values = [path.read_bytes() for name in ("alertmanager", "grafana", "pagerduty", "alertmanager-events")
              for path in sorted((GOLDEN / name).iterdir())]  # fmt: skip
    found = read(core(of).process([record(v, i, NOW) for i, v in enumerate(values)]), of=of)
    assert not found.letters
    assert {message["source"] for _, message in found.messages} == {"alertmanager", "grafana", "pagerduty"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "undecodable"),
        ('{"a": 1}', "unknown-format"),
        (webhook(), "wrong-type"),
        (webhook(alert(status="pending")), "wrong-type"),
        (webhook(alert(labels={})), "wrong-type"),
        (webhook(alert(labels={"a": 1})), "wrong-type"),
        (webhook(alert(startsAt="soon")), "wrong-type"),
        (webhook(alert(startsAt="2026-11-22T23:00:00Z")), "future"),
        ({"event_action": "trigger", "payload": {"source": "a", "severity": "error"}}, "wrong-type"),
        ({"event_action": "resolve", "payload": {}}, "wrong-type"),
        ({"event_action": "snooze", "dedup_key": "k"}, "wrong-type"),
    ],
)
def test_what_is_no_alert_is_a_dead_letter(value: Any, reason: str) -> None:
    """With its reason; nothing of it reaches the correlator."""
    found = sent(value)
    assert not found.messages
    assert [letter.reason for letter in found.letters] == [reason]


def test_a_bad_alert_leaves_the_others_of_its_notification() -> None:
    """And says how many were refused, or left out by the sender."""
    found = sent(webhook(alert(), alert(status="?"), truncatedAlerts=3))
    assert len(found.messages) == 1
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 4)]


def test_ten_thousand_labels_are_cut_to_the_bound() -> None:
    """In order of name, and the record is used."""
    labels = {"alertname": "x", "service": "s", **{f"l{i:05d}": "x" * 300 for i in range(10_000)}}
    ((_, found),) = sent(webhook(alert(labels=labels))).messages
    assert len(found["labels"]) == 64
    assert max(len(v) for _, v in found["labels"]) <= 200


def test_an_alert_goes_to_the_domain_it_belongs_to() -> None:
    """What ends one without saying whose it is goes to all."""
    correlate = Correlate(partitions=5, domain_label="tenant")
    topics = Topics(inputs=(InputTopic(name="in", format="alerts"),))
    maker = ingest_factory(Settings(topics=topics, correlate=correlate), ["in/0"])("in", 0)

    def domains(value: Any) -> list[int | None]:
        return [partition for partition, _ in read(maker.process([record(value, ts=NOW)])).messages]

    labels = {"alertname": "x", "tenant": "acme"}
    assert domains(webhook(alert(labels=labels))) == [shard_of("acme", 5)]
    assert domains(webhook(alert())) == [0]
    assert domains({"event_action": "resolve", "dedup_key": "k"}) == [0, 1, 2, 3, 4]


def test_the_service_rule_of_the_topic_comes_first() -> None:
    """As for every other format."""
    topics = Topics(inputs=(InputTopic(name="in", format="alerts", service=("team",)),))
    maker = ingest_factory(Settings(topics=topics), ["in/0"])("in", 0)
    value = webhook(alert(labels={"alertname": "x", "team": "blue", "service": "cart"}))
    assert [m["service"] for _, m in read(maker.process([record(value, ts=NOW)])).messages] == ["blue"]


def test_a_quiet_source_says_how_far_time_has_come() -> None:
    """From its newest record on, every ten seconds, and no shard hears of it."""
    of = settings("alerts")
    maker = core(of)
    maker.process([record(webhook(alert()), ts=NOW)])
    wall = T0 * 2
    first = read(maker.tick(wall, True), of=of)
    assert [(m["type"], m["at_ms"]) for _, m in first.messages] == [("outside", NOW)]
    assert not first.pages
    assert not maker.tick(wall + 5_000, True)
    later = read(maker.tick(wall + 10_000, True), of=of)
    assert [m["at_ms"] for _, m in later.messages] == [NOW + 10_000]


def test_a_source_without_alerts_says_nothing() -> None:
    """There is no time to go on from."""
    assert not core(settings("alerts")).tick(T0, True)


def test_numbers_that_are_no_numbers_do_no_harm() -> None:
    """Grafana's values may be null or texts."""
    ((_, found),) = sent(webhook(alert(values={"A": None, "B": "NaN", "C": 2.5}), orgId=1)).messages
    assert found["value"] == 2.5
    assert json.dumps(found)


@pytest.mark.parametrize("digits", [16, 400, 5_000])
def test_no_number_of_left_out_alerts_is_too_large(digits: int) -> None:
    """The alerts that did come are used, and it counts as many, but not as any number of them."""
    raw = json.dumps(webhook(alert())).encode()[:-1] + b', "truncatedAlerts": ' + b"9" * digits + b"}"
    found = read(core(settings("alertmanager")).process([record(raw)]))
    assert all(letter.rows <= 100_000 for letter in found.letters)
    assert len(found.letters) == 1
