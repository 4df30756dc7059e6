"""What becomes of log lines: secrets that are masked, and patterns of one's own. See docs/logs.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.control import SEVERITIES
from config.durations import millis
from config.matchers import compiled, parse

SECRETS = (
    *("private-key", "jwt", "cloud-key", "api-token", "bearer", "password", "secret", "url-password"),
    *("mail", "card", "iban"),
)
"""kinds that are masked unless told otherwise; what they are is known to `streams.decode.logs.secrets`"""

NAME, DROP, MASK, ALERT = "name", "drop", "mask", "alert"
ACTIONS = (NAME, DROP, MASK, ALERT)
MOST_PATTERNS = 200
MOST_LINES = 10_000
"""lines a threshold may ask for: their times are remembered"""
DEFAULT_WITHIN = "1m"


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Masking of secrets, before anything is stored or sent on."""

    mask: bool = True
    keep: tuple[str, ...] = ()
    """kinds of `SECRETS` that are left as they are"""


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A regular expression (RE2) looked for in log lines, and what to do with those that have it."""

    name: str
    regex: str
    do: str
    """of `ACTIONS`"""
    matchers: tuple[str, ...] = ()
    """of service, instance and resource; none: every line"""
    severity: str | None = None
    """alert: of `SEVERITIES`, default error"""
    more_than: Annotated[int, Meta(ge=0, le=MOST_LINES)] | None = None
    """alert: lines of one service within `within`; fires at the next one"""
    within: str | None = None


class LogRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    secrets: Secrets = Secrets()
    patterns: tuple[Pattern, ...] = ()
    """in order; see docs/logs.md"""


Problem = tuple[str, Any, str]
"""key, value, what was expected"""


def problems(rules: LogRules) -> Iterator[Problem]:
    """What the types alone cannot say, in order."""
    for i, kind in enumerate(rules.secrets.keep):
        if kind not in SECRETS:
            yield f"logs.secrets.keep[{i}]", kind, f"one of {', '.join(SECRETS)}"
    if len(rules.patterns) > MOST_PATTERNS:
        yield "logs.patterns", f"{len(rules.patterns)} patterns", f"at most {MOST_PATTERNS}"
    names = [pattern.name for pattern in rules.patterns]
    for i, pattern in enumerate(rules.patterns):
        yield from _of_pattern(f"logs.patterns[{i}]", pattern)
        if names.index(pattern.name) < i:
            yield f"logs.patterns[{i}].name", pattern.name, "distinct names"


def _of_pattern(key: str, pattern: Pattern) -> Iterator[Problem]:
    plain = pattern.name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or len(pattern.name) > 60:
        yield f"{key}.name", pattern.name, "up to 60 letters, digits, dots, dashes and underscores"
    if pattern.do not in ACTIONS:
        yield f"{key}.do", pattern.do, f"one of {', '.join(ACTIONS)}"
    try:
        found = compiled(pattern.regex)
    except ValueError as error:
        yield f"{key}.regex", pattern.regex, str(error)
    else:
        if found.search("") is not None:
            yield f"{key}.regex", pattern.regex, "a regular expression that does not match an empty line"
    for j, text in enumerate(pattern.matchers):
        try:
            parse(text)
        except ValueError as error:
            yield f"{key}.matchers[{j}]", text, str(error)
    for name in ("severity", "more_than", "within"):
        value = getattr(pattern, name)
        if value is not None and pattern.do != ALERT:
            yield f"{key}.{name}", value, f"this key only with do: {ALERT}"
    if pattern.severity is not None and pattern.severity not in SEVERITIES:
        yield f"{key}.severity", pattern.severity, f"one of {', '.join(SEVERITIES)}"
    if pattern.within is not None:
        if pattern.more_than is None:
            yield f"{key}.within", pattern.within, "with it more_than: a number of lines"
        try:
            if not millis(pattern.within):
                yield f"{key}.within", pattern.within, "a duration above zero"
        except ValueError as error:
            yield f"{key}.within", pattern.within, str(error)
