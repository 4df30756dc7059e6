"""The incident commands as a person runs them, against the real ClickHouse engine and a broker."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cli.actions import action_of
from cli.errors import CliError
from cli.main import main
from cli.output import figure, parse_when
from config.settings import ClickHouse
from correlator.headline import headline
from correlator.incident import Similar
from embedded.probe import free_port
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.schema import create_database, migrate
from streams.records.messages import Action, ActionResult, Change
from tests.sinks.make import DAY, HOUR, MINUTE, T0, alert, incident, resolved, service
from tests.sinks.store import store
from tests.sinks.test_past import known, problem

SLOW, FAST, MERGED, OPEN = "3f9a1c0de2b47756", "3f9b000000000001", "bb00000000000000", "cc00000000000000"
PAST = Similar("aa00000000000000", 0.83, "payment latency up", T0 - DAY, True, "pool", "payment", "rollback")
SUGGESTED = (
    "the last time this was: payment: pool; fixed by: rollback (incident aa00000000000000, 2025-12-31)"
)
PROBLEM = problem(workaround="restart it", incidents=(SLOW, FAST), cause="pool", state="known_error")
KNOWN = known(SLOW)
TOPICS = ("tocsin.actions", "tocsin.action-results", "tocsin.changes")


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


Run = Callable[..., Finished]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        asyncio.run(_create_topics(running.kafka))
        for database in ("tocsin", "empty"):
            settings = ClickHouse(url=running.clickhouse, database=database)
            first = connect(settings, database="default")
            create_database(first, database)
            client = connect(settings)
            migrate(client)
            if database == "tocsin":
                store(
                    client,
                    incident(
                        SLOW, version=4, title="[red]checkout[/red]\x1b[2J fails", acknowledged_by="ann",
                        acknowledged_at=T0 + 3 * MINUTE, reopened=1,
                        similar=(PAST,), suggestion=SUGGESTED, problem=PROBLEM.id,
                        **resolved(50, by="human", first_resolved_at=T0 + 10 * MINUTE, active_ms=30 * MINUTE),
                    ),
                    incident(FAST, category="service disruption", **resolved(2 * DAY / MINUTE)),
                    incident(MERGED, state="merged", merged_into=OPEN, hints=(), members=()),
                    incident(OPEN, started_at=T0 + DAY, detected_at=T0 + DAY + MINUTE, updated_at=T0 + DAY),
                    *(alert(f"a{n}") for n in range(9)),
                    PROBLEM,
                    KNOWN,
                    service(), service(at=T0 + DAY, truncated=2), service("gone", gone=True, calls=()),
                )  # fmt: skip
            first.close()
            client.close()
        yield running


async def _create_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1) for name in TOPICS])
    finally:
        await admin.close()


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `tocsin WORDS` in this process; environment variables as keyword arguments."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", stack.clickhouse)
    monkeypatch.setenv("TOCSIN_KAFKA", stack.kafka)

    def finished(*words: str, **environment: str) -> Finished:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main(list(words))
        said = capsys.readouterr()
        return Finished(int(caught.value.code or 0), said.out, said.err)

    return finished


class Correlator(threading.Thread):
    """Stands in for the correlator: answers every action on `tocsin.actions` with `answer`."""

    def __init__(self, bootstrap: str, answer: Callable[[Action], ActionResult]) -> None:
        super().__init__(daemon=True)
        self.bootstrap, self.answer = bootstrap, answer
        self.seen: list[Action] = []
        self.ready, self.enough = threading.Event(), threading.Event()

    def __enter__(self) -> Correlator:
        self.start()
        assert self.ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        self.join(20)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        home = TopicPartition("tocsin.actions", 0)
        async with (
            AIOKafkaConsumer(bootstrap_servers=self.bootstrap, fetch_max_wait_ms=50) as consumer,
            AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer,
        ):
            consumer.assign([home])
            consumer.seek(home, (await consumer.end_offsets([home]))[home])
            self.ready.set()
            while not self.enough.is_set():
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        action = msgspec.json.decode(record.value, type=Action)
                        self.seen.append(action)
                        noise = ActionResult("another", action.incident, False, "not yours")
                        for result in (noise, self.answer(action)):
                            await producer.send_and_wait("tocsin.action-results", msgspec.json.encode(result))


def _applied(action: Action) -> ActionResult:
    return ActionResult(action.id, action.incident, True, "applied", "acknowledged")


def _refused(action: Action) -> ActionResult:
    return ActionResult(
        action.id, action.incident, False, "cannot resolve an incident that is closed", "closed"
    )


def test_incidents_lists_the_newest_first(run: Run) -> None:
    """One row per incident, the latest start on top."""
    done = run("incidents", "--json")
    assert done.code == 0
    assert [one["id"] for one in done.json] == [OPEN, SLOW, FAST, MERGED]


def test_the_table_says_state_age_and_likely_cause(run: Run) -> None:
    """What a person needs before asking why."""
    line = next(line for line in run("incidents").out.splitlines() if SLOW in line)
    assert "resolved" in line
    assert "50 min 0 s" in line
    assert "payment 80 %" in line


def test_titles_can_neither_style_nor_drive_the_terminal(run: Run) -> None:
    """Titles come from telemetry: markup is shown as it is, escape characters are not."""
    out = run("incidents").out
    assert "[red]checkout[/red]" in out
    assert "\x1b" not in out


def test_open_means_everything_somebody_still_has_to_look_at(run: Run) -> None:
    """Neither resolved nor merged."""
    assert [one["id"] for one in run("incidents", "--open", "--json").json] == [OPEN]


def test_state_picks_one_state(run: Run) -> None:
    """--state merged finds what --open hides."""
    assert [one["id"] for one in run("incidents", "--state", "merged", "--json").json] == [MERGED]


def test_since_compares_the_last_change(run: Run) -> None:
    """An incident that changed later than the given time is listed."""
    found = run("incidents", "--since", "2026-01-02T09:00", "--json").json
    assert {one["id"] for one in found} == {OPEN, FAST}


def test_limit_keeps_the_newest_and_says_so(run: Run) -> None:
    """The list is cut, and tells."""
    done = run("incidents", "--limit", "1")
    assert OPEN in done.out
    assert SLOW not in done.out
    assert "--limit" in done.out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("incidents", "--service", "nobody"), "Without filters"),
        (("report", "--since", "1h"), "Without --since"),
    ],
)
def test_an_empty_answer_says_what_to_do_next(run: Run, words: tuple[str, ...], hint: str) -> None:
    """Nothing found is exit code 0 and a next step."""
    done = run(*words)
    assert (done.code, hint in done.out) == (0, True)


@pytest.mark.parametrize("command", ["incidents", "report"])
def test_an_empty_database_points_to_the_demo(run: Run, command: str) -> None:
    """The newcomer's first call."""
    done = run(command, TOCSIN_CLICKHOUSE_DATABASE="empty")
    assert done.code == 0
    assert "tocsin demo" in done.out


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("incidents",), {"TOCSIN_CLICKHOUSE": "http://127.0.0.1:1"}, "no ClickHouse at http://127.0.0.1:1"),
        (("report",), {"TOCSIN_CLICKHOUSE_DATABASE": "nowhere"}, "start a worker"),
        (("explain", "zz"), {}, "tocsin incidents lists them"),
        (("explain", ""), {}, "no incident"),
        (("explain", "3f9"), {}, f"{SLOW}, {FAST}"),
        (("incidents", "--state", "weird"), {}, "use one of open"),
        (("incidents", "--open", "--state", "open"), {}, "exclude each other"),
        (("incidents", "--since", "yesterday"), {}, "for example --since 24h"),
        (("report", "--by", "phase-of-moon"), {}, "service, team, severity, category, week, day"),
        (("report", "--since", "1h", "--until", "2h"), {}, "exchange them"),
        (("ack", OPEN), {"TOCSIN_KAFKA": "127.0.0.1:1"}, "no Kafka at 127.0.0.1:1"),
        (("change", "--service", " "), {}, "--service is empty"),
        (("change", "--service", "x"), {"TOCSIN_KAFKA": "127.0.0.1:1"}, "tocsin dev kafka"),
    ],
)
def test_what_fails_is_one_line_with_the_next_step(
    run: Run, words: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    """Exit code 2, nothing on standard output, no traceback, no library's log lines."""
    done = run(*words, **environment)
    assert done.code == 2
    assert done.out == ""
    assert said in done.err
    assert done.err.startswith("tocsin: ")
    assert len(done.err.splitlines()) == 1


def test_explain_shows_hints_reasons_timeline_and_times(run: Run) -> None:
    """Everything behind an incident, from the first digits of its id."""
    out = run("explain", "3f9a").out
    for fact in (
        "most likely caused by payment, confidence 80 %: latency", "first by 12 s", "deployed v2",
        "checkout calls payment", "0.60", "latency of payment", "changes in evidence: c1",
        "resolved by a person after 50 min 0 s",
    ):  # fmt: skip
        assert fact in out
    assert re.search(r"MTTD detected − started +1 min 0 s", out)
    assert re.search(r"MTTR resolved − started +50 min 0 s", out)
    assert re.search(r"MTTA acknowledged − detected +2 min 0 s", out)
    assert re.search(r"first resolve − started +10 min 0 s", out)
    assert re.search(r"active, without the calm +30 min 0 s", out)


def test_explain_as_json_is_the_whole_incident_and_its_timing(run: Run) -> None:
    """For scripts: nothing is only in the tables."""
    answer = run("explain", SLOW, "--json").json
    assert answer["incident"]["hints"][0]["evidence"][1]["kind"] == "change"
    assert answer["incident"]["members"][0]["reasons"][0]["name"] == "topology"
    assert answer["timing"]["mttr_ms"] == 50 * MINUTE


def test_explain_of_a_merged_incident_points_to_the_survivor(run: Run) -> None:
    """Its times are counted there."""
    out = run("explain", MERGED).out
    assert f"tocsin explain {OPEN}" in out
    assert "counted with the incident it was merged into" in out


def test_the_headline_of_an_open_incident_says_nobody_has_it() -> None:
    """One sentence, whatever is missing."""
    assert headline(incident(hints=())) == (
        "1 alert in 2 services since 2026-01-01 10:00:00 UTC; no likely cause found; "
        "nobody has acknowledged it."
    )


def test_the_report_gives_n_mean_and_quantiles(run: Run) -> None:
    """Two resolved, one acknowledged, nine alerts for three incidents."""
    answer = run("report", "--json").json
    total = answer["total"]
    assert (total["resolved"], total["auto"], total["human"], total["ack_rate"]) == (2, 1, 1, 0.5)
    assert total["mtta"] == dict.fromkeys(("mean", "p50", "p90", "p95"), 2.0 * MINUTE) | {"n": 1}
    assert total["mttr_human"]["p50"] == 50 * MINUTE
    assert total["mttr"]["mean"] == (2 * DAY + 50 * MINUTE) / 2
    assert answer["noise"] == {
        "alerts": 9, "suppressed": 0, "incidents": 3, "reduction": pytest.approx(2 / 3), "active": 1,
    }  # fmt: skip


def test_the_report_by_day_has_empty_days_without_figures(run: Run) -> None:
    """A day without a resolve is a row of dashes, not of zeros."""
    groups = run("report", "--by", "day", "--json").json["groups"]
    assert [(group["key"], group["resolved"]) for group in groups] == [
        ("2026-01-01", 1), ("2026-01-02", 0), ("2026-01-03", 1),
    ]  # fmt: skip
    assert groups[1]["ack_rate"] is None
    assert groups[1]["mttr"]["mean"] is None
    line = next(line for line in run("report", "--by", "day").out.splitlines() if "2026-01-02" in line)
    assert line.split() == ["2026-01-02", "0", *["–"] * 8]


def test_the_report_by_service_counts_under_each_service(run: Run) -> None:
    """An incident in two services is in both rows, and once in the total."""
    groups = run("report", "--by", "service", "--json").json["groups"]
    assert {group["key"]: group["resolved"] for group in groups} == {"payment": 2, "checkout": 2}


def test_the_report_by_team_and_by_week(run: Run) -> None:
    """Nobody owns them: one row without a name. Both were resolved in the week of 29 December."""
    groups = run("report", "--by", "team", "--json").json["groups"]
    assert {group["key"]: group["resolved"] for group in groups} == {"": 2}
    groups = run("report", "--by", "week", "--json").json["groups"]
    assert [(group["key"], group["resolved"]) for group in groups] == [("2025-12-29", 2)]


def test_the_report_by_category_splits(run: Run) -> None:
    """Each category on its own."""
    groups = run("report", "--by", "category", "--json").json["groups"]
    assert {group["key"]: group["resolved"] for group in groups} == {
        "performance degradation": 1,
        "service disruption": 1,
    }


def test_the_period_is_that_of_the_resolve(run: Run) -> None:
    """Until the second of January only the first incident had been resolved."""
    total = run("report", "--until", "2026-01-02", "--json").json["total"]
    assert total["resolved"] == 1


def test_report_help_defines_what_it_counts(run: Run) -> None:
    """No MTTR with an undefined R."""
    out = " ".join(run("report", "--help").out.split())
    assert "MTTR: resolved − started" in out
    assert "MTTA: acknowledged − detected, over acknowledged incidents only" in out


def test_ack_is_sent_and_its_answer_printed(run: Run, stack: Stack) -> None:
    """The action carries incident, verb, actor and note; only its own answer counts."""
    with Correlator(stack.kafka, _applied) as correlator:
        done = run("ack", "cc", "--note", "on it", "--actor", "ann", "--timeout", "20")
    (action,) = correlator.seen
    assert (action.incident, action.action, action.actor, action.note) == (
        OPEN,
        "acknowledge",
        "ann",
        "on it",
    )
    assert done.code == 0
    assert done.out == f"incident {OPEN} is acknowledged by ann\n"


def test_a_refused_action_prints_the_reason_and_fails(run: Run, stack: Stack) -> None:
    """Exit code 1, so that a script can tell refused from unreachable."""
    with Correlator(stack.kafka, _refused):
        done = run("resolve", SLOW, "--timeout", "20")
    assert done.code == 1
    assert "refused: cannot resolve an incident that is closed" in done.err


@pytest.mark.parametrize(
    ("typed", "verb", "targets"),
    [
        (("merge", "cc", SLOW), "merge", (SLOW,)),
        (("split", "cc", "payment", "0c4be1f2a9d87756"), "split", ("payment", "0c4be1f2a9d87756")),
        (("undo", "cc"), "undo", ()),
    ],
)
def test_the_shape_of_an_incident_is_corrected_by_action(
    run: Run, stack: Stack, typed: tuple[str, ...], verb: str, targets: tuple[str, ...]
) -> None:
    """Merge, split and undo carry what they are about."""
    with Correlator(stack.kafka, _applied) as correlator:
        done = run(*typed, "--timeout", "20")
    (action,) = correlator.seen
    assert (action.incident, action.action, action.targets) == (OPEN, verb, targets)
    assert done.code == 0


@pytest.mark.parametrize(
    ("typed", "verb", "fields"),
    [
        (("assign", "cc", "team-a"), "assign", {"to": "team-a"}),
        (
            ("classify", "cc", "--severity", "error", "--major"),
            "classify",
            {"severity": "error", "major": "true"},
        ),
        (("classify", "cc", "--priority", ""), "classify", {"priority": ""}),
        (
            ("impact", "cc", "--customers", "12", "--payment-delay", "2", "--estimate"),
            "impact",
            {"customers": "12.0", "payment_delay_ms": "120000", "status": "estimate"},
        ),
        (
            ("edit", "cc", "started_at=2026-01-01T00:00", "--note", "x"),
            "edit",
            {"started_at": "1767225600000"},
        ),
        (
            ("submit", "cc", "dora initial", "--at", "2026-01-01"),
            "submit",
            {"name": "dora initial", "at": "1767225600000"},
        ),
        (("pause", "cc", "--note", "x"), "pause", {}),
        (("resume", "cc"), "resume", {}),
        (("mitigate", "cc"), "mitigate", {}),
        (("note", "cc", "a sentence"), "note", {}),
    ],
)
def test_what_people_state_travels_in_fields(
    run: Run, stack: Stack, typed: tuple[str, ...], verb: str, fields: dict[str, str]
) -> None:
    """Each command sends its verb and what it was given."""
    with Correlator(stack.kafka, _applied) as correlator:
        done = run(*typed, "--timeout", "20")
    (action,) = correlator.seen
    assert (action.incident, action.action, action.fields) == (OPEN, verb, fields)
    assert done.code == 0


def test_a_report_makes_an_id_of_its_own(run: Run, stack: Stack) -> None:
    """ClickHouse is not asked; the answer names the new incident."""
    with Correlator(stack.kafka, _applied) as correlator:
        done = run(
            "report-incident", "Mail is slow", "--service", "mail", "--service", "dns",
            "--started", "2026-01-01", "--timeout", "20",
        )  # fmt: skip
    (action,) = correlator.seen
    assert re.fullmatch(r"[0-9a-f]{16}", action.incident)
    assert action.fields == {
        "title": "Mail is slow",
        "services": "mail,dns",
        "severity": "error",
        "started_at": "1767225600000",
    }
    assert (done.code, action.incident in done.out) == (0, True)


def test_an_edit_without_a_time_is_explained(run: Run) -> None:
    """Before anything is sent."""
    done = run("edit", "cc", "yesterday", "--note", "x")
    assert done.code == 2
    assert "'yesterday' is not NAME=TIME" in done.err


def test_an_action_answers_in_json_too(run: Run, stack: Stack) -> None:
    """The ActionResult as it came."""
    with Correlator(stack.kafka, _applied):
        done = run("ack", OPEN, "--json", "--timeout", "20")
    assert done.json["applied"] is True


def test_an_action_nobody_answers_says_so(run: Run) -> None:
    """No worker: the action waits in the topic, and the person is told."""
    done = run("ack", OPEN, "--timeout", "0.3")
    assert done.code == 2
    assert "no answer within 0.3 s" in done.err


def test_a_full_id_needs_no_clickhouse(run: Run) -> None:
    """Acknowledging must work while the analytics are down."""
    done = run("ack", OPEN, "--timeout", "0.3", TOCSIN_CLICKHOUSE=f"http://127.0.0.1:{free_port()}")
    assert "no answer within" in done.err


def test_the_action_id_is_a_digest_of_what_is_said_and_when() -> None:
    """Sent twice it counts once; said again later it is another action."""
    one = action_of("resolve", OPEN, "ann", "", T0)
    assert one == action_of("resolve", OPEN, "ann", "", T0)
    assert one.id != action_of("resolve", OPEN, "ann", "", T0 + 1).id
    assert one.id != action_of("acknowledge", OPEN, "ann", "", T0).id


def test_a_change_reaches_its_topic(run: Run, stack: Stack) -> None:
    """Exit code 0 only after the broker has it, with the fields as given."""
    done = run(
        "change", "--service", "payment", "--version", "v42", "--summary", "retries", "--author", "ann",
        "--at", "2026-03-01T14:00", "--id", "build-7", "--json",
    )  # fmt: skip
    expected = Change("build-7", 1_772_373_600_000, "payment", "deployment", "v42", "retries", "ann")
    assert done.code == 0
    assert msgspec.convert(done.json, Change) == expected
    assert asyncio.run(_last(stack.kafka, "tocsin.changes")) == expected


async def _last(bootstrap: str, topic: str) -> Change:
    home = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([home])
        consumer.seek(home, (await consumer.end_offsets([home]))[home] - 1)
        record = await asyncio.wait_for(consumer.getone(), 10)
        return msgspec.json.decode(record.value, type=Change)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", T0 - 90_000),
        ("1.5h", T0 - 90 * MINUTE),
        ("2d", T0 - 2 * DAY),
        ("1w", T0 - 7 * DAY),
        ("2026-01-01", 1_767_225_600_000),
        ("2026-01-01T12:00", 1_767_268_800_000),
        ("2026-01-01T12:00+02:00", 1_767_261_600_000),
    ],
)
def test_people_may_say_when_in_several_ways(text: str, ms: int) -> None:
    """Ages count back from now; times without a zone are UTC."""
    assert parse_when(text, T0, "--since") == ms


