"""Bursts, lines that no longer come, silence, joined stack traces and rates of kinds of lines."""

from __future__ import annotations

import random

import msgspec
import pytest

from config.logs import LogRules, Pattern
from config.settings import Detect
from detectors.alert import Alert
from detectors.buckets import Buckets, BucketState
from detectors.joining import MAX_LINES, joined
from detectors.lines import Line, message_of, site_of, trace_of
from detectors.logkinds import Kinds
from detectors.logparams import status_of
from detectors.logrates import duration_ms
from detectors.logs import Logs, LogsState
from detectors.stack import MAX_TEXT, exception_of, frame_of, is_frame, names_exception
from tests.detectors.pagelog import Rows, decided, feed, make, records

CONFIG = Detect(step_ms=1_000, log_learning_ms=60_000, log_bucket_ms=10_000)
T0 = 1_700_000_000_000


def line(ts: int, body: str, severity: int = 9, service: str = "cart", order: int = 0) -> Line:
    return Line(ts, service, f"{service}-1", body, severity, "", "", (), "in/0", order)


def requests(
    begin: int, n: int, *, fails: bool = False, returns: bool = False, every: int = 500
) -> list[Line]:
    """`n` requests of three lines each; a failing one ends with an error, a returning one with nothing."""
    lines = []
    for i in range(n):
        at = begin + every * i
        lines += [line(at, f"got order {i}"), line(at + 1, f"looking up stock for {i}")]
        if not returns:
            lines.append(line(at + 2, "stock missing", 17) if fails else line(at + 2, "stock reserved"))
    return lines


def alerts(logs: Logs, lines: list[Line], to_ms: int) -> list[Alert]:
    return [alert for _, alert in logs.run(lines, to_ms)]


def test_a_known_error_in_more_than_its_share_of_lines_is_an_alert() -> None:
    """Rare before: one in a hundred; then every request."""
    logs = Logs(CONFIG)
    quiet = [
        one
        for k in range(6)
        for one in (*requests(T0 + 50_000 * k, 99), line(T0 + 49_900 + 50_000 * k, "stock missing", 17))
    ]
    assert all(a.severity == "info" for a in alerts(logs, quiet, T0 + 300_000))
    loud = [
        a for a in alerts(logs, requests(T0 + 400_000, 20, fails=True), T0 + 411_000) if a.severity != "info"
    ]
    first = loud[0]
    assert (first.severity, first.state, first.metric) == ("error", "firing", "stock missing")
    assert T0 + 400_000 < first.started_at < first.detected_at <= T0 + 405_000
    assert first.last_line == "stock missing"
    assert "its usual share" in first.summary or "rare error" in first.summary


def test_load_alone_is_no_burst() -> None:
    """Ten times the requests with the same share of errors."""
    logs = Logs(CONFIG)
    dice = random.Random(3)
    lines = []
    at = T0
    for every, n in ((1_000, 400), (100, 1_000)):
        for _ in range(n):
            at += every
            lines += requests(at, 1, fails=dice.random() < 0.05)
    assert {a.severity for a in alerts(logs, lines, at + 60_000)} <= {"info"}


def test_a_line_that_no_longer_follows_is_missed_and_found_again() -> None:
    """Names the line, counts the times it was due, and resolves with its return."""
    logs = Logs(CONFIG)
    assert alerts(logs, requests(T0, 200), T0 + 101_000) == []
    [missing] = alerts(logs, requests(T0 + 110_000, 40, returns=True), T0 + 130_000)
    assert (missing.severity, missing.metric, missing.value) == ("warning", "stock reserved", 0.0)
    assert missing.started_at == T0 + 110_001
    assert "stopped logging `stock reserved`" in missing.summary
    [back] = alerts(logs, requests(T0 + 130_000, 1), T0 + 132_000)
    assert (back.id, back.state, back.resolved_at) == (missing.id, "resolved", T0 + 130_002)


def test_without_traffic_nothing_is_missing() -> None:
    """Neither in a pause nor after it."""
    logs = Logs(CONFIG)
    alerts(logs, requests(T0, 200), T0 + 101_000)
    assert alerts(logs, [], T0 + 3_000_000) == []
    assert alerts(logs, requests(T0 + 3_000_000, 50), T0 + 3_030_000) == []


