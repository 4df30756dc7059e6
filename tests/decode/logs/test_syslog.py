"""Syslog on the wire and in files."""

from __future__ import annotations

import contextlib
import time

import pytest

from streams.decode import formats
from streams.decode.errors import BadRecord
from streams.decode.logs.syslog import structured
from streams.decode.rules import Rules
from streams.decode.times import rfc3339_ms
from tests.decode.logs.support import columns, read, rows_of

REFERENCE = 1_791_756_900_000
"""2026-10-11T22:15:00Z"""
AT = REFERENCE - 45_000


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<0>1 2026-10-11T22:14:15Z h a 7 M - hi", ("a", "h", AT, 21, "hi")),
        ("<191>1 2026-10-11T22:14:15.003+02:00 h a 7 M - hi", ("a", "h", AT - 7_200_000 + 3, 5, "hi")),
        ("<14>1 - - - - - - hi", ("unknown", "", REFERENCE, 9, "hi")),
        ("<14>1 - h - - - - \ufeffgrün", ("h", "h", REFERENCE, 9, "grün")),
        ("<14>1 - h a - - [x@1 a=\"b\"]", ("a", "h", REFERENCE, 9, '[x@1 a="b"]')),
        ("<14>1 - h a - - [x@1] hi", ("a", "h", REFERENCE, 9, "hi")),
        ("<14>1 - h a - - [x a=\"] \"][y b=\"\\\"\\\\\\]\"] hi", ("a", "h", REFERENCE, 9, "hi")),
        ("<34>Oct 11 22:14:15 h su: failed", ("su", "h", AT, 18, "failed")),
        ("<34>Oct 11 22:14:15 h su[12]: failed", ("su", "h", AT, 18, "failed")),
        ("<34>Oct 11 22:14:15 su[12]: failed", ("su", "", AT, 18, "failed")),
        ("<34>Oct 11 22:14:15 h failed: it did", ("failed", "h", AT, 18, "it did")),
        ("<34>Oct 11 22:14:15 h it failed: why", ("h", "h", AT, 18, "it failed: why")),
        ("<34>Oct 11 22:14:15 h su:", None),
        ("<13>2026-10-11T22:14:15+00:00 h a[1]: hi", ("a", "h", AT, 10, "hi")),
    ],
)  # fmt: skip
def test_a_message_is_split_into_its_parts(
    line: str, expected: tuple[str, str, int, int, str] | None
) -> None:
    """RFC 5424 with nil values, BOM and escapes; RFC 3164 with and without host, tag and process id."""
    rows = read("syslog", line, REFERENCE)
    found = [(row.service, row.instance, row.ts, row.severity, row.body) for row in rows]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(
    "line",
    [
        "hello", "<192>1 - - - - - - x", "<>1 - - - - - - x", "<1", "<14>", "<14>1 -", "<14>1 x h a - - - hi",
        "<14>1 - h a - - [x", "<14>1 - h a - - [x a=\"b", "<14>1 - h a - - hi", "<14>2 - h a - - - hi",
        "<14>Foo 11 22:14:15 h a: b", "<14>Oct 32 22:14:15 h a: b", "<14>Oct 11 25:14:15 h a: b",
        "<\u0661>1 - - - - - - x",
    ],
)  # fmt: skip
def test_what_is_no_syslog_is_refused(line: str) -> None:
    """With the place where it went wrong."""
    with pytest.raises(BadRecord) as caught:
        read("syslog", line, REFERENCE)
    assert caught.value.reason == "undecodable"
    assert caught.value.detail


def test_bytes_that_are_no_text_are_refused() -> None:
    """Both forms of syslog must be UTF-8."""
    for name in ("syslog", "syslog-file"):
        with pytest.raises(BadRecord, match="UTF-8"):
            read(name, b"<14>1 - h a - - - \xff", REFERENCE)


