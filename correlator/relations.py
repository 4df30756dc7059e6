"""Inhibition and deduplication: alerts held back because another one, firing, speaks for them.

As in Alertmanager a source counts while it fires, held back itself or not, an absent label equals an empty
one, and what is both source and target of a rule is not held back by another that is both. Beyond that
no alert is held back by one that is, over however many steps, held back by it: following `by` from any alert
ends at one that is not held back by these rules. A duplicate's original must not be held back itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from config.durations import millis
from config.suppression import Dedup, Inhibit
from correlator.index import Timers
from correlator.selectors import RuleIndex, Selector
from correlator.suppression import version_of

MOST_SOURCES = 100_000
MOST_TRIED = 64
"""sources tried for one alert and rule"""
LONGEST_CHAIN = 32
"""of alerts that hold each other back; what would make a longer one is not held back"""

SpokenFor = Callable[[str], str | None]
"""alert id -> the alert that speaks for it, \"\" when something else holds it back, None when nothing does"""


class Found(NamedTuple):
    """A rule holds an alert back."""

    kind: str
    """inhibition | dedup"""
    name: str
    version: str
    by: str
    speaker: str
    """the source in words"""


class Tie(msgspec.Struct, frozen=True, array_like=True):
    """A source of one rule."""

    kind: str
    rule: str
    version: str
    equal: str
    """values of the labels that must be the same"""
    both: bool
    """it is a target of the rule, too"""
    until: int | None = None
    """it fires no more, but speaks for others until then"""


class Source(msgspec.Struct, frozen=True, array_like=True):
    """An alert that may speak for others."""

    words: str
    ties: tuple[Tie, ...]


class _Rule(NamedTuple):
    kind: str
    name: str
    version: str
    rank: int
    source: Selector
    target: Selector
    equal: tuple[str, ...]
    window_ms: int