def test_a_snapshot_anywhere_changes_nothing() -> None:
    """Kinds, leaders, bursts and silence come through."""
    lines = requests(T0, 200) + requests(T0 + 110_000, 40, fails=True) + requests(T0 + 140_000, 40)
    whole = Logs(CONFIG).run(lines, T0 + 400_000)
    assert len(whole) >= 3
    for cut in (50_000, 112_000, 114_000, 141_000, 200_000):
        first, second = Logs(CONFIG), Logs(CONFIG)
        out = first.run([one for one in lines if one.ts <= T0 + cut], T0 + cut)
        second.load(msgspec.msgpack.decode(msgspec.msgpack.encode(first.export()), type=LogsState))
        out += second.run([one for one in lines if one.ts > T0 + cut], T0 + 400_000)
        assert out == whole


TRACE = [
    "order 7 failed",
    "java.lang.IllegalStateException: no stock",
    "\tat shop.Stock.take(Stock.java:42)",
    "\tat shop.Cart.add(Cart.java:7)",
    "Caused by: java.io.IOException: closed",
    "\t... 12 more",
]


def test_a_trace_sent_line_by_line_is_one_line() -> None:
    """In the order sent, also when all have one time; other lines stay."""
    lines = [line(T0 + 5, body, 17, order=i) for i, body in enumerate([*TRACE, "next order"])]
    lines.append(line(T0 + 5, "elsewhere", service="pay"))
    out, taken_in = joined(sorted(lines), 1_000)
    assert taken_in == len(TRACE) - 1
    assert [one.body for one in out] == ["next order", "\n".join(TRACE), "elsewhere"]


def test_lines_without_frames_are_left_alone() -> None:
    """Not even an indented one is taken in."""
    lines = [line(T0, "a"), line(T0 + 1, "  indented"), line(T0 + 2, "at noon it rained")]
    assert joined(lines, 1_000) == (lines, 0)


def test_a_joined_trace_tells_exception_and_frame() -> None:
    """As if it had been sent in one piece."""
    logs = Logs(CONFIG)
    alerts(logs, requests(T0, 200), T0 + 101_000)
    lines = [
        line(T0 + 110_000 + 2_000 * k, body, 17, order=10 * k + i)
        for k in range(4)
        for i, body in enumerate(TRACE)
    ]
    loud = [a for a in alerts(logs, sorted(lines), T0 + 118_000) if a.severity == "error"]
    assert dict(loud[0].labels) == {
        "exception": "java.lang.IllegalStateException",
        "frame": "shop.Stock.take(Stock.java:42)",
    }


@pytest.mark.parametrize(
    ("body", "exception", "frame"),
    [
        ("\n".join(TRACE), "java.lang.IllegalStateException", "shop.Stock.take(Stock.java:42)"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n'
            '  File "b.py", line 9, in g\n    raise KeyError(1)\nKeyError: 1',
            "KeyError",
            "g (b.py:9)",
        ),
        (
            "TypeError: x is undefined\n    at take (/app/stock.js:3:9)",
            "TypeError",
            "take (/app/stock.js:3:9)",
        ),
        (
            "System.InvalidOperationException: x\n   at Shop.Stock.Take() in /s/Stock.cs:line 9",
            "System.InvalidOperationException",
            "Shop.Stock.Take() in /s/Stock.cs:line 9",
        ),
        (
            "panic: runtime error: index\n\ngoroutine 1 [running]:\nmain.take(0x1)\n\t/s/stock.go:9 +0x1",
            "runtime error",
            "main.take (/s/stock.go:9)",
        ),
        (
            "panic: boom\n\ngoroutine 1 [running]:\nruntime.gopanic(0x1)\n\t/go/panic.go:9 +0x1\n"
            "main.take(0x1)\n\t/s/stock.go:9 +0x1",
            "panic",
            "main.take (/s/stock.go:9)",
        ),
        ("nothing of the kind", "", ""),
    ],
)
def test_exception_and_frame_of_five_languages(body: str, exception: str, frame: str) -> None:
    """Type as named, innermost frame."""
    assert (exception_of(body), frame_of(body)) == (exception, frame)


def test_frames_and_exception_lines_are_told_from_prose() -> None:
    """By their beginnings."""
    assert all(is_frame(body) for body in TRACE[2:])
    assert names_exception(TRACE[1])
    assert not any(
        is_frame(body) or names_exception(body) for body in ("at noon", "Error budget", "  x: 1", "")
    )