@pytest.mark.parametrize(
    ("stamp", "reference", "ms"),
    [
        ("Dec 31 23:59:59", "2026-01-01T00:00:05Z", "2025-12-31T23:59:59Z"),
        ("Jan  1 00:00:01", "2025-12-31T23:59:58Z", "2026-01-01T00:00:01Z"),
        ("Feb 29 12:00:00", "2028-02-29T12:00:00Z", "2028-02-29T12:00:00Z"),
        ("Oct 11 22:14:15", "2026-10-11T20:14:15Z", "2026-10-11T20:14:15Z"),
        ("Oct  1 22:14:15", "2026-10-11T20:14:15Z", "2026-10-01T22:14:15Z"),
    ],
)
def test_a_time_without_year_and_zone_is_the_nearest(stamp: str, reference: str, ms: str) -> None:
    """Another zone's clock is told by the reference time; an old file keeps its own times, as UTC."""
    found = read("syslog", f"<34>{stamp} h su: x", rfc3339_ms(reference))
    assert found[0].ts == rfc3339_ms(ms)


def test_structured_data_is_read_with_its_escapes() -> None:
    """Quotes, backslashes and brackets within values; names carry the id they belong to."""
    found = structured('[a@1 x="1" y="\\"q\\" \\\\ \\] z"][b]rest')
    assert found.params == {"a@1.x": "1", "a@1.y": '"q" \\ ] z'}
    assert found.end == len('[a@1 x="1" y="\\"q\\" \\\\ \\] z"][b]')


def test_rules_may_name_parts_of_the_header_and_of_structured_data() -> None:
    """`app`, `host`, `procid`, `msgid`, `facility`, `id.parameter`."""
    line = '<165>1 - h a 7 M [meta@1 team="shop"] hi'
    for rule, service in {
        "meta@1.team": "shop",
        "procid": "7",
        "msgid": "M",
        "facility": "local4",
        "host": "h",
    }.items():
        assert read("syslog", line, REFERENCE, Rules(service=(rule,)))[0].service == service
    assert read("syslog", line, REFERENCE, Rules(env=("meta@1.team",)))[0].context["env"] == "shop"


def test_messages_of_one_record_are_rows_and_their_further_lines_stay_with_them() -> None:
    """A line that begins with no priority goes on; a bad message is refused alone."""
    sink = columns(REFERENCE)
    formats.DECODERS["syslog"](b"<14>1 - h a - - - one\n  more\n<14>1 bad\n<14>1 - h a - - - two\n", sink)
    sink.finish()
    assert [row.body for row in rows_of(sink)] == ["one\n  more", "two"]
    assert sink.refusals[0][0].rows == 1


def test_a_new_process_id_is_not_a_new_sender() -> None:
    """cron has one every minute."""
    sink = columns(REFERENCE)
    for pid in range(100):
        formats.DECODERS["syslog-file"](f"Oct 11 22:14:15 h cron[{pid}]: run".encode(), sink)
    assert len(sink.catalog.origins.entries) == 1


@pytest.mark.parametrize(
    ("line", "severity"),
    [("ERROR no", 17), ("error: no", 17), ("[warn] odd", 13), ("level=error msg=x", 17), ("fine", 0)],
)
def test_a_file_has_no_priority_so_the_text_tells_the_severity(line: str, severity: int) -> None:
    """By its beginning."""
    assert read("syslog-file", f"2026-10-11T22:14:15+00:00 h a: {line}")[0].severity == severity


def test_a_file_line_without_a_tag_belongs_to_its_host() -> None:
    """Nothing that is not a tag is taken for one."""
    row = read("syslog-file", "2026-10-11T22:14:15Z vm -- MARK --")[0]
    assert (row.service, row.body) == ("vm", "-- MARK --")


@pytest.mark.parametrize(
    "line",
    [
        "<14>1 - h a - - [x a=\"" + "\\" * 1_000_000,
        "<14>1 - h a - - [x a=\"" + '\\"' * 500_000,
        "<14>1 - h a - - " + '[x a="b"]' * 100_000,
        "<14>1 - h a - - " + "[x]" * 300_000,
        "<14>1 - h a - - [x" + " a" * 500_000,
        "<14>1 - h a - - [" + "x" * 1_000_000,
        "<14>Oct 11 22:14:15 " + "x" * 1_000_000,
        "<14>Oct 11 22:14:15 " + "x:" * 500_000,
        "\n".join(["<14>1 - h a - - - x"] * 50_000),
        "<14>1 - h a - - - x" + "\n y" * 300_000,
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_in_linear_time(line: str) -> None:
    """Far below what a quadratic scan of it would take."""
    began = time.process_time()
    for name in ("syslog", "syslog-file", "lines"):
        with contextlib.suppress(BadRecord):
            read(name, line, REFERENCE)
    assert time.process_time() - began < 5
