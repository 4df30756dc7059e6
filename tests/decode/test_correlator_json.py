"""Changes and actions: straight to the correlator."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Correlate
from tests.decode.support import T0, Read, core, read, record, settings

CHANGE = {"ts": T0, "service": "pay", "version": "1.5", "summary": "new gateway"}
ACTION = {"id": "a-1", "ts": T0, "incident": "i-1", "action": "acknowledge", "actor": "kim"}


def send(value: Any, wire_format: str = "changes", domains: int = 1) -> Read:
    of = settings(wire_format, correlate=Correlate(partitions=domains))
    return read(core(of).process([record(value)]), of=of)


def test_a_change_is_forwarded_with_its_tag() -> None:
    """What the producer left out has its default."""
    ((partition, sent),) = send(CHANGE).messages
    assert partition == 0
    assert sent["type"] == "change"
    assert (sent["service"], sent["kind"], sent["version"]) == ("pay", "deployment", "1.5")


def test_a_change_without_an_id_gets_one_from_its_content() -> None:
    """The same change sent twice has the same id; another one has another."""
    first, again, other = (
        send(value).messages[0][1]["id"] for value in (CHANGE, CHANGE, {**CHANGE, "version": "2"})
    )
    assert first == again != other


def test_an_id_of_the_producer_is_kept() -> None:
    """Deployment tools have ids of their own."""
    assert send({**CHANGE, "id": "deploy-7"}).messages[0][1]["id"] == "deploy-7"


def test_every_domain_hears_of_it() -> None:
    """With several domains a message goes to each: the correlator knows what concerns it."""
    assert [partition for partition, _ in send(CHANGE, domains=3).messages] == [0, 1, 2]


def test_an_action_is_forwarded_with_its_tag() -> None:
    """Actions take the same way."""
    ((_, sent),) = send(ACTION, "actions").messages
    assert (sent["type"], sent["id"], sent["actor"]) == ("action", "a-1", "kim")


@pytest.mark.parametrize(
    ("value", "wire_format", "reason"),
    [
        ("[1]", "changes", "wrong-type"),
        ("{", "changes", "undecodable"),
        ({**CHANGE, "ts": "now"}, "changes", "wrong-type"),
        ({**CHANGE, "ts": 0}, "changes", "wrong-type"),
        ({**CHANGE, "service": ""}, "changes", "wrong-type"),
        ({**CHANGE, "ts": T0 + 3_600_000}, "changes", "future"),
        ({**ACTION, "incident": ""}, "actions", "wrong-type"),
    ],
)
def test_a_bad_message_is_a_dead_letter(value: Any, wire_format: str, reason: str) -> None:
    """Nothing of it reaches the correlator."""
    found = send(value, wire_format)
    assert not found.messages
    assert [letter.reason for letter in found.letters] == [reason]


def test_an_old_change_is_welcome() -> None:
    """It is evidence, and replays of old data bring old changes."""
    assert send({**CHANGE, "ts": T0 - 90 * 86_400_000}).messages


def test_no_shard_waits_for_a_topic_of_changes() -> None:
    """It has no pages, and it is not among the sources that pages count."""
    of = settings()
    maker = core(of, topic="changes")
    found = read(maker.process([record(CHANGE, topic="changes")]), of=of)
    assert found.messages
    assert not found.pages
    assert not maker.tick(T0, True)
    telemetry = read(core(of).process([record({"ts": T0, "service": "a", "metric": "m", "value": 1})]), of=of)
    assert {page.sources for _, page in telemetry.pages} == {2}


SILENCE = {"ts": T0, "action": "add", "silence": {"name": "n", "matchers": ["a=b"], "from": "2026-01-01"}}


def test_an_action_may_be_about_a_silence() -> None:
    """With an id of its content, like any other; every domain hears of it."""
    sent = send(SILENCE, "actions", domains=2).messages
    other = send({**SILENCE, "actor": "ann"}, "actions").messages
    assert [partition for partition, _ in sent] == [0, 1]
    (_, message), _ = sent
    assert (message["type"], message["action"]) == ("silence_action", "add")
    assert (message["silence"]["name"], message["silence"]["from"]) == ("n", "2026-01-01")
    assert message["id"] != other[0][1]["id"]
    assert send(SILENCE, "auto").messages


@pytest.mark.parametrize(
    "value",
    [
        {**SILENCE, "incident": "3f9a"},
        {"ts": T0, "action": "add"},
        {**SILENCE, "silence": {"name": "n", "matcher": ["a=b"]}},
        {**SILENCE, "silence": {"name": "n", "comment": "x" * 70_000}},
    ],
)
def test_what_is_about_neither_or_both_is_refused(value: Any) -> None:
    """As are words a silence does not have, and one too long to pass on."""
    found = send(value, "actions")
    assert not found.messages
    assert [letter.reason for letter in found.letters] == ["wrong-type"]


def test_an_action_may_be_about_a_problem_or_bring_a_cause() -> None:
    """And its id depends on all it says, but not on what it leaves out."""
    problem = {"ts": T0, "problem": "p-1", "action": "close", "actor": "kim"}
    ((_, sent),) = send(problem, "actions").messages
    assert (sent["problem"], sent["incident"], sent["action"]) == ("p-1", "", "close")
    found = {"ts": T0, "incident": "i-1", "action": "record", "cause": "pool", "fix": "resized"}
    ((_, sent),) = send(found, "actions").messages
    assert (sent["cause"], sent["fix"], sent["cause_service"]) == ("pool", "resized", "")
    plain = {"ts": T0, "incident": "i-1", "action": "resolve"}
    ids = [
        send(value, "actions").messages[0][1]["id"]
        for value in (plain, {**plain, "cause": ""}, {**plain, "cause": "x"})
    ]
    assert ids[0] == ids[1] != ids[2]


def test_an_action_about_two_things_is_refused() -> None:
    found = send({**ACTION, "problem": "p-1"}, "actions")
    assert [letter.reason for letter in found.letters] == ["wrong-type"]
