"""Making silences: what both the command and the console build, check and say of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from config.durations import millis
from config.matchers import parse, quoted
from config.schedules import Schedule, Span, Window
from config.settings import Correlate
from config.suppression import Flap, Problem, Silence, silence_problems
from streams.records.digest import digest_hex
from streams.records.messages import SilenceAction

MOST_OCCURRENCES = 20
"""of one recurrence that are listed"""


def name_for(matchers: Iterable[str], now_ms: int) -> str:
    """What a silence is called that nobody gave a name: a few digits."""
    return digest_hex("silence", *matchers, str(now_ms))[:6]


def until_after(now_ms: int, lasting: str) -> str:
    """When a silence of so long from now ends, ISO 8601 in UTC. Raises `ValueError`."""
    return datetime.fromtimestamp((now_ms + millis(lasting)) / 1000, UTC).isoformat(timespec="seconds")


def action_of(verb: str, silence: Silence, actor: str, now_ms: int) -> SilenceAction:
    """`verb`: add or expire. The same words of the same person at the same time have the same id."""
    words = msgspec.json.encode(silence, order="sorted").decode()
    id = digest_hex("silence", verb, words, actor, str(now_ms))
    return SilenceAction(id, now_ms, verb, silence, actor)


def running_problems(key: str, silence: Silence, now_ms: int) -> Iterator[Problem]:
    """What is wrong with a silence that is to be made at run time: it must end, and not have ended."""
    wrong = False
    for problem in silence_problems(key, silence):
        wrong = True
        yield problem
    if wrong:
        return
    if not silence.until and not silence.rrule:
        yield f"{key}.until", silence.until, "a time; only the configuration silences without end"
        return
    over = Schedule(silence).over_ms()
    if over is not None and over <= now_ms:
        yield f"{key}.until", silence.until, "a time to come"


def only_silence(silence: Silence, settings: Correlate) -> Correlate:
    """Settings under which this silence alone holds anything back, to try it."""
    return Correlate(silences=(silence,), flap=Flap(enabled=False), domain_label=settings.domain_label)


def lasting(silence: Silence) -> Silence:
    """The same without its times: as if it had been in force all along."""
    return Silence(name=silence.name, matchers=silence.matchers, comment=silence.comment)


def over_services(services: Sequence[str], label: str = "service") -> str:
    """The matcher that holds for these values of a label, taken as they are, not as patterns."""
    if len(services) == 1:
        return f"{label}={quoted(services[0])}"
    return f"{label}=~{quoted('|'.join(_literal(one) for one in services))}"


def within_domains(matchers: Sequence[str], domains: Sequence[str]) -> tuple[str, ...]:
    """The same for somebody who may see only these domains: what they silence is theirs. None: all."""
    if not domains or confined(matchers, domains):
        return tuple(matchers)
    return (*matchers, over_services(domains, "domain"))


def confined(matchers: Iterable[str], domains: Sequence[str]) -> bool:
    """Whether these matchers can hold for alerts of these domains only; no domains are all of them."""
    return not domains or any(_confines(text, domains) for text in matchers)


def foreign(matchers: Iterable[str], domains: Sequence[str]) -> bool:
    """Whether these matchers can hold for no alert of these domains; no domains are all of them."""
    if not domains:
        return False
    for text in matchers:
        try:
            one = parse(text)
        except ValueError:
            continue
        if one.name == "domain" and not any(one.matches(domain) for domain in domains):
            return True
    return False


def standing(state: str, window: Window, now_ms: int) -> str:
    """How a silence stands: in force, waiting (for its time or its next occurrence), over, or expired."""
    if state != "active":
        return state
    schedule = Schedule(window)
    if schedule.at(now_ms):
        return "in force"
    return "waiting" if schedule.next(now_ms) else "over"


def occurrences(window: Window, now_ms: int, most: int = 5) -> list[Span]:
    """The span that holds now and those that come next, at most `most`."""
    schedule, found = Schedule(window), list[Span]()
    at_ms = now_ms
    while len(found) < min(most, MOST_OCCURRENCES):
        span = schedule.next(at_ms)
        if span is None or (found and span.start <= found[-1].start):
            break
        found.append(span)
        if span.end is None:
            break
        at_ms = span.end
    return found


def spoken(window: Window) -> str:
    """In the words of the configuration."""
    words = [
        f"{name} {value}"
        for name, value in (
            ("from", window.from_),
            ("until", window.until),
            ("rrule", window.rrule),
            ("for", window.duration),
            ("to", window.to),
        )
        if value
    ]
    zone = f" ({window.zone})" if window.zone != "UTC" else ""
    return ", ".join(words) + zone if words else "always"


def _confines(text: str, domains: Sequence[str]) -> bool:
    try:
        one = parse(text)
    except ValueError:
        return False
    if one.name != "domain":
        return False
    if one.op == "=":
        return one.value in domains
    return one.op == "=~" and set(one.value.split("|")) <= set(map(_literal, domains))


def _literal(text: str) -> str:
    """As a pattern that matches nothing else."""
    return "".join(c if c.isalnum() or c in "_-" else f"\\{c}" if c.isascii() else c for c in text)
