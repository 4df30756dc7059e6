"""A console as a user runs it, beside a broker and ClickHouse, and made-up incidents: for bench and tests."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaProducer

from config.settings import ClickHouse, Topics
from correlator.cloudevents import encoded
from correlator.incident import Evidence, Hint, Incident, Member, Reason, ServiceRole, TimelineEntry
from demo.watch import create_topics
from embedded.probe import free_port, http_ready
from embedded.stack import Stack
from embedded.supervisor import Child
from sinks.clickhouse import connect
from sinks.rows import row_of
from sinks.schema import create_database, migrate
from streams.records.digest import digest_hex

MINUTE = 60_000
SERVICES = tuple(f"service-{n}" for n in range(60))
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_TOPICS = Topics()


def made_up(number: int, now_ms: int, version: int = 1, **changes: Any) -> Incident:
    """An open incident of a service or three; the same for the same arguments."""
    id = digest_hex("made-up", str(number))
    services = [SERVICES[(number * step) % len(SERVICES)] for step in (1, 7, 13)]
    started = now_ms - (number % 600 + 1) * MINUTE
    cause = f"{services[0]} http.server.request.duration p95 {1 + number % 9}.{number % 10} s, usually 90 ms"
    member = Member(
        alert_id=digest_hex("alert", id), service=services[0], kind="metric",
        metric="http.server.request.duration", severity="error", started_at=started,
        detected_at=started + 5_000, resolved_at=None, strength=9.0, summary=cause,
        joined_at=started + 5_000, reasons=(Reason("first", 1.0, "opened it"),),
    )  # fmt: skip
    onset = Evidence("onset", "first", 0.5, started, member.alert_id)
    fields: dict[str, Any] = {
        "id": id, "version": version, "domain": "", "state": "open",
        "title": f"{services[0]} is slow, number {number}", "category": "performance degradation",
        "severity": ("warning", "error", "critical", "error")[number % 4], "priority": f"P{1 + number % 4}",
        "started_at": started, "detected_at": started + 5_000, "opened_at": started + 5_000,
        "updated_at": now_ms, "acknowledged_at": None, "mitigated_at": None, "resolved_at": None,
        "closed_at": None, "first_resolved_at": None, "active_ms": 0, "resolved_by": "",
        "acknowledged_by": "", "reopened": 0,
        "services": (
            ServiceRole(services[0], "suspected cause", f"team-{number % 9}", 1),
            *(ServiceRole(name, "affected") for name in dict.fromkeys(services[1:]) if name != services[0]),
        ),
        "alerts": (member.alert_id,), "members": (member,),
        "hints": (Hint(services[0], 0.7, (onset,), cause),),
        "timeline": (TimelineEntry(started, "alert", cause, member.alert_id),),
        "owner": f"team-{number % 9}",
    }  # fmt: skip
    return Incident(**(fields | changes))


def event_of(incident: Incident) -> bytes:
    """As the correlator writes it to the incident topic."""
    return encoded(incident.id, "incident.updated", incident.version, incident.updated_at, incident)


class Ground:
    """Started services; everything stops with the block."""

    def __init__(self, config: Path | None = None) -> None:
        self._stack = Stack()
        self._config = config
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._producer: AIOKafkaProducer | None = None

    def __enter__(self) -> Self:
        self._stack.start()
        try:
            self._thread.start()
            self.run(create_topics(self._stack.kafka, self._topics()))
            self._producer = self.run(self._connected())
            settings = ClickHouse(url=self._stack.clickhouse)
            first = connect(settings, database="default")
            create_database(first, settings.database)
            first.close()
            self.client = connect(settings)
            migrate(self.client)
        except BaseException:
            self._stack.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._producer is not None:
            self.run(self._producer.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._stack.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stack(self) -> Stack:
        return self._stack

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something asynchronous."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def start_console(self) -> None:
        """Returns when it answers."""
        argv = [sys.executable, "-m", "cli.main", "console", "--listen", f"127.0.0.1:{self.port}"]
        if self._config is not None:
            argv += ["--config", str(self._config)]
        self._stack.supervisor.spawn(
            Child(
                "console",
                argv,
                ready=http_ready(self.port, "/healthz"),
                env={"TOCSIN_KAFKA": self._stack.kafka, "TOCSIN_CLICKHOUSE": self._stack.clickhouse},
                ready_timeout_s=60.0,
            )
        )
        self._stack.supervisor.wait_ready("console")

    def stop_console(self) -> None:
        self._stack.supervisor.stop("console")

    def publish(self, incidents: Sequence[Incident]) -> None:
        """Versions on the topic; returns when the broker has them."""
        self.run(self._publish(incidents))

    def store(self, incidents: Sequence[Incident]) -> None:
        """Versions in ClickHouse, as the sink writes them."""
        rows = [row_of(incident) for incident in incidents]
        if rows:
            table = rows[0].table
            self.client.insert(table.name, [row.values for row in rows], column_names=table.columns)

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self._stack.kafka, acks="all", linger_ms=5)
        await producer.start()
        return producer

    async def _publish(self, incidents: Sequence[Incident]) -> None:
        assert self._producer is not None
        sent = [
            await self._producer.send(_TOPICS.incidents, event_of(one), key=one.id.encode())
            for one in incidents
        ]
        await asyncio.gather(*sent)

    @staticmethod
    def _topics() -> list[tuple[str, int]]:
        named = [(topic.name, topic.partitions) for topic in _TOPICS.inputs]
        outputs = [name for name in msgspec.structs.asdict(_TOPICS).values() if isinstance(name, str)]
        return [*named, *((name, 1) for name in outputs)]


class Updates:
    """Publishes versions of made-up incidents, `rate` a second, until it is stopped."""

    def __init__(self, ground: Ground, incidents: int, rate: int, clock: Callable[[], int]) -> None:
        self._ground = ground
        self._incidents = incidents
        self._rate = rate
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _go(self) -> None:
        begin = time.monotonic()
        while not self._stop.wait(0.1):
            due = int((time.monotonic() - begin) * self._rate) - self.sent
            now_ms = self._clock()
            batch = [
                made_up(
                    (self.sent + n) * 17 % self._incidents,
                    now_ms,
                    version=2 + (self.sent + n) // self._incidents * 17 + (self.sent + n) % 17,
                    alerts=tuple(f"{k:016x}" for k in range(1 + self.sent % 40)),
                )
                for n in range(due)
            ]
            self._ground.publish(batch)
            self.sent += len(batch)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000
