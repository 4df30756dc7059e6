"""Silence: a service that has always logged, in nearly every bucket, no longer does.

Judged at the end of a bucket, from counts of lines alone, and only of services that have logged in
`STEADY` of at least `LEARNED` buckets. It is silent after `FACTOR` times its longest pause so far, and no
less than `LEAST` buckets. A service that logs only what is asked of it falls silent when nobody asks: its
pauses grow as traffic goes down, and each longest pause raises the bar; and when the other services of the
shard log much less than usual too, nothing is said. Time without any lines in the shard does not count:
then it is the collection that is silent.
"""

from __future__ import annotations

import msgspec

from detectors.alert import Alert, alert_id
from detectors.words import clipped, clock

LEARNED = 60
STEADY = 0.9
LEAST = 6
FACTOR = 3
USUAL = 0.5
"""least share of their usual lines that the others must log"""
WEIGHT = 0.1
"""of one bucket in the usual number of lines"""


class Voice(msgspec.Struct, array_like=True):
    """How steadily a service logs, in buckets in which any service of the shard did."""

    buckets: int = 0
    logged: int = 0
    pause: int = 0
    """buckets since the last with lines"""
    longest: int = 0
    usual: float = 0.0
    """lines a bucket"""
    beside: float = 0.0
    """what the others usually logged in a bucket when it logged last"""
    last: int = 0
    """end of the last bucket with lines, ms"""
    alert: Alert | None = None


def hear(
    voice: Voice,
    service: str,
    fp: int,
    lines: int,
    others: float,
    end: int,
    bucket_ms: int,
    resource: tuple[tuple[str, str], ...],
) -> Alert | None:
    """A bucket is over; an alert, or that one is over. `others`: their lines by their usual lines."""
    voice.buckets += 1
    if lines:
        said = voice.alert
        voice.alert = None
        if said is None:
            voice.longest = max(voice.longest, voice.pause)
        voice.logged += 1
        voice.pause = 0
        voice.usual += max(WEIGHT, 1 / voice.logged) * (lines - voice.usual)
        voice.last = end
        return None if said is None else _over(said, end)
    voice.pause += 1
    due = max(LEAST, FACTOR * (voice.longest + 1))
    if voice.alert is not None or voice.pause < due or others < USUAL:
        return None
    if voice.buckets - voice.pause < LEARNED or voice.logged < STEADY * (voice.buckets - voice.pause):
        return None
    voice.alert = _alert(voice, service, fp, end, bucket_ms, resource)
    return voice.alert


def _alert(
    voice: Voice, service: str, fp: int, end: int, bucket_ms: int, resource: tuple[tuple[str, str], ...]
) -> Alert:
    per_s = 1000.0 * voice.usual / bucket_ms
    quiet = (
        f"{(end - voice.last) / 1000:.0f} s; longest pause before {voice.longest * bucket_ms / 1000:.0f} s"
    )
    return Alert(
        id=alert_id(f"{fp:016x}", "absent", voice.last),
        version=1,
        state="firing",
        kind="absent",
        fingerprint=f"{fp:016x}",
        service=service,
        metric="log.lines",
        severity="warning",
        started_at=voice.last,
        detected_at=end,
        last_seen_at=end,
        resolved_at=None,
        summary=clipped(f"{service}: no log lines since {clock(voice.last)} ({quiet})"),
        value=0.0,
        expected=per_s,
        score=1.0,
        strength=-float(voice.pause),
        unit="1/s",
        resource=resource,
    )


def _over(said: Alert, end: int) -> Alert:
    return msgspec.structs.replace(
        said,
        version=2,
        state="resolved",
        last_seen_at=end,
        resolved_at=end,
        summary=clipped(f"{said.summary}; logs again at {clock(end)}"),
    )