class Relations:
    """Sources of one domain partition. Mutable; `sources` is part of the snapshot."""

    def __init__(self, inhibit: Sequence[Inhibit], dedup: Sequence[Dedup], most: int = MOST_SOURCES) -> None:
        self.most = most
        self.evicted = 0
        self.sources: dict[str, Source] = {}
        """by alert id, in the order in which they began"""
        self._rules: dict[tuple[str, str], _Rule] = {}
        self._sources: RuleIndex[tuple[str, str]] = RuleIndex()
        self._targets: RuleIndex[tuple[str, str]] = RuleIndex()
        self._buckets: dict[tuple[str, str, str], dict[str, bool]] = {}
        """kind, rule, equal values -> ids of sources, and whether they are targets, too"""
        self._ends = Timers()
        for one in inhibit:
            source, target = Selector(one.source), Selector(one.target)
            self._enter(_Rule("inhibition", one.name, version_of(one), 0, source, target, one.equal, 0))
        for two in dedup:
            both = Selector(two.matchers)
            self._enter(_Rule("dedup", two.name, version_of(two), 0, both, both, two.by, millis(two.window)))

    def _enter(self, rule: _Rule) -> None:
        key = (rule.kind, rule.name)
        self._rules[key] = rule._replace(rank=len(self._rules))
        self._sources.add(key, rule.source)
        self._targets.add(key, rule.target)

    def current(self, kind: str, name: str) -> str | None:
        """The version of a rule as it is now, None when there is none."""
        rule = self._rules.get((kind, name))
        return rule.version if rule else None

    def begin(self, id: str, labels: Mapping[str, str]) -> list[str]:
        """An alert fires, or its labels are others now. Returns sources forgotten to make room."""
        if not self._rules:
            return []
        if id in self.sources:
            self._drop(id)
        ties = []
        for key in sorted(self._sources.matching(labels)):
            rule = self._rules[key]
            both = rule.kind == "inhibition" and rule.target.matches(labels)
            equal = _values(rule.equal, labels)
            ties.append(Tie(rule.kind, rule.name, rule.version, equal, both))
        gone: list[str] = []
        if ties:
            while len(self.sources) >= self.most:
                gone.append(next(iter(self.sources)))
                self._drop(gone[-1])
                self.evicted += 1
            self.restore(id, Source(f"{labels['service']}: {labels['metric']}", tuple(ties)))
        return gone

    def end(self, id: str, at_ms: int, shown: bool) -> None:
        """It fires no more. One that was `shown` goes on speaking for the window of a deduplication."""
        source = self.sources.get(id)
        if source is None:
            return
        left = []
        for tie in source.ties:
            window = self._rules[tie.kind, tie.rule].window_ms if shown else 0
            self._untie(id, tie)
            if window:
                left.append(msgspec.structs.replace(tie, until=at_ms + window))
        del self.sources[id]
        self.restore(id, Source(source.words, tuple(left)))

    def find(self, id: str, labels: Mapping[str, str], spoken_for: SpokenFor) -> Found | None:
        """The first rule, in the order of the configuration, that holds this alert back, and by whom."""
        keys = self._targets.matching(labels)
        for rule in sorted((self._rules[key] for key in keys), key=lambda rule: rule.rank):
            bucket = self._buckets.get((rule.kind, rule.name, _values(rule.equal, labels)))
            if not bucket:
                continue
            mine = rule.kind == "inhibition" and rule.source.matches(labels)
            for source, both in list(bucket.items())[:MOST_TRIED]:
                if source == id or (mine and both):
                    continue
                if rule.kind == "dedup":
                    free = spoken_for(source) is None
                else:
                    free = not _reaches(source, id, spoken_for)
                if free:
                    return Found(rule.kind, rule.name, rule.version, source, self.sources[source].words)
        return None

    def next_due(self) -> int | None:
        """When the next source that fires no more falls silent."""
        return self._ends.next_due()

    def expire(self) -> tuple[int, str]:
        """When, and the source that falls silent next; call `next_due` first."""
        at_ms, id, which = self._ends.pop()
        source = self.sources[id]
        over = next(tie for tie in source.ties if f"{tie.kind}/{tie.rule}" == which)
        self._untie(id, over)
        left = tuple(tie for tie in source.ties if tie is not over)
        if left:
            # At its place: what remembers the order of sources is rebuilt after a restart.
            self.sources[id] = Source(source.words, left)
        else:
            del self.sources[id]
        return at_ms, id

    def restore(self, id: str, source: Source) -> None:
        """Take a source in. Ties of rules that are no more are dropped."""
        ties = tuple(tie for tie in source.ties if self.current(tie.kind, tie.rule) == tie.version)
        if not ties:
            return
        self.sources[id] = Source(source.words, ties)
        for tie in ties:
            self._buckets.setdefault((tie.kind, tie.rule, tie.equal), {})[id] = tie.both
            if tie.until is not None:
                self._ends.set(id, f"{tie.kind}/{tie.rule}", tie.until)

    def _untie(self, id: str, tie: Tie) -> None:
        bucket = self._buckets[tie.kind, tie.rule, tie.equal]
        del bucket[id]
        if not bucket:
            del self._buckets[tie.kind, tie.rule, tie.equal]

    def _drop(self, id: str) -> None:
        source = self.sources.pop(id)
        for tie in source.ties:
            self._untie(id, tie)
            self._ends.set(id, f"{tie.kind}/{tie.rule}", None)


def _values(names: Sequence[str], labels: Mapping[str, str]) -> str:
    values = [labels.get(name, "") for name in names]
    return "".join(f"{len(value)}:{value}" for value in values)


def _reaches(source: str, id: str, spoken_for: SpokenFor) -> bool:
    """Whether `id` speaks, over some steps, for `source`."""
    at: str | None = source
    for _ in range(LONGEST_CHAIN):
        at = spoken_for(at)  # type: ignore[arg-type]
        if not at:
            return False
        if at == id:
            return True
    return True
