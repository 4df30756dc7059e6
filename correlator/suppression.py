"""What is said of alerts held back, and of silences people make. JSON on `tocsin.suppressions`."""

from __future__ import annotations

import msgspec

from config.suppression import Dedup, Inhibit, Maintenance, Silence
from streams.records.digest import digest_hex

KINDS = ("silence", "maintenance", "inhibition", "dedup", "flap", "unopened")
"""in the order in which they are asked; `unopened`: its group never had enough evidence for an incident"""
OUTCOMES = ("resolved", "correlated")
"""how it ended: with the alert, or the alert went on into correlation"""


class Suppression(msgspec.Struct, frozen=True, tag="suppression", kw_only=True):
    """One version of what held an alert back. Times are event time in ms UTC; the newest is the truth."""

    alert: str
    version: int
    state: str
    """active | ended"""
    outcome: str = ""
    """one of `OUTCOMES` once it has ended"""
    kind: str
    rule: str
    """its name; for kind flap and unopened the kind"""
    rule_version: str
    """digest of how the rule was written when it matched"""
    reason: str
    """one sentence for a person"""
    by: str = ""
    """id of the alert that speaks for this one: an inhibiting one, first of duplicates, one that flaps"""
    domain: str
    from_ms: int
    """since when it is held back, by whatever rule"""
    until_ms: int | None = None
    """when it will be looked at again at the latest, as far as that is known; once ended: when it ended"""
    at_ms: int
    """of this version"""
    service: str
    metric: str
    severity: str
    fingerprint: str
    started_at: int
    summary: str


class SilenceRecord(msgspec.Struct, frozen=True, tag="silence", kw_only=True):
    """One version of a silence made at run time."""

    name: str
    version: int
    """ms UTC of what made this version: grows"""
    state: str
    """active | expired"""
    rule_version: str
    silence: Silence
    actor: str
    at_ms: int


def version_of(rule: Silence | Maintenance | Inhibit | Dedup) -> str:
    """Changes with every word of a rule that matters for what it matches."""
    words = msgspec.to_builtins(rule)
    words.pop("comment", None)
    return digest_hex("rule", type(rule).__name__, msgspec.json.encode(words, order="sorted").decode())[:8]
