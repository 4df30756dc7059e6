"""Plays a plan: injects and heals on time, watches what the shop and Tocsin do, keeps the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from demo.changes import now_ms
from demo.findings import Finding, Findings
from demo.schedule import Plan, Slot
from demo.scoring import Injected
from demo.screen import Picture, Screen, incident_line
from demo.shop import Shop
from demo.watch import follow

REFRESH_S = 0.5


@dataclass(slots=True)
class Director:
    """One run of the demo. `truth` and `findings` are what the table is made of.

    `check` is called twice a second and raises when something else that must run does not.
    """

    shop: Shop
    kafka: str
    plan: Plan
    picture: Picture
    screen: Screen
    check: Callable[[], None] = lambda: None
    findings: Findings = field(default_factory=Findings)
    truth: list[Injected] = field(default_factory=list)

    async def play(self) -> None:
        """Run the whole plan; raises what a process of the shop or the incident topic raised."""
        self.screen.start_clock()
        await first_of(self._faults(), follow(self.kafka, self._tell), self._watch_shop())

    async def stay(self) -> None:
        """Keep showing what happens until cancelled."""
        self._phase("staying up until Ctrl-C", 0.0)
        self.screen.resume()
        await first_of(follow(self.kafka, self._tell), self._watch_shop())

    async def _faults(self) -> None:
        self._phase("quiet: the detectors learn what normal is", self._next_start(0))
        for index, slot in enumerate(self.plan.slots):
            await self._until(slot.start_s)
            await self._one(slot)
            self._phase("recovering", self._next_start(index + 1))
        await self._until(self.plan.end_s)

    async def _one(self, slot: Slot) -> None:
        fault = slot.fault
        self._phase(f"fault: {fault.name}", slot.end_s)
        self.screen.say(f"FAULT {fault.name} in {fault.service}: {fault.what}", "bold red")
        inject_ms = now_ms()
        self.picture.injected_ms[fault.name] = inject_ms
        await asyncio.to_thread(fault.inject, self.shop)
        await self._until(slot.end_s)
        await asyncio.to_thread(fault.heal, self.shop)
        heal_ms = now_ms()
        self.picture.healed_ms[fault.name] = heal_ms
        self.truth.append(Injected(fault.name, fault.service, inject_ms, heal_ms))
        self.screen.say(f"healed {fault.name}", "green")

    async def _watch_shop(self) -> None:
        while True:
            self.check()
            self.picture.stats = await asyncio.to_thread(self.shop.stats)
            self.screen.refresh()
            await asyncio.sleep(REFRESH_S)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.screen.elapsed_s))

    def _next_start(self, index: int) -> float:
        return self.plan.slots[index].start_s if index < len(self.plan.slots) else self.plan.end_s

    def _phase(self, text: str, ends_s: float) -> None:
        self.picture.phase, self.picture.phase_ends_s = text, ends_s

    def _tell(self, finding: Finding) -> None:
        before = {known.id: known for known in self.findings.all()}.get(finding.id)
        kept = self.findings.add(finding)
        if kept is None:
            return
        self.picture.findings = self.findings.all()
        if before is None:
            injected = tuple(self.picture.injected_ms.values())
            self.screen.say(f"INCIDENT {kept.id} {incident_line(kept, injected)}", "yellow")
        elif before.state != kept.state:
            self.screen.say(f"incident {kept.id} is {kept.state}")
        elif before.first_hint != kept.first_hint:
            hint = kept.hints[0] if kept.hints else ("none", 0.0, "", "")
            self.screen.say(f"incident {kept.id}: first hint is now {hint[0]} ({hint[1]:.0%}) {hint[2]}")


async def first_of(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, then cancel the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