@pytest.mark.parametrize("text", ["", "soon", "-1h", "5", "2026-13-01", "1y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the option's name and an example."""
    with pytest.raises(CliError, match="--since"):
        parse_when(text, T0, "--since")


@pytest.mark.parametrize(
    ("ms", "shown"), [(None, "–"), (0, "0 ms"), (1_500, "1.5 s"), (2 * DAY + 3 * 60 * MINUTE, "2 d 3 h")]
)
def test_a_missing_figure_is_a_dash_not_a_zero(ms: float | None, shown: str) -> None:
    """And long ones are in days."""
    assert figure(ms) == shown


def test_similar_names_past_incidents_with_their_causes(run: Run) -> None:
    shown = run("similar", SLOW[:5]).out
    assert shown.startswith("the last time this was: payment: pool; fixed by: rollback")
    assert "83 %" in shown
    assert "payment latency up" in shown
    assert f"tocsin problems show {PROBLEM.id}" in shown
    assert run("similar", SLOW, "--json").json["similar"][0]["fix"] == "rollback"
    assert "Nothing like it had closed" in run("similar", OPEN).out


def test_explain_and_the_list_say_what_it_was_the_last_time(run: Run) -> None:
    """And what people have recorded about this one."""
    shown = run("explain", SLOW).out
    assert "Recorded by ann: payment: Pool too small; fixed by: rolled back" in shown
    assert "Like it before" in shown
    assert run("explain", SLOW, "--json").json["known"]["actor"] == "ann"
    assert "the last time this was" in " ".join(run("incidents").out.split())


def test_problems_are_listed_and_shown_with_their_incidents(run: Run) -> None:
    listed = run("problems").out
    assert PROBLEM.id in listed
    assert "until then: restart it" in listed
    shown = run("problems", "show", PROBLEM.id[:4]).out
    assert SLOW in shown
    assert FAST in shown
    assert "3, about every 24 h" in shown
    assert run("problems", "--json").json[0]["state"] == "known_error"
    assert "No problem" in run("problems", "--service", "nobody").out
    missing = run("problems", "show", "ffff")
    assert missing.code == 2
    assert "tocsin problems --all lists them" in missing.err


def test_knowledge_is_searched_by_words(run: Run) -> None:
    assert SLOW in run("knowledge", "pool", "ROLLED").out
    assert run("knowledge", "--json").json[0]["cause"] == "Pool too small"
    assert "Nothing recorded has these words" in run("knowledge", "volcano").out


def test_a_cause_travels_with_the_resolve_and_by_itself(run: Run, stack: Stack) -> None:
    said = ("--cause", "pool", "--cause-service", "payment", "--fix", "rollback", "--runbook", "http://w/p")
    with Correlator(stack.kafka, _applied) as correlator:
        for verb in ("resolve", "record"):
            assert run(verb, SLOW, *said, "--actor", "ann").code == 0
    for action, verb in zip(correlator.seen, ("resolve", "record"), strict=True):
        assert (action.action, action.incident, action.actor) == (verb, SLOW, "ann")
        assert (action.cause, action.cause_service, action.fix) == ("pool", "payment", "rollback")
        assert action.runbook == "http://w/p"


@pytest.mark.parametrize(
    ("words", "verb", "note"),
    [
        (("workaround", "5c1a", "restart it"), "workaround", "restart it"),
        (("close", "5c1a", "--note", "gone"), "close", "gone"),
        (("resolve", "5c1a"), "resolve", ""),
        (("reopen", "5c1a"), "reopen", ""),
    ],
)
def test_a_problem_is_worked_on_by_action(
    run: Run, stack: Stack, words: tuple[str, ...], verb: str, note: str
) -> None:
    with Correlator(stack.kafka, _applied) as correlator:
        assert run("problems", *words).code == 0
    (action,) = correlator.seen
    assert (action.action, action.problem, action.incident, action.note) == (verb, PROBLEM.id, "", note)


def test_a_refused_step_of_a_problem_prints_the_reason_and_fails(run: Run, stack: Stack) -> None:
    with Correlator(stack.kafka, _refused):
        done = run("problems", "close", "5c1a")
    assert done.code == 1
    assert f"tocsin problems show {PROBLEM.id}" in done.err


def test_incident_show_draws_what_clickhouse_holds(run: Run) -> None:
    """The calls and what the catalogue said came along with the incident."""
    out = run("incident", "show", OPEN[:4]).out
    assert "checkout → payment" in out
    assert "payment  25 % of calls fail  ◀ suspected cause, 80 %  pay · tier 1 · https://wiki/pay" in out
    assert "board: https://b/1" in out
    assert run("incident", "show", OPEN, "--json").json["path"] == ["checkout", "payment"]
    assert run("explain", OPEN).out.count("https://wiki/pay") == 1


def test_topology_shows_the_newest_record_of_each_service(run: Run) -> None:
    """As the sink stored it; services that are gone are not there."""
    found = run("topology", "--json").json
    assert [s["service"] for s in found["services"]] == ["checkout", "payment"]
    assert found["calls"] == [
        {
            "caller": "checkout", "callee": "payment", "declared": False, "seen_in": ["traces", "metrics"],
            "per_minute": 12.5, "failed": 0.25, "first_at": T0 - HOUR, "last_at": T0 + DAY,
        }
    ]  # fmt: skip


def test_topology_without_anything_says_what_to_do(run: Run) -> None:
    """An empty database is no fault."""
    assert "docs/catalogue.md" in run("topology", TOCSIN_CLICKHOUSE_DATABASE="empty").out
