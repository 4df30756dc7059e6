"""Absence: series that stop, said once for what stopped.

A regular series (`detectors.cadence`) that is overdue is not an alert by itself. At the end of a
step of event time:

- *service*: nothing of it has been heard for `absent_min_ms` and `LATE` cadences, at least half of its
  regular series are overdue, and of the others none has missed being in time: each is late by `LATE`
  cadences too or not expected yet -> one alert for the service (metric "telemetry").
- *instance*: the same for the series of one instance while other instances of the service go on
  -> one alert for the instance, unless it was replaced: another instance, first heard less than
  `REPLACED_MS` before the last sample or since, sends one of the same metrics (a rolling deployment).
- *series*: a strictly regular one (jitter below `STRICT` of its cadence) stopped while the rest of
  its instance went on -> an alert of its own, or one for all when more than `SEPARATE` stopped in the
  same step; none when replaced as above.

An overdue series that fits none of these yet is looked at again a cadence later. An alert resolves when
one of its series (or anything of the service) is heard again, when its instance is replaced, or when
all its series have been forgotten (`series_idle_ms` without a sample). Decided only in `advance`, from
times of samples alone. Bounded by the number of series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import numpy as np

from detectors.alert import SEVERITIES, Alert, alert_id
from detectors.cadence import FAR
from detectors.state import Records
from detectors.words import clock, name_of
from streams.records.digest import digest_hex
from streams.records.pages import I64, Series

LATE = 2.0
STRICT = 0.2
SEPARATE = 3
REPLACED_MS = 600_000
TELEMETRY = "telemetry"


class Open(msgspec.Struct, array_like=True):
    """An absence that has been announced."""

    alert: Alert
    members: list[int]
    """fingerprints of the series that stopped"""
    at: int
    """step end at which it was decided, ms"""
    scope: str
    """service | instance | series"""


class Directory(Protocol):
    """What absence needs to know of the bank's series."""

    @property
    def slots(self) -> Records: ...
    @property
    def due(self) -> I64: ...
    def series_at(self, slot: int) -> Series: ...
    def instance_at(self, slot: int) -> str: ...
    def slots_of(self, fps: Sequence[int]) -> list[int]: ...
    def members(self, service: str) -> list[int]: ...
    def lapse(self, slots: Sequence[int], now_ms: int) -> list[Alert]: ...


def _mark(directory: Directory, gone: list[int]) -> None:
    """These have been dealt with until they are heard again."""
    directory.slots["absent"][gone] = 1
    directory.due[gone] = FAR


class Absences:
    """Open absences of one bank."""

    def __init__(self, absent_min_ms: int) -> None:
        self.absent_min_ms = absent_min_ms
        self.open: dict[str, Open] = {}
        """by alert id"""

    def next_due(self, directory: Directory, used: int) -> int | None:
        """Earliest time at which a series becomes overdue."""
        due = int(directory.due[:used].min(initial=FAR))
        return None if due == FAR else due

    def advance(self, directory: Directory, used: int, now_ms: int) -> list[Alert]:
        """Absences that end or begin at the end of a step."""
        alerts = self._returned(directory, now_ms)
        overdue = np.flatnonzero(directory.due[:used] <= now_ms)
        if not len(overdue):
            return alerts
        may_stop = directory.slots["sparse"][overdue] != 0
        lapsed = overdue[may_stop]
        if len(lapsed):
            order = np.argsort(directory.slots["fp"][lapsed])
            alerts += directory.lapse(lapsed[order].tolist(), now_ms)
        by_service: dict[str, list[int]] = {}
        for slot in overdue[~may_stop].tolist():
            by_service.setdefault(directory.series_at(slot).service, []).append(slot)
        for service in sorted(by_service):
            alerts += self._service(directory, service, by_service[service], now_ms)
        return alerts

    def forget(self, fp: int) -> None:
        """A series is gone for good; its absences no longer wait for it."""
        for entry in self.open.values():
            if fp in entry.members:
                entry.members.remove(fp)

    # beginning

    def _service(self, directory: Directory, service: str, overdue: list[int], now_ms: int) -> list[Alert]:
        members = directory.members(service)
        if self._silent(directory, members, overdue, now_ms):
            gone = self._regular(directory, members)
            return [self._announce(directory, gone, "service", "", now_ms)]
        alerts = []
        instances: dict[str, list[int]] = {}
        for slot in overdue:
            instances.setdefault(directory.instance_at(slot), []).append(slot)
        for instance in sorted(instances):
            late = instances[instance]
            own = [slot for slot in members if directory.instance_at(slot) == instance]
            if len(own) < len(members) and self._silent(directory, own, late, now_ms):
                gone = self._regular(directory, own)
                if any(self._replaced(directory, slot, members) for slot in gone):
                    _mark(directory, gone)
                else:
                    alerts.append(self._announce(directory, gone, "instance", instance, now_ms))
            else:
                alerts += self._singles(directory, own, late, members, now_ms)
        return alerts

    def _silent(self, directory: Directory, members: list[int], overdue: list[int], now_ms: int) -> bool:
        """Nothing of `members` has been heard lately, and nothing speaks for their being alive."""
        slots = directory.slots
        newest = int(max(slots["last_ts"][members]))
        cadence = float(np.min(slots["interval"][overdue]))
        if newest + max(LATE * cadence, self.absent_min_ms) > now_ms:
            return False
        regular = self._regular(directory, members)
        last, interval = slots["last_ts"][regular], slots["interval"][regular]
        late = last + LATE * interval <= now_ms
        waiting = last + interval > now_ms
        gone = (directory.due[regular] <= now_ms) | (slots["absent"][regular] != 0)
        return bool((late | waiting).all()) and 2 * int(gone.sum()) >= len(regular)

    @staticmethod
    def _regular(directory: Directory, members: Sequence[int]) -> list[int]:
        slots = directory.slots
        return [
            s for s in members if slots["absent"][s] or (directory.due[s] != FAR and not slots["sparse"][s])
        ]

    def _singles(
        self, directory: Directory, own: list[int], late: list[int], members: list[int], now_ms: int
    ) -> list[Alert]:
        slots = directory.slots
        newest = int(max(slots["last_ts"][own]))
        stopped = []
        for slot in late:
            s = slots[slot]
            if s["jitter"] > STRICT * s["interval"]:
                _mark(directory, [slot])  # never strict enough to be missed by itself
            elif newest <= s["last_ts"] + s["interval"]:
                # It may be the first of many to be overdue: look again when others should have come.
                directory.due[slot] = now_ms + max(1, int(s["interval"]))
            elif self._replaced(directory, slot, members):
                _mark(directory, [slot])
            else:
                stopped.append(slot)
        if len(stopped) > SEPARATE:
            return [self._announce(directory, stopped, "series", directory.instance_at(own[0]), now_ms)]
        return [
            self._announce(directory, [slot], "series", directory.instance_at(slot), now_ms)
            for slot in stopped
        ]

    @staticmethod
    def _replaced(directory: Directory, slot: int, members: Iterable[int]) -> bool:
        """Whether another instance has taken this series' place."""
        slots = directory.slots
        metric, instance = directory.series_at(slot).metric, directory.instance_at(slot)
        since = int(slots["last_ts"][slot]) - REPLACED_MS
        stopped = int(slots["last_ts"][slot])
        return bool(instance) and any(
            int(slots["first_ts"][other]) >= since
            and int(slots["last_ts"][other]) > stopped
            and directory.instance_at(other) != instance
            and directory.series_at(other).metric == metric
            for other in members
            if other != slot
        )

    def _announce(
        self, directory: Directory, gone: list[int], scope: str, instance: str, now_ms: int
    ) -> Alert:
        slots = directory.slots
        last = max(gone, key=lambda slot: (int(slots["last_ts"][slot]), int(slots["fp"][slot])))
        series = directory.series_at(last)
        heard, cadence = int(slots["last_ts"][last]), int(slots["interval"][last])
        single = scope == "series" and len(gone) == 1
        started = heard + cadence
        fingerprint = f"{series.fp:016x}" if single else digest_hex(series.service, instance, TELEMETRY)
        if single:
            what = f"{name_of(series)}: absent"
        elif scope == "series":
            what = f"{series.service}: {len(gone)} series absent"
        else:
            what = f"{series.service}{f' instance {instance}' if instance else ''}: no telemetry"
        severity = "warning" if scope == "series" else "error"
        if single:
            severity = SEVERITIES[min(SEVERITIES.index(severity), int(slots["cap"][last]))]
        silence = f"{(now_ms - heard) / 1000:.0f} s; usually every {cadence / 1000:g} s"
        alert = Alert(
            id=alert_id(fingerprint, "absent", started),
            version=1,
            state="firing",
            kind="absent",
            fingerprint=fingerprint,
            service=series.service,
            metric=series.metric if single else TELEMETRY,
            severity=severity,
            started_at=started,
            detected_at=now_ms,
            last_seen_at=now_ms,
            resolved_at=None,
            summary=f"{what} since {clock(heard)} ({silence})",
            score=1.0,
            strength=-min(1000.0, (now_ms - heard) / max(1, cadence)),
            instance=instance,
            labels=series.labels if single else (),
            resource=series.resource,
            count=len(gone),
        )
        _mark(directory, gone)
        fps = sorted(int(slots["fp"][slot]) for slot in gone)
        self.open[alert.id] = Open(alert, fps, now_ms, scope)
        return alert

    # ending

    def _returned(self, directory: Directory, now_ms: int) -> list[Alert]:
        alerts = []
        for key in sorted(self.open):
            entry = self.open[key]
            why = self._why_over(directory, entry)
            if why:
                del self.open[key]
                alerts.append(
                    msgspec.structs.replace(
                        entry.alert,
                        version=2,
                        state="resolved",
                        last_seen_at=now_ms,
                        resolved_at=now_ms,
                        summary=f"{entry.alert.summary}; {why} at {clock(now_ms)}",
                    )
                )
        return alerts

    def _why_over(self, directory: Directory, entry: Open) -> str:
        """A reason to close the absence, or nothing."""
        slots = directory.slots_of(entry.members)
        if not slots:
            return "forgotten"
        if any(not directory.slots["absent"][slot] for slot in slots):
            return "heard again"
        members = directory.members(entry.alert.service)
        if entry.scope == "service" and any(directory.slots["last_ts"][slot] > entry.at for slot in members):
            return "the service is heard again"
        if entry.alert.instance and any(self._replaced(directory, slot, members) for slot in slots):
            return "replaced by another instance"
        return ""
