"""Silences, trying rules, and what was held back, as a person runs the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli import silence as commands
from cli.main import main
from config.catalogue import Catalogue
from config.settings import ClickHouse, Settings
from correlator.domain import DomainCore
from detectors.alert import Alert
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.schema import create_database, migrate
from streams.decode.ingest import ingest_factory
from streams.records.messages import ActionResult, SilenceAction
from streams.records.stage import Record
from tests.sinks.make import MINUTE, T0, alert
from tests.sinks.store import store
from tests.sinks.test_suppressions import record, silence

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def finished(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return finished


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[SilenceAction]:
    """Actions sent; they go through ingest and a correlator, without a broker."""
    settings, found = Settings(), []
    ingest = ingest_factory(settings, ["tocsin.actions/0"])("tocsin.actions", 0)
    core = DomainCore(settings, Catalogue())

    def answer_to(of: Settings, id: str, key: str, action: SilenceAction, timeout_s: float) -> ActionResult:
        found.append(action)
        raw = Record("tocsin.actions", 0, len(found), action.ts, key.encode(), msgspec.json.encode(action))
        onward = [o for o in ingest.process([raw]) if o.topic == "tocsin.alerts"]
        (told,) = [Record("tocsin.alerts", 0, len(found), 0, o.key, o.value) for o in onward]
        answers = [o.value for o in core.process([told]) if o.topic == "tocsin.action-results"]
        return msgspec.json.decode(answers[0] or b"", type=ActionResult)

    monkeypatch.setattr(commands, "answer_to", answer_to)
    monkeypatch.setattr(commands, "wall_ms", lambda: T0 + 1_000 * len(found))
    return found


def test_add_sends_a_silence_and_says_that_it_is_in_force(run: Run, sent: list[SilenceAction]) -> None:
    """`--for` counts from now; the name is made up when none is given."""
    words = ("service=db", 'metric=~"disk.*"', "--for", "2h", "--comment", "moving", "--actor", "ann")
    code, out, _ = run("silence", "add", *words)
    (action,) = sent
    assert code == 0
    assert out.strip() == f"silence {action.silence.name} is active"
    assert (action.actor, action.silence.comment) == ("ann", "moving")
    assert action.silence.matchers == ("service=db", 'metric=~"disk.*"')
    assert action.silence.until == "2026-01-01T12:00:00+00:00"


def test_a_recurring_silence_is_added_and_expired(run: Run, sent: list[SilenceAction]) -> None:
    """By its name; a second time there is none, exit code 1."""
    when = ("--from", "2026-01-03T22:00", "--rrule", "FREQ=WEEKLY;BYDAY=SA", "--to", "06:00")
    assert run("silence", "add", "a=b", *when, "--zone", "Europe/Berlin", "--name", "w")[0] == 0
    code, out, _ = run("silence", "expire", "w", "--json")
    assert (code, json.loads(out)["state"]) == (0, "expired")
    code, _, err = run("silence", "expire", "w")
    assert code == 1
    assert "refused: no silence 'w' is in force" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("service",), "silence.matchers[0] is 'service'"),
        (("a=b", "--for", "soon"), "--for is 'soon': expected a duration"),
        (("a=b", "--for", "1h", "--until", "2027-01-01"), "--for goes with neither"),
        (("a=b", "--until", "2026-13-01"), "silence.until is '2026-13-01': expected a time such as"),
        (
            ("a=b", "--from", "2026-01-01", "--rrule", "FREQ=NEVER", "--to", "06:00"),
            "silence.rrule is 'FREQ=",
        ),
        (("a=b", "--for", "1h", "--zone", "Mars/Phobos"), "silence.zone is 'Mars/Phobos'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(
    run: Run, sent: list[SilenceAction], words: tuple[str, ...], said: str
) -> None:
    """In one line, exit code 2."""
    code, _, err = run("silence", "add", *words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert not sent


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """alerts.jsonl as backtest writes it: a node that is down for an hour, and what follows from it."""

    def one(id: str, service: str, at: int, until: int | None, **more: Any) -> Alert:
        times = {"started_at": T0 + at, "detected_at": T0 + at, "last_seen_at": T0 + (until or at)}
        ended = None if until is None else T0 + until
        state = "firing" if until is None else "resolved"
        return alert(
            id, 1 if until is None else 2, state=state, service=service, fingerprint=id, resolved_at=ended,
            resource=(("node", "n1"),), **times, **more,
        )  # fmt: skip

    found = [
        one("a", "node", 0, 60 * MINUTE, metric="node.down"),
        one("b", "db", MINUTE, 30 * MINUTE),
        one("c", "cart", 2 * MINUTE, 90 * MINUTE),
        one("d", "cart", 120 * MINUTE, None),
    ]
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(
        b"".join(msgspec.json.encode({"run": "", **msgspec.to_builtins(a)}) + b"\n" for a in found)
    )
    return path


def test_a_silence_is_tried_on_alerts_of_a_file(run: Run, past: Path) -> None:
    """Which alerts, by which rule, until when; nothing is sent."""
    code, out, _ = run("silence", "test", "service=~'cart|db'", "--alerts", past)
    assert code == 2  # quotes are double, as in Alertmanager
    code, out, _ = run("silence", "test", 'service=~"cart|db"', "--alerts", past)
    assert code == 0
    assert "3 of 4 alerts would have been held back, 3 of them to the end" in out
    part = ("--from", "2026-01-01T10:00", "--until", "2026-01-01T11:00")
    code, out, _ = run("silence", "test", "service=cart", *part, "--alerts", past, "--json")
    found = json.loads(out)
    assert [(s["alert"], s["outcome"], s["until_ms"] - T0) for s in found["suppressed"]] == [
        ("c", "correlated", 60 * MINUTE)
    ]


CONFIG = """
correlate:
  silences:
    - {name: db, matchers: [service=db]}
  inhibit:
    - {name: node, source: ['metric="node.down"'], target: ['metric!="node.down"'], equal: [node]}
"""


def test_rules_of_the_configuration_are_tried_together_or_one_by_one(
    run: Run, past: Path, tmp_path: Path
) -> None:
    """dry-run names rule, version and what went on when it ended."""
    config = tmp_path / "tocsin.yaml"
    config.write_text(CONFIG)
    assert run("config", "check", "-c", config)[1].strip().endswith("1 silence, 1 inhibition)")
    _, out, _ = run("rules", "dry-run", "-c", config, "--alerts", past, "--json")
    found = json.loads(out)
    assert [(s["alert"], s["kind"], s["outcome"]) for s in found["suppressed"]] == [
        ("b", "silence", "resolved"),
        ("c", "inhibition", "correlated"),
    ]
    _, out, _ = run("rules", "dry-run", "-c", config, "--rule", "node", "--alerts", past, "--json")
    assert [(s["alert"], s["rule"]) for s in json.loads(out)["suppressed"]] == [("b", "node"), ("c", "node")]
    code, _, err = run("rules", "dry-run", "-c", config, "--rule", "other", "--alerts", past)
    assert code == 2
    assert "it has: db, flap, node" in err
    assert run("silence", "test", "--name", "db", "-c", config, "--alerts", past)[1].startswith(
        "1 of 4 alerts"
    )


def test_a_file_that_is_none_is_named(run: Run, tmp_path: Path) -> None:
    """With the line at fault."""
    bad = tmp_path / "alerts.jsonl"
    bad.write_text("\n{}\n")
    code, _, err = run("silence", "test", "a=b", "--alerts", bad)
    assert code == 2
    assert "line 2 is no alert" in err
    assert "cannot be read" in run("silence", "test", "a=b", "--alerts", tmp_path / "none")[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "silences: [{name: a, matchers: [x]}]",
            "correlate.silences[0].matchers[0] is 'x': expected a matcher",
        ),
        (
            "silences: [{name: a, matchers: [x=y], to: 22:00}]",
            "correlate.silences[0].to is '22:00': expected",
        ),
        (
            "silences: [{name: a, matchers: [x=y]}, {name: a, matchers: [x=y]}]",
            "'a': expected distinct names",
        ),
        ("maintenance: [{name: a}]", "correlate.maintenance[0].services is []: expected at least one"),
        ("maintenance: [{name: a, services: [b], zone: X}]", "correlate.maintenance[0].zone is 'X'"),
        ("inhibit: [{name: a, source: [], target: [x=y]}]", "correlate.inhibit[0].source is []: expected"),
        ("dedup: [{name: a, by: []}]", "correlate.dedup[0].by is []"),
        (
            "dedup: [{name: a, by: [x], window: ever}]",
            "correlate.dedup[0].window is 'ever': expected a duration",
        ),
        ("flap: {calm: 9}", "correlate.flap.calm is 9: expected less than correlate.flap.transitions (6)"),
        ("flap: {window: 0s}", "correlate.flap.window is '0s': expected a duration of more than 0"),
        ("silence: []", "unknown field `silence`"),
    ],
)
def test_bad_configuration_stops_the_check(run: Run, tmp_path: Path, text: str, said: str) -> None:
    """Key, value and what was expected."""
    config = tmp_path / "tocsin.yaml"
    config.write_text(f"correlate:\n  {text}\n")
    code, _, err = run("config", "check", "-c", config)
    assert code == 2
    assert said in err


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[str]:
    with Stack(kafka=False) as running:
        settings = ClickHouse(url=running.clickhouse)
        first = connect(settings, database="default")
        create_database(first, "tocsin")
        client = connect(settings)
        migrate(client)
        store(client, silence("night", 1), silence("old", 1), silence("old", 2, "expired"), record())
        store(
            client, record("a2", kind="flap", rule="flap", state="ended", outcome="resolved", service="cart")
        )
        store(
            client, *(alert(f"n{n}", fingerprint=f"n{n}", service="db", resolved_at=None) for n in range(3))
        )
        first.close()
        client.close()
        yield running.clickhouse


def test_list_and_suppressions_show_what_is_held_back(
    run: Run, clickhouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In force or over, who, why, how many; alert by alert."""
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", clickhouse)
    _, out, _ = run("silence", "list")
    assert "night" in out
    assert "old" not in out
    assert [s["name"] for s in json.loads(run("silence", "list", "--all", "--json")[1])["silences"]] == [
        "night",
        "old",
    ]
    _, out, _ = run("suppressions", "--since", "2026-01-01")
    assert "silence night" in out
    assert [
        s["alert"]
        for s in json.loads(run("suppressions", "--kind", "flap", "--since", "2026-01-01", "--json")[1])
    ] == ["a2"]
    assert "expected one of silence, maintenance" in run("suppressions", "--kind", "x")[2]
    _, out, _ = run("silence", "test", "service=db", "--since", "2025-12-31")
    assert "3 of 3 alerts would have been held back" in out
