"""One worker in this process against a broker: topics, several stages, a slow sink, clear refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from cli.main import main
from config.load import load as load_settings
from config.settings import Settings
from streams.agents import process, topics
from streams.agents.app import QUEUED_CHUNKS
from streams.agents.checkpoints import Checkpoint, encode
from streams.agents.health import HealthServer
from streams.agents.process import EXIT_CRASHED, EXIT_STALLED, Stage, WorkerConfig, _start, run_worker
from streams.agents.stages import STAGES, StagePlan, expanded
from streams.agents.topics import StartError, TopicSpec, ensure_topics
from streams.records.stage import Output, Record
from tests.agents import kit
from tests.agents.cores import CountingCore, EchoCore


class Relay(EchoCore):
    """Passes every record on as it is."""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        return [Output(self.out, record.value, partition=record.partition) for record in records]


@asynccontextmanager
async def working(
    config: WorkerConfig, plans: Sequence[StagePlan], specs: Sequence[TopicSpec]
) -> AsyncIterator[asyncio.Task[int]]:
    """A worker as a task; asked to stop at the end."""
    stop = asyncio.Event()
    by_name = {plan.name: plan for plan in plans}

    def plan_for(stage: str, counts: Mapping[str, int]) -> StagePlan:
        return by_name[stage]

    worker = asyncio.create_task(
        run_worker(config, list(by_name), specs, plan_for, stop, announce=lambda _: None)
    )
    try:
        yield worker
    finally:
        stop.set()
        await asyncio.wait_for(worker, 20)


async def test_two_stages_share_a_process_and_pass_records_on(bootstrap: str) -> None:
    """Each with a group of its own; the second one counts what the first relayed."""
    one, two, three = kit.unique("one"), kit.unique("two"), kit.unique("three")
    specs = [TopicSpec(one, 2), TopicSpec(two, 2), TopicSpec(three, 1)]
    plans = [
        StagePlan("relay", (one,), lambda topic, partition: Relay(two, partition)),
        StagePlan("count", (two,), lambda topic, partition: CountingCore(three, partition)),
    ]
    await kit.create(bootstrap, *specs)
    await kit.produce(bootstrap, one, 2, range(4_000))
    async with working(WorkerConfig(bootstrap, kit.unique("g")), plans, specs):
        said = await kit.read_until(bootstrap, three, lambda s: len(kit.ids_of(s)) >= 4_000, 30)
    assert sorted(kit.ids_of(said)) == list(range(4_000))
    assert sorted(one["total"] for one in said)[-1] == 2_000


class Blocked:
    """A target that takes its time."""

    retryable = (ConnectionError,)

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.written = 0

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        await self.gate.wait()
        self.written += len(records)


async def test_a_slow_sink_stops_the_reading_and_loses_nothing(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by the queue and the fetch size, not by the backlog."""
    topic, backlog = kit.unique("in"), 50_000
    stages: list[Stage] = []
    make = Stage.__init__

    def remember(self: Stage, *args: object) -> None:
        stages.append(self)
        make(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(process.Stage, "__init__", remember)
    await kit.create(bootstrap, TopicSpec(topic, 1))
    async with kit.producer(bootstrap) as client:
        for _ in range(backlog):
            await client.send(topic, b"x" * 1_000, partition=0)
    target = Blocked()
    plan = StagePlan("sink", (topic,), handler=target)
    async with working(WorkerConfig(bootstrap, kit.unique("g")), [plan], [TopicSpec(topic, 1)]):
        await kit.eventually(lambda: bool(stages and stages[0].runner.partitions), 30, "placement")
        (tp,) = stages[0].runner.partitions
        (channel,) = stages[0].app.topics
        queue = channel.queue
        await kit.eventually(lambda: queue.qsize() >= QUEUED_CHUNKS // 2, 20, "a filling queue")
        held, before = await stages[0].app.consumer.position(tp), -1
        while held != before:  # an unbounded reader would go on to the end of the backlog
            await asyncio.sleep(1.0)
            held, before = await stages[0].app.consumer.position(tp), held
        # A thousand of these records fill a chunk: the queue, and about as many on their way to it.
        assert held < 4 * QUEUED_CHUNKS * 1_100 < backlog
        target.gate.set()
        await kit.eventually(lambda: target.written == backlog, 30, "the whole backlog")


async def test_a_partition_that_stands_still_ends_the_worker_with_a_code(bootstrap: str) -> None:
    """For a supervisor to restart it: Faust's own detector of stalls cannot fire."""
    topic = kit.unique("in")
    await kit.create(bootstrap, TopicSpec(topic, 1))
    await kit.produce(bootstrap, topic, 1, range(10))
    plan = StagePlan("sink", (topic,), handler=Blocked())
    config = WorkerConfig(bootstrap, kit.unique("g"), exit_after_s=2.0, drain_s=0.2)
    async with working(config, [plan], [TopicSpec(topic, 1)]) as worker:
        assert await asyncio.wait_for(worker, 30) == EXIT_STALLED


async def test_a_checkpoint_a_core_cannot_restore_ends_the_worker(bootstrap: str) -> None:
    """Going on with empty state would be a silent loss."""
    topic, group = kit.unique("in"), kit.unique("g")
    await kit.create(
        bootstrap, TopicSpec(topic, 1), TopicSpec(f"{group}.checkpoints.count", 1, compacted=True)
    )
    async with kit.producer(bootstrap) as client:
        for output in encode(Checkpoint(TP(topic, 0), 0, 0, b"not a state"), f"{group}.checkpoints.count", 1):
            await client.send_and_wait(output.topic, output.value, key=output.key, partition=0)
    plan = StagePlan("count", (topic,), lambda name, partition: CountingCore("out", partition))
    async with working(WorkerConfig(bootstrap, group), [plan], [TopicSpec(topic, 1)]) as worker:
        assert await asyncio.wait_for(worker, 30) == EXIT_CRASHED


async def test_a_stop_while_the_broker_is_still_awaited_ends_at_once() -> None:
    """Ctrl-C must not wait out the patience for a broker."""
    stop = asyncio.Event()
    config = WorkerConfig("127.0.0.1:1", connect_s=60.0)
    worker = asyncio.create_task(run_worker(config, [], [], lambda stage, counts: StagePlan("x", ()), stop))
    await asyncio.sleep(0.05)
    stop.set()
    assert await asyncio.wait_for(worker, 2) == 0


async def test_a_taken_health_port_is_one_clear_start_error(bootstrap: str) -> None:
    """Two workers on one machine."""
    server = HealthServer([], 30.0)
    port = await server.start(0)
    topic = kit.unique("in")
    plan = StagePlan("echo", (topic,), lambda name, partition: EchoCore("out", partition))
    config = WorkerConfig(bootstrap, kit.unique("g"), health_port=port)
    try:
        with pytest.raises(StartError, match=f"cannot serve health on 127.0.0.1:{port}"):
            async with working(config, [plan], [TopicSpec(topic, 1)]) as worker:
                await worker
    finally:
        await server.stop()


async def test_topics_are_created_once_by_workers_that_start_together(bootstrap: str) -> None:
    """And each sees the same partition counts."""
    specs = [TopicSpec(kit.unique("pages"), 3), TopicSpec(kit.unique("incidents"), 2, compacted=True)]

    async def one() -> Mapping[str, int]:
        async with kit.admin(bootstrap) as client:
            return await ensure_topics(client, specs)

    counts = await asyncio.gather(*(one() for _ in range(3)))
    assert counts == [{specs[0].name: 3, specs[1].name: 2}] * 3


async def test_an_input_topic_may_have_any_partition_count(bootstrap: str) -> None:
    """It is the producers' own; the count found is what the cores are told."""
    topic = kit.unique("otlp")
    await kit.create(bootstrap, TopicSpec(topic, 5))
    async with kit.admin(bootstrap) as client:
        assert await ensure_topics(client, [TopicSpec(topic, 2, internal=False)]) == {topic: 5}
        with pytest.raises(StartError, match=f"{topic} has 5 partitions, the configuration says 2"):
            await ensure_topics(client, [TopicSpec(topic, 2)])


def test_an_unreachable_broker_is_one_line_with_the_next_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, no traceback, after the patience for a broker that is still starting."""
    monkeypatch.setattr("streams.agents.topics.time.monotonic", iter(range(0, 10**6, 11)).__next__)
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--kafka", "127.0.0.1:1", "--health-port", "-1"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no Kafka broker answers at 127.0.0.1:1" in line
    assert "tocsin dev kafka" in line


def test_an_unknown_stage_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is connected."""
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--stages", "ingest,digest"])
    assert ended.value.code == 2
    assert "ingest,detect,correlate,respond,notify,sink,history" in capsys.readouterr().err


def test_a_history_that_is_switched_off_cannot_be_run_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which setting is in the way; among other stages it is left out."""
    config = tmp_path / "tocsin.yaml"
    config.write_text("history: {enabled: false}")
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--stages", "history", "--config", str(config)])
    assert ended.value.code == 2
    assert "history.enabled is false" in capsys.readouterr().err
    assert "history" not in expanded(STAGES, load_settings(config))
    assert "history" in expanded(STAGES, Settings())


@pytest.mark.parametrize(("internal", "stamped_by"), [(True, "LogAppendTime"), (False, None)])
def test_records_of_our_own_topics_are_stamped_by_the_broker(internal: bool, stamped_by: str | None) -> None:
    """A worker's clock two hours ahead would be refused, one in the past would shorten retention."""
    configs = topics._configs(TopicSpec("name", 1, internal=internal))
    assert configs.get("message.timestamp.type") == stamped_by


async def test_a_broker_that_goes_away_during_the_start_is_said_in_one_line(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback: whoever started the worker starts it again."""

    async def gone(*_: object) -> Mapping[str, int]:
        raise KafkaConnectionError("closed")

    monkeypatch.setattr(process, "ensure_topics", gone)
    with pytest.raises(StartError, match="went away while its topics were looked at"):
        await run_worker(WorkerConfig(bootstrap), [], [], lambda stage, counts: None, asyncio.Event())  # type: ignore[arg-type,return-value]


async def test_a_broker_lost_during_the_start_is_no_bug_of_the_worker() -> None:
    """One line and exit code 2, as if it had never been there: whoever started it starts it again."""
    said: list[BaseException] = []

    class App:
        conf = SimpleNamespace(id="g-ingest")

        async def start(self) -> None:
            raise KafkaConnectionError("Unable to bootstrap")

    with pytest.raises(StartError, match="g-ingest"):
        await _start(App(), said.append)  # type: ignore[arg-type]
    assert [type(error) for error in said] == [StartError]
