"""Matchers as in Alertmanager: `service="checkout"`, `metric!="up"`, `path=~"/api/.*"`, `env!~"dev|test"`.

A regular expression is anchored at both ends and runs in RE2: linear in the text it is given, whatever
the pattern, so that a label value from outside cannot stall a worker. A label that is absent is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

MOST_CHARS = 1_000
"""of a pattern"""
REMEMBERED = 4_096
"""texts whose answer one pattern remembers; beyond that it begins anew"""

_FORM = re.compile(
    r"""^\s*(?:"(?P<quoted>[^"]+)"|(?P<name>[^\s"=!~,{}]+))\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*$""",
    re.DOTALL,
)
_BARE = re.compile(r"[^\s\"'{},]*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Matcher(NamedTuple):
    """One comparison of a label."""

    name: str
    op: str
    """= | != | =~ | !~"""
    value: str
    matches: Callable[[str], bool]
    """of the label's value"""

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quoted(self.value)}"


def quoted(text: str) -> str:
    """As `parse` reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def parse(text: str) -> Matcher:
    """Raises `ValueError` that says what was expected."""
    found = _FORM.match(text)
    if not found:
        raise ValueError('a matcher such as service="checkout", metric!="up" or path=~"/api/.*"')
    value = _unquoted(found["value"])
    name, op = found["quoted"] or found["name"], found["op"]
    if op == "=":
        return Matcher(name, op, value, lambda seen: seen == value)
    if op == "!=":
        return Matcher(name, op, value, lambda seen: seen != value)
    full = _pattern(value)
    return Matcher(name, op, value, full if op == "=~" else lambda seen: not full(seen))


def all_match(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every matcher holds; no matchers match everything."""
    return all(one.matches(labels.get(one.name, "")) for one in matchers)


def _unquoted(text: str) -> str:
    if _BARE.fullmatch(text) and text:
        return text
    found = _STRING.fullmatch(text)
    if not found:
        raise ValueError('a value in double quotes, such as service="checkout"')
    # Only these escapes are ours; any other backslash belongs to the regular expression.
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), found[1], flags=re.DOTALL)


def compiled(text: str) -> Any:
    """A regular expression of RE2. Raises `ValueError` that says what was expected."""
    if len(text) > MOST_CHARS:
        raise ValueError(f"a regular expression of at most {MOST_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"a regular expression that RE2 can read ({reason})") from None


def _pattern(text: str) -> Callable[[str], bool]:
    pattern = compiled(text)
    known: dict[str, bool] = {}

    def matches(seen: str) -> bool:
        answer = known.get(seen)
        if answer is None:
            if len(known) >= REMEMBERED:
                known.clear()
            answer = known[seen] = pattern.fullmatch(seen) is not None
        return answer

    return matches