def test_what_a_head_says() -> None:
    """Place in the code, trace id, and the message without them."""
    body = (
        "16:42:09.486 INFO  t.c.Travel#115 TraceID: 6f3cbf058c2765548a39ad724905d6a1 SpanID: 57 [query] all"
    )
    assert site_of(body) == "t.c.Travel#115"
    assert site_of("I0102 server.go:45] listening") == "server.go:45"
    assert site_of("order #12 shipped") == ""
    assert trace_of(line(T0, body)) == "6f3cbf058c2765548a39ad724905d6a1"
    assert message_of(body) == "[query] all"
    assert message_of("plain words") == "plain words"
    assert (duration_ms("took 1.5 s"), duration_ms("took 12ms"), duration_ms("12 items")) == (
        1500.0,
        12.0,
        None,
    )


def buckets_of(minutes: int, silent_from: int, others: bool = True, before: int = 1) -> list[Alert]:
    """A steady logger that stops, beside two others, ten seconds a bucket; through a snapshot midway.

    `before`: lines a bucket until then, of each; one from then on.
    """
    buckets = Buckets(10_000, silence=True)
    found: list[Alert] = []
    for k in range(6 * minutes):
        at = T0 + 10_000 * k + 1
        if k == 3 * minutes:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(buckets.export()), type=BucketState)
            buckets = Buckets(10_000, silence=True)
            buckets.load(state)
        for name in ("cart", "pay", "stock"):
            if k < silent_from or (others and name != "cart"):
                for _ in range(before if k < silent_from else 1):
                    buckets.line(at, name, (), False, False)
        buckets.finish(at + 9_999)
        found += [alert for _, alert in buckets.alerts()]
    return found


def test_a_steady_logger_that_stops_is_silent() -> None:
    """Told once, a minute after its last bucket."""
    [alert] = buckets_of(20, 90)
    assert (alert.kind, alert.service, alert.metric, alert.severity) == (
        "absent",
        "cart",
        "log.lines",
        "warning",
    )
    assert alert.detected_at - alert.started_at == 60_000


def test_when_all_are_silent_it_is_the_collection() -> None:
    """Nothing is said of anybody."""
    assert buckets_of(20, 90, others=False) == []


@pytest.mark.parametrize(("before", "said"), [(2, 1), (3, 0)])
def test_when_the_others_log_less_than_half_it_is_the_traffic(before: int, said: int) -> None:
    """Half of what they usually log is enough, a third is not, however long it lasts."""
    assert len(buckets_of(20, 90, before=before)) == said


def test_the_busiest_kinds_have_rates_and_a_busier_one_takes_a_place() -> None:
    """At most two places; durations are means in ms."""
    logs = Logs(msgspec.structs.replace(CONFIG, log_template_rates=2))
    lines = [
        line(T0 + 1, "alpha beta took 10 ms"),
        line(T0 + 2, "alpha beta took 30 ms"),
        line(T0 + 3, "gamma delta"),
    ]
    lines += [line(T0 + 10 + i, "omega psi chi phi") for i in range(64)]
    logs.run(lines, T0 + 10_000)
    rows, described = logs.buckets.finish(T0 + 10_000)
    stated = {(one.metric, dict(one.labels)["template"]) for _, one in described if "template" in one.metric}
    assert len(stated) == 2
    assert ("log.template", "omega psi chi phi") in stated
    durations = [one.fp for _, one in described if one.metric == "log.param.duration"]
    assert [value for fp, _, value in rows if fp in durations] == [20.0]


def test_a_trace_is_the_same_however_pages_are_cut() -> None:
    """All lines of one time, in one page or one page a line."""
    said = []
    for size in (1, 4, 10_000):
        lines = [("cart", T0 + 1_000 * k, 9, f"hello {k}") for k in range(100)]
        for k in range(4):
            lines += [("cart", T0 + 110_000 + 2_000 * k, 17, body) for body in TRACE]
        pages = [Rows(lines=lines[i : i + size]).page(lines[i][1] - 1) for i in range(0, len(lines), size)]
        pages.append(Rows().page(T0 + 200_000))
        said.append(decided(feed(make(), records(pages))))
    assert said[0] == said[1] == said[2]
    assert any("IllegalStateException" in str(one) for one in said[0])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('10.0.0.5 - - "GET /a HTTP/1.1" 503 12', 503), ("status=500 took 3ms", 500),
        ('{"status": 502}', 502),
        ("Status code: 404", 404), ("status 500 ms", 0), ("statuses 5000", 0), ("response_code=200", 200),
        ("HTTP/2 504", 504), ("decode 500", 0), ("status 500.5", 0),
    ],
)  # fmt: skip
def test_the_status_a_line_tells_of(body: str, status: int) -> None:
    """Access logs, key=value, JSON; not numbers that merely stand near the word."""
    assert status_of(body) == status


