"""`tocsin backtest`: the live pipeline over files, without Kafka."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.catalogue import catalogue_from, check_templates
from cli.common import AsJson, ConfigFile, console, print_json, settings_from, stderr
from cli.dataset import DataSet, load
from cli.errors import CliError
from cli.messages import Said, ends, marks, said
from cli.timeline import Timeline, ahead, control
from config.settings import Settings
from correlator.atlas import ServiceSeen
from correlator.incident import Incident
from correlator.response import Clock, Duty, Notice, Response
from detectors.alert import Alert
from streams.agents.local import LocalPipeline
from streams.records.messages import MAX_MS
from streams.records.stage import Output, Record


class Findings:
    """Newest version of every alert and incident, and counts of the rest."""

    def __init__(self, settings: Settings) -> None:
        self._topics = settings.topics
        self._alert = msgspec.json.Decoder(Alert)
        self.alerts: dict[str, Alert] = {}
        self.incidents: dict[str, Incident] = {}
        self.services: dict[str, ServiceSeen] = {}
        self.response: dict[str, Response] = {}
        """newest of each clock and duty, and every notice, by key"""
        self.dead_letters = 0

    def take(self, output: Output) -> None:
        """What the pipeline produced, one record at a time."""
        if output.topic == self._topics.alerts and output.value and b'"type":"alert"' in output.value[:20]:
            alert = self._alert.decode(output.value)
            known = self.alerts.get(alert.id)
            if known is None or alert.version >= known.version:
                self.alerts[alert.id] = alert
        elif output.topic == self._topics.incidents and output.value:
            incident = msgspec.json.decode(output.value, type=_Envelope).data
            known_incident = self.incidents.get(incident.id)
            if known_incident is None or incident.version >= known_incident.version:
                self.incidents[incident.id] = incident
        elif output.topic == self._topics.topology and output.value:
            service = msgspec.json.decode(output.value, type=ServiceSeen)
            self.services[service.service] = service
        elif output.topic == self._topics.response and output.value:
            said = msgspec.json.decode(output.value, type=_Said).data
            known_said = self.response.get(said.key)
            if not isinstance(known_said, Clock | Duty) or version_of(said) >= known_said.version:
                self.response[said.key] = said
        elif output.topic == self._topics.deadletters:
            self.dead_letters += 1

    def forget_before(self, at_ms: int) -> None:
        """Leave out what was over by then: the history is there to be learned from."""
        gone = {id for id, a in self.alerts.items() if a.resolved_at is not None and a.resolved_at < at_ms}
        over = {id for id, i in self.incidents.items() if i.resolved_at is not None and i.resolved_at < at_ms}
        for id in over:
            del self.incidents[id]
        told = {id for incident in self.incidents.values() for id in incident.alerts}
        for id in gone - told:
            del self.alerts[id]


class _Envelope(msgspec.Struct):
    data: Incident


class _Said(msgspec.Struct):
    data: Response


def version_of(said: Response) -> int:
    """Notices have but one."""
    return 1 if isinstance(said, Notice) else said.version


def incident_object(run: str, incident: Incident) -> dict[str, Any]:
    """An incident as `incidents.jsonl` has it: `services` and `alerts` are plain lists of ids."""
    plain = msgspec.to_builtins(incident)
    roles = plain.pop("services")
    return {"run": run, **plain, "services": [role["service"] for role in roles], "service_roles": roles}


def inputs_of(settings: Settings) -> tuple[str, str]:
    """Topics for Tocsin JSON lines and for changes, by their configured format."""
    by_format = {topic.format: topic.name for topic in settings.topics.inputs}
    lines = by_format.get("tocsin") or next(
        (topic.name for topic in settings.topics.inputs if topic.name == "tocsin.in"), ""
    )
    if not lines or "changes" not in by_format:
        raise CliError(
            "no input topic for Tocsin JSON lines or none for changes is configured",
            "add topics.inputs with format: tocsin and format: changes",
        )
    return lines, by_format["changes"]


def records_of(
    data: DataSet, run: str, settings: Settings, page: int, history: str = ""
) -> Iterator[tuple[list[Record], int]]:
    """The run as input records, chunk by chunk, each with the number of rows in it; `history` before it."""
    lines, changes = inputs_of(settings)
    for offset, change in enumerate(data.changes(run)):
        yield [Record(changes, 0, offset, change.ts, None, msgspec.json.encode(change))], 0
    timelines = timelines_of(data, run, history)
    messages = said(data, run, settings)
    begin, end = _ends(timelines, messages)
    epoch = f"backtest-{run}"
    offset = 1
    offsets: Counter[str] = Counter()
    waiting = deque(messages)
    topics = {message.topic for message in messages}

    def mark(topic: str, what: str, at_ms: int) -> tuple[list[Record], int]:
        offsets[topic] += 1
        return [Record(topic, 0, offsets[topic] - 1, at_ms, None, None, control(what, epoch, at_ms))], 0

    rows = any(timeline.span.rows for timeline in timelines)
    if rows:
        yield [Record(lines, 0, 0, begin, None, None, control("begin", epoch, begin))], 0
    else:
        for topic, at_ms in marks(settings, topics, begin):
            yield mark(topic, "begin", at_ms)

    def due(before_ms: int) -> Iterator[tuple[list[Record], int]]:
        while waiting and waiting[0].ts < before_ms:
            message = waiting.popleft()
            yield [message.record(offsets[message.topic])], 0
            offsets[message.topic] += 1

    cuts = [message.ts for message in messages]
    for timeline in timelines:
        for record in timeline.records(partitions=1, page=page, cuts=cuts):
            yield from due(record.ts_ms)
            yield [Record(lines, 0, offset, record.ts_ms, None, record.value, record.headers)], record.rows
            offset += 1
    yield from due(MAX_MS)
    if rows:
        yield [Record(lines, 0, offset, end, None, None, control("end", epoch, begin))], 0
    for topic, at_ms in ends(settings, topics, end):
        yield mark(topic, "end", at_ms)


def _ends(timelines: list[Timeline], messages: list[Said]) -> tuple[int, int]:
    """First and last time of all there is, ms UTC."""
    spans = [timeline.span for timeline in timelines if timeline.span.rows]
    begins = [*(span.begin_ms for span in spans), *(message.ts for message in messages[:1])]
    ends = [*(span.end_ms for span in spans), *(message.ts for message in messages[-1:])]
    return min(begins, default=0), max(ends, default=0)


def timelines_of(data: DataSet, run: str, history: str = "") -> list[Timeline]:
    """The run, and before it the run that is its history, moved to end where it begins."""
    own = Timeline(data, run)
    if not history:
        return [own]
    return [Timeline(data, history, ahead(Timeline(data, history).span, own.span.begin_ms)), own]


def run_backtest(
    data: DataSet,
    run: str,
    settings: Settings,
    page: int,
    progress: Progress | None = None,
    findings: Findings | None = None,
    history: str = "",
) -> Findings:
    """One run, after its history, through fresh stages, whose outputs `findings` takes."""
    lines, changes = inputs_of(settings)
    findings = Findings(settings) if findings is None else findings
    messages = said(data, run, settings)
    topics = dict.fromkeys((lines, changes, *(message.topic for message in messages)))
    pipeline = LocalPipeline(settings, [(t, 0) for t in topics], findings.take, data.edges(run))
    total = sum(timeline.span.rows for timeline in timelines_of(data, run, history)) if progress else 0
    task = progress.add_task(run or "rows", total=total) if progress else None
    for chunk, rows in records_of(data, run, settings, page, history):
        pipeline.feed(chunk)
        if progress and task is not None:
            progress.advance(task, rows)
    pipeline.finish(_ends(timelines_of(data, run, history), messages)[1])
    if history:
        findings.forget_before(Timeline(data, run).span.begin_ms)
    return findings


def backtest(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with tables and messages; see docs/files.md.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for alerts, incidents, topology and response (.jsonl)."),
    ],
    run: Annotated[list[str] | None, typer.Option("--run", help="Only this run (may be repeated).")] = None,
    history: Annotated[
        str, typer.Option(metavar="RUN", help="A run of quiet times, to be seen before each of the others.")
    ] = "",
    page: Annotated[
        int, typer.Option(min=1, help="Rows a record. Changes the speed, never the result.")
    ] = 10_000,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline over files and write what it found.

    The same code as the live worker, without Kafka: equal input gives equal incidents.

    A run is short where detectors need time to learn what is normal. --history names a run of the same
    folder that is fed first, as if it had happened right before: moved by whole days, or, if it is too short
    for that, to end where the run begins. What it shows by itself is not written.

    Examples:

      tocsin backtest data/shop -o out

      tocsin backtest data/shop -o out --run monday --page 100 --json

      tocsin backtest data/shop -o out --run issue_7 --history quiet_week
    """
    settings = settings_from(config)
    catalogue_from(settings)
    check_templates(settings)
    data = load(folder)
    named = {*(run or ()), history} - {""}
    unknown = sorted(named - set(data.runs))
    if unknown:
        raise CliError(f"{folder} has no run {unknown[0]!r}", f"it has: {', '.join(data.runs[:10])}")
    runs = tuple(run) if run else tuple(name for name in data.runs if not history or name != history)
    out.mkdir(parents=True, exist_ok=True)
    summary = []
    rows: list[tuple[str, Incident]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        (out / "alerts.jsonl").open("wb") as alerts_file,
        (out / "incidents.jsonl").open("wb") as incidents_file,
        (out / "topology.jsonl").open("wb") as topology_file,
        (out / "response.jsonl").open("wb") as response_file,
        Progress(*columns, console=stderr, transient=True) as progress,
    ):
        for name in runs:
            found = run_backtest(data, name, settings, page, progress, history=history)
            for alert in sorted(found.alerts.values(), key=lambda a: (a.started_at, a.id)):
                alerts_file.write(msgspec.json.encode({"run": name, **msgspec.to_builtins(alert)}) + b"\n")
            incidents = sorted(found.incidents.values(), key=lambda i: (i.started_at, i.id))
            for incident in incidents:
                incidents_file.write(msgspec.json.encode(incident_object(name, incident)) + b"\n")
            for service in sorted(found.services.values(), key=lambda s: s.service):
                line = {"run": name, **msgspec.to_builtins(service)}
                topology_file.write(msgspec.json.encode(line) + b"\n")
            for key in sorted(found.response):
                line = {"run": name, **msgspec.to_builtins(found.response[key])}
                response_file.write(msgspec.json.encode(line) + b"\n")
            rows += [(name, incident) for incident in incidents]
            summary.append(
                {
                    "run": name,
                    "alerts": len(found.alerts),
                    "incidents": len(incidents),
                    "dead_letters": found.dead_letters,
                }
            )
    if as_json:
        print_json({"out": str(out), "runs": summary})
        return
    _show(rows)
    total = {
        key: sum(int(str(line[key])) for line in summary) for key in ("alerts", "incidents", "dead_letters")
    }
    console.print(
        f"{len(runs)} run(s): {total['alerts']} alerts in {total['incidents']} incidents, "
        f"{total['dead_letters']} dead letters → {out}/alerts.jsonl, {out}/incidents.jsonl"
    )


def _show(rows: list[tuple[str, Incident]], most: int = 40) -> None:
    from rich.table import Table

    from correlator.when import utc

    table = Table("run", "started (UTC)", "severity", "incident", "alerts", "first hint", "confidence")
    for run, incident in rows[:most]:
        hint = incident.hints[0] if incident.hints else None
        table.add_row(
            run,
            utc(incident.started_at),
            incident.severity,
            incident.title,
            str(len(incident.alerts) + incident.truncated_members),
            hint.service if hint else "unknown",
            f"{hint.confidence:.2f}" if hint else "",
        )
    console.print(table)
    if len(rows) > most:
        console.print(f"… and {len(rows) - most} more")
