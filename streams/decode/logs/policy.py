"""What the configuration makes of the log rows of a chunk, before they go into a page: dropped or masked.

Patterns of one's own come first and see lines as they were sent, in the order of the configuration; the
secrets of all lines are then masked at once (`streams.decode.logs.masking`). A pattern without anchors is
first looked for in all lines together, and costs next to nothing where it is in none.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from config.logs import DROP, MASK, LogRules
from streams.decode.columns import Columns, Refusal
from streams.decode.envelope import packing
from streams.decode.errors import BadRecord
from streams.decode.judge import Mask
from streams.decode.logs.expressions import Expression, possible
from streams.decode.logs.masking import Masker
from streams.decode.logs.scope import Scope
from streams.records.stage import Record
from streams.records.telemetry import DROPPED, MASKED, Tally

_ENCODING = "content-encoding"
_PLAIN_ID = re.compile(r"[0-9A-Za-z-]*")


class Policy:
    """Applies to chunks and to dead letters. Holds nothing but caches that change no answer."""

    def __init__(self, rules: LogRules, max_bytes: int) -> None:
        """`max_bytes` of a record."""
        self._limit = max_bytes
        own = [pattern for pattern in rules.patterns if pattern.do in (DROP, MASK)]
        self._own = [Expression(pattern) for pattern in own]
        self._scope = Scope(own)
        self.masker = Masker(rules.secrets)

    def apply(self, columns: Columns, passed: Mask, tally: Tally) -> Mask:
        """Mask the log rows that passed, in place; returns which of them are left. Counts what it does."""
        if not len(passed) or not passed.any():
            return passed
        rows: list[int] = np.flatnonzero(passed).tolist()
        counts: Counter[str] = Counter()
        if self._own:
            rows = self._owned(columns, rows, tally, counts)
            left = np.zeros_like(passed)
            left[rows] = True
            passed = left
        for texts in (columns.bodies, columns.exceptions):
            self._secrets(texts, rows, counts)
        ids = columns.trace_ids
        if not _PLAIN_ID.fullmatch("".join(ids)):
            # A number that happens to look like a card's is an id all the same.
            self._secrets(ids, [row for row in rows if not _PLAIN_ID.fullmatch(ids[row])], counts)
        for kind, n in sorted(counts.items()):
            tally.count(MASKED, kind, n)
        return passed

    def _secrets(self, texts: list[str], rows: list[int], counts: Counter[str]) -> None:
        chosen = texts if len(rows) == len(texts) else [texts[row] for row in rows]
        for place, text in self.masker.mask_all(chosen, counts).items():
            texts[rows[place]] = text

    def _owned(self, columns: Columns, rows: list[int], tally: Tally, counts: Counter[str]) -> list[int]:
        """Rows that no pattern dropped; masked where one said so."""
        bodies, origins = columns.bodies, columns.catalog.origins.entries
        raw = {row: bodies[row].encode() for row in rows}
        asked = possible(self._own, raw.values())
        if not asked:
            return rows
        left: list[int] = []
        changed: set[int] = set()
        for row in rows:
            line = raw[row]
            origin = origins[columns.l_origin[row]]
            for i in self._scope.of(origin.service, origin.instance, origin.resource):
                own = self._own[i]
                if i not in asked or own.search(line) is None:
                    continue
                if own.pattern.do == DROP:
                    tally.count(DROPPED, f"pattern:{own.pattern.name}")
                    break
                line, times = own.masked(line)
                counts[own.pattern.name] += times
                changed.add(row)
            else:
                left.append(row)
                if row in changed:
                    bodies[row] = line.decode("utf-8", "replace")
        return left

    def letter(self, record: Record, refusal: Refusal) -> tuple[Record, Refusal]:
        """A record that is to be a dead letter, and why, without secrets.

        A compressed one that has some is kept as it reads decompressed.
        """
        plain = _unpacked(record, self._limit)
        value, secrets = self.masker.blot(plain.value or b"")
        key, more = self.masker.blot(record.key or b"")
        headers = []
        for name, content in plain.headers:
            content, found = self.masker.blot(content)
            headers.append((name, content))
            more += found
        detail = self.masker.words(refusal.detail, secrets + more)
        if secrets:
            record = plain._replace(value=value)
        if more:
            record = record._replace(key=record.key and key, headers=tuple(headers))
        return record, refusal._replace(detail=detail)


def _unpacked(record: Record, limit: int) -> Record:
    """The record decompressed, without the header that said it was; as it is if it cannot be."""
    said = {name.lower(): content.decode("utf-8", "replace") for name, content in record.headers}
    encodings = said.get(_ENCODING, "")
    value = record.value
    if not value or not (encodings or value[0] in packing.FIRST_BYTES):
        return record
    try:
        value = packing.by_name(value, encodings, limit) if encodings else packing.by_magic(value, limit)
    except BadRecord:
        return record
    headers = tuple(pair for pair in record.headers if pair[0].lower() != _ENCODING)
    return record._replace(value=value, headers=headers)
