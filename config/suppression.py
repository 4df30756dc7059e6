"""What keeps alerts from becoming incidents: silences, maintenance, inhibition, deduplication, flapping.

The part of the section `correlate` that docs/suppression.md explains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.durations import millis
from config.matchers import parse
from config.schedules import Window, window_problems

MOST_RULES = 10_000
"""of each kind"""
MOST_MATCHERS = 32
MOST_CHARS = 200
"""of a name"""

Problem = tuple[str, Any, str]
"""key, value, what was expected"""


class Silence(Window, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alerts that all `matchers` match are held back while it holds."""

    name: str = ""
    matchers: tuple[str, ...] = ()
    comment: str = ""


class Maintenance(Window, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Planned work: alerts of these services, domains and labels are held back while it lasts."""

    name: str = ""
    services: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    """correlation domains, see `domain_label`"""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """label -> value, all of them"""
    comment: str = ""


class Inhibit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """While a source fires, targets that have the same `equal` labels are held back."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


class Dedup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alerts with the same `by` labels say the same: the first one speaks for the others."""

    name: str
    by: Annotated[tuple[str, ...], Meta(min_length=1)]
    matchers: tuple[str, ...] = ()
    window: str = "0s"
    """it speaks for them this much longer than it fires"""


class Flap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A series whose alerts come and go stays one alert."""

    enabled: bool = True
    transitions: Annotated[int, Meta(ge=2, le=1_000)] = 6
    """it flaps once it has fired and resolved more often than this within `window`"""
    calm: Annotated[int, Meta(ge=0)] = 2
    """it has calmed down once it did so at most this often"""
    window: str = "30m"


def problems(
    silences: Sequence[Silence],
    maintenance: Sequence[Maintenance],
    inhibit: Sequence[Inhibit],
    dedup: Sequence[Dedup],
    flap: Flap,
) -> Iterator[Problem]:
    """What the types alone cannot say, in order."""
    groups: tuple[tuple[str, Sequence[Any]], ...] = (
        ("silences", silences),
        ("maintenance", maintenance),
        ("inhibit", inhibit),
        ("dedup", dedup),
    )
    for name, rules in groups:
        key = f"correlate.{name}"
        if len(rules) > MOST_RULES:
            yield key, f"{len(rules)} rules", f"at most {MOST_RULES}"
        names = [rule.name for rule in rules]
        for twice in sorted(
            {one for one in names if names.count(one) > 1} if len(set(names)) < len(names) else ()
        ):
            yield key, twice, "distinct names"
        for i, rule in enumerate(rules):
            yield from _of_rule(f"{key}[{i}]", rule)
    yield from _duration("correlate.flap.window", flap.window, least=1)
    if flap.calm >= flap.transitions:
        yield "correlate.flap.calm", flap.calm, f"less than correlate.flap.transitions ({flap.transitions})"


def silence_problems(key: str, silence: Silence) -> Iterator[Problem]:
    """The same of one silence."""
    yield from _name(f"{key}.name", silence.name)
    if not silence.matchers:
        yield f"{key}.matchers", [], "at least one matcher: nothing is silenced by accident"
    yield from matcher_problems(f"{key}.matchers", silence.matchers)
    yield from window_problems(key, silence)


def _of_rule(key: str, rule: Silence | Maintenance | Inhibit | Dedup) -> Iterator[Problem]:
    if isinstance(rule, Silence):
        yield from silence_problems(key, rule)
        return
    yield from _name(f"{key}.name", rule.name)
    if isinstance(rule, Maintenance):
        if not (rule.services or rule.domains or rule.labels):
            yield f"{key}.services", [], "at least one of services, domains and labels"
        yield from window_problems(key, rule)
    elif isinstance(rule, Inhibit):
        for name, matchers in (("source", rule.source), ("target", rule.target)):
            if not matchers:
                yield f"{key}.{name}", [], "at least one matcher"
            yield from matcher_problems(f"{key}.{name}", matchers)
    else:
        yield from matcher_problems(f"{key}.matchers", rule.matchers)
        yield from _duration(f"{key}.window", rule.window, least=0)


def _name(key: str, name: str) -> Iterator[Problem]:
    if not name.strip() or len(name) > MOST_CHARS or not name.isprintable():
        yield key, name, f"a name of at most {MOST_CHARS} characters"


def matcher_problems(key: str, texts: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with matchers, if anything is."""
    if len(texts) > MOST_MATCHERS:
        yield key, f"{len(texts)} matchers", f"at most {MOST_MATCHERS}"
    for i, text in enumerate(texts):
        try:
            parse(text)
        except ValueError as error:
            yield f"{key}[{i}]", text, str(error)


def _duration(key: str, text: str, least: int) -> Iterator[Problem]:
    try:
        found = millis(text)
    except ValueError as error:
        yield key, text, str(error)
        return
    if found < least:
        yield key, text, "a duration of more than 0"