def test_failed_answers_are_a_series_once_a_status_was_told() -> None:
    """Zero from then on, and nothing at all of a service that never tells of one."""
    logs = Logs(CONFIG)
    logs.run([line(T0 + 1, "hello"), line(T0 + 10_001, "GET / status=200 in 3 ms")], T0 + 20_000)
    logs.run([line(T0 + 20_001 + i, f"GET / status={500 + i} in 3 ms") for i in range(5)], T0 + 30_000)
    rows, described = logs.buckets.finish(T0 + 30_000)
    [(at, series)] = [(at, one) for at, one in described if one.metric == "log.param.status_5xx"]
    assert (at, series.unit, series.service) == (T0 + 20_000, "1/s", "cart")
    assert [value for fp, _, value in rows if fp == series.fp] == [0.0, 0.5]


def test_an_alert_says_which_host_and_id() -> None:
    """As labels, the first of each name; trace ids have a place of their own."""
    logs = Logs(CONFIG)
    logs.run([line(T0, "hello"), line(T0 + 60_500, "hello")], T0 + 61_000)
    lines = [
        line(
            T0 + 61_001 + i, f"FATAL order_id={i} refused by host=db-{i}:5432 status=503 trace_id=abcdef", 21
        )
        for i in range(3)
    ]
    [(_, alert)] = logs.run(lines, T0 + 62_000)
    assert dict(alert.labels) == {"param.order_id": "0", "param.host": "db-0:5432", "param.status": "503"}


def test_a_burst_begins_with_its_lines_not_with_the_odd_one_before() -> None:
    """An error in a thousand lines is usual; the last of these came long before the burst."""
    logs = Logs(CONFIG)
    normal = [line(T0 + 100 * i, "ERROR odd one" if i % 500 == 499 else "hello", 9) for i in range(2_900)]
    begin = T0 + 300_000
    burst = [line(begin + 100 * i, "ERROR odd one" if i % 2 else "hello", 9) for i in range(60)]
    normal = [one._replace(severity=17) if "ERROR" in one.body else one for one in normal]
    burst = [one._replace(severity=17) if "ERROR" in one.body else one for one in burst]
    alerts = [alert for _, alert in logs.run(normal + burst, begin + 7_000) if alert.severity == "error"]
    assert [alert.started_at for alert in alerts[:1]] == [begin + 100]


@pytest.mark.parametrize("gap_ms", [8_000, 16_000, 25_000])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_stray_line_shortly_before_does_not_begin_a_burst(gap_ms: int, every: int) -> None:
    """One error, then nothing, then many: the burst begins with the many, however dense they are."""
    logs = Logs(CONFIG)
    begin = T0 + 400_000
    bad = {begin - gap_ms} | {begin + 100 * i for i in range(0, 80, every)} | {T0 + 10_000}
    lines = [
        line(ts, "ERROR odd one" if ts in bad else "hello", 17 if ts in bad else 9)
        for ts in range(T0, begin + 8_000, 100)
    ]
    alerts = [alert for _, alert in logs.run(lines, begin + 9_000) if alert.severity == "error"]
    assert [alert.started_at for alert in alerts[:1]] == [begin]


def test_a_line_that_is_missed_is_not_named_after_the_line_it_followed() -> None:
    """The pattern names what its lines say, and none of the missing line came."""
    logs = Logs(CONFIG, LogRules(patterns=(Pattern(name="lookup", regex="looking up", do="name"),)))
    assert alerts(logs, requests(T0, 200), T0 + 101_000) == []
    [missing] = alerts(logs, requests(T0 + 110_000, 40, returns=True), T0 + 130_000)
    assert "stopped logging `stock reserved`" in missing.summary


