"""What an incident shows, without ids and times: its symptoms, and the signature made of the leading ones.

A symptom is `form NUL service NUL what`:

    kind    what of a service is off, and which way: `latency up`, `silent`
    metric  the name of what is off, without the statistic taken of it
    word    a word of a log template, or of what another system reports
    change  what was changed on purpose shortly before

The signature is coarser, so that the same trouble has the same one when some alert more or less comes with
it: the domain, the suspected service, the gravest thing that is off there, and the words of its first
and most severe new log line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from correlator import measures
from correlator.opening import base
from correlator.signals import peer
from correlator.text import KINDS as SPEAKING
from detectors.alert import SEVERITIES, Alert
from streams.records.digest import digest_hex
from streams.records.messages import Change

KIND, METRIC, WORD, CHANGE = "kind", "metric", "word", "change"
WEIGHTS = {KIND: 1.0, METRIC: 0.6, WORD: 0.4, CHANGE: 0.5}
MOST_SYMPTOMS = 32
"""of one incident, the first"""
MOST_WORDS = 6
"""of one text"""
_SILENT, _FAILS, _LOGS, _REPORTED = "silent", "fails", "logs failures", "reported from outside"
_LOAD = "under another load"
_GRAVITY = (_SILENT, _FAILS, _LOGS, _REPORTED, "is slow", "short of resources", _LOAD, "is off")
_WORDS = {
    measures.FAILURE: _FAILS,
    measures.SUCCESS: _FAILS,
    measures.LATENCY: "is slow",
    measures.RESOURCE: "short of resources",
    measures.TRAFFIC: _LOAD,
    measures.BYTES: _LOAD,
    measures.OTHER: "is off",
}
_MASK = re.compile(r"<[^<>]*>")
_LETTERS = re.compile(r"[^\W\d_]{3,}")


class Signature(NamedTuple):
    """What incidents of one kind have in common."""

    id: str
    words: str
    """for a person: `payment fails: connection refused`"""


def symptoms(
    alerts: Iterable[Alert], changes: Iterable[Change] = (), known: Collection[str] = ()
) -> tuple[str, ...]:
    """Distinct ones, sorted: of the changes, then of the alerts in their order, at most `MOST_SYMPTOMS`.

    `known`: services around, so that what a caller measures of its callee speaks of the callee.
    """
    found = {f"{CHANGE}\0{c.service}\0{c.kind}": None for c in changes}
    for alert in alerts:
        names_callee = alert.kind == "metric" and any(key in measures.PEERS for key, _ in alert.labels)
        callee = peer(alert, known) if names_callee else None
        down = alert.strength < 0
        for symptom in _of(alert.kind, alert.service, alert.metric, down, _text(alert), callee or ""):
            found[symptom] = None
        if len(found) > MOST_SYMPTOMS:
            break
    return tuple(sorted(list(found)[:MOST_SYMPTOMS]))


def weight(symptom: str) -> float:
    """How much it counts, before its rarity."""
    return WEIGHTS[symptom[: symptom.index("\0")]]


@lru_cache(maxsize=2_000)
def in_words(shared: tuple[str, ...], most: int) -> str:
    """Symptoms as a person says them: `payment latency up, payment says: connection refused`.

    In their order, at most `most` of them, the words of one service as one. A metric is named where
    nothing else is said of its service.
    """
    split = [symptom.split("\0") for symptom in shared]
    said: dict[str, list[str]] = {}
    told = {service for form, service, _ in split if form == KIND}
    pieces: dict[str, str] = {}
    for form, service, what in split:
        if form == WORD:
            said.setdefault(service, []).append(what)
            pieces[f"{service} says"] = f"{service} says: {' '.join(said[service])}"
        elif form == CHANGE:
            pieces[f"{service} {what}"] = f"{service} was changed ({what})"
        elif form == KIND or service not in told:
            pieces[f"{service} {what}"] = f"{service} {what}"
    return ", ".join(list(pieces.values())[:most])


def signature(domain: str, suspect: str, alerts: Sequence[Alert]) -> Signature:
    """Of an incident with these alerts; `suspect`: the service of its first hint, empty without one."""
    service = suspect or max(alerts, key=_severity).service
    own = [a for a in alerts if a.service == service]
    aspects = {_aspect(alert) for alert in own}
    aspect = next((name for name in _GRAVITY if name in aspects), "")
    spoken = [a for a in own if a.kind in SPEAKING and _words(_text(a))]
    said = " ".join(_words(_text(max(spoken, key=_severity)))) if spoken else ""
    words = f"{service} {aspect or 'is suspected'}" + (f": {said}" if said else "")
    return Signature(digest_hex("signature", domain, service, aspect, said), words)


def _severity(alert: Alert) -> tuple[int, int, str]:
    """The most severe, then the first."""
    return SEVERITIES.index(alert.severity), -alert.started_at, alert.id


def _text(alert: Alert) -> str:
    """Template or name and summary, without the service's name."""
    if alert.kind not in SPEAKING:
        return ""
    text = alert.metric if alert.kind == "log" else f"{alert.metric} {alert.summary}"
    return text.replace(alert.service, " ") if alert.service else text


def _aspect(alert: Alert) -> str:
    if alert.kind == "absent":
        return _SILENT
    if alert.kind in SPEAKING:
        return _LOGS if alert.kind == "log" else _REPORTED
    kind = measures.kind_of(alert.metric)
    # Less load, less use, faster answers are what a failing caller does to its callees.
    better = alert.strength > 0 if kind == measures.SUCCESS else alert.strength < 0
    return _LOAD if better and kind != measures.OTHER else _WORDS[kind]


@lru_cache(maxsize=20_000)
def _of(kind: str, service: str, metric: str, down: bool, text: str, callee: str) -> tuple[str, ...]:
    if kind in SPEAKING:
        what = "logs something new" if kind == "log" else f"reported by {kind}"
        words = (f"{WORD}\0{service}\0{word}" for word in _words(text))
        return f"{KIND}\0{service}\0{what}", *words
    if kind == "absent":
        return f"{KIND}\0{service}\0silent", f"{METRIC}\0{service}\0{metric}"
    measured = measures.kind_of(metric)
    name = base(metric)
    named = f"{METRIC}\0{service}\0{name}" + (f" to {callee}" if callee else "")
    if measured == measures.OTHER:
        return (named,)
    off = f"{measured} {'down' if down else 'up'}"
    seen = f"{KIND}\0{callee}\0{off} for its callers" if callee else f"{KIND}\0{service}\0{off}"
    return seen, named


@lru_cache(maxsize=20_000)
def _words(text: str) -> tuple[str, ...]:
    """The first distinct words of a text; what a template leaves open is none."""
    return tuple(list(dict.fromkeys(_LETTERS.findall(_MASK.sub(" ", text.lower()))))[:MOST_WORDS])
