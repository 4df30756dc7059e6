"""From suppression into the engine: what goes on, and everything that is said of it, as records to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from config.settings import Topics
from correlator.engine import Engine, Version
from correlator.holding import Holding
from correlator.incident import Reason
from correlator.render import HEADERS
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from streams.records.stage import Output

_encoder = msgspec.json.Encoder()


class EngineWay:
    """Collects what the engine and the suppressor have to say, in order."""

    def __init__(self, engine: Engine, topics: Topics, written: Callable[[Version], Output]) -> None:
        self._engine = engine
        self._topic = topics.suppressions
        self._problems = topics.problems
        self._written = written
        self._out: list[Output] = []

    def knows(self, id: str) -> bool:
        return id in self._engine.home

    def shows(self, id: str) -> bool:
        return self._engine.shows(id)

    def firing(self, alert: Alert, now_ms: int, why: Reason | None) -> None:
        engine = self._engine
        versions = engine.release(alert, now_ms, why) if why else engine.observe(alert, now_ms)
        if versions:
            self._out += map(self._written, versions)

    def renewed(self, alert: Alert, now_ms: int) -> None:
        self._out += map(self._written, self._engine.observe(alert, now_ms))

    def remark(self, id: str, now_ms: int, text: str) -> None:
        self._out += map(self._written, self._engine.remark(id, now_ms, "flap", text))

    def record(self, said: Suppression | SilenceRecord) -> None:
        key = said.alert if isinstance(said, Suppression) else f"silence/{said.name}"
        self._out.append(Output(self._topic, _encoder.encode(said), key.encode()))

    def take(self, holding: Holding) -> Sequence[Output]:
        """What there is to write; alerts of groups that came to nothing are recorded."""
        unopened, learned = self._engine.unopened, self._engine.state.knowledge.out
        if not unopened and not learned and not self._out:
            return ()
        self._out += (Output(self._problems, s.value, s.key.encode(), headers=HEADERS) for s in learned)
        learned.clear()
        for group, at_ms in unopened:
            for held in group.held:
                holding.unopened(held.alert, group.domain, held.joined_at, at_ms)
        unopened.clear()
        out, self._out = self._out, []
        return out
