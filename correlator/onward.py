"""What suppression asks of whatever stands behind it: the engine, or nothing in a rehearsal."""

from __future__ import annotations

from typing import Protocol

from correlator.incident import Reason
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert


class Way(Protocol):
    """Where alerts go on to, and where records are written."""

    def knows(self, id: str) -> bool:
        """Whether the alert went on before, and is remembered."""
        ...

    def shows(self, id: str) -> bool:
        """Whether it belongs to something that is not over."""
        ...

    def firing(self, alert: Alert, now_ms: int, why: Reason | None) -> None:
        """A new alert; `why`: it was held back until now."""
        ...

    def renewed(self, alert: Alert, now_ms: int) -> None: ...

    def remark(self, id: str, now_ms: int, text: str) -> None:
        """Something to say of the alert where it went."""
        ...

    def record(self, said: Suppression | SilenceRecord) -> None: ...
