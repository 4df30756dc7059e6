"""From suppression into the engine: what goes on, and everything that is said of it, as records to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from config.settings import Topics
from correlator import cloudevents
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
        self._told = topics.written
        self._written = written
        self.out: list[Output] = []
        """to be written"""

    def knows(self, id: str) -> bool:
        return id in self._engine.home

    def shows(self, id: str) -> bool:
        return self._engine.shows(id)

    def firing(self, alert: Alert, now_ms: int, why: Reason | None) -> None:
        engine = self._engine
        versions = engine.release(alert, now_ms, why) if why else engine.observe(alert, now_ms)
        if versions:
            self.out += map(self._written, versions)

    def renewed(self, alert: Alert, now_ms: int) -> None:
        versions = self._engine.observe(alert, now_ms)
        if versions:
            self.out += map(self._written, versions)

    def remark(self, id: str, now_ms: int, text: str) -> None:
        self.out += map(self._written, self._engine.remark(id, now_ms, "flap", text))

    def record(self, said: Suppression | SilenceRecord) -> None:
        key = said.alert if isinstance(said, Suppression) else f"silence/{said.name}"
        kind = "suppression" if isinstance(said, Suppression) else "silence"
        headers = cloudevents.headers(f"{key}/{said.version}", kind, key.rpartition("/")[2], said.at_ms)
        self.out.append(Output(self._topic, _encoder.encode(said), key.encode(), headers=headers))

    def take(self, holding: Holding) -> Sequence[Output]:
        """What there is to write; alerts of groups that came to nothing are recorded."""
        state = self._engine.state
        unopened, learned, said = self._engine.unopened, state.knowledge.out, state.writing.out
        if not unopened and not learned and not said and not self.out:
            return ()
        self.out += (Output(self._problems, s.value, s.key.encode(), headers=HEADERS) for s in learned)
        learned.clear()
        self.out += (Output(self._told, s.value, s.key.encode(), headers=HEADERS) for s in said)
        said.clear()
        for group, at_ms in unopened:
            for held in group.held:
                holding.unopened(held.alert, group.domain, held.joined_at, at_ms)
        unopened.clear()
        out, self.out = self.out, []
        return out
