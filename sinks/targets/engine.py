"""Tells one target: in order per incident, again until it has taken it, and never twice what it knows.

Each target is a consumer group of its own: its queue is its place in the topics, so that one that is down
holds up no other, memory stays bounded, and a crash loses nothing. What it was told is in the ledger, written
after each answer; a crash between answer and ledger repeats a request under the same dedup key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import aiohttp
import msgspec
from aiolimiter import AsyncLimiter

from config.notify import Target as Settings
from config.settings import Topics
from correlator.afterwards import StatusUpdate
from correlator.incident import Incident
from correlator.response import Notice
from correlator.selectors import Selector
from detectors.alert import SEVERITIES
from sinks.inbox import Unreadable, open_record
from sinks.notification import Notification
from sinks.protocol import SinkMisconfigured, SinkUnavailable
from sinks.targets import https, secrets
from sinks.targets.breaker import Breaker
from sinks.targets.ledger import Ledger
from sinks.targets.protocol import (
    OVER,
    Answer,
    Done,
    Item,
    Later,
    Outcome,
    Refused,
    Request,
    Target,
    Unavailable,
)
from streams.records.stage import Record

log = logging.getLogger(__name__)

AT_ONCE = 4
"""incidents told of side by side"""
MOST_STEPS = 8
"""requests for one item; more is a bug of the target"""
LONGEST_REST_S = 3_600.0
STALE_MS = 86_400_000
"""a notice of something longer ago wakes nobody, unless the target knows the incident as open"""
MOST_ERROR = 500


class _Work(NamedTuple):
    key: str
    items: list[Item]


class Engine:
    """A sink handler (see `streams.agents.sinkrunner`)."""

    retryable: tuple[type[Exception], ...] = (SinkUnavailable,)

    def __init__(
        self,
        target: Target,
        settings: Settings,
        topics: Topics,
        ledger: Ledger,
        secret_values: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret_values`: what must not be written anywhere; `clock`: seconds since 1970."""
        self._target, self._settings, self._topics = target, settings, topics
        self._ledger = ledger
        self._secrets = secret_values
        self._clock = clock
        self._selector = Selector(settings.matchers)
        self._least = SEVERITIES.index(settings.min_severity)
        per_s = settings.rate_per_minute / 60
        self._limiter = AsyncLimiter(per_s, 1.0) if per_s >= 1.0 else AsyncLimiter(1.0, 1.0 / per_s)
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_s, time.monotonic)
        self._session: aiohttp.ClientSession | None = None
        self._rest_until = 0.0
        self.counts: Counter[str] = Counter()
        self.listen: Callable[[Request, Answer], None] = lambda request, answer: None
        """hears every answer"""

    async def start(self) -> None:
        """Raises `SinkMisconfigured` when a secret is missing."""
        self._secrets()
        await self._ledger.refresh()

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        stop = getattr(self._ledger, "stop", None)
        if stop is not None:
            await stop()

    async def write(self, records: Sequence[Record]) -> None:
        """Return when the target has taken everything, or will never take it."""
        await self._rest()
        await self._ledger.refresh()
        room = asyncio.Semaphore(AT_ONCE)

        async def one(work: _Work) -> Later | None:
            async with room:
                for item in work.items:
                    later = await self.tell(work.key, item)
                    if later is not None:
                        return later
            return None

        found = await asyncio.gather(*(one(work) for work in self._work(records)))
        delays = [later for later in found if later is not None]
        if delays:
            longest = max(delays, key=lambda later: later.after_s)
            self._rest_until = time.monotonic() + min(LONGEST_REST_S, longest.after_s)
            raise SinkUnavailable(f"{self._target.name}: {longest.reason}")

    async def _rest(self) -> None:
        wait = self._rest_until - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _work(self, records: Sequence[Record]) -> list[_Work]:
        """What there is to tell, by dedup key in order; of an incident only the newest version."""
        found: dict[str, list[Item]] = {}
        for record in records:
            try:
                delivery = open_record(record, self._topics)
            except Unreadable:
                self.counts["skipped"] += 1  # the sink stage keeps it as a dead letter
                continue
            item = None if delivery is None else delivery.item
            if not isinstance(item, Incident | Notice | StatusUpdate) or not self._wants(item):
                continue
            items = found.setdefault(self._target.dedup_key(item), [])
            if isinstance(item, Incident) and items and isinstance(items[-1], Incident):
                items.pop()
                self.counts["coalesced"] += 1
            items.append(item)
        return [_Work(key, items) for key, items in found.items()]

    def _wants(self, item: Item) -> bool:
        settings = self._settings
        if isinstance(item, StatusUpdate):
            return "updates" in settings.about and item.state == "sent" and item.audience in settings.audience
        if isinstance(item, Notice):
            if "notices" not in settings.about or SEVERITIES.index(item.severity) < self._least:
                return False
            known = self._ledger.get(item.incident)
            return self._clock() * 1000 - item.at_ms <= STALE_MS or (known is not None and known.open)
        known = self._ledger.get(self._target.dedup_key(item))
        if known is not None and known.open:
            return True  # what was triggered is resolved, whatever the settings say by now
        if "incidents" not in settings.about:
            return False
        if item.kind != "incident" or SEVERITIES.index(item.severity) < self._least:
            return False
        return self._selector.matches(labels_of(item))

    async def tell(self, key: str, item: Item) -> Later | None:
        """All requests of one item; the reason to come again, if there is one."""
        known = self._ledger.get(key)
        version = item.version if isinstance(item, Incident | StatusUpdate) else 1
        if known is not None and known.incident_version >= version and known.state in ("sent", "refused"):
            return None  # told before, maybe by another worker
        print_of = self._target.fingerprint(item)
        if known is not None and known.step and known.doing != version:
            known = msgspec.structs.replace(known, step=0)  # that version is not told any more
        for _ in range(MOST_STEPS):
            if known is not None and known.step == 0 and known.fingerprint == print_of:
                return None
            request = self._target.plan(item, known)
            if request is None:
                if known is not None and known.step:
                    known = self._next(known, item, key, state="sent", step=0, fingerprint=print_of)
                    await self._ledger.append(known)
                    self.counts["sent"] += 1
                return None
            outcome = await self._ask(request, item, known)
            if isinstance(outcome, Later):
                await self._note_failure(known, item, key, request, outcome)
                return outcome
            if isinstance(outcome, Refused):
                error = self._clean(outcome.reason)
                log.error("%s refuses %s of %s: %s", self._target.name, request.about, key, error)
                refused = self._next(
                    known, item, key, state="refused", step=0, about=request.about, error=error
                )
                await self._ledger.append(refused)
                self.counts["refused"] += 1
                return None
            known = self._next(
                known, item, key,
                state="retrying", about=request.about, error="", step=(known.step if known else 0) + 1,
                external_id=outcome.external_id or (known.external_id if known else ""),
                url=outcome.url or (known.url if known else ""),
                open=(known.open if known else False) if outcome.open is None else outcome.open,
                note=outcome.note,
            )  # fmt: skip
            # A target that takes several requests is written down after each: none is made twice.
            await self._ledger.append(known)
        raise RuntimeError(f"target {self._target.name} asks for more than {MOST_STEPS} requests for {key}")

    async def _ask(self, request: Request, item: Item, known: Notification | None) -> Outcome:
        wait = self._breaker.wait_s()
        if wait > 0:
            return Later(f"left alone after {self._settings.breaker_failures} failures in a row", wait)
        await self._limiter.acquire()
        try:
            outcome = await self._send(request, item, known)
        except Unavailable as error:
            outcome = Later(error.reason, error.after_s)
        except SinkMisconfigured as error:
            outcome = Later(str(error), 30.0)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = Later(https.in_words(error, self._settings))
        if isinstance(outcome, Later):
            self._breaker.failed()
        else:
            self._breaker.worked()
        return outcome

    async def _send(self, request: Request, item: Item, known: Notification | None) -> Outcome:
        if not request.method:
            return self._target.read(request, Answer(0, {}, b""), item, known)  # it could not be made
        own = getattr(self._target, "send", None)
        async with asyncio.timeout(self._settings.timeout_s):
            if own is not None:
                found: Outcome = await own(request, item, known)
                return found
            if self._session is None:
                self._session = https.session_of(self._settings)
            async with self._session.request(
                request.method, request.url, data=request.body or None, headers=dict(request.headers),
                allow_redirects=False,
            ) as response:  # fmt: skip
                headers = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, headers, await response.read())
        self.listen(request, answer)
        return self._target.read(request, answer, item, known)

    async def _note_failure(
        self, known: Notification | None, item: Item, key: str, request: Request, later: Later
    ) -> None:
        """Written down for the first failure and then ever more rarely."""
        self.counts["failed"] += 1
        error = self._clean(later.reason)
        attempts = (known.attempts if known is not None and known.state == "retrying" else 0) + 1
        failing = _Failing(attempts)
        log.warning("%s: %s of %s failed: %s", self._target.name, request.about, key, error)
        if known is None or known.state != "retrying" or failing.worth_telling:
            noted = self._next(known, item, key, state="retrying", error=error, attempts=attempts, told=False)
            await self._ledger.append(noted)

    def _next(
        self, known: Notification | None, item: Item, key: str, told: bool = True, **changed: object
    ) -> Notification:
        """The next version; `told`: the target has taken something of this item."""
        now_ms = round(self._clock() * 1000)
        version = item.version if isinstance(item, Incident | StatusUpdate) else 1
        base = known or Notification(
            target=self._target.name, kind=self._target.kind, dedup_key=key, incident=incident_of(item),
            about="", version=0, incident_version=0, state="queued", attempts=0,
            queued_at=now_ms, at_ms=now_ms,
        )  # fmt: skip
        fields: dict[str, object] = {"version": base.version + 1, "at_ms": now_ms, "doing": version}
        if told:
            fields |= {"attempts": base.attempts + 1}
        if changed.get("state") in ("sent", "refused"):
            fields |= {"incident_version": version, "attempts": 0}
        return msgspec.structs.replace(base, **{**fields, **changed})

    def _clean(self, text: str) -> str:
        try:
            found = self._secrets()
        except SinkMisconfigured:
            found = ()
        return secrets.without(text, found)[:MOST_ERROR]


class _Failing(NamedTuple):
    attempts: int

    @property
    def worth_telling(self) -> bool:
        return self.attempts & (self.attempts - 1) == 0


def incident_of(item: Item) -> str:
    """Id of the incident it is about."""
    return item.id if isinstance(item, Incident) else item.incident


def labels_of(incident: Incident) -> Mapping[str, str]:
    """What matchers of a target see."""
    suspect = next((s.service for s in incident.services if s.role == "suspected cause"), "")
    first = incident.services[0].service if incident.services else ""
    return {
        "service": suspect or first,
        "severity": incident.severity,
        "priority": incident.priority,
        "category": incident.category,
        "owner": incident.owner,
        "assignee": incident.assignee,
        "domain": incident.domain,
        "kind": incident.kind,
        "state": incident.state,
    }


__all__ = ["OVER", "Done", "Engine", "incident_of", "labels_of"]
