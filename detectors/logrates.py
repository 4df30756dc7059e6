"""Rates of the busiest kinds of lines of a service, and the durations they tell of.

A kind gets a place when one is free, or when it has logged twice as much as the least busy one that has
one, which goes and is counted. What is stated for a bucket: lines a second of each kind with a place, and,
where its lines name a duration ("took 12 ms"), the mean of these, in milliseconds.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from detectors.lines import message_of
from detectors.logkinds import Kind
from streams.records.digest import fingerprint
from streams.records.pages import Kind as Type
from streams.records.pages import Series

RATE, LOUD_RATE, DURATION = "log.template", "log.template_errors", "log.param.duration"
MAX_LABEL = 160
MAX_TIMED = 32
"""durations a bucket that are read of one kind; the mean is of these"""
FADE = 0.97
"""weight of the past after a bucket: how busy a kind is fades in about five minutes"""

_DURATION = re.compile(
    r"(?<![\w.])(\d{1,12}(?:\.\d{1,9})?) ?(ms|millis|milliseconds|us|µs|ns|secs?|seconds|s)\b"
)
_MS = {"m": 1.0, "u": 1e-3, "µ": 1e-3, "n": 1e-6, "s": 1e3}


def duration_ms(body: str) -> float | None:
    """The first duration a line names with its unit, in ms."""
    found = _DURATION.search(body)
    return None if found is None else float(found.group(1)) * _MS[found.group(2)[0]]


class Place(msgspec.Struct, array_like=True):
    """One kind that is counted."""

    fps: tuple[int, int]
    """of the rate and of the duration"""
    name: str
    loud: bool
    text: str
    lines: int = 0
    """of the open bucket"""
    busy: float = 0.0
    """lines of past buckets, fading"""
    timed: bool = False
    """its lines name durations"""
    told: int = 0
    total_ms: float = 0.0
    stated: tuple[tuple[str, str], ...] | None = None
    """the resource it was last described with"""


class Places(msgspec.Struct, array_like=True):
    """Those of one service, by id of the kind."""

    of: dict[str, Place] = {}
    evicted: int = 0


class Stated(NamedTuple):
    """What a bucket's end states."""

    rows: list[tuple[int, int, float]]
    described: list[tuple[int, Series]]


def count(places: Places, service: str, kind: Kind, body: str, most: int) -> Place | None:
    """One line of a kind; the place that goes for it."""
    place = places.of.get(kind.id)
    gone = None
    if place is None:
        if len(places.of) >= most:
            if kind.lines < 16 or kind.lines & (kind.lines - 1):
                return None  # asked again when it has logged twice as much
            least = min(places.of, key=lambda name: (places.of[name].busy + places.of[name].lines, name))
            gone = places.of[least]
            if kind.lines < 2 * (gone.busy + gone.lines):
                return None
            del places.of[least]
            places.evicted += 1
        place = places.of[kind.id] = _place(service, kind, body)
    place.lines += 1
    if place.timed and place.told < MAX_TIMED and (ms := duration_ms(body)) is not None:
        place.told += 1
        place.total_ms += ms
    return gone


def _place(service: str, kind: Kind, body: str) -> Place:
    loud = kind.level != "info"
    labels = (("template_id", kind.id),)
    fps = (fingerprint(service, LOUD_RATE if loud else RATE, labels), fingerprint(service, DURATION, labels))
    return Place(fps, kind.id, loud, message_of(kind.text)[:MAX_LABEL], timed=duration_ms(body) is not None)


def series_of(place: Place, service: str) -> tuple[Series, Series]:
    """Descriptions of a place's rate and duration."""
    labels = (("template", place.text), ("template_id", place.name))
    metric, resource = LOUD_RATE if place.loud else RATE, place.stated or ()
    return (
        Series(place.fps[0], service, metric, labels, "1/s", Type.GAUGE, (), resource),
        Series(place.fps[1], service, DURATION, labels, "ms", Type.GAUGE, (), resource),
    )


def state(
    places: Places, service: str, resource: tuple[tuple[str, str], ...], end: int, bucket_ms: int, out: Stated
) -> None:
    """A bucket is over: rows and descriptions for the bank."""
    for place in places.of.values():
        if place.stated != resource:
            place.stated = resource
            out.described.extend((end, one) for one in series_of(place, service)[: 1 + place.timed])
        out.rows.append((place.fps[0], end, place.lines * 1000.0 / bucket_ms))
        if place.told:
            out.rows.append((place.fps[1], end, place.total_ms / place.told))
        place.busy = FADE * (place.busy + place.lines)
        place.lines = place.told = 0
        place.total_ms = 0.0
