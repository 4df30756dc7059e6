"""Which stage reads which topics and is made of which cores: the wiring of one worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from config.settings import Settings
from streams.agents.runner import CoreFactory, Prefetch
from streams.agents.sinkrunner import SinkHandler
from streams.agents.topics import StartError, TopicSpec

STAGES = ("ingest", "detect", "correlate", "respond", "notify", "sink", "history")
TARGET = "notify."
"""what begins the name of the stage of one target"""
"""In the order in which a record passes them."""

INTERNAL_FETCH_WAIT_MS = 20
"""Internal topics are read by us alone: a short wait a hop keeps the way to an incident short."""
HISTORY_FETCH_WAIT_MS = 500
"""nobody waits for it, and few large inserts cost ClickHouse less than many small ones"""


@dataclasses.dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage as this worker runs it: either cores or a sink."""

    name: str
    inputs: tuple[str, ...]
    factory: CoreFactory | None = None
    handler: SinkHandler | None = None
    fetch_max_wait_ms: int = INTERNAL_FETCH_WAIT_MS
    prefetch: Prefetch | None = None

    def stateful(self) -> bool:
        """True if the cores keep checkpoints (asked of a core of the first input)."""
        return self.factory is not None and self.factory(self.inputs[0], 0).snapshot() is not None


def stage_inputs(stage: str, settings: Settings) -> tuple[str, ...]:
    """Topics a stage reads. Raises KeyError for an unknown stage."""
    topics = settings.topics
    if stage == "notify" or stage.startswith(TARGET):
        return (topics.incidents, topics.response, topics.written)
    return {
        "ingest": tuple(topic.name for topic in settings.inputs),
        "detect": (topics.pages,),
        "history": (topics.pages,),
        "correlate": (topics.alerts,),
        "respond": (topics.incidents,),
        "sink": (
            topics.incidents,
            topics.alerts,
            topics.suppressions,
            topics.problems,
            topics.response,
            topics.written,
            topics.notifications,
            topics.action_results,
            topics.topology,
            topics.audit,
            topics.deadletters,
        ),
    }[stage]


def expanded(stages: Sequence[str], settings: Settings) -> list[str]:
    """The stages as they run: one for each target in place of notify; history if it is kept."""
    found: list[str] = []
    for stage in stages:
        if stage == "history" and not settings.history.enabled:
            continue
        own = [f"{TARGET}{target.name}" for target in settings.notify.targets]
        found += own if stage == "notify" else [stage]
    return found


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic of the pipeline but the checkpoints, as configured."""
    topics = settings.topics
    domains = settings.correlate.partitions
    return [
        *(TopicSpec(topic.name, topic.partitions, internal=False) for topic in settings.inputs),
        TopicSpec(topics.pages, settings.ingest.shards),
        TopicSpec(topics.alerts, domains),
        TopicSpec(topics.incidents, domains, compacted=True),
        TopicSpec(topics.suppressions, domains, compacted=True),
        TopicSpec(topics.topology, 1, compacted=True),
        TopicSpec(topics.problems, domains, compacted=True),
        TopicSpec(topics.response, domains, compacted=True),
        TopicSpec(topics.written, domains, compacted=True),
        TopicSpec(topics.notifications, 1, compacted=True),
        TopicSpec(topics.action_results, 1),
        TopicSpec(topics.audit, 1),
        TopicSpec(topics.deadletters, 1),
    ]


def checkpoint_spec(group_prefix: str, plan: StagePlan, counts: Mapping[str, int]) -> TopicSpec:
    """The topic of a stage's checkpoints; its partitions follow the stage's widest input."""
    return TopicSpec(
        f"{group_prefix}.checkpoints.{plan.name}", max(counts[name] for name in plan.inputs), compacted=True
    )


def source_ids(settings: Settings, counts: Mapping[str, int]) -> tuple[str, ...]:
    """`topic/partition` of every input partition there is (not of those configured: the broker knows)."""
    return tuple(f"{topic.name}/{i}" for topic in settings.inputs for i in range(counts[topic.name]))


def build_plan(stage: str, settings: Settings, counts: Mapping[str, int]) -> StagePlan:
    """The real thing. Imports a stage's code only when the stage is run."""
    inputs = stage_inputs(stage, settings)
    if stage == "ingest":
        from streams.agents.registry import prefetch_of
        from streams.decode.formats import warm
        from streams.decode.ingest import ingest_factory
        from streams.decode.schemas.known import Schemas

        warm()  # before the group is joined: compiling would stall the event loop for seconds
        schemas = Schemas(settings.registry.max_schemas)
        factory = ingest_factory(settings, source_ids(settings, counts), schemas)
        prefetch = prefetch_of(settings, schemas)
        wait = settings.kafka.fetch_max_wait_ms
        return StagePlan(stage, inputs, factory, fetch_max_wait_ms=wait, prefetch=prefetch)
    if stage == "detect":
        from detectors.bank import warm
        from detectors.shard import shard_factory

        warm()  # likewise
        return StagePlan(stage, inputs, shard_factory(settings))
    if stage == "correlate":
        from correlator.domain import domain_factory

        return StagePlan(stage, inputs, domain_factory(settings))
    if stage == "respond":
        from correlator.oncall import CalendarError
        from correlator.respond import respond_factory

        try:
            return StagePlan(stage, inputs, respond_factory(settings))
        except CalendarError as error:
            raise StartError(str(error)) from error
    if stage.startswith(TARGET):
        from sinks.protocol import SinkMisconfigured
        from sinks.targets.build import engine_of

        try:
            return StagePlan(stage, inputs, handler=engine_of(settings, stage.removeprefix(TARGET)))
        except SinkMisconfigured as error:
            raise StartError(str(error)) from error
    if stage == "history":
        from sinks.historian import historian

        return StagePlan(stage, inputs, handler=historian(settings), fetch_max_wait_ms=HISTORY_FETCH_WAIT_MS)
    from sinks.handler import sink_handler

    return StagePlan(stage, inputs, handler=sink_handler(settings))
