"""Which rules may concern an alert: by the value of one label, not by trying all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from config.matchers import Matcher, all_match, parse
from detectors.alert import Alert

K = TypeVar("K")

DOMAIN = "\0domain"
"""how a maintenance window names the domain: no label can be called so"""
_WORDS = re.compile(r"[\w-]+(\|[\w-]+)*")


def labels_of(alert: Alert, domain: str) -> dict[str, str]:
    """What matchers see: resource, labels over it, and the alert's own words over both."""
    labels = {**dict(alert.resource), **dict(alert.labels)}
    labels.setdefault("domain", domain)
    if alert.kind == "external":
        labels.setdefault("alertname", alert.metric)
    if alert.instance:
        labels["instance"] = alert.instance
    labels.update(service=alert.service, metric=alert.metric, kind=alert.kind, severity=alert.severity)
    labels[DOMAIN] = domain
    return labels


def domain_of(alert: Alert, label: str) -> str:
    """The correlation domain, by the value of `label`."""
    named = dict(alert.resource).get(label) or dict(alert.labels).get(label) if label else ""
    return named or "default"


class Selector:
    """Matchers that must all hold."""

    def __init__(self, texts: Iterable[str], values: Mapping[str, Sequence[str]] | None = None) -> None:
        """`values`: label -> the values it may have. Raises `ValueError` for what is no matcher."""
        self._matchers: list[Matcher] = [parse(text) for text in texts]
        self._keys: list[tuple[str, tuple[str, ...]]] = []
        for name, some in (values or {}).items():
            allowed = frozenset(some)
            self._matchers.append(Matcher(name, "in", "", allowed.__contains__))
            self._keys.append((name, tuple(sorted(allowed))))
        for one in self._matchers:
            if one.op == "=" and one.value:
                self._keys.append((one.name, (one.value,)))
            elif one.op == "=~" and _WORDS.fullmatch(one.value):
                self._keys.append((one.name, tuple(sorted(set(one.value.split("|"))))))

    @property
    def keys(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """(label, values): it matches only where the label has one of them."""
        return self._keys

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all_match(self._matchers, labels)


class RuleIndex(Generic[K]):
    """Rules by one label and value that they ask for; those that ask for none are always candidates.

    A rule is filed under the label where fewest are filed with its values, so that thousands of silences
    that all ask for `severity="warning"` are told apart by what else they ask for.
    """

    def __init__(self) -> None:
        self._filed: dict[str, dict[str, dict[K, Selector]]] = {}  # label -> value -> rules
        self._others: dict[K, Selector] = {}
        self._homes: dict[K, tuple[str, tuple[str, ...]] | None] = {}

    def add(self, key: K, selector: Selector) -> None:
        """Of a key that is new."""
        home = min(selector.keys, key=self._crowd, default=None)
        self._homes[key] = home
        if home is None:
            self._others[key] = selector
            return
        name, values = home
        for value in values:
            self._filed.setdefault(name, {}).setdefault(value, {})[key] = selector

    def remove(self, key: K) -> None:
        home = self._homes.pop(key)
        if home is None:
            del self._others[key]
            return
        name, values = home
        filed = self._filed[name]
        for value in values:
            del filed[value][key]
            if not filed[value]:
                del filed[value]
        if not filed:
            del self._filed[name]

    def candidates(self, labels: Mapping[str, str]) -> int:
        """How many rules `matching` would try."""
        return len(self._others) + sum(len(r.get(labels.get(n, ""), ())) for n, r in self._filed.items())

    def matching(self, labels: Mapping[str, str]) -> Iterator[K]:
        """Rules whose matchers all hold, in an order that means nothing."""
        for name, filed in self._filed.items():
            for key, selector in filed.get(labels.get(name, ""), {}).items():
                if selector.matches(labels):
                    yield key
        for key, selector in self._others.items():
            if selector.matches(labels):
                yield key

    def __len__(self) -> int:
        return len(self._homes)

    def _crowd(self, key: tuple[str, tuple[str, ...]]) -> int:
        filed = self._filed.get(key[0], {})
        return max(len(filed.get(value, ())) for value in key[1])