WORDS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")


def test_kinds_follow_a_template_that_becomes_more_general() -> None:
    """Their counts come together in the oldest, and later values of the word are no new kind."""
    logs = Logs(CONFIG)
    lines = [line(T0 + 100 * i, f"user {WORDS[i % 8]} could not be found here", 17) for i in range(80)]
    logs.run(lines, T0 + 10_000)
    [service] = logs._services.values()
    [kind] = service.kinds.export().kinds
    assert kind.lines == 80
    assert kind.key[0] == service.miner.learn("user owl could not be found here").id


def test_an_open_alert_goes_on_when_its_kind_is_taken_over() -> None:
    """Of kinds that become one, the one whose alert is open stays, though it is not the oldest."""
    kinds = Kinds(10)
    old, young, other = (kinds.add((name, 2, "", ""), name, "error", name) for name in ("a", "b", "c"))
    for kind, ts in ((old, T0), (young, T0 + 1), (young, T0 + 2), (other, T0 + 3)):
        kinds.heard(kind, ts, "i")
    young.open = True
    kinds.follow(lambda id: "ab" if id in "ab" else id)
    assert kinds.find(("ab", 2, "", "")) is young
    assert (young.lines, young.burst, len(kinds)) == (3, 3, 2)
    assert kinds.name("a") == "a"
    assert kinds.name("b") != "b", "the id is still that of the kind with the open alert"


def errors(logs: Logs, begin: int, every: int, n: int = 30) -> list[Alert]:
    """`n` errors and as many other lines, one of each `every` ms; alerts above info."""
    lines = [
        line(begin + every * i + half, "ERROR odd one" if half else "hello", 17 if half else 9)
        for i in range(n)
        for half in (0, 1)
    ]
    return [one for one in alerts(logs, lines, begin + every * n + 120_000) if one.severity != "info"]


def usual() -> Logs:
    """One line in a hundred is an error, for ten minutes."""
    logs = Logs(CONFIG)
    lines = [line(T0 + 200 * i, "ERROR odd one" if i % 100 == 99 else "hello", 9) for i in range(3_000)]
    logs.run([one._replace(severity=17) if "ERROR" in one.body else one for one in lines], T0 + 600_000)
    return logs


def test_one_second_is_no_burst() -> None:
    """A request may log thirty times; the same lines over several seconds are a burst."""
    assert errors(usual(), T0 + 700_000, 30) == []
    assert {one.state for one in errors(usual(), T0 + 700_000, 100)} == {"firing", "resolved"}


def test_a_burst_that_was_told_does_not_become_normal() -> None:
    """Its lines are taken out again, so that the next is as much of a burst; the sixth is a habit."""
    logs = usual()
    [service] = logs._services.values()
    [kind] = [kind for kind in service.kinds.export().kinds if kind.level == "error"]
    normal = kind.lines
    told = [errors(logs, T0 + 1_200_000 * (1 + k), 100) for k in range(6)]
    assert [bool(one) for one in told] == [True] * 5 + [False]
    assert normal <= kind.lines <= normal + 30, "of the sixth, which is a habit, lines count"


def test_what_comes_back_three_times_does_not_follow() -> None:
    """The fourth time nothing is missed."""
    logs = Logs(CONFIG)
    alerts(logs, requests(T0, 200), T0 + 101_000)
    said = []
    for k in range(4):
        begin = T0 + 400_000 * (1 + k)
        said.append(bool(alerts(logs, requests(begin, 100, returns=True), begin + 50_000)))
        alerts(logs, requests(begin + 50_000, 20), begin + 200_000)
    assert said == [True, True, True, False]


def test_a_joined_trace_is_bounded() -> None:
    """In lines and in characters; what is left out is counted as taken in."""
    for width in (10, 150):
        lines = [line(T0, "java.lang.IllegalStateException: no", 17, order=0)]
        lines += [line(T0, f"\tat a.b.C.{'m' * width}(C.java:{i})", 17, order=i) for i in range(1, 400)]
        [out], taken_in = joined(sorted(lines), 1_000)
        assert taken_in == 399
        assert out.body.count("\n") < MAX_LINES
        assert len(out.body) <= MAX_TEXT + MAX_LINES
        assert out.body.count("\n") == MAX_LINES - 1 or len(out.body) > MAX_TEXT - 200
