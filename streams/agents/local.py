"""The stages in one process without Kafka: what `tocsin backtest` runs.

Partitions are lists and the broker is a function call; the cores are those of the live worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from config.catalogue_files import load_catalogue
from config.settings import Settings
from correlator.domain import domain_factory
from correlator.respond import respond_factory
from detectors.shard import shard_factory
from streams.decode.ingest import ingest_factory
from streams.records.stage import Output, PartitionCore, Record

Factory = Callable[[str, int], PartitionCore]


class LocalPipeline:
    """Ingest, detect, correlate and respond, wired in memory.

    `inputs` are the input partitions as (topic, partition); `on_output` is called with every
    record any stage produces, in order; `edges` are declared calls beside those of the catalogue.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[tuple[str, int]],
        on_output: Callable[[Output], None],
        edges: Sequence[tuple[str, str]] = (),
    ) -> None:
        topics = settings.topics
        sources = [f"{topic}/{partition}" for topic, partition in inputs]
        ingest: Factory = ingest_factory(settings, sources)
        detect: Factory = shard_factory(settings)
        catalogue = load_catalogue(settings).with_calls(edges)
        correlate: Factory = domain_factory(settings, catalogue)
        respond: Factory = respond_factory(settings, catalogue)
        self._cores: dict[tuple[str, int], PartitionCore] = {}
        for topic, partition in inputs:
            self._cores[topic, partition] = ingest(topic, partition)
        for shard in range(settings.ingest.shards):
            self._cores[topics.pages, shard] = detect(topics.pages, shard)
        for domain in range(settings.correlate.partitions):
            self._cores[topics.alerts, domain] = correlate(topics.alerts, domain)
        self._responding = respond(topics.incidents, 0)
        self._cores[topics.incidents, 0] = self._responding
        self._offsets = {home: count() for home in self._cores}
        self._on_output = on_output

    def feed(self, records: Sequence[Record]) -> None:
        """Run records of one input partition, and all that follows from them, through the stages."""
        self._run((records[0].topic, records[0].partition), records)

    def finish(self, now_ms: int) -> None:
        """Nothing more comes: what is due up to `now_ms` (ms UTC) comes due."""
        for output in self._responding.tick(now_ms, True):
            self._on_output(output)

    def _run(self, home: tuple[str, int], records: Sequence[Record]) -> None:
        onward: dict[tuple[str, int], list[Record]] = {}
        for output in self._cores[home].process(records):
            self._on_output(output)
            target = (output.topic, output.partition or 0)
            if target in self._cores:
                offset = next(self._offsets[target])
                onward.setdefault(target, []).append(
                    Record(output.topic, target[1], offset, 0, output.key, output.value, output.headers)
                )
        for target, following in onward.items():
            self._run(target, following)
