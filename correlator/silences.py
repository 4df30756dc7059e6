"""Silences and maintenance windows: those of the configuration, and those people make while it runs.

An alert is looked up by its labels (`correlator.selectors`), never by going through all silences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from config.schedules import Schedule
from config.suppression import Maintenance, Silence
from correlator.index import Timers
from correlator.selectors import DOMAIN, RuleIndex, Selector
from correlator.silencing import running_problems
from correlator.suppression import SilenceRecord, version_of
from streams.records.messages import SilenceAction

MOST_RUNNING = 10_000
"""silences made at run time that are in force at once"""
Key = tuple[str, str]
"""kind, name"""


class Match(NamedTuple):
    """A silence that holds for an alert."""

    kind: str
    name: str
    version: str
    comment: str
    until: int | None
    """when this span of it ends"""


class Running(msgspec.Struct, frozen=True):
    """A silence made at run time."""

    silence: Silence
    changed_at: int
    """version of its record"""
    actor: str


class _Rule(NamedTuple):
    kind: str
    name: str
    version: str
    comment: str
    schedule: Schedule


class Silences:
    """All silences of one domain partition. Mutable; `running` is part of the snapshot."""

    def __init__(self, silences: Sequence[Silence], maintenance: Sequence[Maintenance]) -> None:
        self.running: dict[str, Running] = {}
        self._rules: dict[Key, _Rule] = {}
        self._index: RuleIndex[Key] = RuleIndex()
        self._ends = Timers()
        for silence in silences:
            self._enter("silence", silence, Selector(silence.matchers))
        for window in maintenance:
            values: dict[str, Sequence[str]] = {label: (value,) for label, value in window.labels.items()}
            allowed = (("service", window.services), (DOMAIN, window.domains))
            values.update((label, some) for label, some in allowed if some)
            self._enter("maintenance", window, Selector((), values))

    def __len__(self) -> int:
        return len(self._rules)

    def find(self, labels: Mapping[str, str], at_ms: int) -> Match | None:
        """What holds back an alert with these labels: a silence first, then what ends last, then by name."""
        found: tuple[tuple[bool, bool, int, str], Match] | None = None
        for key in self._index.matching(labels):
            rule = self._rules[key]
            span = rule.schedule.at(at_ms)
            if span is None:
                continue
            rank = (rule.kind != "silence", span.end is not None, -(span.end or 0), rule.name)
            if found is None or rank < found[0]:
                found = rank, Match(rule.kind, rule.name, rule.version, rule.comment, span.end)
        return found[1] if found else None

    def current(self, kind: str, name: str) -> str | None:
        """The version of a rule as it is now, None when there is none."""
        rule = self._rules.get((kind, name))
        return rule.version if rule else None

    # -- at run time --------------------------------------------------------------------------

    def apply(self, action: SilenceAction, now_ms: int) -> tuple[SilenceRecord | None, str]:
        """What a person asked for: the record of it, or None and the reason why not."""
        name, known = action.silence.name, self.running.get(action.silence.name)
        if known is None and ("silence", name) in self._rules:
            return None, f"silence {name!r} stands in the configuration: change it there"
        if action.action == "expire":
            if known is None:
                return None, f"no silence {name!r} is in force"
            return self._end(name, max(action.ts, known.changed_at + 1), action.actor, action.ts), "applied"
        if action.action != "add":
            return None, f"unknown action {action.action!r}; known: add, expire"
        for key, value, expected in running_problems("silence", action.silence, now_ms):
            return None, f"{key} is {value!r}: expected {expected}"
        if known is None and len(self.running) >= MOST_RUNNING:
            return None, f"{MOST_RUNNING} silences are in force: expire some first"
        if known is not None:
            self._leave(name)
        running = Running(action.silence, max(action.ts, known.changed_at + 1 if known else 0), action.actor)
        self.restore(running)
        return self._record(running, "active", action.ts), "applied"

    def next_due(self) -> int | None:
        """When the next silence of run time is over."""
        return self._ends.next_due()

    def expire(self) -> SilenceRecord:
        """The record of the silence that is over next; call `next_due` first."""
        at_ms, name, _ = self._ends.pop()
        return self._end(name, max(at_ms, self.running[name].changed_at + 1), "", at_ms)

    def restore(self, running: Running) -> None:
        """Put in force."""
        silence = running.silence
        self.running[silence.name] = running
        self._enter("silence", silence, Selector(silence.matchers))
        self._ends.set(silence.name, "end", self._rules["silence", silence.name].schedule.over_ms())

    def _enter(self, kind: str, rule: Silence | Maintenance, selector: Selector) -> None:
        self._rules[kind, rule.name] = _Rule(kind, rule.name, version_of(rule), rule.comment, Schedule(rule))
        self._index.add((kind, rule.name), selector)

    def _leave(self, name: str) -> None:
        self._ends.set(name, "end", None)
        self._index.remove(("silence", name))
        del self._rules["silence", name], self.running[name]

    def _end(self, name: str, version: int, actor: str, at_ms: int) -> SilenceRecord:
        running = self.running[name]
        record = self._record(Running(running.silence, version, actor), "expired", at_ms)
        self._leave(name)
        return record

    def _record(self, running: Running, state: str, at_ms: int) -> SilenceRecord:
        return SilenceRecord(
            name=running.silence.name,
            version=running.changed_at,
            state=state,
            rule_version=version_of(running.silence),
            silence=running.silence,
            actor=running.actor,
            at_ms=at_ms,
        )
