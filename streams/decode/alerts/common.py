"""What all systems' alerts have in common: severities, who is meant, times, and how to refuse one."""

from __future__ import annotations

from collections.abc import Mapping

from streams.decode.columns import Columns
from streams.decode.otlp import RowFault
from streams.decode.resource import Labels, clip
from streams.decode.senders import Sender, Usual, sender
from streams.decode.times import rfc3339_ms
from streams.records.digest import digest_hex
from streams.records.messages import ExternalAlert

MAX_SUMMARY = 1_024
"""characters kept of a summary"""
DEFAULT_SEVERITY = "warning"

SEVERITIES = {
    "critical": (
        "critical", "crit", "fatal", "emergency", "emerg", "panic", "page", "disaster", "blocker",
        "p0", "p1", "sev0", "sev1", "s1", "highest", "urgent",
    ),
    "error": ("error", "err", "major", "high", "severe", "alert", "p2", "sev2", "s2"),
    "warning": (
        "warning", "warn", "minor", "medium", "moderate", "average", "ticket", "p3", "sev3", "s3",
    ),
    "info": (
        "info", "information", "informational", "notice", "low", "lowest", "none", "ok", "debug",
        "p4", "p5", "sev4", "sev5", "s4", "s5",
    ),
}  # fmt: skip
"""ours -> what others call it, in lower case"""
_SEVERITY = {name: ours for ours, names in SEVERITIES.items() for name in names}

SEVERITY_LABELS = ("severity", "priority", "level")
SUMMARIES = ("summary", "message", "title", "description")

_USUAL = Usual()
USUAL = Usual(
    service=(
        *(name for name in _USUAL.service if not name.startswith("host")),
        "kubernetes_namespace",
        "namespace",
        "host.name",
        "hostname",
        "host",
    )
)
"""as for telemetry; an alert without a service rather belongs to its namespace than to a host"""


def severity(labels: Mapping[str, str]) -> str:
    """By the first of `SEVERITY_LABELS` whose value means something; `DEFAULT_SEVERITY` without one."""
    for name in SEVERITY_LABELS:
        found = _SEVERITY.get(labels.get(name, "").strip().lower())
        if found is not None:
            return found
    return DEFAULT_SEVERITY


def meant(labels: Mapping[str, str], sink: Columns, usual: Usual = USUAL) -> Sender:
    """Whose alert it is, by the topic's rules, and the labels that are left."""
    return sender(labels, sink.catalog.rules, usual)


def kept(labels: Mapping[str, str], sink: Columns, without: tuple[str, ...] = ()) -> Labels:
    """Labels sorted and cut to their bounds."""
    pairs = sorted((clip(k), clip(v)) for k, v in labels.items() if v and k not in without)
    return tuple(pairs[: sink.catalog.max_labels])


def summary_of(texts: Mapping[str, str], otherwise: str) -> str:
    """The first of `SUMMARIES` there is, on one line."""
    found = next((texts[name] for name in SUMMARIES if texts.get(name, "").strip()), otherwise)
    return " ".join(found.split())[:MAX_SUMMARY]


def identity(source: str, own: str) -> str:
    """Id of an alert by what its system calls it."""
    return digest_hex("external", source, own)


def time_of(text: str | None) -> int | None:
    """ms UTC; None for no time and for the year 1, which says "not yet". Raises `RowFault`."""
    if not text or text.startswith("0001-"):
        return None
    found = rfc3339_ms(text)
    if found < 0:
        raise RowFault(f"a time before 1970: {text[:40]!r}")
    return found


def seen_ms(sink: Columns, *times: int | None) -> int:
    """When it was said: the record's reference time, else the newest time in it. Raises `RowFault`."""
    if sink.reference_ms >= 0:
        return sink.reference_ms
    known = [at for at in times if at is not None]
    if not known:
        raise RowFault("neither the record nor the alert has a time")
    return max(known)


def tell(sink: Columns, alert: ExternalAlert) -> None:
    """Pass it on."""
    sink.message(alert)
