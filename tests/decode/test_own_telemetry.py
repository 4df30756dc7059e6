"""What ingest counts of itself, the source of samples about ourselves, and the bound of the catalog."""

from __future__ import annotations

import json

import msgspec

from config.settings import Ingest, InputTopic, Settings, Telemetry, Topics
from streams.agents.stages import source_ids, stage_inputs, topic_specs
from streams.decode.catalog import BYTES_PER_ENTRY, Catalog
from streams.decode.ingest import IngestCore, ingest_factory
from streams.records.pages import NO_WATERMARK, Origin, Page, Series, SourceState, decode_page
from streams.records.stage import Record

T0 = 1_700_000_000_000
SETTINGS = Settings(ingest=Ingest(shards=2), topics=Topics(inputs=(InputTopic(name="in", format="tocsin"),)))
SOURCES = ("in/0", "tocsin.self/0")


def core(topic: str = "in", settings: Settings = SETTINGS) -> IngestCore:
    made = ingest_factory(settings, SOURCES)(topic, 0)
    assert isinstance(made, IngestCore)
    return made


def line(ts: int = T0, service: str = "cart", **more: object) -> bytes:
    return json.dumps({"ts": ts, "service": service, "metric": "m", "value": 1.0, **more}).encode()


def record(value: bytes, offset: int = 0, ts: int = T0) -> Record:
    return Record("in", 0, offset, ts, None, value)


def pages(outputs: list) -> list[Page]:  # type: ignore[type-arg]
    return [decode_page(o.value) for o in outputs if o.topic == "tocsin.pages"]


def test_rows_late_rows_and_dead_letters_are_counted_by_kind_and_reason() -> None:
    """Per chunk, not per row."""
    made = core()
    made.process(
        [record(line() + b"\n" + line(T0 + 1)), record(b"{bad", 1), record(line(T0 + 60_000), 2, T0 + 60_000)]
    )
    made.process([record(line(T0 + 1_000), 3, T0 + 60_000)])
    totals = made.telemetry().totals
    assert totals == {("rows", "samples"): 3.0, ("dead", "undecodable"): 1.0, ("late", ""): 1.0}
    assert made.telemetry().watermark_ms == T0 + 55_000


def test_the_topic_of_samples_about_ourselves_is_read_beside_the_configured_ones() -> None:
    """One partition, created when missing; not when it is switched off or named as an input."""
    assert stage_inputs("ingest", SETTINGS) == ("in", "tocsin.self")
    assert ("tocsin.self", 1) in [(spec.name, spec.partitions) for spec in topic_specs(SETTINGS)]
    assert source_ids(SETTINGS, {"in": 1, "tocsin.self": 1}) == SOURCES
    for own in ("", "in"):
        changed = msgspec.structs.replace(SETTINGS, telemetry=Telemetry(self_topic=own))
        assert stage_inputs("ingest", changed) == ("in",)


def test_samples_about_ourselves_hold_nobody_back_and_make_nobody_late() -> None:
    """Today's samples must not end last week's replay: their source never says how far it is."""
    found = pages(core("tocsin.self").process([record(line(T0, "tocsin"))]))
    assert {(page.watermark, page.state) for page in found} == {(NO_WATERMARK, SourceState.IDLE)}
    assert sum(len(page.values) for page in found) == 8


def test_one_sender_with_millions_of_series_is_forgotten_and_counted() -> None:
    """The catalog is a cache: it costs parsing again, and changes no result."""
    small = msgspec.structs.replace(SETTINGS, ingest=Ingest(shards=2, max_series=100))
    made, roomy = core(settings=small), core()
    batches = [
        [record(line(T0 + i, labels={"id": str(i * 50 + n)}), i * 50 + n) for n in range(50)]
        for i in range(10)
    ]
    outputs = [made.process(batch) for batch in batches]
    assert outputs == [roomy.process(batch) for batch in batches]
    told = made.telemetry()
    assert told.totals["evicted", "catalog"] > 100
    assert told.shared["catalog"] <= 200


def test_long_keys_take_the_place_of_many() -> None:
    """Ten thousand labels a series must not take a hundred times the memory."""
    catalog = Catalog(1, 100)
    group = catalog.group("g")
    for i in range(5):
        catalog.add_series(group, b"x" * 30 * BYTES_PER_ENTRY + bytes([i]), Series(i, "s", "m"))
    assert len(catalog) > 150
    assert catalog.trim() == 1 + 5 * 31
    assert len(catalog) == 0
    catalog.origin(("service", b"y" * 10 * BYTES_PER_ENTRY), lambda: Origin("service"))
    assert len(catalog) == 11
