"""Topics a worker needs: created when missing, checked when present, waited for."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from config.connect import Broker, address, kafka_options
from sinks.broker import why_not

log = logging.getLogger(__name__)


class StartError(RuntimeError):
    """The worker cannot start; the message is one line and names the next step."""


@dataclasses.dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as configured."""

    name: str
    partitions: int
    internal: bool = True
    """ours: the partition count is part of the meaning (a shard, a domain) and must match"""
    compacted: bool = False


async def connect(broker: Broker, patience_s: float = 10.0) -> AIOKafkaAdminClient:
    """A started admin client.

    Raises StartError if no broker answers within `patience_s`, and at once if one answers and refuses us.
    """
    deadline = time.monotonic() + patience_s
    # aiokafka logs every refused connection as an error; one line of ours at the end says it better.
    noise = logging.getLogger("aiokafka")
    level = noise.level
    noise.setLevel(logging.CRITICAL)
    try:
        while True:
            try:
                options = kafka_options(broker)
            except OSError as error:
                raise StartError(f"kafka: {error}") from error
            admin = AIOKafkaAdminClient(**options, request_timeout_ms=10_000)
            try:
                await admin.start()
            except (KafkaConnectionError, OSError, ValueError) as error:
                await admin.close()
                reason = await why_not(broker)
                if reason:
                    raise StartError(reason) from error
                if isinstance(error, ValueError) or time.monotonic() > deadline:
                    raise StartError(
                        f"no Kafka broker answers at {address(broker)} ({error}): start one "
                        "(`tocsin dev kafka`, or `docker compose up -d kafka`) or pass --kafka HOST:PORT"
                    ) from error
                await asyncio.sleep(0.5)
            else:
                return admin
    finally:
        noise.setLevel(level)


async def ensure_topics(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    replication: int = 1,
    patience_s: float = 20.0,
) -> Mapping[str, int]:
    """Create what is missing and wait until every topic has its leaders.

    Returns the partition count of each. Raises StartError on a topic of another shape.
    """
    wanted = {spec.name: spec for spec in specs}
    missing = sorted(set(wanted) - set(await admin.list_topics()))
    if missing:
        await _create(admin, [wanted[name] for name in missing], replication)
    deadline = time.monotonic() + patience_s
    while True:
        counts = await _partition_counts(admin, sorted(wanted))
        if set(counts) == set(wanted):
            break
        if time.monotonic() > deadline:
            raise StartError(
                f"topics {sorted(set(wanted) - set(counts))} did not appear within {patience_s:.0f} s: "
                "look at the broker's log"
            )
        await asyncio.sleep(0.1)
    for name, spec in wanted.items():
        if spec.internal and counts[name] != spec.partitions:
            raise StartError(
                f"topic {name} has {counts[name]} partitions, the configuration says {spec.partitions}: "
                "state is kept per partition, so set the configured number back, or delete the topic "
                "(and its checkpoints) to start afresh"
            )
    return counts


def _configs(spec: TopicSpec) -> dict[str, str]:
    """What of a new topic differs from the broker's defaults."""
    configs = {"cleanup.policy": "compact"} if spec.compacted else {}
    if spec.internal:
        # The broker's time: it refuses records stamped an hour ahead, and drops early what is stamped in the
        # past, so the clock of a worker's machine must not decide.
        configs["message.timestamp.type"] = "LogAppendTime"
    return configs


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int) -> None:
    new = [
        NewTopic(
            name=spec.name,
            num_partitions=spec.partitions,
            replication_factor=replication,
            topic_configs=_configs(spec),
        )
        for spec in specs
    ]
    try:
        response = await admin.create_topics(new)
    except TopicAlreadyExistsError:
        return
    except KafkaError as error:
        raise StartError(f"cannot create topics {[spec.name for spec in specs]}: {error}") from error
    for name, code, *detail in response.topic_errors:
        error_type = for_code(code)
        if code and error_type is not TopicAlreadyExistsError:
            raise StartError(
                f"cannot create topic {name}: {error_type.__name__} {detail[0] if detail else ''} "
                "(is the replication factor higher than the number of brokers?)"
            )
        log.info("created topic %s", name)


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Topics that are ready. Asks for existing ones only, so that no broker creates them on being asked."""
    existing = set(await admin.list_topics())
    names = [name for name in names if name in existing]
    if not names:
        return {}
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics(names)
        if topic["error_code"] == 0
        and topic["partitions"]
        and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }
