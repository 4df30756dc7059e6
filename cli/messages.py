"""What other systems and people said while a run went on: `external.jsonl` and `actions.jsonl`.

    {"run": "monday", "ts": 1700000000000, "alert": {what Alertmanager, Grafana or PagerDuty sent}}
    {"run": "monday", "ts": 1700000300000, "incident": "3f9a...", "action": "acknowledge", "actor": "ann"}

`ts` is when it came in, ms UTC; there it takes its place among the rows. An incident's id does not change
from run to run, so that one back-test tells it and the next can act on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from cli.dataset import DataSet
from cli.errors import CliError
from config.settings import Settings
from correlator.external import PATIENCE_MS
from streams.records.stage import Record


class Said(NamedTuple):
    """A record of an input topic that is no row of telemetry."""

    ts: int
    topic: str
    value: bytes

    def record(self, offset: int) -> Record:
        """As a broker would hand it out."""
        return Record(self.topic, 0, offset, self.ts, None, self.value, self.headers)

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Its own time stands in for the clock."""
        return (("tocsin-now", str(self.ts).encode()),)


def said(data: DataSet, run: str, settings: Settings) -> list[Said]:
    """All of them in order of time; of equal times alerts before actions. Raises `CliError`."""
    found = []
    for file, kind in (("external.jsonl", "alerts"), ("actions.jsonl", "actions")):
        own = [line for line in data.lines(file) if line.get("run", run) == run]
        topic = topic_of(settings, kind) if own else ""
        for line in own:
            body = line.get("alert") if kind == "alerts" else {k: v for k, v in line.items() if k != "run"}
            if not isinstance(body, dict):
                raise CliError(f"{data.folder / file}: a line has no alert", "see docs/files.md")
            found.append(Said(line["ts"], topic, msgspec.json.encode(body)))
    return sorted(found, key=lambda one: one.ts)  # stable


def marks(settings: Settings, topics: Iterable[str], begin_ms: int) -> Iterator[tuple[str, int]]:
    """(topic, ms UTC) of the time marks that open a run in which there is no telemetry to wait for."""
    for topic in _external(settings, topics)[:1]:
        yield from ((topic, begin_ms - PATIENCE_MS), (topic, begin_ms))


def ends(settings: Settings, topics: Iterable[str], end_ms: int) -> Iterator[tuple[str, int]]:
    """(topic, ms UTC) of the time marks that close a run."""
    yield from ((topic, end_ms) for topic in _external(settings, topics)[:1])


def _external(settings: Settings, topics: Iterable[str]) -> list[str]:
    return sorted({t.name for t in settings.topics.inputs if t.format == "alerts"} & set(topics))


def topic_of(settings: Settings, kind: str) -> str:
    """The input topic of this format. Raises `CliError` when none is configured."""
    for topic in settings.topics.inputs:
        if topic.format == kind:
            return topic.name
    raise CliError(f"no input topic has format {kind!r}", "add one under topics.inputs")
