"""A sink that keeps everything in memory: for tests of the shell, and the second witness of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from correlator.afterwards import Review
from correlator.atlas import ServiceSeen
from correlator.past import Knowledge
from correlator.response import Duty, Notice
from correlator.suppression import SilenceRecord, Suppression
from sinks.columns import RowError
from sinks.inbox import Delivery, Item
from sinks.notification import Notification
from sinks.protocol import Refusal, SinkUnavailable
from sinks.rows import row_of
from streams.records.audit import AuditRecord
from streams.records.messages import ActionResult, DeadLetter


class MemorySink:
    """Keeps one item per key, as the ClickHouse tables do. Unbounded: not for production."""

    name = "memory"

    def __init__(self, refuse: Callable[[Delivery], bool] = lambda delivery: False) -> None:
        """`refuse`: deliveries this target will never take."""
        self.kept: dict[tuple[str, ...], Item] = {}
        self.available = True
        self.writes = 0
        self._refuse = refuse

    async def start(self) -> None:
        self._check()

    async def stop(self) -> None:
        pass

    async def write(self, deliveries: Sequence[Delivery]) -> Sequence[Refusal]:
        self._check()
        self.writes += 1
        refusals: list[Refusal] = []
        for delivery in deliveries:
            item = delivery.item
            try:
                row_of(item)
            except RowError as error:
                refusals.append(Refusal(delivery, "out-of-range", str(error)))
                continue
            if self._refuse(delivery):
                refusals.append(Refusal(delivery, "refused", "refused by the test"))
                continue
            self.kept[_key(item)] = item
        return refusals

    def _check(self) -> None:
        if not self.available:
            raise SinkUnavailable("memory sink switched off")


def _key(item: Item) -> tuple[str, ...]:
    if isinstance(item, DeadLetter):
        return ("dead letter", item.topic, str(item.partition), str(item.offset), item.reason)
    if isinstance(item, Suppression):
        return ("suppression", item.alert, str(item.version))
    if isinstance(item, SilenceRecord):
        return ("silence", item.name, str(item.version))
    if isinstance(item, ServiceSeen):
        return ("service", item.service)
    if isinstance(item, Notice):
        return ("notice", item.id)
    if isinstance(item, ActionResult):
        return ("action", item.id)
    if isinstance(item, AuditRecord):
        return ("audit", item.id)
    if isinstance(item, Notification):
        return ("notification", item.key, str(item.version))
    name = item.incident if isinstance(item, Knowledge | Duty | Review) else item.id
    return (type(item).__name__, name, str(item.version))
