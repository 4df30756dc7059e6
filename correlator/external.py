"""Alerts of other systems as alerts of our own: which notification belongs to which, and when one is over.

A system says the same thing again and again, sometimes through two senders, and some never say that it
is over. The rules:

- A notification is about the alert with its id (the system and its own name for the alert). While that
  is firing, further notifications renew it, whatever start they state: the first one counts. A higher
  severity makes a new version; nothing else does.
- `resolved` ends what is firing under the id, whatever start it states. Without such an alert it is
  counted and changes nothing.
- A firing alert that states the start of the episode that ended last is a straggler, counted, unless that
  episode only ended for want of news.
- What nothing was heard of for the time to live is taken for over.

The state is a function of the order in which notifications are applied. Bounded: beyond `most` firing
alerts the one not heard of for longest is taken for over, and counted.
"""

from __future__ import annotations

import msgspec

from correlator.memory import Recent
from detectors.alert import SEVERITIES, Alert, alert_id
from streams.records.messages import ExternalAlert
from streams.records.pages import NO_WATERMARK

PATIENCE_MS = 30_000
"""what other systems say waits this long for telemetry that does not move on"""
MOST_STANDING = 100_000
MOST_PAST = 10_000
KIND = "external"
NO_NEWS = "taken for over: no word from its source"
"""how the summary of an alert ends that nobody resolved"""


class Standing(msgspec.Struct):
    """An external alert that is firing."""

    alert: Alert
    heard_at: int
    """event time of the last word about it; rises from the oldest entry to the newest"""


class Past(msgspec.Struct, frozen=True):
    """How the last episode of an id was."""

    started_at: int
    forgotten: bool
    """nobody said that it was over"""


class External:
    """The external alerts of one domain partition. Mutable; part of the snapshot."""

    def __init__(self, ttl_ms: int, most: int = MOST_STANDING) -> None:
        self.ttl_ms = ttl_ms
        self.most = most
        self.standing: dict[str, Standing] = {}
        """by id, the one not heard of for longest first"""
        self.time_ms = NO_WATERMARK
        """how far time has come where the notifications come from"""
        self.marked_ms = NO_WATERMARK
        self.still_from = NO_WATERMARK
        """the first time mark since telemetry last moved on"""
        self.past: Recent[Past] = Recent(MOST_PAST)
        self.counters: dict[str, int] = {"repeated": 0, "unknown": 0, "expired": 0, "evicted": 0}

    @property
    def alone(self) -> bool:
        """Telemetry has stood still, or not come at all, for `PATIENCE_MS` by the time marks."""
        return self.still_from != NO_WATERMARK and self.marked_ms - self.still_from >= PATIENCE_MS

    def marked(self, at_ms: int) -> None:
        """A quiet source has come to `at_ms`. Marks follow the wall clock, notifications may be old."""
        self.time_ms = max(self.time_ms, at_ms)
        self.marked_ms = max(self.marked_ms, at_ms)
        if self.still_from == NO_WATERMARK:
            self.still_from = at_ms

    def hear(self, said: ExternalAlert, now_ms: int) -> list[Alert]:
        """Versions of alerts that follow from a notification applied at `now_ms`, in order."""
        known = self.standing.pop(said.id, None)
        if said.state == "resolved":
            if known is None:
                self.counters["unknown"] += 1
                return []
            return [self._over(said, known.alert)]
        if known is None:
            if said.state != "firing":
                self.counters["unknown"] += 1
                return []
            return self._begin(said, now_ms)
        self._hold(said.id, known.alert, now_ms)
        if (
            SEVERITIES.index(said.severity) <= SEVERITIES.index(known.alert.severity)
            or said.state != "firing"
        ):
            self.counters["repeated"] += 1
            return []
        worse = msgspec.structs.replace(
            known.alert,
            version=known.alert.version + 1,
            severity=said.severity,
            summary=said.summary,
            value=said.value,
            last_seen_at=max(known.alert.last_seen_at, said.seen_at),
        )
        self.standing[said.id].alert = worse
        return [worse]

    def next_due(self) -> int | None:
        """Event time at which the next alert is taken for over."""
        first = next(iter(self.standing.values()), None)
        return None if first is None else first.heard_at + self.ttl_ms

    def expire(self) -> Alert:
        """The last version of the alert not heard of for longest; call `next_due` first."""
        self.counters["expired"] += 1
        return self._forget()

    def _begin(self, said: ExternalAlert, now_ms: int) -> list[Alert]:
        started = said.seen_at if said.started_at is None else said.started_at
        before = self.past.get(said.id)
        if before is not None and before.started_at == started:
            if not before.forgotten:
                self.counters["repeated"] += 1
                return []
            started = max(said.seen_at, started + 1)
        found = []
        if len(self.standing) >= self.most:
            self.counters["evicted"] += 1
            found.append(self._forget())
        alert = Alert(
            id=alert_id(said.id, KIND, started),
            version=1,
            state="firing",
            kind=KIND,
            fingerprint=said.id,
            service=said.service,
            metric=said.name,
            severity=said.severity,
            started_at=started,
            # The source decided it then; when it told us says nothing about how exact the onset is.
            detected_at=started,
            last_seen_at=max(started, said.seen_at),
            resolved_at=None,
            summary=said.summary,
            value=said.value,
            instance=said.instance,
            labels=said.labels,
            resource=said.resource,
        )
        self._hold(said.id, alert, now_ms)
        return [*found, alert]

    def _hold(self, id: str, alert: Alert, now_ms: int) -> None:
        newest = next(reversed(self.standing.values()), None)
        heard = now_ms if newest is None else max(now_ms, newest.heard_at)
        self.standing[id] = Standing(alert, heard)

    def _over(self, said: ExternalAlert, alert: Alert) -> Alert:
        ended = said.seen_at if said.ended_at is None else said.ended_at
        self.past.put(said.id, Past(alert.started_at, forgotten=False))
        return msgspec.structs.replace(
            alert,
            version=alert.version + 1,
            state="resolved",
            resolved_at=max(ended, alert.started_at),
            last_seen_at=max(alert.last_seen_at, said.seen_at),
        )

    def _forget(self) -> Alert:
        id = next(iter(self.standing))
        gone = self.standing.pop(id)
        self.past.put(id, Past(gone.alert.started_at, forgotten=True))
        return msgspec.structs.replace(
            gone.alert,
            version=gone.alert.version + 1,
            state="resolved",
            resolved_at=max(gone.alert.last_seen_at, gone.alert.started_at),
            summary=f"{gone.alert.summary}; {NO_NEWS}",
        )
