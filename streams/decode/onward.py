"""What bypasses detect: changes, actions and external alerts, as records for the correlator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from config.settings import Settings
from streams.decode import deadletter
from streams.decode.columns import Message, Refusal
from streams.decode.errors import FUTURE
from streams.decode.logs.policy import Policy
from streams.records.digest import shard_of
from streams.records.messages import ExternalAlert, OutsideTime
from streams.records.stage import Output, Record
from streams.records.telemetry import DEAD, Tally

MARK_EVERY_MS = 10_000
"""a quiet source of external alerts says how far time has come this often"""

_encoder = msgspec.json.Encoder()


def outputs(
    settings: Settings,
    records: Sequence[Record],
    messages: Sequence[tuple[int, Message]],
    references: Sequence[int],
    tally: Tally,
    policy: Policy,
) -> Iterator[Output]:
    """`messages`: (index into `records`, what its decoder found); those from the future are refused
    and counted in `tally`. `policy` takes the secrets out of dead letters."""
    for i, message in messages:
        reference = references[i]
        ts = _when(message)
        if reference >= 0 and ts > reference + settings.ingest.max_future_ms:
            detail = f"ts {ts} is {ts - reference} ms after its record ({reference})"
            tally.count(DEAD, FUTURE)
            letter = deadletter.letter(*policy.letter(records[i], Refusal(FUTURE, detail, 0)))
            yield deadletter.output(settings.topics.deadletters, letter)
            continue
        raw = _encoder.encode(message)
        for domain in _domains(settings, message):
            yield Output(settings.topics.alerts, raw, key=message.id.encode(), partition=domain)


def time_marks(settings: Settings, at_ms: int) -> list[Output]:
    """To every domain; none while the time is not known."""
    if at_ms < 0:
        return []
    raw = _encoder.encode(OutsideTime(at_ms))
    return [
        Output(settings.topics.alerts, raw, key=b"outside", partition=domain)
        for domain in range(settings.correlate.partitions)
    ]


def _when(message: Message) -> int:
    if isinstance(message, ExternalAlert):
        return max(message.seen_at, message.started_at or 0, message.ended_at or 0)
    return message.ts


def _domains(settings: Settings, message: Message) -> Sequence[int]:
    """Changes and actions go everywhere: the correlator knows what concerns it. An alert goes home.

    What says that an alert is over may have left out whose it was: all are told, one of them knows it.
    """
    correlate = settings.correlate
    everywhere = range(correlate.partitions)
    if not isinstance(message, ExternalAlert):
        return everywhere
    if not correlate.domain_label:
        return (0,)
    domain = dict(message.resource).get(correlate.domain_label, "")
    if domain:
        return (shard_of(domain, correlate.partitions),)
    return (0,) if message.state == "firing" else everywhere
