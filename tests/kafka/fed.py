"""A worker fed by real producers: a topic each with its format named, and one where `auto` finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from config.load import load as load_settings
from streams.records.pages import Page, Series, decode_page, f64, i64, u8, u64
from tests.e2e.pipeline import Pipeline

NAMED, AUTO = "named", "auto"
WAYS = (NAMED, AUTO)


class Sample(NamedTuple):
    """One sample with its series."""

    series: Series
    ts: int
    value: float


class Log(NamedTuple):
    """One log line."""

    service: str
    instance: str
    severity: int
    body: str
    ts: int


class Fed(Pipeline):
    """`formats`: producer -> format of its topics."""

    def __init__(
        self, folder: Path, kafka: str, clickhouse: str, prefix: str, formats: Mapping[str, str], **more: Any
    ) -> None:
        (folder / "topology.json").write_text("[]")
        super().__init__(folder, kafka, clickhouse, prefix, folder)
        raw = yaml.safe_load(self.config.read_text())
        del raw["correlate"]["topology"]
        raw["topics"]["inputs"] = [
            {"name": f"{prefix}.{name}.{way}", "format": known if way == NAMED else AUTO, "partitions": 1}
            for name, known in formats.items()
            for way in WAYS
        ]
        raw |= more
        self.config.write_text(yaml.safe_dump(raw))
        self.settings = load_settings(self.config)
        self.prefix = prefix

    def topic(self, producer: str, way: str) -> str:
        return f"{self.prefix}.{producer}.{way}"

    def topics(self, producer: str) -> list[str]:
        """Both of a producer."""
        return [self.topic(producer, way) for way in WAYS]

    def pages(self, topic: str) -> tuple[list[Page], dict[int, Series]]:
        """Pages that came from this input topic, and all series described so far."""
        pages = [decode_page(value) for value in self.read(self.settings.topics.pages)]
        known = {series.fp: series for page in pages for series in page.series}
        return [page for page in pages if page.source.rpartition("/")[0] == topic], known

    def samples(self, topic: str) -> list[Sample]:
        """Of this input topic."""
        pages, known = self.pages(topic)
        return [
            Sample(known[fp], ts, value)
            for page in pages
            for fp, ts, value in zip(
                u64(page.fps).tolist(), i64(page.ts).tolist(), f64(page.values).tolist(), strict=True
            )
        ]

    def histograms(self, topic: str) -> list[Series]:
        """Series of histogram rows of this input topic."""
        pages, known = self.pages(topic)
        return [known[fp] for page in pages if page.histograms for fp in u64(page.histograms.fps).tolist()]

    def logs(self, topic: str) -> list[Log]:
        """Of this input topic."""
        found = []
        for page in self.pages(topic)[0]:
            if (logs := page.logs) is not None:
                rows = zip(
                    i64(logs.origin).tolist(),
                    u8(logs.severity).tolist(),
                    logs.bodies,
                    i64(logs.ts).tolist(),
                    strict=True,
                )
                for origin, severity, body, ts in rows:
                    sender = logs.origins[origin]
                    found.append(Log(sender.service, sender.instance, severity, body, ts))
        return found

    def spans(self, topic: str) -> set[str]:
        """Services with spans on this input topic."""
        spans = (page.spans for page in self.pages(topic)[0])
        return {each.services[at] for each in spans if each for at in i64(each.service).tolist()}


@contextmanager
def fed(
    folder: Path, kafka: str, clickhouse: str, prefix: str, formats: Mapping[str, str], **more: Any
) -> Iterator[Fed]:
    """With one worker that runs all stages."""
    found = Fed(folder, kafka, clickhouse, prefix, formats, **more)
    try:
        found.start_worker()
        found.wait_for_topics()
        yield found
    finally:
        found.close()
