"""What is set: overview, catalogue, rules, and who is on call. Settings are read-only here."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from config.shown import as_yaml, sections
from console.access.guard import Reads
from console.configuring import overview, rules
from console.configuring.duties import escalations, local, on_duty
from console.configuring.known import Knows
from console.configuring.seriesrules import applying
from console.configuring.services import SHOWN, counts, rows, selected
from console.silencing import visible
from console.state import Shared, State
from correlator.conflicts import conflicts
from correlator.rehearse import only, rehearse, rule_names
from correlator.silencing import standing
from detectors.controlfacts import series_of

router = APIRouter()
WEEK_MS = 7 * 86_400_000
PAGE = 200
MOST_RECORDS = 50
MOST_INCIDENTS = 30

Words = Annotated[str, Query(max_length=200)]


@router.get("/configuration")
async def configuration(request: Request, state: Shared, identity: Reads, knows: Knows) -> HTMLResponse:
    """What is set, where it comes from, problems found."""
    settings, now_ms = state.settings, state.clock()
    reading = await knows.reading()
    seen = await knows.seen()
    schedules = await asyncio.to_thread(on_duty, settings.respond, now_ms)
    disagree = [] if seen.trouble else conflicts(seen.graph, now_ms - WEEK_MS)
    found = overview.findings(settings, reading, disagree, schedules, now_ms)
    return state.page(
        request,
        "configuration.html",
        identity,
        source=state.source,
        variables=overview.variables(os.environ),
        reading=reading,
        findings=found,
        trouble=seen.trouble,
        rules=rules.sections(settings),
        services=len(seen.graph.services),
        calls=len(seen.graph.calls),
        schedules=schedules,
        set={name: as_yaml(value) for name, value in sections(settings).items()},
    )


@router.get("/configuration/catalogue")
async def catalogue(
    request: Request,
    state: Shared,
    identity: Reads,
    knows: Knows,
    q: Words = "",
    show: Literal["", "listed", "unlisted", "silent"] = "",
    most: Annotated[int, Query(ge=1, le=5_000)] = PAGE,
) -> HTMLResponse:
    """All services, of the catalogue and of telemetry."""
    seen = await knows.seen()
    every = rows(seen.graph)
    found = selected(every, q, show)
    return state.page(
        request,
        "configuration_catalogue.html",
        identity,
        rows=found[:most],
        total=len(found),
        most=most,
        q=q,
        show=show,
        shown=SHOWN,
        counts=counts(every),
        trouble=seen.trouble,
        reading=await knows.reading(),
    )


@router.get("/configuration/catalogue/{service:path}")
async def service(
    request: Request, state: Shared, identity: Reads, knows: Knows, service: str
) -> HTMLResponse:
    """One service: what is written down, what is seen, what applies to it."""
    seen = await knows.seen()
    graph = seen.graph
    name = graph.catalogue.canonical(service)
    if name not in graph.services:
        raise HTTPException(404, f"no service {service!r}: neither the catalogue nor telemetry names it")
    now_ms = state.clock()
    disagree = [] if seen.trouble else conflicts(graph, now_ms - WEEK_MS)
    return state.page(
        request,
        "configuration_service.html",
        identity,
        name=name,
        entry=graph.catalogue.services.get(name),
        seen_at=graph.met.get(name),
        needs=[graph.facts(name, other) for other in graph.callees.get(name, ())],
        needed_by=[graph.facts(other, name) for other in graph.callers.get(name, ())],
        conflicts=[c for c in disagree if name == c.service or name in c.other.split(", ")],
        applying=rules.of_service(state.settings, name),
        trouble=seen.trouble,
    )


@router.get("/configuration/part/service")
async def service_part(
    request: Request,
    state: Shared,
    identity: Reads,
    knows: Knows,
    service: Annotated[str, Query(max_length=300)],
) -> HTMLResponse:
    """Incidents of a service, and silences that concern it: asked of ClickHouse once the page is there."""
    catalogue = (await knows.reading()).catalogue
    names = [service, *(entry.aliases if (entry := catalogue.get(service)) else ())]
    found = await state.store.ask(
        lambda reader: [
            one
            for name in names
            for one in reader.incidents(service=name, domains=identity.domains, limit=MOST_INCIDENTS)
        ]
    )
    silent = [
        (row, standing(row.state, row.window, state.clock()))
        for row in await visible(state, identity)
        if any(rules.says_of(row.matchers, name) for name in names)
    ]
    incidents = sorted({i.id: i for i in found}.values(), key=lambda i: -i.started_at)
    return state.page(
        request,
        "configuration_service_part.html",
        identity,
        incidents=incidents[:MOST_INCIDENTS],
        silences=silent,
    )


@router.get("/configuration/rules")
async def rules_page(
    request: Request, state: Shared, identity: Reads, labels: Annotated[str, Query(max_length=4_000)] = ""
) -> HTMLResponse:
    """What the file says, kind by kind."""
    return state.page(
        request,
        "configuration_rules.html",
        identity,
        sections=rules.sections(state.settings),
        names=rule_names(state.settings.correlate),
        labels=labels,
        source=state.source,
        **_series(state, labels),
    )


@router.get("/configuration/rules/series")
async def series(
    request: Request, state: Shared, identity: Reads, labels: Annotated[str, Query(max_length=4_000)] = ""
) -> HTMLResponse:
    """Which rules apply to a series."""
    return state.page(request, "configuration_series.html", identity, **_series(state, labels))


def _series(state: State, labels: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"applying": None, "wrong": ""}
    pairs = labels.replace("\n", " ").split()
    if not pairs:
        return nothing
    try:
        found = series_of(pairs)
    except ValueError as error:
        return nothing | {"wrong": f"{error}: expected for example service=checkout metric=queue.size"}
    return nothing | {"applying": applying(state.settings.detect, found)}


@router.get("/configuration/rules/dry-run")
async def dry_run(
    request: Request,
    state: Shared,
    identity: Reads,
    knows: Knows,
    rule: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """What the rules of the file, or one of them, would have held back of the alerts of 24 hours."""
    correlate = state.settings.correlate
    try:
        chosen = only(correlate, [rule] if rule else [])
    except ValueError as error:
        raise HTTPException(422, f"rule is {error}") from None
    day = (await knows.day()).of(identity, correlate.domain_label)
    tried = await asyncio.to_thread(rehearse, chosen, day.alerts, day.until_ms)
    matches = sorted(tried.matches.items(), key=lambda pair: (-pair[1], pair[0]))
    return state.page(
        request,
        "configuration_dry_run.html",
        identity,
        day=day,
        tried=tried,
        records=tried.records[: -MOST_RECORDS - 1 : -1],
        matches=[(*key.split("/", 1), count) for key, count in matches],
        rule=rule,
    )


@router.get("/configuration/oncall")
async def oncall(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """Who is on call now, by schedule and by policy."""
    respond = state.settings.respond
    schedules = await asyncio.to_thread(on_duty, respond, state.clock())
    return state.page(
        request,
        "configuration_oncall.html",
        identity,
        schedules=schedules,
        policies=escalations(respond, schedules),
        routes=respond.routes,
        local=local,
    )
