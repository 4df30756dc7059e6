"""A silence from what somebody typed, with what is wrong said at the field. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from config.suppression import Problem, Silence, silence_problems
from correlator.silencing import name_for, over_services, running_problems, until_after, within_domains

FIELDS = (
    *("kind", "name", "matchers", "services", "comment", "when", "lasting", "from", "until"),
    *("rrule", "duration", "to", "zone", "last"),
)
MOST_CHARS = 20_000
"""of one field"""


class Wrong(NamedTuple):
    """What is wrong with one field."""

    field: str
    text: str


class Asked(NamedTuple):
    """The silence, as far as it could be read."""

    silence: Silence
    wrong: tuple[Wrong, ...]


def asked(fields: Mapping[str, str], domains: Sequence[str], now_ms: int, *, tried: bool) -> Asked:
    """From a form. `domains`: those the person may see; their silence holds for nothing else.

    `tried`: it is only to be tried, so that it need not end yet.
    """
    given = {name: fields.get(name, "").strip() for name in FIELDS}
    wrong: list[Wrong] = [
        Wrong(name, f"expected at most {MOST_CHARS} characters")
        for name, text in given.items()
        if len(text) > MOST_CHARS
    ]
    planned = given["kind"] == "maintenance"
    lines = [line.strip() for line in given["matchers"].splitlines() if line.strip()]
    if planned:
        services = [one.strip() for one in given["services"].replace("\n", ",").split(",") if one.strip()]
        if services:
            lines = [over_services(services)]
        else:
            lines = []
            wrong.append(Wrong("services", "expected at least one service"))
    until = given["until"]
    when = given["when"] if given["when"] in ("between", "again") else "for"
    times = {"from_": "", "until": "", "rrule": "", "duration": "", "to": ""}
    if when == "again":
        times = {"from_": given["from"], "until": given["last"], "rrule": given["rrule"],
                 "duration": given["duration"], "to": given["to"]}  # fmt: skip
    elif when == "between":
        times |= {"from_": given["from"], "until": until}
    elif given["lasting"]:
        try:
            times["until"] = until_after(now_ms, given["lasting"])
        except ValueError as error:
            wrong.append(Wrong("lasting", f"expected {error}"))
    matchers = within_domains(lines, domains)
    silence = Silence(
        name=given["name"] or name_for(matchers, now_ms),
        matchers=tuple(matchers),
        comment=given["comment"],
        zone=given["zone"] or "UTC",
        **times,
    )
    wrong += wrong_of(silence, now_ms, tried=tried, lines=len(lines), when=when)
    if not tried and not silence.comment:
        wrong.append(Wrong("comment", "expected why: whoever is paged wants to know"))
    if planned:
        wrong = [one for one in wrong if one.field != "matchers"]
    return Asked(silence, tuple(wrong))


def wrong_of(
    silence: Silence, now_ms: int, *, tried: bool, lines: int | None = None, when: str = "between"
) -> list[Wrong]:
    """What is wrong with a silence, by the field it stands in. `lines`: matchers that were typed."""
    if lines == 0:  # one that confines it to a domain is no matcher of theirs
        found: list[Problem] = [*silence_problems("", msgspec.structs.replace(silence, matchers=()))]
    elif tried:
        found = [*silence_problems("", silence)]
    else:
        found = [*running_problems("", silence, now_ms)]
    return [_wrong(key, value, expected, when) for key, value, expected in found]


def _wrong(key: str, value: object, expected: str, when: str) -> Wrong:
    field, _, place = key.removeprefix(".").partition("[")
    if field == "until":
        field = {"again": "last", "for": "lasting"}.get(when, "until")
    if field == "matchers":
        line = f"line {int(place.rstrip(']')) + 1}, " if place else ""
        said = f"{value!r}: " if value else ""
        return Wrong(field, f"{line}{said}expected {expected}")
    return Wrong(field, f"{value!r}: expected {expected}" if value else f"expected {expected}")
