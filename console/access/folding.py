"""Repeats of a refusal within a minute become one record with a count. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from streams.records.audit import AuditRecord

WINDOW_MS = 60_000
MOST = 1_000
"""kinds of refusal counted at once; of what comes beyond, only how much it was"""
BEYOND = "several"
"""its address"""
Key = tuple[str | int, ...]


@dataclass(slots=True)
class _Seen:
    since_ms: int
    newest: AuditRecord
    repeats: int = 0


class Folds:
    """The first of its kind goes through at once, those like it once its minute is over, as one.

    So a flood of requests with bad tokens fills neither the topic nor the log, and yet is all in both.
    What nobody known does counts as refusals do. So do previews: they change nothing, and one comes with
    every pause in typing.
    """

    def __init__(self, window_ms: int = WINDOW_MS, most: int = MOST) -> None:
        self._window_ms = window_ms
        self._most = most
        self._seen: dict[Key, _Seen] = {}
        """in the order in which they end"""

    def take(self, record: AuditRecord, now_ms: int) -> list[AuditRecord]:
        """What is to be kept now: what has come due, and this one unless it is counted."""
        found = self.due(now_ms)
        if record.who and record.outcome != "refused" and record.action != "preview":
            return [*found, record]
        key = _key(record)
        if key not in self._seen and len(self._seen) >= self._most:
            key = ()
            record = msgspec.structs.replace(
                record, address=BEYOND, who="", role="", via="nobody", target="", what="", domain="", agent=""
            )
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(now_ms, record)
            return [*found, record]
        seen.newest = record
        seen.repeats += 1
        return found

    def due(self, now_ms: int, *, all: bool = False) -> list[AuditRecord]:
        """Repeats whose minute is over (a clock that was set back ends it, too); with `all` the rest."""
        found = []
        while self._seen:
            key, seen = next(iter(self._seen.items()))
            if not all and seen.since_ms <= now_ms < seen.since_ms + self._window_ms:
                break
            del self._seen[key]
            if seen.repeats:
                found.append(msgspec.structs.replace(seen.newest, n=seen.repeats))
        return found


def _key(record: AuditRecord) -> Key:
    return (
        record.address, record.who, record.action, record.method, record.route, record.target, record.status
    )  # fmt: skip
